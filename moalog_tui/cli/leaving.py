"""How a command ends: by itself, by ctrl+c, or by a signal; always with its exit code and never late."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, NoReturn

LEAVE_WITHIN_S: Final = 1.0
"""After a signal a command has so long to leave in good order."""

_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def leave_on_signals() -> None:
    """SIGTERM exits with 143, SIGHUP with 129; what runs outside this process goes on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def run(command: Coroutine[Any, Any, int]) -> int:
    """Run a command and return its exit code, or the one of the signal that ended it.

    The first signal cancels it, so that it gives back what it holds; a second one, or a second later, ends it at
    once, even in the middle of one long computation.
    """
    return asyncio.run(_ending(command))


async def _ending(command: Coroutine[Any, Any, int]) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    codes: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        if codes:
            raise SystemExit(codes[0])
        codes.append(_CODES[signal.Signals(number)])
        signal.signal(signal.SIGALRM, lambda _number, _frame: _exit(codes[0]))
        signal.setitimer(signal.ITIMER_REAL, LEAVE_WITHIN_S)
        loop.call_soon_threadsafe(task.cancel)

    # Not the loop's own handlers: they would run only when the loop is free.
    before: dict[signal.Signals, Callable[..., Any] | int | None] = {
        number: signal.signal(number, leave) for number in _CODES
    }
    try:
        return await command
    except asyncio.CancelledError:
        if not codes:
            raise
        return codes[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _exit(code: int) -> NoReturn:
    raise SystemExit(code)
