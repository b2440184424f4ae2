"""The probe of our own side."""

from __future__ import annotations

import asyncio
import time

from moalog_tui.adapters.loopback import self_probe
from tests.adapters.probing import within


async def test_our_own_side_is_well() -> None:
    with within(1):
        assert await self_probe(0.5)


async def test_a_loop_that_does_not_turn_is_not_well() -> None:
    probing = asyncio.create_task(self_probe(0.05))
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - the sick loop itself
    assert not await probing
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
