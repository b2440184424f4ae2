"""Following logs over a real socket: lines, resuming, an engine that comes and goes, floods, stopping."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.platform.containers import Container, ContainerState, EngineError, ProjectHint
from moalog_tui.platform.logs import LogRing, RawLine, Stream
from tests.adapters.engine_server import RAW, Box, EngineServer, composed, engine_server, until

T0 = 1_790_000_000_000_000_001
HINT = ProjectHint(None, None, "moalog-server", ())


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    end = time.monotonic() + 2
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith("logs-")]:
        assert time.monotonic() < end, left


@asynccontextmanager
async def engine_on(server: EngineServer, timeout: float = 2.0) -> AsyncIterator[tuple[DockerEngine, Container]]:
    engine = DockerEngine(BlockingCalls(), server.environment, timeout)
    try:
        yield engine, (await engine.containers(HINT)).containers[0][1]
    finally:
        engine.close()


def texts(ring: LogRing) -> list[str]:
    return [line.text for _, line in ring.slice(0, ring.end)]


def lines(ring: LogRing) -> list[RawLine]:
    return [line for _, line in ring.slice(0, ring.end)]


def redis(**fields: Any) -> Box:
    log = [(T0, 1, b"one\n"), (T0 + 1, 2, b"two\n"), (T0 + 2, 1, b"three\n")]
    return composed("redis", "a" * 64, log=log, **fields)


async def test_the_last_lines_then_what_comes_until_the_container_stops() -> None:
    box = redis()
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            follower = engine.follow(container, ring, None, tail=2)
            assert follower.state in ("connecting", "following")
            await until(lambda: ring.end == 2)
            assert follower.state == "following"
            server.write(box, (T0 + 3, 1, b"four\n"))
            await until(lambda: ring.end == 3)
            box.inspect_state = {"Running": False}
            server.set_state(box, "exited", "Exited (0) 1 second ago")
            await until(lambda: follower.state == "ended")
            assert follower.join(1)
    assert lines(ring) == [
        RawLine(T0 + 1, Stream.STDERR, "two"),
        RawLine(T0 + 2, Stream.STDOUT, "three"),
        RawLine(T0 + 3, Stream.STDOUT, "four"),
    ]


async def test_from_a_time_on_exclusive_to_the_nanosecond() -> None:
    with engine_server(redis()) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            engine.follow(container, ring, T0 + 1)
            await until(lambda: ring.end)
            assert texts(ring) == ["three"]
            assert server.asked("/logs")[0]["since"] == "1790000000.000000003"


@pytest.mark.parametrize("told_by", ["inspect", "header"])
async def test_a_terminal(told_by: str) -> None:
    box = redis(tty=True)
    box.log = [(T0, 1, b"one\r\n"), (T0 + 1, 1, b"t\x1b[1mwo\r\n")]
    if told_by == "header":
        box.inspect = {"Config": {"Image": "i", "Tty": False}}
    with engine_server(box) as server:
        server.content_type = RAW if told_by == "header" else None
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            engine.follow(container, ring, None)
            await until(lambda: ring.end == 2)
    assert lines(ring) == [RawLine(T0, Stream.TTY, "one"), RawLine(T0 + 1, Stream.TTY, "t\x1b[1mwo")]


async def test_a_lost_connection_is_resumed_without_a_line_twice_and_marked() -> None:
    box = redis(cut_after=2)
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            engine.follow(container, ring, None)
            await until(lambda: "three" in texts(ring))
    one, two, gap, three = lines(ring)
    assert (one.text, two.text, three.text) == ("one", "two", "three")
    assert (gap.stream, gap.marker, gap.ts_ns) == (Stream.MARKER, "gap", T0 + 1)


async def test_an_engine_that_dies_and_returns_is_followed_again_by_itself() -> None:
    box = redis()
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            follower = engine.follow(container, ring, None)
            await until(lambda: ring.end == 3)
            server.vanish()
            await until(lambda: "not running" in follower.state)
            box.log.append((T0 + 3, 1, b"meanwhile\n"))
            server.start()
            await until(lambda: "meanwhile" in texts(ring))
            assert follower.state == "following"
            server.vanish()
            await until(lambda: "not running" in follower.state)
            began = time.monotonic()
            follower.stop()
            assert time.monotonic() - began < 0.1
            assert follower.join(0.5), "the wait before the next try is cut short"
    assert [line.marker for line in lines(ring)] == [None, None, None, "gap", None]


async def test_a_stream_that_ends_while_the_same_run_goes_on_is_no_end() -> None:
    box = redis()
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            follower = engine.follow(container, ring, None)
            await until(lambda: ring.end == 3)
            box.inspect_state = {"Status": "running", "Running": True}
            server.set_state(box, "exited", "")  # the server ends the stream, the inspection says that it runs
            await until(lambda: len(server.asked("/logs")) > 1)
            assert follower.state != "ended"
            box.inspect_state |= {"StartedAt": "2026-11-23T19:00:00Z"}
            await until(lambda: follower.state == "ended")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((501, "configured logging driver does not support reading"), "its logging driver keeps no log"),
        ((501, "not implemented"), "its logging driver keeps no log"),
        ((404, "No such container"), "the container aaaaaaaaaaaa no longer exists"),
    ],
)
async def test_no_log_to_read_is_told_and_not_tried_again(answer: tuple[int, str], expected: str) -> None:
    with engine_server(redis(logs_answer=answer)) as server:
        async with engine_on(server) as (engine, container):
            follower = engine.follow(container, LogRing(), None)
            assert follower.join(2)
            assert expected in follower.state
            assert len(server.asked("/logs")) == 1


async def test_long_lines_bad_bytes_and_a_megabyte() -> None:
    parts = [(T0, 1, b"x" * 16384) for _ in range(64)]
    box = redis()
    box.log = [*parts, (T0, 1, b"\n"), (T0 + 1, 1, b"a\xffb\n"), (T0 + 2, 1, b"y" * 16384), (T0 + 2, 1, b"z\n")]
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing()
            engine.follow(container, ring, None)
            await until(lambda: ring.end == 3)
    long, bad, joined = texts(ring)
    assert len(long) == 65536
    assert bad == "a\ufffdb"
    assert joined == "y" * 16384 + "z"


async def test_nothing_reaches_the_ring_after_stop_and_no_descriptor_is_left() -> None:
    box = redis()
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts descriptors
            for number in range(20):
                ring = LogRing()
                follower = engine.follow(container, ring, None)
                if number % 2:
                    await until(lambda ring=ring: ring.end == 3)  # type: ignore[misc]
                follower.stop()
                held = ring.end
                server.write(box, (T0 + 10 + number, 1, b"late\n"))
                assert follower.join(1)
                follower._append([RawLine(T0, Stream.STDOUT, "read before the stop, parsed after it")])
                assert ring.end == held
                box.log = box.log[:3]

            def all_closed() -> bool:
                server.write(box, (T0 + 99, 1, b"the server learns by writing who has gone\n"))
                return len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208

            await until(all_closed)


async def test_a_flood_is_read_in_batches_and_in_full() -> None:
    box = redis()
    box.log = []
    count = 20_000
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            ring = LogRing(keep_lines=count * 2)
            extended = 0

            class Counting(LogRing):
                def extend(self, batch: object) -> None:
                    nonlocal extended
                    extended += 1
                    ring.extend(batch)  # type: ignore[arg-type]

            follower = engine.follow(container, Counting(), None)
            await until(lambda: follower.state == "following")
            for start in range(0, count, 500):
                server.write(box, *((T0 + n, 1, b"%08d flood\n" % n) for n in range(start, start + 500)))
            await until(lambda: ring.end == count, 20)
    assert [line.ts_ns for line in lines(ring)] == [T0 + n for n in range(count)]
    assert extended < count / 20


async def test_a_stopped_container_shows_its_last_lines_and_ends() -> None:
    box = redis(state="exited", status="Exited (1) 5 minutes ago")
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            assert container.state is ContainerState.EXITED
            ring = LogRing()
            follower = engine.follow(container, ring, None)
            assert follower.join(2)
            assert follower.state == "ended"
            assert texts(ring) == ["one", "two", "three"]


async def test_reading_up_to_now_ends_and_tells_what_it_leaves_out() -> None:
    with engine_server(redis()) as server:
        async with engine_on(server) as (engine, container):
            assert [line.text for line in await engine.read_logs(container, None, 10)] == ["one", "two", "three"]
            assert [line.text for line in await engine.read_logs(container, T0 + 1, 10)] == ["two", "three"]
            cut = await engine.read_logs(container, None, 2)
            assert [line.text for line in cut[1:]] == ["two", "three"]
            assert (cut[0].marker, cut[0].stream) == ("drop", Stream.MARKER)
            assert cut[0].text == "earlier lines are left out; these are the last 2"
            assert await engine.read_logs(container, None, 0) == []


async def test_a_reading_that_breaks_off_is_lost_not_short() -> None:
    box = redis()
    box.cut_after = 1
    with engine_server(box) as server:
        async with engine_on(server) as (engine, container):
            with pytest.raises(EngineError, match="connection to the engine was lost"):
                await engine.read_logs(container, None, 10)


async def test_a_reading_that_is_cancelled_leaves_no_thread() -> None:
    with engine_server(redis()) as server:
        async with engine_on(server) as (engine, container):
            server.hang_on = {"/logs"}
            reading = asyncio.create_task(engine.read_logs(container, None, 10))
            await until(lambda: server.asked("/logs"))
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            server.hanging.set()
            await until(lambda: not [one for one in threading.enumerate() if one.name.startswith("call-docker logs")])
