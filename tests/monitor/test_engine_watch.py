"""The daemon's coming and going, its events, starts and crash loops, as the picture shows them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from moalog_tui.platform.containers import ContainerState, DockerHealth, EngineError, OperatorAct
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.judge import verdict_line
from tests.monitor.world import World, play, refused

DOWN, HEALTHY, UNKNOWN, STARTING = HealthState.DOWN, HealthState.HEALTHY, HealthState.UNKNOWN, HealthState.STARTING


def test_an_event_leads_to_a_fresh_list_at_once() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.die("redis", 1)
        await world.until(7.5)
        assert (world.state("redis"), world.status("redis").detail) == (DOWN, "exited 1")
        assert world.containers["redis"].id in world.forgotten
        assert [event.action for event in world.monitor.latest.events] == ["die"]

    play(scene)


def test_a_flood_of_events_leads_to_two_lists_a_second_at_most() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        before = len(world.listed)
        for _ in range(400):
            world.tell("redis", "health_status", health=DockerHealth.HEALTHY)
            await asyncio.sleep(0.01)
        assert len(world.listed) - before <= 9
        assert len(world.monitor.latest.events) == 200

    play(scene)


def test_a_started_service_passes_through_starting_to_healthy() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.tell("mysql", "kill", signal="15")
        world.die("mysql", 0)
        await world.until(9.0)
        assert world.state("mysql") is DOWN
        world.begin("mysql")
        await world.until(10.0)
        assert (world.state("mysql"), world.status("mysql").reason) == (STARTING, Reason.STARTING_UP)
        assert world.status("mysql").detail.startswith("up ")
        await world.until(30.0)
        assert world.state("mysql") is STARTING
        world.answers.clear()
        await world.until(36.0)
        assert world.state("mysql") is HEALTHY

    play(scene)


def test_a_service_that_does_not_come_up_within_its_window_is_down() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.die("redis", 0)
        world.begin("redis")
        await world.until(20.0)
        assert world.state("redis") is STARTING
        await world.until(23.0)
        assert (world.state("redis"), world.status("redis").reason) == (DOWN, Reason.REFUSED)

    play(scene)


def test_an_answer_of_the_last_run_says_nothing_about_this_one() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.answers["mysql"] = refused()
        world.begin("mysql")  # restarted within one interval: the last answer was a pass
        seen = set()
        while world.elapsed < 12.0:
            await asyncio.sleep(0.05)
            seen.add(world.state("mysql"))
        assert seen == {HEALTHY, STARTING}
        assert world.state("mysql") is STARTING

    play(scene)


def test_an_answer_that_was_under_way_when_the_container_restarted_counts_for_nothing() -> None:
    async def scene(world: World) -> None:
        async def late() -> ProbeResult:
            world.answers["mysql"] = refused()
            await asyncio.sleep(1.8)
            return ProbeResult(Outcome.PASS, world.now(), latency_ms=1.0, answered=True)

        world.run()
        await world.until(6.5)
        world.answers["mysql"] = late
        world.monitor.check_now("mysql")
        await world.until(6.8)
        world.begin("mysql")
        await world.until(8.0)
        assert world.state("mysql") is STARTING
        seen = set()
        while world.elapsed < 12.0:
            await asyncio.sleep(0.05)
            seen.add(world.state("mysql"))
        assert seen == {STARTING}

    play(scene)


@pytest.mark.parametrize("away_s", [3.0, 45.0])
def test_the_daemon_dies_and_comes_back_and_nothing_was_ever_called_down(away_s: float) -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.kill_engine()
        down: set[str] = set()

        async def look(until: float) -> None:
            while world.elapsed < until:
                await asyncio.sleep(0.05)
                down.update(one.name for one in world.monitor.latest.services if one.state is DOWN)

        await look(6.5 + away_s)
        latest = world.monitor.latest
        assert not latest.engine.connected
        assert latest.engine.last_seen is not None
        assert {one.state for one in latest.services if one.name in ("promtail", "otel-agent-init")} == {UNKNOWN}
        if away_s > 20:
            assert {one.reason for one in latest.services} == {Reason.MONITOR}
            assert "container last seen " in world.status("promtail").detail
            assert world.status("promtail").stale_s is not None
            assert verdict_line(latest)[0] is UNKNOWN
        back = world.elapsed
        world.revive_engine()
        await look(back + 5.0)
        assert {one.name: one.state for one in world.monitor.latest.services if one.failing} == {}
        assert {one.stale_s for one in world.monitor.latest.services} == {None}
        checked = [one.checked_at for one in world.monitor.latest.services]
        assert all(at is not None and at > world.now() - timedelta(seconds=5) for at in checked)
        assert down == set()

    play(scene)


def test_the_daemon_comes_back_and_the_containers_died_with_it() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.kill_engine()
        await world.until(30.0)
        for name in ("redis", "rate-limiter", "mysql", "promtail"):
            world.set(name, state=ContainerState.EXITED, exit_code=0, finished_at=world.now())
        world.connected = True
        await world.until(35.0)
        assert {world.state(name) for name in ("redis", "rate-limiter", "mysql", "promtail")} == {DOWN}
        assert world.status("mysql").detail == "exited 0"
        assert all(one.id in world.forgotten for one in world.containers.values())

    play(scene)


def test_a_passing_probe_keeps_its_verdict_while_the_daemon_is_away() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.kill_engine()
        world.answers.clear()  # these ports are no proxies of the daemon
        await world.until(40.0)
        assert world.state("redis") is HEALTHY
        assert any(note.startswith("container last seen") for note in world.status("redis").notes)

    play(scene)


def test_without_a_daemon_from_the_start_it_keeps_trying() -> None:
    async def scene(world: World) -> None:
        world.connected = False
        world.answers["mysql"] = refused()
        world.run()
        await world.until(20.0)
        assert world.state("mysql") is UNKNOWN
        assert world.state("redis") is HEALTHY
        assert world.monitor.latest.engine.error == "Docker does not answer."
        assert len(world.since) == 0
        world.revive_engine()
        await world.until(25.0)
        assert world.state("promtail") is HEALTHY
        assert world.monitor.latest.engine.connected

    play(scene)


def test_a_busy_daemon_may_miss_one_deadline() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.engine_error = EngineError("Docker did not answer within 3 s.", "timeout")
        lists = len(world.listed)
        world.monitor.check_now("redis")
        await world.when(lambda: len(world.listed) > lists)
        await asyncio.sleep(0.05)
        world.engine_error = None
        seen = set()
        for _ in range(40):
            await asyncio.sleep(0.05)
            seen.add(world.state("promtail"))
        assert seen == {HEALTHY}
        world.engine_error = EngineError("Docker did not answer within 3 s.", "timeout")
        world.monitor.check_now("redis")
        await asyncio.sleep(2.0)
        assert world.state("promtail") is UNKNOWN
        world.engine_error = None
        await asyncio.sleep(2.0)
        assert world.state("promtail") is HEALTHY

    play(scene)


def test_a_lost_stream_is_taken_up_again_with_a_full_list() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.tell("redis", "health_status", health=DockerHealth.HEALTHY)
        last = int(world.now().timestamp() * 1e9)
        await world.until(7.5)
        lists, streams = len(world.listed), len(world.since)
        world.streams[0].put_nowait(None)
        await world.until(8.6)
        assert len(world.since) == streams + 1
        assert world.since[-1] == last + 1
        assert len(world.listed) > lists
        assert world.containers["mysql"].id in world.forgotten
        assert world.monitor.latest.engine.connected

    play(scene)


def test_a_daemon_without_events_is_still_watched(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        world.events_error = TypeError("garbage")
        world.run()
        await world.until(30.0)
        # Tried again at most once a second, and the lists stay at their own cadence.
        assert 25 <= len(world.since) <= 33
        assert len(world.listed) <= 9
        world.die("redis", 1)
        await world.until(36.0)
        assert world.state("redis") is DOWN

    play(scene)
    assert "the event stream raised" in caplog.text


def test_a_list_that_raises_garbage_makes_the_containers_unknown(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.engine_error = AttributeError("State")
        await world.until(13.0)
        assert world.state("promtail") is UNKNOWN
        assert world.monitor.latest.engine.error == "The containers cannot be read: AttributeError."
        world.engine_error = None
        await world.until(15.0)
        assert world.state("promtail") is HEALTHY

    play(scene)
    assert "listing the containers raised" in caplog.text


def test_a_crash_loop_is_counted_from_the_events() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        for _ in range(2):
            world.die("redis", 3)
            await asyncio.sleep(1.0)
            world.begin("redis", by_policy=True)
            await asyncio.sleep(1.0)
        await asyncio.sleep(1.0)
        redis = world.status("redis")
        assert (redis.state, redis.reason) == (DOWN, Reason.RESTARTING)
        assert redis.detail == "restarted 2 times in 15 s, last exit 3"
        assert redis.starts_in_window == 2

    play(scene)


def test_three_starts_in_ten_minutes_are_a_crash_loop_though_it_answers_in_between() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        for _ in range(3):
            world.die("redis", 1)
            await asyncio.sleep(1.0)
            world.answers.clear()
            world.begin("redis", by_policy=True)
            await asyncio.sleep(99.0)
        redis = world.status("redis")
        assert (redis.state, redis.detail) == (DOWN, "restarted 3 times in 10 min, last exit 1")
        # It has answered for longer than twice what the others lasted: no red row any more, but told.
        await asyncio.sleep(150.0)
        redis = world.status("redis")
        assert (redis.state, redis.reason) == (HealthState.DEGRADED, Reason.FLAPPING)
        await asyncio.sleep(500.0)
        assert world.state("redis") is HEALTHY

    play(scene)


def test_restarts_by_an_operator_are_no_crash_loop() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        for _ in range(4):
            for action in ("kill", "die", "stop"):
                world.tell("redis", action)
            world.begin("redis")
            world.tell("redis", "restart")
            await asyncio.sleep(2.0)
        await asyncio.sleep(3.0)
        assert world.state("redis") is HEALTHY
        assert world.status("redis").starts_in_window == 0

    play(scene)


def test_a_stop_of_our_own_is_told_with_its_operator() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.die("redis", 0)
        await world.until(8.0)
        assert world.status("redis").reason is Reason.EXITED
        world.acts.append(OperatorAct("redis", world.containers["redis"].id, "stop", world.now(), "alice"))
        await world.until(250.0)
        redis = world.status("redis")
        assert (redis.reason, redis.detail) == (Reason.STOPPED, "stopped by alice, 4 min ago")
        assert world.status("rate-limiter").root_causes == ("redis",)

    play(scene)


def test_a_recreated_container_is_followed_by_its_new_id() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.tell("redis", "destroy")
        world.set("redis", id="redis-new", created_at=world.now(), started_at=world.now())
        world.tell("redis", "create")
        world.tell("redis", "start")
        await world.until(8.0)
        redis = world.status("redis").container
        assert redis is not None
        assert redis.id == "redis-new"
        assert world.state("redis") is HEALTHY
        del world.containers["redis"]
        world.monitor.check_now(None)
        await world.until(9.0)
        assert (world.state("redis"), world.status("redis").reason) == (DOWN, Reason.NOT_CREATED)

    play(scene)


def test_a_paused_container_goes_on_without_a_red_moment() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.set("redis", state=ContainerState.PAUSED)
        world.tell("redis", "pause")
        world.answers["redis"] = refused()
        await world.until(20.0)
        assert (world.state("redis"), world.status("redis").reason) == (DOWN, Reason.PAUSED)
        world.answers.clear()
        world.set("redis", state=ContainerState.RUNNING)
        world.tell("redis", "unpause")
        reasons = set()
        while world.elapsed < 25.0:
            await asyncio.sleep(0.05)
            reasons.add(world.status("redis").reason)
        assert reasons <= {Reason.PAUSED, Reason.MONITOR, None}
        assert world.state("redis") is HEALTHY

    play(scene)
