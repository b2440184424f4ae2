"""One service's poller: when it is asked, what counts, and what has been answered so far."""

from __future__ import annotations

import asyncio
import logging
import math
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from moalog_tui.monitor.engine import EngineWatch
from moalog_tui.monitor.own_side import OwnSide
from moalog_tui.monitor.sources import Sources
from moalog_tui.monitor.waiting import within, woken
from moalog_tui.platform.containers import Container
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.services import Endpoint, ProbeKind, Service
from moalog_tui.platform.snapshot import Latency

log = logging.getLogger(__name__)

SECOND_TRY_S: Final = 1.0
"""A probe that failed is asked again so much later, before anything is called down."""
REFUSED_S: Final = 60.0
"""One try a minute after a refused credential."""
HURRIED_S: Final = 1.0
AFTER_DROPPED_S: Final = 0.5
OVERRUN_S: Final = 0.5
"""A probe may end so much after its deadline; then it is our own fault that there is no answer."""
BACK_OFF_S: Final = 60.0
KEEP: Final = 60
FIRST_LIST_S: Final = 0.5
"""So long the first round waits for the containers, whose published ports say where to ask."""


class Poller:
    """Asks one service, one question at a time, and keeps its answers."""

    def __init__(
        self,
        service: Service,
        sources: Sources,
        engine: EngineWatch,
        own_side: OwnSide,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        interval: float,
        deadline: float,
    ) -> None:
        self.service = service
        self._sources, self._engine, self._own_side = sources, engine, own_side
        self._clock, self._now = clock, now
        self._interval, self._deadline = interval, deadline
        self.changed: Callable[[], None] = lambda: None
        self.result: ProbeResult | None = None
        self.before: ProbeResult | None = None
        self.counted_at: float | None = None
        self.asked = False
        self.dropped: str | None = None
        """Why the newest answer counts for nothing, or None."""
        self.excused = False
        """True where the newest answer was put down to something it needs."""
        self.endpoint: Endpoint | None = None
        self.reachable = service.probe.kind is not ProbeKind.NONE
        self.hurried = False
        self.history: tuple[Latency, ...] = ()
        self._history: deque[Latency] = deque(maxlen=KEEP)
        self._failed_at: float | None = None
        self._failures = 0
        self._generation = 0
        self._own_faults = 0
        self._refused: object = None
        self._begun = clock()
        self._origin = clock()
        self._rounds = 0
        self._forced = False
        self._wake = asyncio.Event()

    @property
    def confirmed(self) -> bool:
        """True where it failed twice in a row, and the engine was asked about its container since the first time."""
        return self._failures >= 2 and self._failed_at is not None and self._engine.listed_at >= self._failed_at

    @property
    def refused(self) -> bool:
        """True while the last answer was that our credential is wrong."""
        return self.result is not None and self.result.reason is Reason.AUTH

    @property
    def interval_in_force(self) -> float | None:
        """Seconds between two answers as things stand; None where it is not asked again by itself."""
        if self.refused:
            return None if self.service.probe.locks_accounts else REFUSED_S
        if self.hurried:
            return max(HURRIED_S, self._deadline)
        return min(self._interval * 2.0**self._own_faults, max(BACK_OFF_S, self._interval))

    def check_now(self) -> None:
        """Ask at once, a refused credential too."""
        self._forced = True
        self._wake.set()

    def hurry(self, on: bool) -> None:
        """Ask each second while an operation runs on the service."""
        self.hurried = on
        self._wake.set()

    def restarted(self) -> None:
        """Its container started anew: what the last run answered says nothing about this one."""
        self._generation += 1
        if not self.refused:
            self._forget()
        self._wake.set()

    def engine_returned(self) -> None:
        """A failure from while the engine was away may have been its port proxies: ask again, and count from new."""
        self._generation += 1
        if self.result is not None and self.result.outcome is Outcome.FAIL:
            self._forget()
        self._wake.set()

    def excuse(self, on: bool) -> bool:
        """Put its failure down to something it needs, or no longer: then it counts from new, and it is asked at once.

        Returns whether that changed what its failures count for.
        """
        if on:
            self.excused = True
        elif self.excused and self._failures:
            self._failures, self._failed_at = 0, None
            self._wake.set()
            return True
        return False

    async def watch(self) -> None:
        """Ask at once, then steadily, until cancelled."""
        if not await woken(self._engine.answered, FIRST_LIST_S):
            log.info("asking %s before its container is known", self.service.name)
        self._wake.clear()
        while True:
            await self._ask(self._deadline + OVERRUN_S)
            if self._needs_second_try():
                self._engine.relist(self._container_id())
                await asyncio.sleep(SECOND_TRY_S)
                await self._ask(self._deadline + OVERRUN_S)
            await self._pause()

    async def once(self, end: float) -> None:
        """Ask for one round that must be over at `end` (monotonic seconds)."""
        await self._ask(min(self._deadline + OVERRUN_S, end - self._clock()))
        if self.dropped:
            await asyncio.sleep(AFTER_DROPPED_S)
            await self._ask(min(self._deadline + OVERRUN_S, end - self._clock()))
        if self._needs_second_try():
            self._engine.relist(self._container_id())
            await asyncio.sleep(SECOND_TRY_S)
            await self._ask(end - self._clock(), cut=self.result)

    def _container(self) -> Container | None:
        return self._engine.containers.get(self.service.name)

    def _container_id(self) -> str | None:
        container = self._container()
        return container.id if container is not None else None

    def _needs_second_try(self) -> bool:
        if self.dropped or self._failures != 1 or not self._engine.known:
            return False
        container = self._container()
        return container is not None and container.running

    async def _ask(self, limit: float, cut: ProbeResult | None = None) -> None:
        """Ask once and count the answer, unless our own side was ill or the container changed meanwhile.

        Where the round's end cuts it off before an answer, `cut` counts, the failure that it was to confirm.
        """
        self._begun = self._clock()
        self._rounds += 1
        begin, generation = self._begun, self._generation
        self.endpoint = self._address()
        self.reachable = self.endpoint is not None
        if self.endpoint is None:
            self.asked, self.dropped = True, None
            self.changed()
            return
        credential = self._credential()
        result = await self._probe(self.endpoint, limit)
        if cut is not None and result.reason is Reason.MONITOR and limit < self._deadline:
            result = replace(cut, at=self._now())
        self.asked = True
        self.dropped = await self._own_side.ill(begin, failed=result.outcome is Outcome.FAIL)
        if self.dropped is None and generation == self._generation:
            self._count(result, credential)
        self.changed()

    def _address(self) -> Endpoint | None:
        if self.service.probe.kind is ProbeKind.NONE:
            return None
        try:
            return self._sources.endpoint(self.service, self._container())
        except Exception:
            log.exception("finding the address of %s raised", self.service.name)
            return None

    def _credential(self) -> object:
        try:
            return self._sources.credential(self.service)
        except Exception:
            log.exception("finding the credential of %s raised", self.service.name)
            return None

    async def _probe(self, endpoint: Endpoint, limit: float) -> ProbeResult:
        try:
            result = await within(max(limit, 0.01), self._sources.probe(self.service, endpoint))
        except TimeoutError:
            why = f"its check did not end within {max(limit, 0.0):.1f} s"
        except Exception as error:
            log.exception("the probe of %s raised", self.service.name)
            why = f"its check failed on our side: {type(error).__name__}"
        else:
            self._own_faults = 0
            return result
        self._own_faults = min(self._own_faults + 1, 8)
        return ProbeResult(Outcome.UNKNOWN, self._now(), reason=Reason.MONITOR, detail=why)

    def _count(self, result: ProbeResult, credential: object) -> None:
        if result.outcome is Outcome.FAIL:
            if self._failures == 0:
                self.before, self._failed_at = self.result, self._clock()
            self._failures += 1
        else:
            self._failures, self._failed_at, self.before = 0, None, None
        self.result, self.counted_at, self.excused = result, self._clock(), False
        self._refused = credential if self.refused else None
        self._history.append(Latency(result.at, result.latency_ms if result.passed else None, result.outcome))
        self.history = tuple(self._history)

    def _forget(self) -> None:
        self.result = self.before = self._failed_at = None
        self._failures, self.excused = 0, False

    def _due(self) -> float:
        """When to ask next: on a common grid, so that the answers of a round come together, a little apart."""
        if self.dropped:
            return self._begun + AFTER_DROPPED_S
        if self.hurried and not self.refused:
            return self._begun + HURRIED_S
        interval = self.interval_in_force
        if interval is None:
            return math.inf
        jitter = 0.1 * (zlib.crc32(f"{self.service.name} {self._rounds}".encode()) % 1000 / 1000)
        due = self._origin + (math.floor((self._begun - self._origin) / interval) + 1 + jitter) * interval
        return due if due - self._begun >= interval / 2 else due + interval

    async def _pause(self) -> None:
        due = self._due()
        while (left := due - self._clock()) > 0:
            if self.refused and self._credential() != self._refused:
                return
            if not await woken(self._wake, min(left, self._interval)):
                continue
            self._wake.clear()
            if self._forced or not self.refused:
                break
        self._forced = False
