"""The program's own log: small, rotating, redacted, readable by its owner alone."""

from __future__ import annotations

import logging
import logging.handlers
import os
from pathlib import Path
from typing import Final

from moalog_tui.config import Settings
from moalog_tui.platform.text import Redactor

MAX_BYTES: Final = 2**20
BACKUPS: Final = 2
"""Old files beside the current one: three in all."""


class RedactingFormatter(logging.Formatter):
    """Sanitises and redacts every line, tracebacks included; tracebacks carry no local variables."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, clean."""
        return "\n".join(self._redactor.clean(line) for line in super().format(record).split("\n"))


def log_path() -> Path | None:
    """Return the file that is written to, or None before `start_log` and where none could be."""
    held = (one for one in logging.getLogger().handlers if isinstance(one, logging.handlers.RotatingFileHandler))
    return next((Path(one.baseFilename) for one in held), None)


def start_log(settings: Settings) -> Path | None:
    """Write warnings and worse to the state folder; return the file, or None where it cannot be written."""
    root = logging.getLogger()
    try:
        folder = settings.state_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "moalog-tui.log"
        if path.is_symlink():
            raise OSError("symlinks are not followed")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600))
        handler: logging.Handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=BACKUPS, delay=True
        )
    except OSError:
        root.addHandler(logging.NullHandler())
        return None
    handler.setFormatter(RedactingFormatter(settings.redactor()))
    root.addHandler(handler)
    root.setLevel(getattr(logging, settings.log_level))
    return path
