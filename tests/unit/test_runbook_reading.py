"""Markdown becomes scenarios: the platform's own runbook, ours, and whatever people write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalog_tui.runbook.reading import LINES_LIMIT, SIZE_LIMIT, built_in, read_runbook, slug_of
from moalog_tui.runbook.scenarios import Runbook

SLUGS = (
    "service-down-generic", "redis-down", "mysql-down", "kafka-down", "fluxpay-engine-down", "rate-limiter-down",
    "redis-memory-pressure", "disk-space-issues", "full-stack-recovery", "full-data-reset",
)  # fmt: skip

EXAMPLE = """\
# Runbook
| a | table |
**Impact**: outside of any scenario
```bash
make nothing
```
## 1. First thing ##
Some running text
that goes on.

**Impact**:
- one **bold** effect
  that goes on
* see [the docs](http://x/y)
1. numbered
- [ ] a task
| left | out |
---
**Diagnosis:** look here first
~~~sh
$ docker ps -a \\
    --filter name=x   # why "this"
# a comment
echo "no # comment" 'nor # this'
#
~~~
```json
{"a": 1}
```
### Post-recovery checks
> quoted
**bold** begins a sentence
**Escalation**
call somebody
## Links
- not a step
#### 2) Second: at another level
```
make up
# done
```
#### 2) Second: at another level
"""


@pytest.fixture
def example() -> Runbook:
    return read_runbook(EXAMPLE, "example.md")


def test_scenarios_have_their_number_slug_and_line(example: Runbook) -> None:
    assert [(one.id, one.slug, one.title, one.line) for one in example.scenarios] == [
        ("1", "first-thing", "First thing", 7),
        ("2", "second-at-another-level", "Second: at another level", 37),
        ("2", "second-at-another-level-2", "Second: at another level", 42),
    ]
    assert example.source == "example.md"
    assert len(example.sha256) == 64


def test_sections_have_their_kind_and_lines(example: Runbook) -> None:
    first = example.scenarios[0]
    assert [(one.title, one.kind, one.line) for one in first.sections] == [
        ("About", "other", 8),
        ("Impact", "impact", 11),
        ("Diagnosis", "diagnose", 19),
        ("Post-recovery checks", "verify", 30),
        ("Escalation", "escalation", 33),
    ]
    about, impact, diagnosis, after, escalation = (one.lines for one in first.sections)
    assert about == (("text", "Some running text that goes on."),)
    assert impact == (
        ("bullet", "one bold effect that goes on"),
        ("bullet", "see the docs (http://x/y)"),
        ("bullet", "numbered"),
        ("bullet", "a task"),
    )
    assert diagnosis == (
        ("text", "look here first"),
        ("comment", 'why "this"'),
        ("command", "docker ps -a --filter name=x"),
        ("comment", "a comment"),
        ("command", "echo \"no # comment\" 'nor # this'"),
        ("text", '{"a": 1}'),
    )
    assert after == (("text", "quoted bold begins a sentence"),)
    assert escalation == (("text", "call somebody"),)


def test_commands_under_no_title_are_the_recovery(example: Runbook) -> None:
    steps = example.scenarios[1].section("recover")
    assert steps is not None
    assert steps.title == "Steps"
    assert steps.lines == (("command", "make up"), ("comment", "done"))


def test_a_forgotten_fence_ends_at_the_next_scenario() -> None:
    runbook = read_runbook("### 1. A\n```bash\n# 1. a comment, no scenario\nmake a\n### 2. B\n```\nmake b\n```\n", "x")
    assert [one.id for one in runbook.scenarios] == ["1", "2"]
    assert runbook.scenarios[0].sections[0].lines == (("comment", "1. a comment, no scenario"), ("command", "make a"))


def test_a_scenario_is_found_by_id_and_slug() -> None:
    for key in ("2", "redis-down"):
        scenario = built_in().scenario(key)
        assert scenario is not None
        assert scenario.title == "Redis Down"
    assert built_in().scenario("nothing") is None


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Service Down (Generic)", "service-down-generic"),
        ("  Kafka -- down!", "kafka-down"),
        ("결제 장애", "결제-장애"),
        ("!", "scenario"),
    ],
)
def test_slugs(title: str, slug: str) -> None:
    assert slug_of(title) == slug


def runbooks() -> Iterator[Runbook]:
    yield built_in()
    platform = Path(__file__).resolve().parents[3] / "shared" / "platform" / "runbook.md"
    if platform.exists():
        yield read_runbook(platform.read_text("utf-8"), str(platform))


@pytest.mark.parametrize("runbook", list(runbooks()), ids=lambda runbook: Path(runbook.source).name)
def test_the_ten_scenarios_are_there(runbook: Runbook) -> None:
    assert tuple(one.slug for one in runbook.scenarios) == SLUGS
    assert [one.id for one in runbook.scenarios] == [str(number) for number in range(1, 11)]
    for scenario in runbook.scenarios:
        recover = scenario.section("recover")
        assert recover is not None, scenario.title
        assert recover.lines
        assert all("|---" not in text for section in scenario.sections for _, text in section.lines)
        if scenario.id not in ("9", "10"):
            diagnose = scenario.section("diagnose")
            assert diagnose is not None
            assert any(kind == "command" for kind, _ in diagnose.lines)
    kafka = runbook.scenario("kafka-down")
    assert kafka is not None
    assert kafka.section("impact") is not None
    assert kafka.section("verify") is not None


def test_ours_names_secrets_by_their_variable_only() -> None:
    commands = [text for one in built_in().scenarios for section in one.sections for _, text in section.lines]
    assert not [text for text in commands if "moalog_local" in text or "moalog_redis_local" in text or " -a $" in text]
    assert [text for text in commands if "REDISCLI_AUTH=$REDIS_PASSWORD" in text]


def test_it_is_bounded() -> None:
    assert read_runbook("x" * (2 * SIZE_LIMIT) + "\n# 1. late\n", "x").scenarios == ()
    long = read_runbook("# 1. a\n" + "- line\n" * 10_000, "x")
    assert len(long.scenarios[0].sections[0].lines) == LINES_LIMIT
    assert len(read_runbook("# 1. a\n" * 5000, "x").scenarios) <= 200
    assert read_runbook("# 1. a\n" + "#  " * 300_000 + "\n**" * 100_000 + "\n" + "- " * 200_000, "x").scenarios


@pytest.mark.parametrize(
    "text", ["", "\ufeff# 1. bom\n", "# 1.\n", "# 1. a\r\n**Impact**:\r\n- x\r\n", "\x00\ud800", "```", "# 1. a\n```\n"]
)
def test_odd_files_are_read(text: str) -> None:
    for scenario in read_runbook(text, "x").scenarios:
        assert "\r" not in repr(scenario)


PIECES = [
    *("# 1. A", "### 2. B", "## C", "**Impact**:", "**Recovery**: x", "```bash", "```", "~~~", "- a", "  b", "| t |"),
    *("make up # x", "---", "", "> q", "# \\", "\\", "****", "**:**", "- ", "[a](b)"),
]
MARKDOWN = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=30)


@given(MARKDOWN)
def test_no_markdown_makes_it_raise(lines: list[str]) -> None:
    runbook = read_runbook("\n".join(lines), "x")
    slugs = [one.slug for one in runbook.scenarios]
    assert len(slugs) == len(set(slugs))
    for scenario in runbook.scenarios:
        assert scenario.title
        for section in scenario.sections:
            assert section.title
            assert {kind for kind, _ in section.lines} <= {"text", "bullet", "comment", "command"}
