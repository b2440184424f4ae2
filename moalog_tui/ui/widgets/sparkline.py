"""Sparklines as parts of a line: of latencies with their failures, and of series with their gaps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TypeVar

from moalog_tui.platform.health import Outcome
from moalog_tui.platform.snapshot import Latency
from moalog_tui.ui.ink import Glyphs, Part, Pen

T = TypeVar("T")

FLOOR_MS = 20.0
"""The least top of a latency scale: below it, differences are noise and drawn flat."""


def level(value: float, top: float, glyphs: Glyphs) -> str:
    """The glyph for `value` on a scale from 0 to `top`."""
    levels = glyphs.levels
    if top <= 0:
        return levels[0]
    return levels[max(0, min(int(value / top * len(levels)), len(levels) - 1))]


def latency_parts(history: Sequence[Latency], width: int, pen: Pen) -> list[Part]:
    """Squeeze the last probes into `width` cells: the slowest of each cell, or that one of them failed.

    The scale is fixed at eight times the median, so that a steady service is a steady low line.
    """
    styles, glyphs = pen.styles, pen.glyphs
    values = [point.milliseconds for point in history if point.milliseconds is not None]
    top = max(8 * median(values), FLOOR_MS) if values else FLOOR_MS
    parts: list[Part] = []
    for cell in squeeze(history, width):
        if not cell:
            parts.append((" ", styles.faint))
        elif any(point.outcome is Outcome.FAIL for point in cell):
            parts.append((glyphs.fail, styles.down))
        elif any(point.outcome is Outcome.UNKNOWN for point in cell):
            parts.append((glyphs.unknown, styles.unknown))
        else:
            known = [point.milliseconds for point in cell if point.milliseconds is not None]
            parts.append((level(max(known), top, glyphs), styles.spark) if known else (glyphs.gap, styles.faint))
    return parts


def series_parts(points: Sequence[float | None], width: int, pen: Pen, warn: float | None = None) -> list[Part]:
    """Squeeze a series into `width` cells, on a scale from zero to a quarter over its largest value."""
    styles, glyphs = pen.styles, pen.glyphs
    known = [point for point in points if point is not None]
    top = max(max(known, default=0.0) * 1.25, 0.0)
    parts: list[Part] = []
    for cell in squeeze(points, width):
        values = [point for point in cell if point is not None]
        if not cell:
            parts.append((" ", styles.faint))
        elif not values:
            parts.append((glyphs.gap, styles.faint))
        else:
            value = max(values)
            hot = warn is not None and value >= warn
            parts.append((level(value, top, glyphs), styles.degraded if hot else styles.spark))
    return parts


def squeeze(points: Sequence[T], width: int) -> list[Sequence[T]]:
    """Spread points over `width` cells, newest at the right; fewer points than cells leave cells empty."""
    count = len(points)
    if count <= width:
        return [()] * (width - count) + [points[i : i + 1] for i in range(count)]
    return [points[i * count // width : max((i + 1) * count // width, i * count // width + 1)] for i in range(width)]
