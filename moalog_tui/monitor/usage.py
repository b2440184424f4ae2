"""CPU and memory of each container, read only while somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from moalog_tui.monitor.engine import EngineWatch
from moalog_tui.monitor.sources import Sources
from moalog_tui.monitor.waiting import within
from moalog_tui.platform.containers import EngineError, StatsSample, Usage, usage_between

log = logging.getLogger(__name__)

AT_A_TIME: Final = 4
CALL_S: Final = 5.0
PAUSE_S: Final = 1.0
"""The engine takes a second or two for each reading; between two rounds it rests at least so long."""
BACK_OFF_S: Final = 60.0


class UsageReader:
    """Reads the counters of all running containers, a few at a time."""

    def __init__(self, sources: Sources, engine: EngineWatch, clock: Callable[[], float], interval: float) -> None:
        self._sources, self._engine, self._clock, self._interval = sources, engine, clock, interval
        self.changed: Callable[[], None] = lambda: None
        self._usages: dict[str, Usage] = {}
        self._samples: dict[str, StatsSample] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._on = asyncio.Event()

    def watching(self, on: bool) -> None:
        """Start or stop reading; what was read is forgotten when nobody looks."""
        if on:
            self._on.set()
            return
        self._on.clear()
        self._usages.clear()
        self._samples.clear()

    def of(self, container_id: str) -> Usage | None:
        """Return a container's usage, or None where it was not read."""
        return self._usages.get(container_id)

    async def watch(self) -> None:
        """Read round after round while somebody looks, until cancelled."""
        while True:
            await self._on.wait()
            await self._engine.answered.wait()
            begin = self._clock()
            await self._round()
            await asyncio.sleep(max(PAUSE_S, begin + self._interval - self._clock()))

    async def _round(self) -> None:
        running = [one.id for one in self._engine.containers.values() if one.running] if self._engine.known else []
        for held in (self._usages, self._samples, self._failures):
            for gone in set(held) - set(running):
                del held[gone]
        queue = [one for one in running if self._failures.get(one, (0, 0.0))[1] <= self._clock()]

        async def work() -> None:
            while queue and self._on.is_set():
                await self._read(queue.pop(0))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_A_TIME, len(queue))):
                group.create_task(work())

    async def _read(self, container_id: str) -> None:
        try:
            sample = await within(CALL_S, self._sources.stats(container_id))
        except (EngineError, TimeoutError):
            self._failed(container_id)
            return
        except Exception:
            log.exception("reading a container's counters raised")
            self._failed(container_id)
            return
        self._failures.pop(container_id, None)
        if sample is None or not self._on.is_set():
            return
        self._usages[container_id] = usage_between(self._samples.get(container_id), sample)
        self._samples[container_id] = sample
        self.changed()

    def _failed(self, container_id: str) -> None:
        count = self._failures.get(container_id, (0, 0.0))[0] + 1
        pause = min(self._interval * 2 ** min(count, 8), BACK_OFF_S)
        self._failures[container_id] = (count, self._clock() + pause)
        # An old figure is not shown as a new one.
        self._usages.pop(container_id, None)
        self._samples.pop(container_id, None)
