"""Log lines: kept as received in a bounded ring, cleaned on their way out."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from moalog_tui.platform.text import Redactor, sanitise

KEEP_LINES: Final = 10_000
KEEP_BYTES: Final = 16 * 2**20
RAW_LINE_LIMIT: Final = 64 * 1024
"""Bytes of one line that are kept; a container may log a gigabyte without a newline."""


class Stream(StrEnum):
    """Where a line came from."""

    STDOUT = "stdout"
    STDERR = "stderr"
    TTY = "tty"
    MARKER = "marker"


class Level(StrEnum):
    """Severity, as read from the line."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line as received. `ts_ns` is the engine's clock (epoch nanoseconds), `text` without its newline."""

    ts_ns: int
    stream: Stream
    text: str
    marker: str | None = None
    """For markers: stop, start, recreate, gap, health or drop."""


class LogRing:
    """A bounded buffer between one follower thread and one reader. Line numbers never change.

    Bounded by lines and by characters; what falls out is counted in `dropped`.
    """

    def __init__(self, keep_lines: int = KEEP_LINES, keep_bytes: int = KEEP_BYTES) -> None:
        self._lines: deque[RawLine] = deque()
        self._keep_lines = keep_lines
        self._keep_bytes = keep_bytes
        self._size = 0
        self._first = 0
        self._lock = threading.Lock()

    def extend(self, lines: Iterable[RawLine]) -> None:
        """Append lines, dropping the oldest over either bound. Called from the follower's thread."""
        with self._lock:
            for line in lines:
                self._lines.append(line)
                self._size += len(line.text)
            while self._lines and (len(self._lines) > self._keep_lines or self._size > self._keep_bytes):
                self._size -= len(self._lines.popleft().text)
                self._first += 1

    @property
    def first(self) -> int:
        """The number of the oldest line held; also how many were dropped."""
        return self._first

    @property
    def end(self) -> int:
        """One more than the number of the newest line."""
        with self._lock:
            return self._first + len(self._lines)

    def slice(self, start: int, stop: int) -> list[tuple[int, RawLine]]:
        """Return the lines numbered start to stop (exclusive) that are still held."""
        with self._lock:
            first, count = self._first, len(self._lines)
            low, high = max(start - first, 0), min(stop - first, count)
            # A deque indexes from its nearer end, so a page at the tail is cheap.
            return [(first + index, self._lines[index]) for index in range(low, high)]


_LEVEL: Final = re.compile(
    r"\b(?:(?P<error>FATAL|SEVERE|CRITICAL|ERROR|ERR|PANIC|EMERG|ALERT)|(?P<warn>WARN(?:ING)?)|"
    r"(?P<info>INFO|NOTICE|LOG|NOTE)|(?P<debug>DEBUG|TRACE|FINE(?:R|ST)?))\b|"
    r"level\"?[=:]\s*\"?(?P<key>[a-z]+)|"
    r"\[(?P<bracket>error|warn|warning|info|debug|trace|note|system)\]",
    re.I,
)
_REDIS: Final = re.compile(r"^\d+:[XCSM] \d{2} \w{3} \d{4} [\d:.]+ (?P<mark>[.\-*#]) ")
_REDIS_LEVEL: Final = {".": Level.DEBUG, "-": Level.INFO, "*": Level.INFO, "#": Level.WARN}
_WORD_LEVEL: Final = {
    "error": Level.ERROR, "err": Level.ERROR, "fatal": Level.ERROR, "crit": Level.ERROR, "critical": Level.ERROR,
    "panic": Level.ERROR, "warn": Level.WARN, "warning": Level.WARN, "info": Level.INFO, "note": Level.INFO,
    "notice": Level.INFO, "system": Level.INFO, "debug": Level.DEBUG, "trace": Level.DEBUG,
}  # fmt: skip


def level_of(text: str) -> Level:
    """Read the severity from the head of a sanitised line: a bare word, `level=`, `[Warning]`, Redis' mark."""
    head = text[:160]
    redis = _REDIS.match(head)
    if redis:
        return _REDIS_LEVEL[redis["mark"]]
    match = _LEVEL.search(head)
    if match is None:
        return Level.NONE
    if match.lastgroup in ("key", "bracket"):
        return _WORD_LEVEL.get(match[match.lastgroup].lower(), Level.NONE)
    return Level(match.lastgroup or "none")


def clean_line(line: RawLine, redactor: Redactor) -> tuple[str, Level]:
    """Return the text of a line fit to show, and its level."""
    text = redactor.redact(sanitise(line.text))
    return text, Level.NONE if line.stream is Stream.MARKER else level_of(text)
