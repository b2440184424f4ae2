"""Watching the Docker Engine: its list of containers, its events, and its coming and going."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from moalog_tui.monitor.own_side import OwnSide
from moalog_tui.monitor.sources import Sources
from moalog_tui.monitor.waiting import end_all, woken
from moalog_tui.platform.containers import Container, ContainerEvent, ContainerListing, EngineError, EngineStatus
from moalog_tui.platform.services import Service
from moalog_tui.platform.starts import LOOP_SPAN_S, StartRing

log = logging.getLogger(__name__)

CALL_S: Final = 6.0
"""Bound of one call to the engine, over the adapter's own."""
RETRY_S: Final = 0.25
RETRY_LONGEST_S: Final = 1.0
"""Back-off while the engine is away: its return must be seen at once."""
COALESCE_S: Final = 0.1
LIST_GAP_S: Final = 0.5
"""Several events lead to one list, and a crash loop's flood to two a second."""
KEEP_EVENTS: Final = 200
TIMEOUTS_BORNE: Final = 1
"""A busy engine may miss one deadline before its facts are held for unknown."""


class EngineWatch:
    """The engine as we know it. `restarted` is told a service whose container started anew, `returned` its return."""

    def __init__(
        self,
        sources: Sources,
        services: Sequence[Service],
        own_side: OwnSide,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        interval: float,
    ) -> None:
        self._sources, self._own_side, self._clock, self._now = sources, own_side, clock, now
        self.interval = interval
        self._names = tuple(service.container or service.name for service in services)
        self._by_name = {service.container or service.name: service.name for service in services}
        self.changed: Callable[[], None] = lambda: None
        self.restarted: Callable[[str], None] = lambda _service: None
        self.returned: Callable[[], None] = lambda: None
        self.status = EngineStatus(endpoint="", connected=False)
        self.project: str | None = None
        self.containers: dict[str, Container] = {}
        self.listed_at = float("-inf")
        """When the newest list was asked for, monotonic seconds."""
        self.seen_at: datetime | None = None
        self.answered = asyncio.Event()
        """Set once the engine told its containers, or why not."""
        self.ring = StartRing()
        self.ring_since = now()
        self.recent: deque[ContainerEvent] = deque(maxlen=KEEP_EVENTS)
        self._reached = self.status
        self._timeouts = 0
        self._failures = 0
        self._wake = asyncio.Event()
        self._connected = asyncio.Event()
        self._stream: asyncio.Task[None] | None = None
        self._followed: str | None = None
        self._last_ns: int | None = None

    @property
    def known(self) -> bool:
        """True while the containers' facts hold."""
        return self.status.connected and self.seen_at is not None

    def relist(self, container_id: str | None = None) -> None:
        """Ask for the containers again soon; of the one named, with everything about it."""
        if container_id is not None:
            self._forget(container_id)
        self._wake.set()

    async def requested(self) -> None:
        """Return once somebody asked for a new list."""
        await self._wake.wait()
        self._wake.clear()

    async def watch(self) -> None:
        """List at once, then steadily and whenever asked; while the engine is away, try to reach it."""
        while True:
            begin = self._clock()
            good = await self.round()
            pause = self.interval if good else min(RETRY_S * 2 ** min(self._failures - 1, 8), RETRY_LONGEST_S)
            if not await woken(self._wake, pause):
                continue
            await asyncio.sleep(max(COALESCE_S, begin + LIST_GAP_S - self._clock()))
            self._wake.clear()

    async def round(self, limit: float = CALL_S) -> bool:
        """Ask for the containers once, within `limit` seconds; return whether the engine told them."""
        begin = self._clock()
        try:
            async with asyncio.timeout(limit):
                if not self.status.connected and not await self._reach():
                    return self._missed(begin, None)
                listing = await self._sources.containers()
        except TimeoutError:
            return self._missed(begin, EngineError(f"Docker did not answer within {limit:g} s.", "timeout"))
        except EngineError as error:
            return self._missed(begin, error)
        except Exception as error:
            log.exception("listing the containers raised")
            return self._missed(begin, EngineError(f"The containers cannot be read: {type(error).__name__}."))
        self._take(listing, begin)
        return True

    async def _reach(self) -> bool:
        status = await self._sources.engine_status()
        if not status.connected:
            self._away(status)
            return False
        # Whatever was cached of the containers is from before.
        for container in self.containers.values():
            self._forget(container.id)
        self._reached = status
        return True

    def _missed(self, begin: float, error: EngineError | None) -> bool:
        self._failures += 1
        if error is None:
            return False  # the engine said why itself
        if self._own_side.lag_since(begin) is not None and self.seen_at is not None:
            return False  # it was us who slept
        if error.kind == "timeout" and self.known and self._timeouts < TIMEOUTS_BORNE:
            self._timeouts += 1
            return False
        self._away(replace(self.status, connected=False, error=error.sentence, kind=error.kind))
        return False

    def _away(self, status: EngineStatus) -> None:
        self._connected.clear()
        self.answered.set()
        status = replace(status, connected=False, last_seen=self.seen_at)
        if status != self.status:
            self.status = status
            self.changed()

    def _take(self, listing: ContainerListing, begin: float) -> None:
        back, first = not self.status.connected, self.seen_at is None
        if back:
            self.status = replace(self._reached, connected=True, error=None, kind=None, last_seen=None)
        self._failures = self._timeouts = 0
        self.listed_at, self.seen_at, self.project = begin, self._now(), listing.project
        before, self.containers = self.containers, dict(listing.containers)
        for name, container in self.containers.items():
            self.ring.saw(container)
            if not first and _began_anew(before.get(name), container):
                self.restarted(name)
        if back:
            self.returned()
        self._connected.set()
        self.answered.set()
        if self._followed is not None and self._followed != listing.project and self._stream is not None:
            self._stream.cancel()
        self.changed()

    async def follow(self) -> None:
        """Follow the engine's events for ever; lost ones are made up for by a full list."""
        pause = RETRY_S
        while True:
            await self._connected.wait()
            began = self._clock()
            self._stream = asyncio.create_task(self._read(), name="events")
            try:
                await asyncio.wait({self._stream}, timeout=COALESCE_S)
                if not self._stream.done():
                    self.relist()  # what happened between the last list and this stream
                await asyncio.wait({self._stream})
            finally:
                await end_all([self._stream])
            lived = self._clock() - began
            if lived > COALESCE_S:
                self._lost()
            pause = RETRY_S if lived > RETRY_LONGEST_S else min(pause * 2, RETRY_LONGEST_S)
            await asyncio.sleep(pause)

    def _lost(self) -> None:
        # Perhaps the stream alone broke, perhaps the engine died: ask, and trust nothing cached.
        for container in self.containers.values():
            self._forget(container.id)
        self._wake.set()

    async def _read(self) -> None:
        self._followed = self.project or ""
        since = self._last_ns + 1 if self._last_ns is not None else self._first_ns()
        stream = self._sources.events(self._followed, self._names, since)
        try:
            async for event in stream:
                self._note(event)
        except EngineError as error:
            log.info("the event stream ended: %s", error.kind)
        except Exception:
            log.exception("the event stream raised")
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _first_ns(self) -> int:
        # The engine keeps some of what happened before us: perhaps the starts of a crash loop.
        return int((self._now() - timedelta(seconds=LOOP_SPAN_S)).timestamp() * 1e9)

    def _note(self, event: ContainerEvent) -> None:
        self._last_ns = max(event.at_ns, self._last_ns or 0)
        service = event.service or self._by_name.get(event.name)
        self.recent.append(event if event.service else replace(event, service=service))
        self.ring.note(event)
        self.relist(event.container_id)
        self.changed()

    def _forget(self, container_id: str) -> None:
        try:
            self._sources.forget(container_id)
        except Exception:
            log.exception("forgetting a container raised")


def _began_anew(before: Container | None, container: Container) -> bool:
    """True where what an earlier run answered says nothing any more: a new run, or one that goes on after a pause."""
    if before is None or (before.id, before.started_at) != (container.id, container.started_at):
        return True
    return container.running and not before.running
