"""The monitor: every loop that keeps the picture current, and the one round that `check` is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from moalog_tui.monitor.engine import EngineWatch
from moalog_tui.monitor.own_side import OwnSide
from moalog_tui.monitor.picture import Picture
from moalog_tui.monitor.poller import Poller
from moalog_tui.monitor.sources import Sources
from moalog_tui.monitor.usage import UsageReader
from moalog_tui.monitor.waiting import end_all, within, woken
from moalog_tui.platform.containers import Container
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import DEFAULT_DEADLINE_S, Endpoint, Profile, Service
from moalog_tui.platform.snapshot import Mute, Snapshot

log = logging.getLogger(__name__)

INTERVAL_S: Final = 5.0
GAP_S: Final = 0.25
"""At most four pictures a second."""
TICK_S: Final = 1.0
"""Ages and windows move without any source saying so; looked at once a second."""
AGAIN_S: Final = 1.0
METRICS_EVERY: Final = 2
"""Metrics are read every second interval: Prometheus itself scrapes each 10 to 15 s."""
METRICS_BACK_OFF_S: Final = 60.0
ROUND_SLACK_S: Final = 1.5
"""One round ends within twice the deadline and this."""
ENGINE_SHARE_S: Final = 0.45
COUNT_S: Final = 0.1
"""What remains of a round to count the last answers in."""


class Monitor:
    """Watches a platform. Nothing runs before `run` (the screen) or `one_round` (`check`)."""

    def __init__(
        self,
        profile: Profile,
        services: Sequence[Service],
        sources: Sources,
        *,
        mutes: Sequence[Mute] = (),
        interval: float = INTERVAL_S,
        deadline: float = DEFAULT_DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take what to watch. `interval` and `deadline` are seconds; `clock` is monotonic, `now` in UTC."""
        self._profile, self._sources = profile, sources
        self._interval, self._deadline, self._clock = interval, deadline, clock
        self._own_side = OwnSide(sources.self_probe, clock)
        self._engine = EngineWatch(sources, services, self._own_side, clock, now, interval)
        self._pollers = {
            service.name: Poller(service, sources, self._engine, self._own_side, clock, now, interval, deadline)
            for service in services
        }
        self._usage = UsageReader(sources, self._engine, clock, interval)
        self._picture = Picture(
            profile, self._pollers, self._engine, self._own_side, self._usage, sources, mutes, clock, now
        )
        self._changed = asyncio.Event()
        self._published = asyncio.Event()
        self._engine.changed = self._usage.changed = self._changed.set
        self._engine.restarted = self._restarted
        self._engine.returned = self._returned
        for poller in self._pollers.values():
            poller.changed = self._changed.set
        self.latest: Snapshot = self._picture.build(None)
        """The newest picture; before the first answers one that says so."""

    async def run(self) -> None:
        """Watch until cancelled; then no task is left. A source that raises ends none of the loops."""
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("own side", self._own_side.watch),
            ("engine", self._engine.watch),
            ("events", self._engine.follow),
            ("usage", self._usage.watch),
            ("metrics", self._watch_metrics),
            ("picture", self._publish_changes),
            *((f"poll {name}", poller.watch) for name, poller in self._pollers.items()),
        ]
        tasks = [asyncio.create_task(_for_ever(name, loop), name=name) for name, loop in loops]
        try:
            await asyncio.wait(tasks)
        finally:
            await end_all(tasks)
            await self._own_side.close()

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the newest picture, at once and after each change; a slow consumer skips those in between."""
        seen = -1
        while True:
            published = self._published
            if self.latest.sequence != seen:
                seen = self.latest.sequence
                yield self.latest
            else:
                await published.wait()

    async def one_round(self) -> Snapshot:
        """Ask everything once, what failed a second time 1 s later, and return the picture.

        Ends within twice the deadline and 1.5 s. Uses the same loops' parts and the same rules as `run`.
        """
        end = self._clock() + 2 * self._deadline + ROUND_SLACK_S
        beside = asyncio.create_task(self._own_side.watch(), name="own side")
        try:
            await self._engine.round(max(self._deadline, ENGINE_SHARE_S))
            again = asyncio.create_task(self._relist(end), name="list again")
            try:
                async with asyncio.timeout(max(0.0, end - self._clock())):
                    await asyncio.gather(*(poller.once(end - COUNT_S) for poller in self._pollers.values()))
            except TimeoutError:
                log.warning("a round did not end in time")
            finally:
                await end_all([again])
            for poller in self._pollers.values():
                poller.asked = True
        finally:
            await end_all([beside])
            await self._own_side.close()
        self._publish()
        return self.latest

    def check_now(self, name: str | None) -> None:
        """Ask one service, or everything (None), at once; also where its credential was refused."""
        self._engine.relist()
        for poller in self._pollers.values():
            if name is None or poller.service.name == name:
                poller.check_now()

    def watching(self, on: bool) -> None:
        """Say whether somebody looks at CPU and memory."""
        self._usage.watching(on)
        self._changed.set()

    def hurry(self, service: str, on: bool) -> None:
        """Ask a service each second, while an operation runs on it."""
        poller = self._pollers.get(service)
        if poller is not None:
            poller.hurry(on)

    def _restarted(self, service: str) -> None:
        poller = self._pollers.get(service)
        if poller is not None:
            poller.restarted()

    def _returned(self) -> None:
        for poller in self._pollers.values():
            poller.engine_returned()

    def _publish(self) -> None:
        snapshot = self._picture.build(self.latest)
        if snapshot is not self.latest:
            self.latest = snapshot
            published, self._published = self._published, asyncio.Event()
            published.set()

    async def _publish_changes(self) -> None:
        while True:
            if await woken(self._changed, TICK_S):
                self._changed.clear()
                self._publish()
                await asyncio.sleep(GAP_S)
            else:
                self._publish()

    async def _relist(self, end: float) -> None:
        """List the containers once more, soon after the first probe failed: its container may have died just now."""
        await self._engine.requested()
        await asyncio.sleep(ENGINE_SHARE_S)
        await self._engine.round(max(0.0, min(self._deadline, end - self._clock())))

    async def _watch_metrics(self) -> None:
        await self._engine.answered.wait()
        regular = pause = METRICS_EVERY * self._interval
        while True:
            begin = self._clock()
            readings = await self._read_metrics()
            if self._own_side.lag_since(begin) is None:
                self._picture.readings = readings
                self._changed.set()
            told = any(reading.value is not None for reading in readings)
            pause = regular if told else min(pause * 2, max(METRICS_BACK_OFF_S, regular))
            await asyncio.sleep(pause)

    async def _read_metrics(self) -> tuple[MetricReading, ...]:
        endpoint = self._prometheus()
        if endpoint is None:
            why = "no Prometheus in reach"
        else:
            try:
                return await within(2 * self._deadline + 1.0, self._sources.metrics(endpoint))
            except TimeoutError:
                why = "Prometheus does not answer"
            except Exception as error:
                log.exception("reading the metrics raised")
                why = f"cannot be read: {type(error).__name__}"
        return tuple(MetricReading(spec, None, why) for spec in self._profile.metrics)

    def _prometheus(self) -> Endpoint | None:
        poller = self._pollers.get(self._profile.prometheus or "")
        if poller is None:
            return None
        container: Container | None = self._engine.containers.get(poller.service.name)
        try:
            return self._sources.endpoint(poller.service, container)
        except Exception:
            log.exception("finding the address of Prometheus raised")
            return None


async def _for_ever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop; should it fail all the same, say so and start it again."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("the loop %r failed and starts again", name)
            await asyncio.sleep(AGAIN_S)
        else:
            return
