"""Log lines: kept as received in a bounded ring, cleaned on their way out."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from moalog_tui.platform.text import Redactor

KEEP_LINES: Final = 10_000
KEEP_BYTES: Final = 16 * 2**20
"""Bytes of memory that a ring's text may take, counted as at most (see `weight`)."""

RAW_LINE_LIMIT: Final = 64 * 1024
"""Characters of one line that are kept; a container may log a gigabyte without a newline."""


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


def weight(line: RawLine) -> int:
    """Return the bytes that a line takes in memory, at most: one a character of ASCII, four of anything else."""
    return 160 + (len(line.text) if line.text.isascii() else 4 * len(line.text))


class LogRing:
    """A bounded buffer between one follower thread and one reader. Line numbers never change.

    Bounded by lines and by bytes (`weight`), and each line by RAW_LINE_LIMIT characters; what falls out is counted.
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
                kept = line if len(line.text) <= RAW_LINE_LIMIT else replace(line, text=line.text[:RAW_LINE_LIMIT])
                self._lines.append(kept)
                self._size += weight(kept)
                while len(self._lines) > self._keep_lines or self._size > self._keep_bytes:
                    self._size -= weight(self._lines.popleft())
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

    @property
    def size(self) -> int:
        """Bytes that the lines take, counted as at most."""
        return self._size

    def slice(self, start: int, stop: int) -> list[tuple[int, RawLine]]:
        """Return the lines numbered start to stop (exclusive) that are still held."""
        with self._lock:
            first, count = self._first, len(self._lines)
            low, high = max(start - first, 0), min(stop - first, count)
            # A deque indexes from its nearer end, so a page at the tail is cheap.
            return [(first + index, self._lines[index]) for index in range(low, high)]


_HEAD: Final = 200
"""Characters of a line in which its level is looked for; a JSON line's level may stand anywhere."""

_REDIS: Final = re.compile(r"\d+:[XCSM] \d{2} \w{3} \d{4} [\d:.]+ (?P<mark>[.\-*#]) ")
_REDIS_LEVEL: Final = {".": Level.DEBUG, "-": Level.INFO, "*": Level.INFO, "#": Level.WARN}

_LEVEL: Final = re.compile(
    # Loggers shout their levels; the same words in lower case are prose and say nothing, but for the places below.
    r"(?=[A-Z\[ls])(?:"
    r"\b(?:(?P<error>ERROR|FATAL|SEVERE|CRITICAL|PANIC|EMERG|ERR)|(?P<warn>WARN(?:ING)?)|(?P<info>INFO|NOTICE)|"
    r"(?P<debug>DEBUG[1-5]?|TRACE))\b"
    r"|\b(?P<postgres>LOG|HINT|DETAIL|STATEMENT|CONTEXT): "
    r"|\b(?:level|lvl|severity)\"?\s?[=:]\s?\"?(?P<key>[A-Za-z]{1,12})"  # logfmt, JSON
    r"|\[(?P<bracket>[A-Za-z]{3,8})\])"  # MariaDB, MySQL, nginx
)
_START: Final = re.compile(
    r"(?P<klog>[IWEF])\d{4} \d\d:"
    r"|(?P<crash>panic: |fatal error: |Traceback \(|Exception in thread )"
    r"|[\d-]{10}[T ][\d:.+Z-]{8,36} +(?P<column>trace|debug|info|warn|error|fatal|panic) "  # zap: otel-collector
)
_JSON_LEVEL: Final = re.compile(r"\"(?:level|severity|lvl)\"\s?:\s?\"(?P<key>[A-Za-z]+)\"")

_WORDS: Final = {
    "emerg": Level.ERROR, "alert": Level.ERROR, "fatal": Level.ERROR, "panic": Level.ERROR, "dpanic": Level.ERROR,
    "crit": Level.ERROR, "critical": Level.ERROR, "severe": Level.ERROR, "error": Level.ERROR, "err": Level.ERROR,
    "eror": Level.ERROR, "warn": Level.WARN, "warning": Level.WARN, "info": Level.INFO, "information": Level.INFO,
    "note": Level.INFO, "notice": Level.INFO, "system": Level.INFO, "debug": Level.DEBUG, "dbug": Level.DEBUG,
    "trace": Level.DEBUG, "verbose": Level.DEBUG, "i": Level.INFO, "w": Level.WARN, "e": Level.ERROR, "f": Level.ERROR,
}  # fmt: skip


def level_of(text: str) -> Level:
    """Read the severity from a sanitised line: a shouted word, `level=`, `[Warning]`, Redis' mark, a column.

    The first of them counts; in a JSON line its own level field does, wherever it stands.
    """
    if text.startswith("{"):
        field = _JSON_LEVEL.search(text)
        if field is not None:
            return _WORDS.get(field["key"].lower(), Level.NONE)
    head = text[:_HEAD]
    redis = _REDIS.match(head)
    if redis:
        return _REDIS_LEVEL[redis["mark"]]
    start = _START.match(head)
    if start is not None:
        return _meaning(start)
    for match in _LEVEL.finditer(head):
        level = _meaning(match)
        if level is not Level.NONE:
            return level
    return Level.NONE


def _meaning(match: re.Match[str]) -> Level:
    kind = match.lastgroup
    if kind in ("error", "warn", "info", "debug"):
        return Level(kind)
    if kind == "postgres":
        return Level.INFO
    if kind == "crash":
        return Level.ERROR
    # A bracket may be a thread (`[main]`): a word that is no level is passed over.
    return _WORDS.get(match[kind or 0].lower(), Level.NONE)


def clean_line(line: RawLine, redactor: Redactor) -> tuple[str, Level]:
    """Return the text of a line fit to show, and its level."""
    text = redactor.clean(line.text)
    return text, Level.NONE if line.stream is Stream.MARKER else level_of(text)
