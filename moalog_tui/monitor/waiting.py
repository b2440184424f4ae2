"""Waiting with a bound, and ending what still waits, without ever losing a cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

END_S: Final = 0.1
ENDS: Final = 4
"""A task that is still there after so many cancellations of so many seconds each is left to itself."""


async def within(seconds: float, awaited: Awaitable[T]) -> T:
    """Await within so many seconds, or raise TimeoutError.

    Not `asyncio.wait_for`: before Python 3.12 it loses a cancellation that comes together with the result, and a
    loop that waits so for an event then never ends.
    """
    async with asyncio.timeout(seconds):
        return await awaited


async def woken(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it came within so many seconds."""
    try:
        await within(seconds, event.wait())
    except TimeoutError:
        return False
    return True


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end. A client inside one may swallow a cancellation: then again."""
    left = {task for task in tasks if not task.done()}
    for _ in range(ENDS):
        if not left:
            return
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=END_S)
    for task in left:
        log.error("the task %r does not end", task.get_name())
