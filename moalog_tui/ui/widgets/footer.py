"""The last lines: running operations, what the program just said, the keys, and how the link fares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip
from textual.widget import Widget

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.runbook.plan import Verb
from moalog_tui.ui.ink import Part, Pen, width_of

DOING = {Verb.RESTART: "restarting", Verb.START: "starting", Verb.STOP: "stopping"}
KEEP_VERDICT_S = 20.0
SAY_S = 6.0


TickerLine = tuple[str, VerdictKind | None, bool]
"""A sentence of outside text, a verdict where it is one, and whether it tells of an operation."""


@dataclass
class Running:
    """One operation as the screen knows it."""

    event: OperationEvent
    began: float
    """Monotonic seconds."""
    note: str = ""
    expected: tuple[float, float] | None = None
    ended: float | None = None

    @property
    def over(self) -> bool:
        """True once there is a verdict."""
        return self.ended is not None


def progress_sentence(running: Running, now: float, upto: str) -> str:
    """`restarting redis: 12 s of ≤ 15 s`, or its verdict."""
    event = running.event
    verb, name = DOING.get(event.plan.verb, "working on"), event.plan.service.name
    if event.kind is EventKind.VERDICT and event.verdict is not None:
        text = f"{event.plan.verb.value} of {name}: {event.verdict.value}"
        return f"{text} · {event.text}" if event.text else text
    spent = int((running.ended or now) - running.began)
    window = f" of {upto} {running.expected[1]:.0f} s" if running.expected else ""
    late = ", later than documented" if running.expected and spent > running.expected[1] else ""
    note = f" · {running.note}" if running.note else ""
    return f"{verb} {name}: {spent} s{window}{late}{note}"


class Ticker(Widget):
    """One line for each operation, and one for what the program last said; no line where there is nothing."""

    def __init__(self, pen: Pen) -> None:
        super().__init__(id="ticker")
        self.pen = pen
        self._lines: tuple[TickerLine, ...] = ()

    def show(self, lines: Sequence[TickerLine]) -> None:
        """Draw other lines, the last three of them."""
        lines = tuple(lines)[-3:]
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    @property
    def line_count(self) -> int:
        """Lines it needs."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        pen, styles = self.pen, self.pen.styles
        if y >= len(self._lines):
            return pen.strip([], self.size.width)
        text, verdict, operation = self._lines[y]
        style, glyph = styles.text, pen.glyphs.dot
        if operation:
            style, glyph = styles.starting, pen.glyphs.starting
        if verdict in (VerdictKind.RECOVERED, VerdictKind.RECOVERED_LATE, VerdictKind.STOPPED):
            style, glyph = styles.healthy, pen.glyphs.healthy
        elif verdict is VerdictKind.NOT_RECOVERED:
            style, glyph = styles.down, pen.glyphs.down
        elif verdict is not None:
            style, glyph = styles.unknown, pen.glyphs.unknown
        return pen.strip([(f" {glyph} ", style), (pen.clean(text, 400), style)], self.size.width)


class Footer(Widget):
    """The keys of the focused panel, then engine, mode and link rate."""

    DEFAULT_CSS = "Footer { height: 1; width: 1fr; }"

    def __init__(self, pen: Pen, engine: str, read_only: bool) -> None:
        super().__init__(id="footer")
        self.pen = pen
        self._engine = engine
        self._mode = "read-only" if read_only else "read-write"
        self._rate = ""
        self._said = ""
        self._keys: tuple[tuple[str, str], ...] = ()

    def show(
        self,
        keys: Sequence[tuple[str, str]] | None = None,
        engine: str | None = None,
        rate: float | None = None,
        said: str | None = None,
    ) -> None:
        """Draw other keys, another engine sentence, another rate (bytes a second), or what was said last."""
        before = (self._keys, self._engine, self._rate, self._said)
        if keys is not None:
            self._keys = tuple(keys)
        if engine is not None:
            self._engine = engine
        if rate is not None:
            self._rate = f"{rate / 1000:.1f} kB/s"
        if said is not None:
            self._said = said
        if (self._keys, self._engine, self._rate, self._said) != before:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the row: what was said last takes the place of the keys, for its time."""
        if self._said:
            said: list[Part] = [
                (f" {self.pen.glyphs.dot} ", self.pen.styles.accent),
                (self._said, self.pen.styles.strong),
            ]
            return self.pen.strip(said, self.size.width)
        pen, styles, width = self.pen, self.pen.styles, self.size.width
        sep = f" {pen.glyphs.dot} "
        tail = [pen.clean(self._engine, 60), self._mode, *([self._rate] if self._rate else [])]
        left: list[Part] = [(" ", styles.text)]
        for key, word in self._keys:
            left += [(key, styles.accent), (f" {word}  ", styles.dim)]
        while len(tail) > 1 and width_of(left) + len(sep.join(tail)) + 1 > width:
            tail.pop(0 if len(tail) < 3 else 2)
        right = sep.join(tail)
        room = width - len(right) - 1
        while len(left) > 3 and width_of(left) > room:
            del left[-4:-2]
        gap = max(room - width_of(left), 0)
        return pen.strip([*left, (" " * gap, styles.text), (right, styles.dim)], width)
