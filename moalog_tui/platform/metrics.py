"""Series read from Prometheus, as values that may be missing, never as a wrong zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from moalog_tui.platform.services import MetricSpec

NO_ANSWER: Final = "Prometheus does not answer"


@dataclass(frozen=True, slots=True)
class MetricReading:
    """One metric of the strip: the newest value and its recent series.

    `value` is None where there is none, and then `why` tells: "no data", "Prometheus does not answer",
    "no limit set" (+Inf), "not a number". `points` may hold None for gaps and never holds NaN or Inf.
    """

    spec: MetricSpec
    value: float | None
    why: str | None
    points: tuple[float | None, ...] = ()
    sampled_at: datetime | None = None


def finite(text: str) -> tuple[float | None, str | None]:
    """Parse Prometheus' value string: a finite number, or None and why not."""
    try:
        number = float(text)
    except ValueError:
        return None, "not a number"
    if math.isnan(number):
        return None, "no data"
    if math.isinf(number):
        return None, "no limit set"
    return number, None


def format_metric(value: float | None, unit: str) -> str:
    """Return a short reading with its unit: `42.1`, `0.0%`, `81ms`, `402M`; an em dash for none."""
    if value is None:
        return "—"
    if unit == "ratio":
        return f"{value * 100:.1f}%"
    if unit == "s":
        return f"{value * 1000:.0f}ms" if value < 1 else f"{value:.1f}s"
    if unit == "bytes":
        return format_bytes(value)
    if unit == "/s":
        return f"{value:.1f}" if value < 1000 else f"{value / 1000:.1f}k"
    return f"{value:.0f}"


def format_bytes(value: float) -> str:
    """Return bytes in at most five characters, in powers of 1024: `312M`, `1.2G`."""
    for suffix in ("B", "K", "M", "G"):
        if value < 999.5:
            return f"{value:.0f}{suffix}" if suffix in ("B", "K", "M") or value >= 100 else f"{value:.1f}{suffix}"
        value /= 1024
    return f"{value:.1f}T"
