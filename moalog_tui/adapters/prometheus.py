"""Readings from Prometheus: a few range queries in turn, under one deadline for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moalog_tui.adapters.blocking import BlockingCalls, NoSlot, StillRunning
from moalog_tui.platform.metrics import NO_ANSWER, MetricReading, finite
from moalog_tui.platform.services import Endpoint, MetricSpec

if TYPE_CHECKING:
    from moalog_tui.adapters.prometheus_client import Series

GRACE_S: Final = 0.3
LOAD_DEADLINE_S: Final = 20.0


class PrometheusReader:
    """Reads the metrics strip. `deadline` in seconds holds for one read of all its queries together."""

    def __init__(self, calls: BlockingCalls, deadline: float = 2.0) -> None:
        self._calls = calls
        self._deadline = deadline
        self._loaded = False

    async def read(
        self, endpoint: Endpoint, specs: Sequence[MetricSpec], points: int = 40, span_s: float = 600
    ) -> tuple[MetricReading, ...]:
        """Return one reading for each spec, with `points` values over the last `span_s` seconds.

        Raises nothing: a metric that cannot be read has no value, and tells why.
        """
        try:
            if not self._loaded:
                await self._calls.run("load prometheus", _load, LOAD_DEADLINE_S)
                self._loaded = True
            call = _Read(endpoint, tuple(specs), points, span_s, self._deadline)
            return await self._calls.run("read prometheus", call, self._deadline + GRACE_S)
        except (StillRunning, NoSlot):
            return _missing(specs, "the previous reading has not returned")
        except Exception:
            return _missing(specs, NO_ANSWER)


class _Read:
    """One read, to be called on a thread."""

    def __init__(
        self, endpoint: Endpoint, specs: tuple[MetricSpec, ...], points: int, span_s: float, deadline: float
    ) -> None:
        self._endpoint = endpoint
        self._specs = specs
        self._points = max(points, 2)
        self._step = max(round(span_s / self._points), 1)
        self._deadline = deadline

    def __call__(self) -> tuple[MetricReading, ...]:
        from moalog_tui.adapters.prometheus_client import RangeQueries  # loaded by now, see PrometheusReader.read

        # Aligned to the step, so that the points of one round stand where those of the last one stood.
        end = math.floor(datetime.now(UTC).timestamp() / self._step) * self._step
        start = end - self._step * (self._points - 1)
        readings: list[MetricReading] = []
        with RangeQueries(self._endpoint, self._deadline) as queries:
            for spec in self._specs:
                series = queries.run(spec.query, start, end, self._step)
                readings.append(self._reading(spec, series, start))
        return tuple(readings)

    def _reading(self, spec: MetricSpec, series: Series | str, start: int) -> MetricReading:
        if isinstance(series, str):
            return MetricReading(spec, None, series)
        points: list[float | None] = [None] * self._points
        why: str | None = "no data"
        for at, text in series:
            index = round((at - start) / self._step)
            if 0 <= index < self._points:
                points[index], why = finite(text)
        if points[-1] is None:
            # A series that ended, or whose newest value is no number, has no value now.
            last = series[-1][0] if series else None
            newest = last is not None and round((last - start) / self._step) == self._points - 1
            return MetricReading(spec, None, why if newest else "no data", tuple(points))
        sampled_at = datetime.fromtimestamp(start + self._step * (self._points - 1), UTC)
        return MetricReading(spec, points[-1], None, tuple(points), sampled_at)


def _load() -> None:
    from moalog_tui.adapters import prometheus_client  # noqa: F401 - 0.1 s, so on a thread


def _missing(specs: Sequence[MetricSpec], why: str) -> tuple[MetricReading, ...]:
    return tuple(MetricReading(spec, None, why) for spec in specs)
