"""Which container's log is read: one stream into one ring, across restarts and recreation, with marks between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from moalog_tui.platform.containers import Container, ContainerEvent
from moalog_tui.platform.logs import LogRing, RawLine, Stream
from moalog_tui.platform.snapshot import ServiceStatus
from moalog_tui.ui.desk import Follow

MARKED: Final = {"die": "stop", "start": "start", "pause": "health", "unpause": "health"}
"""The events that are marked in the log, and the kind of their marker."""

Open = Callable[[Container, LogRing, int | None], Follow]


class LogSource:
    """Reads one service at a time. Nothing here waits: the stream fills the ring on a thread of its own."""

    def __init__(self, follow: Open, now: Callable[[], datetime]) -> None:
        self.ring = LogRing()
        self.service: str | None = None
        self._follow = follow
        self._now = now
        self._container: Container | None = None
        self._stream: Follow | None = None
        self._marks: set[tuple[int, str]] = set()
        self._since_ns = 0

    @property
    def state(self) -> str | None:
        """What the stream says of itself, as received; None where there is none."""
        return self._stream.state if self._stream else None

    def choose(self, service: str | None) -> None:
        """Read another service, from an empty ring, once it is told of (`take`)."""
        self.close()
        self.service, self._container, self._marks, self.ring = service, None, set(), LogRing()

    def take(self, status: ServiceStatus) -> bool:
        """Follow the service's container as it is now; return False where there is none.

        A container with a new id is followed anew; one that was started again goes on after the last line.
        """
        container, before = status.container, self._container
        if container is None:
            return False
        ended = self.state == "ended"
        since: int | None = None
        if before is not None and before.id == container.id:
            again = container.running and before.started_at != container.started_at
            if self._stream is not None and not (ended and again):
                self._container = before if ended else container
                return True
            since = self._last_ns()
        elif before is not None:
            text = f"container recreated: {container.short_id} follows {before.short_id}"
            self.ring.extend([RawLine(_ns(container.created_at or self._now()), Stream.MARKER, text, "recreate")])
        self._open(container, since)
        return True

    def since(self, epoch_ns: int) -> bool:
        """Read the same container again, from a time on; return False where there is none."""
        if self._container is None:
            return False
        self.ring = LogRing()
        self._open(self._container, epoch_ns)
        return True

    def _open(self, container: Container, since: int | None) -> None:
        self.close()
        self._container, self._since_ns = container, _ns(self._now())
        self._stream = self._follow(container, self.ring, since)

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.stop()
            self._stream = None

    def mark(self, events: Sequence[ContainerEvent]) -> None:
        """Mark in the log what happened to the container, each event once."""
        if self._container is None or self.ring.end == 0:
            return
        oom = {event.container_id for event in events if event.action == "oom"}
        for event in events:
            key = (event.at_ns, event.action)
            if event.service != self.service or event.action not in MARKED or key in self._marks:
                continue
            self._marks.add(key)
            # A ring only grows at its end: what happened among lines that are already there stays untold.
            if event.at_ns >= min(self._last_ns() or 0, self._since_ns):
                text = _sentence(event, event.container_id in oom)
                self.ring.extend([RawLine(event.at_ns, Stream.MARKER, text, MARKED[event.action])])

    def _last_ns(self) -> int | None:
        lines = [
            raw for _, raw in self.ring.slice(self.ring.end - 50, self.ring.end) if raw.stream is not Stream.MARKER
        ]
        return lines[-1].ts_ns if lines else None


def _sentence(event: ContainerEvent, oom: bool) -> str:
    at = f"{datetime.fromtimestamp(event.at_ns / 1e9, UTC):%H:%M:%S}Z"
    if event.action == "die":
        why = ", out of memory" if oom and event.exit_code == 137 else ""
        return f"container stopped {at}" + (f" (exit {event.exit_code}{why})" if event.exit_code is not None else "")
    return {"start": "container started", "pause": "container paused", "unpause": "container goes on"}[
        event.action
    ] + f" {at}"


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
