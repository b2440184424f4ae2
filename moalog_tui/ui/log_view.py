"""Which lines of a ring are looked at: filtered, searched, cleaned once, and bounded like the ring itself."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from moalog_tui.platform.logs import Level, LogRing, RawLine, Stream, clean_line
from moalog_tui.platform.text import Redactor

CACHE: Final = 2000
SCAN_LIMIT: Final = 20_000
"""Lines a search looks at in one go; the ring holds fewer."""


@dataclass(frozen=True, slots=True)
class LogText:
    """One line fit to show."""

    number: int
    ts_ns: int
    text: str
    level: Level
    marker: str | None


class LogView:
    """A reader of one ring. Line numbers are the ring's, and never change."""

    def __init__(self, ring: LogRing, redactor: Redactor, since_ns: int | None = None) -> None:
        self.ring = ring
        self._redactor = redactor
        self._since_ns = since_ns
        self._cache: OrderedDict[int, LogText] = OrderedDict()
        self._filter: tuple[str, bool] | None = None
        self._matching: list[int] = []
        self._scanned = 0

    @property
    def filter_text(self) -> str:
        """The filter as it was typed: `!` first for lines that must not hold it; empty for none."""
        return "" if self._filter is None else ("!" if self._filter[1] else "") + self._filter[0]

    @property
    def filtering(self) -> bool:
        """True where not every line of the ring is looked at."""
        return self._filter is not None or self._since_ns is not None

    def set_filter(self, typed: str) -> None:
        """Keep the lines that hold the text (any case); with `!` first those that do not. Empty: all lines."""
        out = typed.startswith("!")
        needle = typed[1:] if out else typed
        self._filter = (needle, out) if needle else None
        self._restart()

    def set_since(self, since_ns: int | None) -> None:
        """Keep lines that are not older than this."""
        self._since_ns = since_ns
        self._restart()

    def _restart(self) -> None:
        self._matching, self._scanned = [], self.ring.first
        self.catch_up()

    def catch_up(self) -> None:
        """Filter what arrived since the last call, and forget what fell out of the ring."""
        if not self.filtering:
            return
        first, end = self.ring.first, self.ring.end
        if self._matching and self._matching[0] < first:
            del self._matching[: bisect_left(self._matching, first)]
        for number, raw in self.ring.slice(max(self._scanned, first), end):
            if self._keeps(raw, number):
                self._matching.append(number)
        self._scanned = end

    def _keeps(self, raw: RawLine, number: int) -> bool:
        if self._since_ns is not None and raw.ts_ns < self._since_ns and raw.stream is not Stream.MARKER:
            return False
        if self._filter is None or raw.stream is Stream.MARKER:
            return True
        needle, out = self._filter
        return (needle.casefold() in self._text(number, raw).text.casefold()) != out

    def count(self) -> int:
        """Lines that are looked at."""
        return len(self._matching) if self.filtering else self.ring.end - self.ring.first

    def number_at(self, index: int) -> int:
        """The line number at a place among the lines looked at."""
        return self._matching[index] if self.filtering else self.ring.first + index

    def index_of(self, number: int) -> int:
        """The place of the first line looked at that is not before `number`."""
        if self.filtering:
            return bisect_left(self._matching, number)
        return max(number - self.ring.first, 0)

    def lines(self, index: int, count: int) -> list[LogText]:
        """Up to `count` lines from a place on, fit to show."""
        total = self.count()
        if not self.filtering:
            first = self.ring.first
            return [self._text(n, raw) for n, raw in self.ring.slice(first + index, first + min(index + count, total))]
        found = []
        for number in self._matching[index : index + count]:
            found += [self._text(n, raw) for n, raw in self.ring.slice(number, number + 1)]
        return found

    def _text(self, number: int, raw: RawLine) -> LogText:
        held = self._cache.get(number)
        if held is not None:
            return held
        text, level = clean_line(raw, self._redactor)
        line = LogText(number, raw.ts_ns, text, level, raw.marker)
        self._cache[number] = line
        if len(self._cache) > CACHE:
            self._cache.popitem(last=False)
        return line

    def seek(self, number: int, step: int, wanted: Callable[[LogText], bool]) -> int | None:
        """The nearest line before (-1) or after (1) `number` that is wanted, or None."""
        index = self.index_of(number) + (step if step < 0 or self._at(number) else 0)
        total, looked = self.count(), 0
        while 0 <= index < total and looked < SCAN_LIMIT:
            found = self.lines(index, 1)
            if found and wanted(found[0]):
                return found[0].number
            index, looked = index + step, looked + 1
        return None

    def _at(self, number: int) -> bool:
        index = self.index_of(number)
        return index < self.count() and self.number_at(index) == number
