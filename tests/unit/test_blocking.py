"""Blocking calls on daemon threads: bounded in time and number, never joined."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from moalog_tui.adapters.blocking import BlockingCalls, NoSlot, StillRunning


async def _until_free(calls: BlockingCalls) -> None:
    async with asyncio.timeout(5):
        while calls.held:  # noqa: ASYNC110 - a thread's end has no event of the loop's
            await asyncio.sleep(0.005)


async def test_a_result_comes_back_from_a_daemon_thread() -> None:
    thread = await BlockingCalls().run("redis", threading.current_thread, 1)
    assert thread.daemon
    assert thread.name == "call-redis"


async def test_what_the_call_raises_is_raised() -> None:
    def call() -> None:
        raise LookupError("its own words")

    with pytest.raises(LookupError, match="its own words"):
        await BlockingCalls().run("redis", call, 1)


async def test_the_deadline_holds_and_the_thread_keeps_its_slot() -> None:
    calls, hangs = BlockingCalls(), threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await calls.run("redis", hangs.wait, 0.1)
    assert time.monotonic() - started < 0.2
    assert calls.held == {"redis"}
    with pytest.raises(StillRunning, match="redis has not returned"):
        await calls.run("redis", hangs.wait, 0.1)
    # Another target is not held up by it.
    assert await calls.run("mysql", lambda: 7, 1) == 7
    hangs.set()
    await _until_free(calls)
    assert await calls.run("redis", lambda: 8, 1) == 8


async def test_threads_are_bounded_in_number() -> None:
    calls, hangs = BlockingCalls(slots=3), threading.Event()
    running = [asyncio.create_task(calls.run(f"target-{number}", hangs.wait, 5)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(NoSlot):
        await calls.run("one more", hangs.wait, 5)
    hangs.set()
    assert await asyncio.gather(*running) == [True] * 3
    assert await calls.run("one more", lambda: 1, 5) == 1


async def test_a_call_that_ends_after_its_deadline_disturbs_nobody() -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    calls, hangs = BlockingCalls(), threading.Event()

    def call() -> None:
        hangs.wait()
        raise ValueError("too late")

    with pytest.raises(TimeoutError):
        await calls.run("redis", call, 0.02)
    hangs.set()
    await _until_free(calls)
    await asyncio.sleep(0.02)
    assert failures == []


async def test_cancelling_the_caller_leaves_the_slot_with_the_thread() -> None:
    calls, hangs = BlockingCalls(), threading.Event()
    task = asyncio.create_task(calls.run("redis", hangs.wait, 5))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls.held == {"redis"}
    hangs.set()
    await _until_free(calls)


async def test_the_loop_turns_while_a_call_blocks() -> None:
    calls, hangs = BlockingCalls(), threading.Event()
    task = asyncio.create_task(calls.run("redis", hangs.wait, 5))
    turns = 0
    ends_at = time.monotonic() + 0.1
    while time.monotonic() < ends_at:
        await asyncio.sleep(0.005)
        turns += 1
    hangs.set()
    await task
    assert turns > 5


async def test_a_thousand_calls_leave_no_thread() -> None:
    calls = BlockingCalls()
    before = threading.active_count()
    for _ in range(1000):
        await calls.run("redis", lambda: None, 1)
    await _until_free(calls)
    async with asyncio.timeout(5):
        while threading.active_count() > before:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


def test_the_process_ends_without_waiting_for_a_call() -> None:
    code = """
import asyncio, time
from moalog_tui.adapters.blocking import BlockingCalls
async def main():
    try:
        await BlockingCalls().run("redis", lambda: time.sleep(60), 0.05)
    except TimeoutError:
        print("gave up")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10, check=True)
    assert (done.stdout, done.stderr) == ("gave up\n", "")


def test_a_call_that_outlives_its_loop_says_nothing() -> None:
    code = """
import asyncio, threading
from moalog_tui.adapters.blocking import BlockingCalls
hangs = threading.Event()
async def main():
    try:
        await BlockingCalls().run("redis", hangs.wait, 0.05)
    except TimeoutError:
        pass
asyncio.run(main())
thread = next(one for one in threading.enumerate() if one.name == "call-redis")
hangs.set()
thread.join(5)
print(thread.is_alive())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
