"""The first line: what is wrong, in one sentence; then where we are, and the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from moalog_tui.platform.health import HealthState
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.platform.verdict import verdict_lines
from moalog_tui.ui.ink import Part, Pen, width_of
from moalog_tui.ui.layout import WIDE

RESERVED = 34
"""Cells that chips, name and clock take."""


class Verdict(Widget):
    """One row: the verdict first; the rest is dropped from it where there is no room."""

    DEFAULT_CSS = "Verdict { height: 1; width: 1fr; }"

    def __init__(self, pen: Pen, title: str, engine: str, read_only: bool, now: Callable[[], datetime]) -> None:
        super().__init__(id="verdict")
        self.pen = pen
        self.chips: tuple[str, ...] = ()
        """Warnings that never give way: SLOW LINK, PAUSED."""
        self._title = pen.clean(title, 40)
        self._engine = pen.clean(engine, 40)
        self._read_only = read_only
        self._now = now
        self.verdict: tuple[HealthState | None, tuple[str, ...]] = (None, ("asking the engine and every service",))
        """The worst state (None before the first whole picture) and the sentence, longest form first."""

    def show(self, snapshot: Snapshot) -> None:
        """Draw the verdict on a picture."""
        state, sentences = verdict_lines(snapshot)
        clean = tuple(self.pen.clean(sentence, 400) for sentence in sentences)
        verdict = (state if snapshot.complete else None, clean)
        if verdict != self.verdict:
            self.verdict = verdict
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the row."""
        pen, styles, width = self.pen, self.pen.styles, self.size.width
        state, sentences = self.verdict
        if state is None:
            glyph, style = pen.glyphs.dot, styles.dim
        else:
            glyph, style = pen.glyphs.state(state), self._band(state)
        heads = [f" {glyph} {pen.own(sentence)} " for sentence in sentences]
        # On a wide screen name and clock have their place; on a narrow one the verdict has it.
        reserved = RESERVED if width >= WIDE else 0
        head = next((one for one in heads if width_of([(one, style)]) <= width - reserved), heads[-1])
        right = self._right(max(width - width_of([(head, style)]), reserved))
        room = max(width - width_of(right), 0)
        parts: list[Part] = [(head if width_of([(head, style)]) <= room else pen.fit(head, room), style)]
        gap = room - width_of(parts)
        return pen.strip([*parts, (" " * max(gap, 0), styles.text), *right], width)

    def _band(self, state: HealthState) -> Style:
        styles = self.pen.styles
        if state is HealthState.DOWN:
            return styles.verdict_down
        if state is HealthState.DEGRADED:
            return styles.verdict_degraded
        return styles.state(state)

    def _right(self, room: int) -> list[Part]:
        styles = self.pen.styles
        keep: list[Part] = [(f" {chip} ", styles.chip_warn) for chip in self.chips]
        if self._read_only:
            keep.append((" READ-ONLY ", styles.chip))
        # The first of these is dropped last (DESIGN, section 2: link rate, clock, incident, name).
        name: Part = (f" {self._title} ", styles.strong)
        clock: Part = (f" {self._now():%H:%M:%S}Z ", styles.dim)
        engine: Part = (f" {self._engine} ", styles.dim)
        for parts in ([name, engine, *keep, clock], [name, *keep, clock], [name, *keep]):
            if width_of(parts) <= room:
                return parts
        return keep
