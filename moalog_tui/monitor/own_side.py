"""Our own side: a loop that lags or a loopback that does not answer must not make a service look ill."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from moalog_tui.monitor.waiting import end_all, within

log = logging.getLogger(__name__)

LAG_S: Final = 0.5
"""A loop that was late by more counts for nothing."""
TICK_S: Final = 0.25
SELF_PROBE_S: Final = 1.0
FRESH_S: Final = 0.5
"""For so long a loopback that answered is not asked again."""


class OwnSide:
    """Knows whether we were able to look. `sentence` tells while the newest answers had to be dropped."""

    def __init__(self, self_probe: Callable[[], Awaitable[bool]], clock: Callable[[], float]) -> None:
        self._self_probe = self_probe
        self._clock = clock
        self._lags: deque[tuple[float, float]] = deque(maxlen=16)
        self._ticked: float | None = None
        self._good_at = float("-inf")
        self._asking: asyncio.Task[bool] | None = None
        self.sentence: str | None = None

    async def watch(self) -> None:
        """Measure the loop's lag until cancelled."""
        try:
            while True:
                self._ticked = self._clock()
                await asyncio.sleep(TICK_S)
                lag = self._clock() - self._ticked - TICK_S
                if lag > LAG_S:
                    self._lags.append((self._clock(), lag))
        finally:
            self._ticked = None

    def lag_since(self, begin: float) -> float | None:
        """Return the worst lag over the limit since `begin` (monotonic seconds), or None.

        A process that was stopped may run this before the tick that measures it: the tick that is overdue counts.
        """
        found = [lag for at, lag in self._lags if at >= begin]
        if self._ticked is not None:
            found.append(self._clock() - self._ticked - TICK_S)
        worst = max(found, default=0.0)
        return worst if worst > LAG_S else None

    async def ill(self, begin: float, *, failed: bool) -> str | None:
        """Return why an answer that was asked for at `begin` counts for nothing; None where it counts.

        A failed one counts only where our own loopback answers.
        """
        good = await self._answers() if failed else True
        lag = self.lag_since(begin)
        if lag is not None:
            self.sentence = f"our own loop stood still for {lag:.1f} s: that round counts for nothing"
        elif not good:
            self.sentence = "our own loopback does not answer: that round counts for nothing"
        else:
            self.sentence = None
        return self.sentence

    async def _answers(self) -> bool:
        if self._clock() - self._good_at < FRESH_S:
            return True
        # Twenty services may fail at once: one question serves them all.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="self-probe")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            good = await within(SELF_PROBE_S, self._self_probe())
        except TimeoutError:
            return False
        except Exception:
            log.exception("the self-probe raised")
            return False
        if good:
            self._good_at = self._clock()
        return good

    async def close(self) -> None:
        """Leave no task behind."""
        if self._asking is not None:
            await end_all([self._asking])
