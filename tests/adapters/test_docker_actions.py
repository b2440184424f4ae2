"""What is asked of one container: its counters, and to start, stop and restart."""

from __future__ import annotations

import asyncio
import time

import pytest

from moalog_tui.platform.containers import EngineError
from tests.adapters.engine_server import ZERO_TIME, Box, composed, engine_on, engine_server

STATS_V1 = {
    "read": "2026-11-23T18:44:14Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 500, "percpu_usage": [1, 2, 3]}, "system_cpu_usage": 9000},
    "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"total_inactive_file": 300, "inactive_file": 1}},
}
STATS_V2 = {
    "read": "2026-11-23T18:44:14Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 500}, "system_cpu_usage": 9000, "online_cpus": 8},
    "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 100}},
}


async def test_stats_of_both_cgroup_versions_and_of_a_stopped_container() -> None:
    boxes = [Box(name * 64, name) for name in "abcd"]
    boxes[0].stats, boxes[1].stats = STATS_V1, STATS_V2
    boxes[2].stats = {"read": ZERO_TIME, "cpu_stats": {}, "memory_stats": {}}
    boxes[3].stats = STATS_V2 | {"memory_stats": {"usage": 50, "stats": {"inactive_file": 100}}}
    with engine_server(*boxes) as server:
        async with engine_on(server) as engine:
            first, second, stopped, odd = await asyncio.gather(*(engine.stats(box.id) for box in boxes))
            assert await engine.stats("f" * 64) is None, "gone"
            assert {params.get("one-shot") for params in server.asked("stats")} == {"True"}
    assert first is not None
    assert second is not None
    assert odd is not None
    assert (first.memory_bytes, first.online_cpus, first.cpu_total_ns, first.system_cpu_ns) == (700, 3, 500, 9000)
    assert (second.memory_bytes, second.online_cpus, second.memory_limit) == (900, 8, 4000)
    assert (odd.memory_bytes, odd.memory_limit) == (50, 0)
    assert stopped is None


async def test_an_engine_before_one_shot_stats_is_not_asked_for_them() -> None:
    box = Box("a" * 64, "a", stats=STATS_V1)
    with engine_server(box) as server:
        server.api_version = "1.40"
        async with engine_on(server) as engine:
            assert await engine.stats(box.id) is not None
            assert "one-shot" not in server.asked("stats")[0]


async def test_actions_are_asked_once_with_their_time_out() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            await engine.start("a" * 64)
            await engine.stop("a" * 64, 7.2)
            await engine.restart("a" * 64, 10)
            posts = [(path.split("/")[-1], params) for method, path, params in server.requests if method == "POST"]
    assert posts == [("start", {}), ("stop", {"t": "8"}), ("restart", {"t": "10"})]


async def test_an_action_is_never_repeated_when_the_connection_drops() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        server.drop_on = {"restart": 1}
        async with engine_on(server) as engine:
            with pytest.raises(EngineError, match="whether it was done is not known"):
                await engine.restart("a" * 64, 10)
            assert len(server.asked("restart")) == 1


async def test_what_the_engine_refuses_is_told_in_its_words() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        server.act_answer = (500, "driver failed: port is already allocated")
        async with engine_on(server) as engine:
            with pytest.raises(EngineError, match="start of aaaaaaaaaaaa: the engine answered 500: driver failed"):
                await engine.start("a" * 64)
            with pytest.raises(EngineError, match="no longer exists"):
                await engine.stop("b" * 64, 1)


async def test_an_action_has_a_deadline_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moalog_tui.adapters.docker.ACT_MARGIN_S", 0.4)
    with engine_server(composed("redis", "a" * 64)) as server:
        server.hang_on = {"/stop"}
        async with engine_on(server) as engine:
            began = time.monotonic()
            with pytest.raises(EngineError, match="it may be under way") as caught:
                await engine.stop("a" * 64, 0)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 2
