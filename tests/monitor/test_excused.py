"""A failure that was put down to a dependency says nothing once that dependency is back."""

from __future__ import annotations

import asyncio

import pytest

from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from tests.monitor.world import EPOCH, World, play

HEALTHY, DEGRADED = HealthState.HEALTHY, HealthState.DEGRADED
DOWN, UNKNOWN = HealthState.DOWN, HealthState.UNKNOWN


@pytest.mark.parametrize("recovers", [True, False], ids=["recovers", "stays-ill"])
def test_a_complaint_from_before_its_dependency_returned_calls_nothing_down(recovers: bool) -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.die("redis", 0)
        complaint = ProbeResult(Outcome.FAIL, EPOCH, reason=Reason.BODY, detail="status DOWN", answered=True)
        world.answers["rate-limiter"] = complaint
        await world.until(22.0)
        assert world.state("rate-limiter") is DEGRADED
        del world.answers["redis"]
        if recovers:
            del world.answers["rate-limiter"]
        world.begin("redis")
        back: float | None = None
        states: list[HealthState] = []
        while world.elapsed < 27.0:
            await asyncio.sleep(0.05)
            if back is None and world.state("redis") is HEALTHY:
                back = world.elapsed
            if states[-1:] != [world.state("rate-limiter")]:
                states.append(world.state("rate-limiter"))
        assert back is not None
        # It is asked as soon as that is seen, long before its next round, and again before it is called down.
        asked = world.asked("rate-limiter", since=back - 0.1)
        assert asked[0] < back + 0.3
        if recovers:
            assert states in ([DEGRADED, UNKNOWN, HEALTHY], [DEGRADED, HEALTHY])
        else:
            assert states == [DEGRADED, UNKNOWN, DOWN]
            assert asked[1] - asked[0] >= 1.0

    play(scene)
