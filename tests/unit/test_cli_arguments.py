from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

import pytest

from moalog_tui.cli.arguments import DESTRUCTIVE, VERBS, parse, since
from moalog_tui.cli.main import flags_of
from moalog_tui.runbook.plan import Tier, Verb


@pytest.mark.parametrize(
    "argv",
    [
        ["--read-only", "--platform", "/p", "--ascii", "check"],
        ["check", "--read-only", "--platform", "/p", "--ascii"],
        ["--read-only", "check", "redis", "--platform=/p", "--ascii"],
        ["--platform", "/other", "--ascii", "check", "--platform", "/p", "--read-only"],
    ],
)
def test_global_options_count_before_and_after_the_command(argv: list[str]) -> None:
    flags = flags_of(parse(argv))
    assert (flags.read_only, flags.platform, flags.ascii) == (True, "/p", True)
    assert (flags.project, flags.log_level, flags.allow) == (None, None, None)


@pytest.mark.parametrize("command", [[], ["check"], ["logs", "redis"], ["restart", "redis"], ["doctor"]])
def test_what_is_not_given_is_not_given_with_any_command(command: list[str]) -> None:
    flags = flags_of(parse(command))
    assert (flags.read_only, flags.ascii, flags.platform) == (False, False, None)
    flags = flags_of(parse(["--log-level", "INFO", "--project", "p", *command]))
    assert (flags.log_level, flags.project) == ("INFO", "p")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["chekc"], "invalid choice: 'chekc'"),
        (["check", "--jsn"], "--jsn"),
        (["--read", "check"], "--read"),  # no abbreviations: scripts would break with the next option
        (["check", "--timeout", "soon"], "expected a number of seconds, got 'soon'"),
        (["check", "--timeout", "0"], "between 0 and 86,400"),
        (["check", "--wait", "nan"], "between 0 and 86,400"),
        (["check", "--fail-on", "up"], "invalid choice: 'up'"),
        (["logs"], "SERVICE"),
        (["logs", "redis", "--tail", "-1"], "--tail"),
        (["logs", "redis", "--tail", "1000000"], "from 0 to 100,000"),
        (["logs", "redis", "--since", "yesterday"], "expected 15m"),
        (["logs", "redis", "--since", "99999999999d"], "at most 10 years"),
        (["logs", "redis", "--level", "loud"], "expected one of error, warn, info, debug"),
        (["--allow", "everything"], "invalid choice: 'everything'"),
        (["check", "--\x1b[2J\x9b"], "--"),
    ],
)
def test_a_mistake_is_one_sentence_with_a_hint(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(argv)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert words in err
    assert err.endswith("--help`.\n")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()


def test_the_words_of_the_grammar_are_those_of_the_plans() -> None:
    assert set(VERBS) == {verb.value for verb in Verb}
    assert Tier.DESTRUCTIVE.value == DESTRUCTIVE


@pytest.mark.parametrize(("text", "back"), [("15m", 900), ("2h30m", 9000), ("1d", 86_400), ("90s", 90), ("45", 45)])
def test_a_duration_means_so_long_ago(text: str, back: int) -> None:
    assert since(text) / 1e9 == pytest.approx(time.time() - back, abs=2)


@pytest.mark.parametrize("text", ["2026-11-23T19:02:01Z", "2026-11-23T19:02:01", "2026-11-23T20:02:01+01:00"])
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    assert since(text) == int(datetime(2026, 11, 23, 19, 2, 1, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("text", ["", " ", "m", "15x", "1960-01-01", "-5m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        since(text)
