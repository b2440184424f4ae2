"""Following several services' logs at once: merged by time, across restarts, recreation and the engine's absence."""

from __future__ import annotations

import asyncio
import io
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Final, TextIO

from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.adapters.docker_logs import ENDED, LogFollower
from moalog_tui.cli.log_lines import LogPrinter, Source
from moalog_tui.platform.containers import Container, ContainerState, DockerHealth, EngineError, ProjectHint
from moalog_tui.platform.logs import LogRing, RawLine, Stream
from moalog_tui.platform.text import Redactor

TICK_S: Final = 0.1
WINDOW_S: Final = 0.3
"""A line waits so long for older ones of other services, which travel on connections of their own."""
LIST_S: Final = 1.0
"""Between two looks at the containers."""
LOST_S: Final = 60.0
"""An engine that does not come back for so long is a lost source."""
ALL: Final = 10_000
"""Lines asked for of a container that is new."""

_DEAD: Final = frozenset({ContainerState.EXITED, ContainerState.DEAD})


class Followed:
    """One service that is followed: its container as last seen, and the stream that fills its ring."""

    def __init__(self, service: str, engine: DockerEngine, container: Container | None, since_ns: int | None) -> None:
        self.service = service
        self._engine = engine
        self._container = container
        self._since_ns = since_ns
        self._ring = LogRing()
        self._next = 0
        self._told_stop = container is not None and container.state in _DEAD
        self._stream: LogFollower | None = None
        if container is not None:
            self._follow(container)

    @property
    def source(self) -> Source:
        """Where its lines come from now."""
        return Source(self.service, self._container.name if self._container else "")

    def take(self) -> list[RawLine]:
        """Return the lines that came since the last time, and a marker where some were dropped before them."""
        first, end = self._ring.first, self._ring.end
        lines = [line for _, line in self._ring.slice(self._next, end)]
        dropped = first - self._next
        self._next = end
        if lines:
            self._since_ns = max(self._since_ns or 0, max(line.ts_ns for line in lines))
        if dropped > 0:
            text = f"{dropped} lines were dropped: they came faster than they could be printed"
            at = lines[0].ts_ns if lines else time.time_ns()
            lines.insert(0, RawLine(at, Stream.MARKER, text, "drop"))
        return lines

    def see(self, container: Container | None) -> list[RawLine]:
        """Take note of the container as it is now; return the markers of what happened to it."""
        before = self._container
        if container is None:
            if before is None or self._told_stop:
                return []
            self._told_stop = True
            return [_marker(None, "stop", "container removed")]
        self._container = container
        if before is None or before.id != container.id:
            self._told_stop = container.state in _DEAD
            self._since_ns = None
            self._follow(container)
            text = f"container {container.short_id} follows {before.short_id}" if before else "container created"
            return [_marker(container.created_at, "recreate" if before else "start", text)]
        markers = self._changes(before, container)
        if container.running and self._stream is not None and self._stream.state == ENDED:
            self._follow(container)
        elif self.over:
            # What the list says of it may be from before its end.
            self._engine.forget(container.id)
        return markers

    @property
    def over(self) -> bool:
        """True where the stream has ended."""
        return self._stream is not None and self._stream.state == ENDED

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.stop()

    def _changes(self, before: Container, container: Container) -> list[RawLine]:
        markers = []
        again = container.started_at != before.started_at and container.running
        if (container.state in _DEAD or again) and not self._told_stop:
            code = f" (exit {container.exit_code}{', out of memory' if container.oom_killed else ''})"
            text = "container stopped" + (code if container.exit_code is not None and not again else "")
            markers.append(_marker(container.finished_at, "stop", text))
        if again:
            markers.append(_marker(container.started_at, "start", "container started"))
        self._told_stop = container.state in _DEAD
        if container.state is ContainerState.PAUSED and before.running:
            markers.append(_marker(None, "health", "container paused"))
        elif before.state is ContainerState.PAUSED and container.running:
            markers.append(_marker(None, "health", "container goes on"))
        elif container.health is not before.health and DockerHealth.NONE not in (container.health, before.health):
            markers.append(_marker(None, "health", f"Docker calls it {container.health.value}"))
        return markers

    def _follow(self, container: Container) -> None:
        self.close()
        self._stream = self._engine.follow(container, self._ring, self._since_ns, ALL)


