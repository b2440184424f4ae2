"""`moalog-tui` without a command: the screen."""

from __future__ import annotations

import gc
import sys

from moalog_tui.cli.arguments import USAGE
from moalog_tui.cli.first_paint import draw, leave
from moalog_tui.config import Settings


def screen(settings: Settings) -> int:
    """Draw the first picture at once, then load the screen and run it. Returns the exit code."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.stderr.write("The screen needs a terminal. Try `moalog-tui check`, or `ssh -t` for a remote one.\n")
        return USAGE
    names = [service.name for service in settings.services]
    draw(settings.profile.title, "the Docker Engine", names, settings.ascii)
    try:
        from moalog_tui.cli.logfile import start_log

        start_log(settings)
        # Loading Textual and the wiring takes longer than all before; the first picture is on the screen by now.
        from moalog_tui.ui.app import run_screen
        from moalog_tui.wiring import desk_for, wire

        wired = wire(settings)
    except BaseException:
        leave()
        raise
    finally:
        gc.freeze()  # what is loaded stays: no later collection needs to look at it
        gc.enable()
    return run_screen(desk_for(wired), leave)
