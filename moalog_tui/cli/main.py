"""Dispatch of the commands, and the one place where an error becomes a sentence."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moalog_tui.cli.arguments import USAGE, VERBS, parse

if TYPE_CHECKING:
    from moalog_tui.settings import Flags, Settings

INTERNAL: Final = 70
"""The exit code of an error of our own (sysexits' EX_SOFTWARE)."""
CANCELLED: Final = 130
_ACTING: Final = (None, *VERBS)
"""The screen, and the commands that change something."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Outside text may hold what this terminal cannot encode; a question mark is better than an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options: argparse.Namespace | None = None
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        code = _with_settings(options)
        sys.stdout.flush()
        return code
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        # The reader of our output went away (`| head`).
        from moalog_tui.cli.output import drop_output

        drop_output()
        return 0
    except Exception as error:  # the last resort: no traceback on the screen
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            sys.stderr.write(f"The output cannot be written: {(error.strerror or '').lower()}.\n")
            return INTERNAL
        return _internal(error, acting=options is not None and options.command in _ACTING)


def _with_settings(options: argparse.Namespace) -> int:
    # Imported here: `--help`, `--version` and mistakes in usage need none of it.
    from moalog_tui.config import ConfigError, load_settings

    try:
        settings = load_settings(flags_of(options), os.environ, Path.cwd())
        return _dispatch(options, settings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE


def flags_of(options: argparse.Namespace) -> Flags:
    """Return the global options as the settings take them."""
    from moalog_tui.settings import Flags

    return Flags(
        platform=options.platform,
        project=options.project,
        profile=options.profile,
        runbook=options.runbook,
        read_only=bool(options.read_only),
        allow=options.allow,
        ascii=bool(options.ascii),
        log_level=options.log_level,
    )


def _dispatch(options: argparse.Namespace, settings: Settings) -> int:
    if options.command is None:
        from moalog_tui.cli.screen import screen

        return screen(settings)
    from moalog_tui.cli.leaving import leave_on_signals
    from moalog_tui.cli.logfile import start_log

    gc.enable()
    leave_on_signals()
    start_log(settings)
    if options.command == "check":
        from moalog_tui.cli.commands import run_check

        return run_check(options, settings)
    if options.command == "doctor":
        from moalog_tui.cli.commands import run_doctor_command

        return run_doctor_command(options, settings)
    if options.command == "logs":
        from moalog_tui.cli.logs import run_logs

        return run_logs(options, settings)
    from moalog_tui.cli.act import run_act

    return run_act(options, settings)


def _internal(error: Exception, acting: bool = False) -> int:
    import logging

    from moalog_tui.cli.logfile import log_path

    logging.getLogger().addHandler(logging.NullHandler())  # else a traceback goes to stderr where no log is open yet
    logging.getLogger("moalog_tui").error("unhandled error", exc_info=error)
    where = f"; the details are in {log}" if (log := log_path()) else ""
    # An action may have reached the engine before the failure.
    after = "If an action was under way, look with `check` what came of it." if acting else "Nothing was changed."
    sys.stderr.write(f"moalog-tui failed ({type(error).__name__}){where}. {after}\n")
    return INTERNAL