class Merge:
    """Lines of several sources, put out by their time; none waits longer than WINDOW_S."""

    def __init__(self, printer: LogPrinter) -> None:
        self._printer = printer
        self._heap: list[tuple[int, int, Source, RawLine]] = []
        self._arrived: deque[tuple[float, int]] = deque()
        self._count = 0

    def add(self, source: Source, lines: Sequence[RawLine], now: float) -> None:
        """Take lines that arrived at `now` (monotonic seconds)."""
        for line in lines:
            self._count += 1
            heappush(self._heap, (line.ts_ns, self._count, source, line))
        if lines:
            self._arrived.append((now, max(line.ts_ns for line in lines)))

    def release(self, until: float) -> None:
        """Print what arrived before `until`, and everything older than that."""
        due = -1
        while self._arrived and self._arrived[0][0] <= until:
            due = max(due, self._arrived.popleft()[1])
        while self._heap and self._heap[0][0] <= due:
            _, _, source, line = heappop(self._heap)
            self._printer.write(source, line)
        if due >= 0:
            self._printer.flush()


class Following:
    """Follows services until it is cancelled or the engine is lost."""

    def __init__(
        self, engine: DockerEngine, hint: ProjectHint, followed: Sequence[Followed], printer: LogPrinter
    ) -> None:
        self._engine, self._hint, self._followed = engine, hint, followed
        self._merge = Merge(printer)

    async def run(self, out: TextIO, redactor: Redactor) -> str:
        """Print until cancelled; return why once the engine is lost. Raises BrokenPipeError without a reader."""
        watching = asyncio.create_task(self._watch(redactor), name="containers")
        try:
            while not watching.done():
                await asyncio.wait({watching}, timeout=TICK_S)
                if reader_gone(out):
                    raise BrokenPipeError
                self._collect()
                self._merge.release(time.monotonic() - WINDOW_S)
            return watching.result()
        finally:
            watching.cancel()
            for one in self._followed:
                one.close()

    def finish(self) -> None:
        """Print what still waits for older lines."""
        self._collect()
        self._merge.release(time.monotonic())

    def _collect(self) -> None:
        now = time.monotonic()
        for one in self._followed:
            self._merge.add(one.source, one.take(), now)

    async def _watch(self, redactor: Redactor) -> str:
        """Look at the containers steadily; return why once the engine was away too long."""
        away: float | None = None
        while True:
            await asyncio.sleep(LIST_S)
            try:
                found = dict((await self._engine.containers(self._hint)).containers)
            except EngineError as error:
                if away is None:
                    away = time.monotonic()
                    sys.stderr.write(redactor.clean(f"{_sentence(error.sentence)} Trying again.") + "\n")
                elif time.monotonic() - away > LOST_S:
                    return error.sentence
                continue
            away = None
            for one in self._followed:
                # The lines before a marker first: a stopped container's last words.
                source, lines = one.source, one.take()
                now = time.monotonic()
                self._merge.add(source, lines, now)
                self._merge.add(source, one.see(found.get(one.service)), now)


def reader_gone(out: TextIO) -> bool:
    """True where `out` is a pipe that nobody reads any more."""
    try:
        number = out.fileno()
    except (OSError, io.UnsupportedOperation):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(events & (select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


def _marker(at: datetime | None, kind: str, text: str) -> RawLine:
    moment = at or datetime.now(UTC)
    return RawLine(int(moment.timestamp() * 1e9), Stream.MARKER, f"{text} {moment:%H:%M:%S}Z", kind)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
