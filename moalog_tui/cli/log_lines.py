"""Log lines as the `logs` command prints them: filtered by their cleaned text, as text or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from moalog_tui.cli.output import Paint, timestamp
from moalog_tui.platform.logs import RAW_LINE_LIMIT, Level, RawLine, Stream, level_of
from moalog_tui.platform.text import Redactor, sanitise

LEVELS: Final = (Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)
"""In order of severity."""

FIELDS_LIMIT: Final = 64
"""Fields kept of one JSON log line."""
DEPTH_LIMIT: Final = 4
"""Objects inside objects; what lies deeper is given as text."""
_CUT_MARGIN: Final = 1024
"""Dropped at the end of a line that was cut; longer than any secret that is looked for."""

_MESSAGES: Final = ("message", "msg", "body", "event")
_TRACES: Final = ("trace_id", "traceId", "traceID", "trace.id", "dd.trace_id")
_KNOWN: Final = frozenset((*_MESSAGES[:2], *_TRACES, "level", "severity", "lvl"))
_TRACE: Final = re.compile(r"\btrace_?id[\"']?\s?[=:]\s?[\"']?([0-9a-f]{16,32})\b", re.I)

_INVISIBLE: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""What JSON lets through unescaped, though a terminal obeys it or hides it."""

_CONTINUES: Final = re.compile(r"\s|Caused by: |\.\.\. \d+ more")
"""A line without a level that starts so belongs to the line before it: stack traces, wrapped messages."""

_COLOURS: Final = {Level.ERROR: "31", Level.WARN: "33"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a line came from."""

    service: str
    container: str


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What is printed: lines that match, of this level or worse. Markers always are."""

    pattern: re.Pattern[str] | None = None
    level: Level | None = None


class LogPrinter:
    """Prints lines one by one. Everything it prints is clean."""

    def __init__(
        self, out: TextIO, redactor: Redactor, paint: Paint, wanted: LogFilter, *, as_json: bool, width: int
    ) -> None:
        """`width` is that of the services' column; 0 leaves it away."""
        self._out, self._redactor, self._paint, self._wanted = out, redactor, paint, wanted
        self._as_json, self._width = as_json, width
        self._passed: dict[Source, bool] = {}

    def write(self, source: Source, line: RawLine) -> None:
        """Print a line, unless it is filtered out."""
        if line.stream is Stream.MARKER:
            self._write_marker(source, line)
            return
        text = self._redactor.clean(line.text)
        level = level_of(text)
        if not self._passes(source, text, level):
            return
        if self._as_json:
            self._write_json(self._document(source, line, text, level))
            return
        shown = f"\x1b[{_COLOURS[level]}m{text}\x1b[0m" if self._paint.colour and level in _COLOURS else text
        self._out.write(f"{self._head(source, line)}{shown}\n")

    def flush(self) -> None:
        """Hand over what was printed."""
        self._out.flush()

    def _passes(self, source: Source, text: str, level: Level) -> bool:
        wanted = self._wanted
        if wanted.level is not None:
            if level is not Level.NONE:
                passed = LEVELS.index(level) >= LEVELS.index(wanted.level)
            else:
                passed = self._passed.get(source, False) and _CONTINUES.match(text) is not None
            self._passed[source] = passed
            if not passed:
                return False
        return wanted.pattern is None or wanted.pattern.search(text) is not None

    def _head(self, source: Source, line: RawLine) -> str:
        at = f"{nanoseconds(line.ts_ns)[:23]}Z"
        return f"{at} {self._redactor.clean(source.service).ljust(self._width)}  " if self._width else f"{at}  "

    def _write_marker(self, source: Source, line: RawLine) -> None:
        text = self._redactor.clean(line.text)
        if not self._as_json:
            rule = "--" if self._paint.ascii else "──"
            self._out.write(f"{self._head(source, line)}{rule} {text} {rule}\n")
            return
        count = re.search(r"\d+", text) if line.marker == "drop" else None
        self._write_json({
            "ts": nanoseconds(line.ts_ns), "service": self._redactor.clean(source.service), "marker": line.marker,
            "detail": text, "count": int(count[0]) if count else None,
        })  # fmt: skip

    def _document(self, source: Source, line: RawLine, text: str, level: Level) -> dict[str, Any]:
        clean = self._redactor.clean
        # Decoding undoes what cleaning did to escapes, so that what comes out of it is cleaned again.
        fields = {clean(key): self._cleaned(value) for key, value in _fields(text).items()}
        message = next((str(fields[key]) for key in _MESSAGES if isinstance(fields.get(key), str)), text)
        trace = next((str(fields[key]) for key in _TRACES if fields.get(key)), None)
        if trace is None and (found := _TRACE.search(text)):
            trace = found[1]
        rest = {key: value for key, value in list(fields.items())[:FIELDS_LIMIT] if key not in _KNOWN}
        return {
            "ts": nanoseconds(line.ts_ns), "service": clean(source.service), "container": clean(source.container),
            "stream": line.stream.value, "level": None if level is Level.NONE else level.value, "message": message,
            "fields": rest or None, "trace_id": trace, "raw": self._raw(line.text),
        }  # fmt: skip

    def _raw(self, text: str) -> str:
        """Return the line as it was received but for its secrets."""
        # A line that was cut may end in half a secret, which nothing would recognise.
        text = text if len(text) < RAW_LINE_LIMIT else text[:-_CUT_MARGIN]
        redacted = self._redactor.redact(text)
        seen = sanitise(redacted, RAW_LINE_LIMIT)
        if self._redactor.redact(seen) != seen:
            # A control sequence inside hides a secret from the redactor: what was received cannot be told.
            return self._redactor.clean(text, RAW_LINE_LIMIT)
        return redacted

    def _cleaned(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._redactor.clean(value)
        if not isinstance(value, dict | list):
            return value
        if depth == DEPTH_LIMIT:
            return self._redactor.clean(json.dumps(value, ensure_ascii=False))
        if isinstance(value, list):
            return [self._cleaned(one, depth + 1) for one in value[:FIELDS_LIMIT]]
        pairs = list(value.items())[:FIELDS_LIMIT]
        return {self._redactor.clean(key): self._cleaned(one, depth + 1) for key, one in pairs}

    def _write_json(self, value: dict[str, Any]) -> None:
        text = json.dumps({"schema": 1, "at": timestamp(datetime.now(UTC)), **value}, ensure_ascii=False)
        self._out.write(_INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def _fields(text: str) -> Mapping[str, Any]:
    """Return the fields of a JSON log line, or none. `text` is clean, so they are."""
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def nanoseconds(ts_ns: int) -> str:
    """RFC 3339 in UTC with nine digits and Z."""
    return f"{datetime.fromtimestamp(ts_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ts_ns % 10**9:09d}Z"
