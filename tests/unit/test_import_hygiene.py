"""A fresh process proves who loads what: the core has no screen, and the platform needs nothing but Python."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import moalog_tui

SCREEN = ("textual", "rich")
CLIENTS = ("docker", "httpx", "redis", "pymysql", "psycopg", "kafka", "prometheus_api_client", "requests", "yaml")
CORE = ("platform", "runbook", "operations", "monitor", "cli")
SCREEN_COMMAND = ("moalog_tui.cli.screen",)
"""The only command that may load Textual, and only when it runs."""


def modules_of(package: str) -> list[str]:
    """Return every module below a package, and the package itself."""
    path = [f"{root}/{package}" for root in moalog_tui.__path__]
    found = [f"moalog_tui.{package}.{one.name}" for one in pkgutil.iter_modules(path)]
    return [f"moalog_tui.{package}", *(name for name in found if name not in SCREEN_COMMAND)]


def loaded_by(modules: list[str]) -> set[str]:
    """Import modules in a process of its own and return the top-level names it then holds."""
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(modules)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", CORE)
def test_nothing_of_the_core_loads_a_screen(package: str) -> None:
    assert loaded_by(modules_of(package)).isdisjoint(SCREEN)


def test_the_adapters_load_no_screen() -> None:
    # httpx itself loads rich for its own command line, where click happens to be installed.
    assert "textual" not in loaded_by(modules_of("adapters"))


def test_the_settings_and_the_entry_load_no_screen() -> None:
    assert loaded_by(["moalog_tui.config", "moalog_tui.__main__"]).isdisjoint(SCREEN)


@pytest.mark.parametrize("package", ["platform", "runbook", "operations"])
def test_the_pure_parts_load_nothing_but_python(package: str) -> None:
    bare = loaded_by(["sys"])
    foreign = loaded_by(modules_of(package)) - bare - set(sys.stdlib_module_names) - {"moalog_tui"}
    assert foreign == set()


@pytest.mark.parametrize("package", ["platform", "runbook"])
def test_the_pure_parts_have_no_loop(package: str) -> None:
    assert "asyncio" not in loaded_by(modules_of(package))


def test_the_monitor_knows_no_client() -> None:
    assert loaded_by(modules_of("monitor")).isdisjoint(CLIENTS)


def test_the_entry_loads_no_client_before_it_knows_the_command() -> None:
    assert loaded_by(["moalog_tui.__main__"]).isdisjoint(CLIENTS)
