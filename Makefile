# Every target makes the virtual environment it needs on first use.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help run test check format golden lab-up lab-down test-lab bench screenshots clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "moalog-tui needs Python 3.11 or newer; install it (on Debian: apt-get install python3) or name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; install it (on Debian and Ubuntu: apt-get install python3-venv) and run make again." >&2; exit 1; }
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

run: $(VENV)/.run ## start the screen (ARGS="--platform DIR")
	@$(BIN)/moalog-tui $(ARGS)

test: $(VENV)/.dev ## the tests that need no platform
	@$(BIN)/python -m pytest -m "not lab and not bench" $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## write the code in its one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

golden: $(VENV)/.dev ## write the golden pictures anew (then look at each)
	@UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/golden $(ARGS)

lab-up: $(VENV)/.dev ## bring the lab platform up on a Docker Engine of its own
	@$(BIN)/python -m tests.lab up $(ARGS)

lab-down: $(VENV)/.dev ## take the lab down
	@$(BIN)/python -m tests.lab down $(ARGS)

test-lab: $(VENV)/.dev ## the tests against the lab (brings it up where it is not)
	@$(BIN)/python -m pytest -m lab $(ARGS)

bench: $(VENV)/.dev ## print the figures, beside lazydocker
	@$(BIN)/python -m tests.bench $(ARGS)

screenshots: $(VENV)/.dev ## make the pictures of screenshots/ from the lab
	@$(BIN)/python -m tests.lab.screenshots $(ARGS)

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
