"""The engine's adapter on the lab: containers, counters, events, logs, restarts, and an engine that dies."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable

import pytest
import pytest_asyncio

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerState,
    DockerHealth,
    EngineError,
    ProjectHint,
    usage_between,
)
from moalog_tui.platform.logs import LogRing
from tests.adapters.engine_server import until
from tests.lab import faults
from tests.lab.harness import Lab

pytestmark = pytest.mark.lab
QUICK = "redis-exporter"
"""A service that stops and starts fast and that nothing needs."""


@pytest_asyncio.fixture
async def engine(lab: Lab) -> AsyncIterator[DockerEngine]:
    one = DockerEngine(BlockingCalls(), lab.environment())
    yield one
    one.close()


async def listed(engine: DockerEngine) -> dict[str, Container]:
    hint = ProjectHint(None, None, "moalog-server", ())
    return dict((await engine.containers(hint)).containers)


def open_things() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - counts descriptors


def is_ordered(wanted: Iterable[str], found: list[str]) -> bool:
    rest = iter(found)
    return all(one in rest for one in wanted)


async def test_the_platform_as_the_engine_tells_it(lab: Lab, engine: DockerEngine) -> None:
    status = await engine.status()
    assert (status.connected, status.remote) == (True, False)
    assert status.endpoint == f"{lab.docker_host} (DOCKER_HOST)"
    found = await listed(engine)
    assert set(found) == set(lab.services())
    redis = found["redis"]
    assert (redis.name, redis.project, redis.state) == ("moalog-redis", "moalog-server", ContainerState.RUNNING)
    assert (6379, int(lab.settings()["REDIS_PORT"])) in [(port.container_port, port.host_port) for port in redis.ports]
    assert redis.health is DockerHealth.HEALTHY
    done = found["otel-agent-init"]
    assert (done.state, done.exit_code) == (ContainerState.EXITED, 0)
    assert done.finished_at is not None
    password = lab.settings()["REDIS_PASSWORD"]
    assert password not in repr(found)


async def test_counters_become_usage(engine: DockerEngine) -> None:
    found = await listed(engine)
    first = await engine.stats(found["prometheus"].id)
    second = await engine.stats(found["prometheus"].id)
    assert first is not None
    assert second is not None
    usage = usage_between(first, second)
    assert usage.cpu_percent is not None
    assert 0 <= usage.cpu_percent < 400
    assert 1 << 20 < usage.memory_bytes < usage.memory_limit
    assert await engine.stats(found["otel-agent-init"].id) is None


async def test_restarts_are_seen_as_events_and_leave_nothing_behind(engine: DockerEngine) -> None:
    target = (await listed(engine))[QUICK]
    seen: list[ContainerEvent] = []

    async def watch() -> None:
        async for event in engine.events("moalog-server", (), None):
            seen.append(event)

    watching = asyncio.create_task(watch())
    ring = LogRing()
    follower = engine.follow(target, ring, None)
    await until(lambda: follower.state == "following", 5)
    await engine.restart(target.id, 2)
    await until(lambda: any(event.action == "restart" for event in seen), 5)
    assert is_ordered(["die", "stop", "start", "restart"], [one.action for one in seen if one.service == QUICK])
    assert not [event for event in seen if event.action.startswith("exec")]
    await until(lambda: follower.state == "ended", 5)
    before = open_things()
    for _ in range(100):
        await engine.restart(target.id, 2)
        await engine.status()
    await until(lambda: open_things() <= before, 5)
    assert (await listed(engine))[QUICK].id == target.id
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_flood_is_followed_in_full(lab: Lab, engine: DockerEngine) -> None:
    faults.flood(lab, "promtail", "2000")
    ring = LogRing()
    follower = engine.follow((await listed(engine))["promtail"], ring, None)
    await until(lambda: ring.end > 6000, 20)
    follower.stop()
    times = [line.ts_ns for _, line in ring.slice(0, ring.end)]
    assert times == sorted(times)
    assert max(later - sooner for sooner, later in itertools.pairwise(times[500:])) < 10**9


@pytest.mark.parametrize("survive", [True, False], ids=["live-restore", "plain"])
async def test_an_engine_that_is_killed_and_returns(lab: Lab, engine: DockerEngine, survive: bool) -> None:
    await asyncio.to_thread(lab.engine.start, live_restore=survive)
    before = await listed(engine)
    ring = LogRing()
    follower = engine.follow(before["moalog-server"], ring, None)
    events = engine.events("moalog-server", (), None)

    async def watch() -> None:
        async for _ in events:
            pass

    watching = asyncio.create_task(watch())
    await until(lambda: follower.state == "following", 5)
    await asyncio.to_thread(lab.engine.kill)
    with pytest.raises(EngineError):
        await asyncio.wait_for(watching, 5)
    status = await engine.status()
    assert (status.connected, status.kind) in ((False, "refused"), (False, "absent"))
    with pytest.raises(EngineError):
        await engine.containers(ProjectHint(None, None, "moalog-server", ()))
    await asyncio.to_thread(lab.engine.start)
    began = time.monotonic()
    after = await listed(engine)
    assert time.monotonic() - began < 5
    running = [name for name, container in after.items() if container.state is ContainerState.RUNNING]
    assert len(running) == (19 if survive else 0)
    await until(lambda: follower.state == ("following" if survive else "ended"), 5)
    await asyncio.to_thread(lab.engine.start, live_restore=False)
