"""How commands write: colour only on a terminal, times in UTC, durations in two units."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TextIO

from moalog_tui.platform.health import HealthState

_SGR: Final = {
    HealthState.HEALTHY: "32",
    HealthState.DEGRADED: "33",
    HealthState.STARTING: "36",
    HealthState.DOWN: "1;31",
    HealthState.UNKNOWN: "35",
}


@dataclass(frozen=True, slots=True)
class Paint:
    """Whether output is coloured, and whether it is ASCII alone."""

    colour: bool
    ascii: bool

    def state(self, state: HealthState, line: str) -> str:
        """Return the line in its state's colour; healthy lines stay plain, so that the eye meets the others."""
        if not self.colour or state is HealthState.HEALTHY:
            return line
        return f"\x1b[{_SGR[state]}m{line}\x1b[0m"


def paint_for(out: TextIO, environment: Mapping[str, str], ascii_only: bool) -> Paint:
    """Colour on a terminal that can, unless NO_COLOR is set; ASCII where asked or where the encoding has no more."""
    encoding = (out.encoding or "ascii").lower().replace("-", "")
    colour = out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Paint(colour, ascii_only or not encoding.startswith("utf"))


def drop_output() -> None:
    """Point stdout at nothing, once it cannot be written any more: what is still buffered then goes there."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


def timestamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and Z, or None."""
    if at is None:
        return None
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
