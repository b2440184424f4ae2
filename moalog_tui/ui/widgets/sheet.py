"""Lines of text that scroll: what details, help and the runbook are drawn on."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.widgets.panel import Panel

Line = tuple[Part, ...]


class Sheet(Panel):
    """A panel of ready lines; long ones are wrapped by whoever makes them."""

    lines: Sequence[Line] = ()
    bar = False
    """Draw a vertical line at the left, where the panel stands beside another."""

    def put(self, lines: Sequence[Line], *, keep: bool = True) -> None:
        """Show other lines; `keep` leaves the scroll position where it was."""
        self.lines = tuple(lines)
        self.top = max(min(self.top, len(self.lines) - self.body_height), 0) if keep else 0
        self.refresh()

    def line_count(self) -> int:
        """Lines in all."""
        return len(self.lines)

    def right_parts(self) -> list[Part]:
        """How far one has read, where not all fits."""
        if len(self.lines) <= self.body_height or not self.body_height:
            return []
        last = min(self.top + self.body_height, len(self.lines))
        return [(f"{self.top + 1}-{last} of {len(self.lines)}", self.pen.styles.dim)]

    def body(self, y: int, width: int) -> Strip:
        """Draw one line."""
        index = y + self.top
        parts: list[Part] = [(f"{self.pen.glyphs.bar} " if self.bar else "  ", self.pen.styles.faint)]
        if index < len(self.lines):
            parts += self.lines[index]
        return self.pen.strip(parts, width)


def wrapped(pen: Pen, text: str, width: int, part: Part, rest: str = "") -> list[Line]:
    """Wrap clean text behind a head `part`; following lines are indented by `rest`."""
    head, style = part
    pieces = pen.wrap(text, max(width - len(head), 8))
    lines: list[Line] = []
    for index, piece in enumerate(pieces):
        lines.append(((head if index == 0 else rest or " " * len(head), style), (piece, pen.styles.text)))
    return lines
