"""`moalog-tui` and `python -m moalog_tui`."""

import gc
import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line and leave without waiting for threads whose other side hangs."""
    _open_missing_streams()
    # Loading makes many objects and drops few: collecting meanwhile costs a tenth of the time to the first picture.
    gc.disable()
    from moalog_tui.cli.main import main as run

    code = run()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it was closed before we began
            stream.flush()
    # Blocking clients run on daemon threads that may hold native locks while the interpreter is torn down;
    # everything that must be closed was closed by the command itself.
    os._exit(code)


def _open_missing_streams() -> None:
    """Put /dev/null where a standard stream was closed: else our first socket or file would become that stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole run


if __name__ == "__main__":
    main()
