"""The command line's grammar: global options before or after the command."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from moalog_tui import __version__

USAGE: Final = 2
"""The exit code of a mistake in usage or configuration."""

VERBS: Final = ("start", "stop", "restart")
"""The plans' verbs, and below the tier that must be allowed: as words, for `--help` to load nothing else."""
DESTRUCTIVE: Final = "destructive"
_LEVELS: Final = ("error", "warn", "info", "debug")
_MOST_LINES: Final = 100_000
_LONGEST_S: Final = 10 * 366 * 86_400
_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class Parser(argparse.ArgumentParser):
    """Says a mistake in one sentence with a hint, on stderr, and exits with 2. Options are not abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Print the sentence and the hint; stdout stays empty."""
        from moalog_tui.platform.text import sanitise

        sentence = sanitise(message[:1].upper() + message[1:])
        sys.stderr.write(f"{sentence.rstrip('.')}. Try `{self.prog} --help`.\n")
        raise SystemExit(USAGE)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `command` is None for the screen. Mistakes end the process with 2."""
    return _parser().parse_args(argv)


def _global_options(default: object) -> Parser:
    """The global options; with SUPPRESS as default they may stand after the command without undoing the first."""
    options = Parser(add_help=False)
    group = options.add_argument_group("global options")
    suppress = default is argparse.SUPPRESS

    def add(name: str, **kwargs: object) -> None:
        kwargs["default"] = argparse.SUPPRESS if suppress else kwargs.get("default")
        group.add_argument(name, **kwargs)  # type: ignore[arg-type]

    add("--platform", metavar="DIR", help="the platform's folder (else MOALOG_HOME, else found upwards from here)")
    add("--project", metavar="NAME", help="the compose project")
    add("--profile", metavar="FILE", help="a TOML file that describes another platform")
    add("--runbook", metavar="FILE", help="a runbook in Markdown")
    add("--read-only", action="store_true", help="change nothing, whatever is pressed or typed")
    add("--allow", metavar="TIER", choices=[DESTRUCTIVE], help="allow steps of this tier (destructive)")
    add("--ascii", action="store_true", help="draw with ASCII alone")
    add("--log-level", metavar="LEVEL", choices=_LOG_LEVELS, help=f"one of {', '.join(_LOG_LEVELS)}")
    return options


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of seconds, got {text!r}") from None
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError("expected between 0 and 86,400 seconds")
    return value


def since(text: str) -> int:
    """Return the time, in epoch nanoseconds, that a duration back from now or a time in UTC means."""
    spans = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if spans is not None and text.strip():
        days, hours, minutes, seconds = (int(one or 0) for one in spans.groups())
        back = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if back > _LONGEST_S:
            raise argparse.ArgumentTypeError("expected at most 10 years")
        return time.time_ns() - back * 10**9
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 15m, 2h30m or a time like 2026-11-23T19:02, got {text!r}") from None
    if moment.year < 1970:
        raise argparse.ArgumentTypeError("expected a time after 1970")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 10**9


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > _MOST_LINES or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {_MOST_LINES:,}, got {text!r}")
    return int(text)


def _level(text: str) -> str:
    level = {"warning": "warn", "err": "error"}.get(text.lower(), text.lower())
    if level not in _LEVELS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(_LEVELS)}, got {text!r}")
    return level


def _parser() -> Parser:
    parser = Parser(
        prog="moalog-tui",
        description="Mission control for the Moalog platform. Without a command it opens the screen.",
        parents=[_global_options(None)],
        epilog="Exit codes: 0 well, 1 not well, 2 usage or configuration, 3 cannot tell, 4 refused, 130 cancelled.",
    )
    parser.add_argument("--version", action="version", version=f"moalog-tui {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    after = _global_options(argparse.SUPPRESS)

    check = commands.add_parser("check", parents=[after], help="probe every service once and tell its health")
    check.add_argument("services", nargs="*", metavar="SERVICE")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.add_argument("--timeout", type=_seconds, metavar="S", help="one probe's deadline (default 2)")
    check.add_argument("--wait", type=_seconds, metavar="S", help="repeat until all is well or S seconds passed")
    check.add_argument("--fail-on", choices=["down", "degraded"], default="degraded", help="what exits with 1")

    logs = commands.add_parser("logs", parents=[after], help="print logs, merged by time")
    logs.add_argument("services", nargs="+", metavar="SERVICE")
    logs.add_argument("--since", type=since, metavar="TIME", help="from 15m, 2h30m, 1d ago, or a time in UTC, on")
    logs.add_argument("--tail", type=_lines, metavar="N", help="the last N lines of each service (default 500)")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with what comes")
    logs.add_argument("--grep", metavar="RE", help="only lines that match")
    logs.add_argument(
        "--level", type=_level, metavar="LEVEL", help="only lines of this level or worse: error, warn, info, debug"
    )
    logs.add_argument("--json", action="store_true", help="print one JSON object a line")

    for verb in VERBS:
        act = commands.add_parser(verb, parents=[after], help=f"{verb} one service and verify it")
        act.add_argument("service", metavar="SERVICE")
        act.add_argument("--dry-run", action="store_true", help="print the preview and change nothing")
        act.add_argument("--yes", action="store_true", help="do not ask")
        act.add_argument("--json", action="store_true", help="print one JSON object a line")

    doctor = commands.add_parser(
        "doctor", parents=[after], help="tell each setting and its source; test what is needed"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document")
    return parser
