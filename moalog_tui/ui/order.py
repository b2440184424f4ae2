"""The order of the service table: worst first, but never jumping under the operator's eye or finger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from moalog_tui.platform.snapshot import ServiceStatus
from moalog_tui.platform.verdict import worst_first

CHANGE_EVERY_S: Final = 10.0
AFTER_KEY_S: Final = 5.0

Row = tuple[str, int]
"""A service's name and its depth: 1 under its root cause."""

SORTS: Final = ("worst first", "name", "latency", "cpu", "memory", "uptime")


class Order:
    """The order in force, and the newer one that is held back."""

    def __init__(self, names: Sequence[str]) -> None:
        self.rows: tuple[Row, ...] = tuple((name, 0) for name in names)
        self.held: tuple[Row, ...] | None = None
        self.sort = SORTS[0]
        self.reverse = False
        self._changed_at = float("-inf")
        self._touched_at = float("-inf")
        self._settled = False

    def touch(self, now: float) -> None:
        """A key was pressed at `now` (monotonic seconds)."""
        self._touched_at = now

    def offer(self, statuses: Sequence[ServiceStatus], now: float, busy: bool) -> bool:
        """Take the order of new statuses, or hold it back; return whether the order in force changed.

        `busy` is true while a dialog is open.
        """
        rows = self._sorted(statuses)
        if rows == self.rows:
            self.held = None
            self._settled = True
            return False
        quiet = now - self._touched_at >= AFTER_KEY_S and now - self._changed_at >= CHANGE_EVERY_S and not busy
        # Services that come or go leave no choice; the first picture has nothing to disturb.
        if quiet or not self._settled or {name for name, _ in rows} != {name for name, _ in self.rows}:
            self._apply(rows, now)
            return True
        self.held = rows
        return False

    def apply(self, now: float) -> bool:
        """Put the held order into force; return whether there was one."""
        if self.held is None:
            return False
        self._apply(self.held, now)
        return True

    def resort(self, statuses: Sequence[ServiceStatus], now: float) -> None:
        """The operator chose another sort: it applies at once."""
        self._apply(self._sorted(statuses), now)

    def _apply(self, rows: tuple[Row, ...], now: float) -> None:
        self.rows, self.held, self._changed_at, self._settled = rows, None, now, True

    def _sorted(self, statuses: Sequence[ServiceStatus]) -> tuple[Row, ...]:
        if self.sort == SORTS[0]:
            rows = tuple((status.name, depth) for status, depth in worst_first(statuses))
            return rows if not self.reverse else tuple((name, 0) for name, _ in reversed(rows))
        key = _KEYS[self.sort]
        return tuple((s.name, 0) for s in sorted(statuses, key=key, reverse=self.reverse))


def _uptime(status: ServiceStatus) -> float:
    started = status.container.started_at if status.container else None
    return -_epoch(started)


def _epoch(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


_KEYS: Final[dict[str, Callable[[ServiceStatus], float | str]]] = {
    "name": lambda s: s.name,
    "latency": lambda s: -(s.latency_ms or -1.0),
    "cpu": lambda s: -((s.usage.cpu_percent if s.usage else None) or -1.0),
    "memory": lambda s: -(s.usage.memory_bytes if s.usage else -1),
    "uptime": lambda s: -_uptime(s),
}
