"""The program's own log: small, rotating, redacted, readable by its owner alone."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import time
from pathlib import Path
from typing import Final

from moalog_tui.config import Settings
from moalog_tui.platform.text import Redactor

MAX_BYTES: Final = 2**20
BACKUPS: Final = 2
"""Old files beside the current one: three in all."""


class PrivateFile(logging.handlers.RotatingFileHandler):
    """Opens every file it writes, those after a rotation too, without following symlinks and for few to read."""

    def __init__(self, path: Path, mode: int) -> None:
        self._mode = mode
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="replace")

    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.baseFilename, flags, self._mode), "a", encoding=self.encoding, errors=self.errors)


class RedactingFormatter(logging.Formatter):
    """Sanitises and redacts every line, tracebacks included; tracebacks carry no local variables."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime
        self.default_time_format, self.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, clean."""
        return "\n".join(self._redactor.clean(line) for line in super().format(record).split("\n"))


def log_path() -> Path | None:
    """Return the file that is written to, or None before `start_log` and where none could be."""
    held = (one for one in logging.getLogger().handlers if isinstance(one, PrivateFile))
    return next((Path(one.baseFilename) for one in held), None)


def start_log(settings: Settings) -> Path | None:
    """Write warnings and worse to the state folder; return the file, or None where it cannot be written."""
    # A log that cannot be written, on a full disk say, is no reason to write over the screen.
    logging.raiseExceptions = False
    root = logging.getLogger()
    path = settings.state_dir / "moalog-tui.log"
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = PrivateFile(path, 0o660 if settings.state_shared else 0o600)
    except OSError:
        root.addHandler(logging.NullHandler())
        return None
    handler.setFormatter(RedactingFormatter(settings.redactor()))
    root.addHandler(handler)
    root.setLevel(getattr(logging, settings.log_level))
    return path
