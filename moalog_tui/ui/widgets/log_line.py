"""One line of a log as it is drawn: when, how grave, and where it holds what was searched for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.style import Style
from textual.strip import Strip

from moalog_tui.platform.logs import Level
from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.log_view import LogText

STAMP: Final = 13
"""Cells of a time and the blank behind it."""


def clock_of(ts_ns: int) -> str:
    """`19:02:01.120`, UTC."""
    at = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)
    return f"{at:%H:%M:%S}.{ts_ns // 1_000_000 % 1000:03d}"


def stamp_of(line: LogText, first: bool, shown: bool) -> str:
    """What stands before a row: the line's time, blanks in its further rows, nothing where times are off."""
    if not shown:
        return ""
    return clock_of(line.ts_ns) + " " if first else " " * STAMP


def draw_line(pen: Pen, line: LogText, text: str, width: int, chosen: bool, stamp: str, search: str) -> Strip:
    """Draw one row. `text` is the row's piece of the line, `chosen` that the reader stands on it."""
    styles = pen.styles
    base = styles.base + styles.cursor if chosen else styles.base
    mark = pen.glyphs.cursor if chosen else " "
    if line.marker is not None:
        rule = pen.glyphs.rule
        tail = rule * max(width - len(text) - 8, 2)
        return pen.strip([(f"{mark}{rule * 2} {text} {tail}", styles.starting)], width, base)
    style = {Level.ERROR: styles.error, Level.WARN: styles.degraded, Level.DEBUG: styles.dim}.get(
        line.level, styles.text
    )
    return pen.strip([(mark, styles.accent), (stamp, styles.dim), *_with_hits(text, search, style, pen)], width, base)


def _with_hits(text: str, search: str, style: Style, pen: Pen) -> list[Part]:
    needle, folded = search.casefold(), text.casefold()
    # Folding may change the length ("ß"); then positions do not fit, and the line is drawn without marks.
    if not needle or needle not in folded or len(folded) != len(text):
        return [(text, style)]
    parts: list[Part] = []
    at = 0
    while (hit := folded.find(needle, at)) >= 0:
        parts += [(text[at:hit], style), (text[hit : hit + len(needle)], pen.styles.match)]
        at = hit + len(needle)
    return [*parts, (text[at:], style)]
