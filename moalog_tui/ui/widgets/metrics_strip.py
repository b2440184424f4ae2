"""A few readings from Prometheus with their recent course, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from moalog_tui.platform.metrics import MetricReading, format_metric
from moalog_tui.ui.ink import Part, Pen, width_of
from moalog_tui.ui.widgets.panel import Panel
from moalog_tui.ui.widgets.sparkline import series_parts


class MetricsStrip(Panel, can_focus=False):
    """One line of readings under a title; without the title where the screen is low."""

    DEFAULT_CSS = "MetricsStrip { height: 2; }"

    def __init__(self, pen: Pen) -> None:
        super().__init__(pen, id="metrics")
        self.readings: tuple[MetricReading, ...] = ()
        self._known = False

    def show(self, readings: Sequence[MetricReading]) -> None:
        """Draw new readings."""
        self._known = True
        if tuple(readings) != self.readings:
            self.readings = tuple(readings)
        self.refresh()

    def title_parts(self) -> tuple[str, list[Part]]:
        """The title."""
        return "Metrics", []

    def render_line(self, y: int) -> Strip:
        """Draw the title or the readings."""
        if y == 0 and self.size.height > 1:
            return self._title(self.size.width)
        return self._line(self.size.width)

    def _line(self, width: int) -> Strip:
        pen, styles = self.pen, self.pen.styles
        if not self.readings:
            word = "no metrics in this profile" if self._known else "asking Prometheus"
            return pen.strip([(f"   {word}", styles.dim)], width)
        reasons = {reading.why for reading in self.readings if reading.value is None}
        if len(reasons) == 1 and all(reading.value is None for reading in self.readings):
            names = ", ".join(pen.clean(reading.spec.title, 30) for reading in self.readings)
            why = pen.clean(reasons.pop() or "no data", 120)
            return pen.strip([(f"   {names}: ", styles.dim), (why, styles.text)], width)
        cell = (width - 3) // len(self.readings)
        parts: list[Part] = [("   ", styles.text)]
        for reading in self.readings:
            parts += self._reading(reading, cell)
        return pen.strip(parts, width)

    def _reading(self, reading: MetricReading, cell: int) -> list[Part]:
        pen, styles, spec = self.pen, self.pen.styles, reading.spec
        parts: list[Part] = [(pen.clean(spec.title, 30) + " ", styles.dim)]
        if reading.value is None:
            parts.append((pen.clean(reading.why or "no data", 60), styles.dim))
        else:
            hot = spec.warn is not None and reading.value >= spec.warn
            parts.append((format_metric(reading.value, spec.unit) + " ", styles.degraded if hot else styles.strong))
            room = cell - width_of(parts) - 2
            if room >= 3:
                parts += series_parts(reading.points, min(room, 24), pen, spec.warn)
        used = width_of(parts)
        if used > cell - 1:
            text = "".join(text for text, _ in parts)
            return [(pen.fit(text, cell - 1) + " ", styles.dim)]
        return [*parts, (" " * (cell - used), styles.text)]
