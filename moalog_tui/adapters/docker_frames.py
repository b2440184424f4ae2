"""The bytes of a log stream as lines, however they are cut: frames, time stamps, long lines, bad UTF-8."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from moalog_tui.platform.logs import RAW_LINE_LIMIT, RawLine, Stream

PARTIAL_SIZE: Final = 16 * 1024
"""The engine stores a longer line in parts of this size, each with the time stamp of the first."""

_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")
_HOLD: Final = RAW_LINE_LIMIT + 4096
"""Bytes held of a frame or a line that has not ended; the rest of it is skipped."""
_STREAMS: Final = {0: Stream.STDOUT, 1: Stream.STDOUT, 2: Stream.STDERR}
_ZERO: Final = b"\0\0\0"


@dataclass(slots=True)
class _Open:
    """A line whose end has not come."""

    ts_ns: int
    text: bytearray = field(default_factory=bytearray)


class LogParser:
    """Turns the body of a `logs` answer with time stamps into lines. One for each connection."""

    def __init__(self, tty: bool) -> None:
        self._raw = tty
        self._held = b""
        self._skip = 0
        """Bytes of an oversized frame that are still to be thrown away."""
        self._skip_stream = Stream.STDOUT
        self._open: dict[Stream, _Open] = {}
        self._second = b""
        self._second_ns = 0
        self.last_ns = 0
        """The greatest time stamp of a completed line so far."""

    def feed(self, data: bytes) -> list[RawLine]:
        """Return the lines that `data` completes."""
        lines: list[RawLine] = []
        if self._raw:
            self._feed_raw(data, lines)
        else:
            self._feed_frames(data, lines)
        return lines

    def flush(self) -> list[RawLine]:
        """Return what is left without its newline, at the true end of the stream."""
        lines: list[RawLine] = []
        if self._raw and self._held:
            self._raw_line(self._held, lines)
        for stream, line in self._open.items():
            self._emit(line.ts_ns, stream, bytes(line.text), lines)
        self._held, self._open = b"", {}
        return lines

    def _feed_frames(self, data: bytes, lines: list[RawLine]) -> None:
        if self._skip:
            data = self._skipped(data, lines)
        if self._held:
            data = self._held + data
        at, end = 0, len(data)
        while end - at >= 8:
            if data[at + 1 : at + 4] != _ZERO or data[at] > 3:
                # No frames after all (a terminal that nobody told us of): show it rather than lose it.
                self._raw, self._held = True, b""
                self._feed_raw(data[at:], lines)
                return
            length = int.from_bytes(data[at + 4 : at + 8], "big")
            stop = at + 8 + length
            stream = _STREAMS.get(data[at], Stream.STDERR)
            if stop <= end:
                self._frame(stream, data[at + 8 : stop], lines)
            elif length > _HOLD and end - at >= 8 + _HOLD:
                self._frame(stream, data[at + 8 : at + 8 + _HOLD], lines)
                self._skip, self._skip_stream = stop - (at + 8 + _HOLD), stream
                data, at = self._skipped(data[at + 8 + _HOLD :], lines), 0
                end = len(data)
                continue
            else:
                break
            at = stop
        self._held = data[at:]

    def _skipped(self, data: bytes, lines: list[RawLine]) -> bytes:
        """Drop what remains of an oversized frame; its newline still ends the line."""
        gone = min(self._skip, len(data))
        self._skip -= gone
        if not self._skip and data[gone - 1 : gone] == b"\n":
            line = self._open.pop(self._skip_stream, None)
            if line is not None:
                self._emit(line.ts_ns, self._skip_stream, bytes(line.text), lines)
        return data[gone:]

    def _frame(self, stream: Stream, payload: bytes, lines: list[RawLine]) -> None:
        """Take one frame: mostly one whole line, sometimes a part of one, in theory several."""
        at, end = 0, len(payload)
        while at < end:
            newline = payload.find(b"\n", at)
            stop = newline if newline >= 0 else end
            stamp = _STAMP.match(payload, at)
            ts_ns = self._time(stamp) if stamp else self.last_ns
            text = payload[stamp.end() if stamp else at : stop]
            line = self._open.get(stream)
            if line is not None:
                line.text += text[: max(0, RAW_LINE_LIMIT - len(line.text))]
                if newline >= 0:
                    del self._open[stream]
                    self._emit(line.ts_ns, stream, bytes(line.text), lines)
            elif newline >= 0:
                self._emit(ts_ns, stream, text, lines)
            else:
                self._open[stream] = _Open(ts_ns, bytearray(text[:RAW_LINE_LIMIT]))
            at = stop + 1

    def _feed_raw(self, data: bytes, lines: list[RawLine]) -> None:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._raw_line(self._held + part, lines)
            self._held = b""
        self._held = (self._held + rest)[:_HOLD]

    def _raw_line(self, line: bytes, lines: list[RawLine]) -> None:
        stamp = _STAMP.match(line)
        ts_ns = self._time(stamp) if stamp else self.last_ns
        text = line
        if stamp is not None:
            text = line[stamp.end() :]
            if len(text) > PARTIAL_SIZE:
                # Without frames the stamps of the further parts stand in the middle of the line.
                text = text.replace(stamp[0], b"")
        self._emit(ts_ns, Stream.TTY, text, lines)

    def _emit(self, ts_ns: int, stream: Stream, text: bytes, lines: list[RawLine]) -> None:
        if text.endswith(b"\r"):
            text = text[:-1]
        if len(text) > RAW_LINE_LIMIT:
            text = text[:RAW_LINE_LIMIT]
        if ts_ns > self.last_ns:
            self.last_ns = ts_ns
        lines.append(RawLine(ts_ns, stream, text.decode("utf-8", "replace")))

    def _time(self, stamp: re.Match[bytes]) -> int:
        second, fraction, zone = stamp.groups()
        if second + zone != self._second:
            try:
                moment = datetime.fromisoformat((second + zone).decode("ascii"))
            except ValueError:
                return self.last_ns
            self._second, self._second_ns = second + zone, int(moment.timestamp()) * 10**9
        return self._second_ns + (int(fraction.ljust(9, b"0")) if fraction else 0)
