"""The event stream over a real socket: filters, resuming, losing it, ending it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.adapters.docker_events import EventStream
from moalog_tui.adapters.docker_values import event_of
from moalog_tui.platform.containers import ContainerEvent, DockerHealth, EngineError
from tests.adapters.engine_server import Box, EngineServer, composed, engine_server, until

T0 = 1_790_000_000_000_000_001


@asynccontextmanager
async def events_of(
    server: EngineServer, names: tuple[str, ...] = (), since_ns: int | None = None
) -> AsyncIterator[AsyncGenerator[ContainerEvent, None]]:
    engine = DockerEngine(BlockingCalls(), server.environment, 2.0)
    stream = engine.events("moalog-server", names, since_ns)
    try:
        yield stream
    finally:
        await stream.aclose()
        engine.close()
        await until(lambda: not any(thread.name == "engine-events" for thread in threading.enumerate()), 1)


async def take(stream: AsyncGenerator[ContainerEvent, None], count: int) -> list[ContainerEvent]:
    return [await asyncio.wait_for(anext(stream), 5) for _ in range(count)]


async def test_events_of_the_project_filtered_at_the_server() -> None:
    redis, other = composed("redis", "a" * 64), composed("redis", "b" * 64, project="elsewhere")
    with engine_server(redis) as server:
        server.emit("start", redis, T0)
        server.emit("exec_create: redis-cli -a hunter2 ping", redis, T0 + 1)
        server.emit("start", other, T0 + 2)
        server.emit("die", redis, T0 + 3, exitCode="137", signal="9")
        server.emit("health_status: unhealthy", redis, T0 + 4)
        async with events_of(server, ("moalog-redis",), T0 - 1) as stream:
            first, died, health = await take(stream, 3)
            filters = json.loads(server.asked("/events")[0]["filters"])
    assert (first.action, first.at_ns, first.container_id, first.name, first.service) == (
        "start", T0, "a" * 64, "moalog-redis", "redis",
    )  # fmt: skip
    assert (died.exit_code, died.signal) == (137, "9")
    assert (health.action, health.health) == ("health_status", DockerHealth.UNHEALTHY)
    assert filters["type"] == ["container"]
    assert filters["label"] == ["com.docker.compose.project=moalog-server"]
    assert "container" not in filters
    assert {"start", "die", "oom", "health_status", "destroy"} <= set(filters["event"])
    assert not [one for one in filters["event"] if one.startswith("exec")]


async def test_by_container_names_where_no_container_carries_the_label() -> None:
    redis, other = Box("a" * 64, "moalog-redis"), Box("b" * 64, "unrelated")
    with engine_server(redis, other) as server:
        server.emit("start", other, T0)
        server.emit("start", redis, T0 + 1)
        async with events_of(server, ("moalog-redis", "moalog-mysql"), T0 - 1) as stream:
            (event,) = await take(stream, 1)
    assert (event.name, event.service) == ("moalog-redis", None)


async def test_resuming_is_exact_to_the_nanosecond() -> None:
    redis = composed("redis", "a" * 64)
    with engine_server(redis) as server:
        for number in range(3):
            server.emit("start", redis, T0 + number)
        async with events_of(server, (), T0) as stream:
            assert [event.at_ns for event in await take(stream, 2)] == [T0 + 1, T0 + 2]
        assert server.asked("/events")[0]["since"] == "1790000000.000000002"


async def test_without_a_since_only_what_comes() -> None:
    redis = composed("redis", "a" * 64)
    with engine_server(redis) as server:
        server.emit("start", redis, T0)
        async with events_of(server) as stream:
            coming = asyncio.ensure_future(anext(stream))
            await until(lambda: server.asked("/events"))
            await asyncio.sleep(0)
            server.emit("die", redis, T0 + 9, exitCode="0")
            assert (await asyncio.wait_for(coming, 5)).at_ns == T0 + 9


async def test_a_lost_stream_ends_with_an_error_after_its_last_event() -> None:
    redis = composed("redis", "a" * 64)
    with engine_server(redis) as server:
        server.emit("start", redis, T0)
        async with events_of(server, (), T0 - 1) as stream:
            await take(stream, 1)
            server.emit("die", redis, T0 + 1)
            await until(lambda: len(server.events) == 2)
            (event,) = await take(stream, 1)
            assert event.at_ns == T0 + 1
            server.vanish()
            with pytest.raises(EngineError, match="ended"):
                await take(stream, 1)
        server.start()
        server.emit("start", redis, T0 + 2)
        async with events_of(server, (), event.at_ns) as stream:
            assert [one.at_ns for one in await take(stream, 1)] == [T0 + 2]


async def test_no_engine_ends_it_at_once() -> None:
    with engine_server() as server:
        server.vanish()
        async with events_of(server) as stream:
            with pytest.raises(EngineError, match="not running"):
                await take(stream, 1)


async def test_a_hung_engine_ends_it_within_the_time_out() -> None:
    with engine_server() as server:
        server.hang_on = {"/events"}
        engine = DockerEngine(BlockingCalls(), server.environment, 0.3)
        began = time.monotonic()
        with pytest.raises(EngineError) as caught:
            await anext(engine.events("p", (), None))
        assert (caught.value.kind, time.monotonic() - began < 1) == ("timeout", True)
        engine.close()


async def test_what_waits_for_the_loop_is_bounded_and_an_overflow_is_told() -> None:
    redis = composed("redis", "a" * 64)
    with engine_server(redis) as server:
        engine = DockerEngine(BlockingCalls(), server.environment, 2.0)
        stream = EventStream("moalog-server", (), T0 - 1, 2.0, engine._fresh_client, engine._named, limit=10)
        for number in range(25):
            server.emit("start", redis, T0 + number)
        stream.start()
        await until(lambda: stream._error is not None)
        assert [(await stream.next()).at_ns - T0 for _ in range(10)] == list(range(10))
        with pytest.raises(EngineError, match="some are lost"):
            await stream.next()
        stream.stop()
        assert stream.join(1)
        engine.close()


async def test_cancelling_closes_it_immediately() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with events_of(server) as stream:
            coming = asyncio.ensure_future(anext(stream))
            await until(lambda: server.asked("/events"))
            began = time.monotonic()
            coming.cancel()
            with pytest.raises(asyncio.CancelledError):
                await coming
            assert time.monotonic() - began < 0.2
            await until(lambda: not any(one.name == "engine-events" for one in threading.enumerate()), 0.5)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Type": "network", "Action": "create"},
        {"Type": "container", "Action": "exec_start: redis-cli -a hunter2 ping", "Actor": {}},
    ],
)
def test_other_events_are_none(told: dict[str, object]) -> None:
    assert event_of(told) is None


def test_an_event_with_little_in_it() -> None:
    event = event_of({"Type": "container", "Action": "die", "time": 5, "Actor": {"Attributes": None}})
    assert event == ContainerEvent(5 * 10**9, "die", "", "", None)
