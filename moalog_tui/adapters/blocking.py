"""The only bridge to blocking clients: bounded daemon threads that quitting does not join (DESIGN, rule 3)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

SLOTS: Final = 48
"""Threads in all. A slot belongs to its thread until it ends, not until its caller's deadline."""


class StillRunning(Exception):
    """The target's previous call has not returned; starting another would pile threads up."""


class NoSlot(Exception):
    """Every slot is held by a thread that has not returned."""


class BlockingCalls:
    """Runs blocking calls on daemon threads, one at a time for each target."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._free = threading.Semaphore(slots)
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @property
    def held(self) -> frozenset[str]:
        """The targets whose thread has not ended."""
        with self._lock:
            return frozenset(self._held)

    async def run(self, target: str, call: Callable[[], T], deadline: float) -> T:
        """Run `call` on a thread and return its result within `deadline` seconds.

        Raises TimeoutError past the deadline (the thread keeps its slot until the call returns),
        StillRunning where the target's last call has not returned, NoSlot where all slots are taken,
        and whatever the call raises.
        """
        with self._lock:
            if target in self._held:
                raise StillRunning(f"previous call to {target} has not returned")
            if not self._free.acquire(blocking=False):
                raise NoSlot("all threads for outside calls are busy")
            self._held.add(target)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def body() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as caught:  # a thread has no caller: every error travels to the future
                error = caught
            finally:
                with self._lock:
                    self._held.discard(target)
                self._free.release()
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop is closed: we are quitting, nobody waits for this answer

        try:
            threading.Thread(target=body, daemon=True, name=f"call-{target}").start()
        except RuntimeError:
            with self._lock:
                self._held.discard(target)
            self._free.release()
            raise NoSlot("the system starts no more threads") from None
        # Not wait_for: on Python 3.11 it swallows a cancellation that meets the result.
        async with asyncio.timeout(deadline):
            return await future
