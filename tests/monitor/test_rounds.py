"""Cadence, second tries, throttling, our own side: what is asked when, and what counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from moalog_tui.monitor.own_side import OwnSide
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.services import ProbeKind, ProbeSpec
from tests.monitor.world import EPOCH, REDIS, VirtualLoop, World, play, refused, wrong_password

DOWN, HEALTHY, UNKNOWN, DEGRADED = HealthState.DOWN, HealthState.HEALTHY, HealthState.UNKNOWN, HealthState.DEGRADED


def test_the_first_picture_is_there_before_any_answer() -> None:
    async def scene(world: World) -> None:
        latest = world.monitor.latest
        assert [status.name for status in latest.services][:2] == ["redis", "rate-limiter"]
        assert {status.state for status in latest.services} == {UNKNOWN}
        assert not latest.complete

    play(scene)


def test_the_first_round_comes_at_once_and_all_is_well() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(0.6)
        assert {one.name: one.state for one in world.monitor.latest.services if one.failing} == {}
        assert world.monitor.latest.complete
        assert world.status("redis").latency_ms == 3.0
        assert world.status("promtail").detail == "container state only"

    play(scene)


def test_the_cadence_is_steady_and_jittered() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(60.0)
        times = world.asked("redis")
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) in (12, 13)
        assert all(4.0 <= gap <= 6.0 for gap in gaps)
        assert len(set(gaps)) > 1
        assert times != world.asked("mysql")

    play(scene)


def test_no_two_probes_of_a_service_are_ever_in_flight() -> None:
    async def scene(world: World) -> None:
        world.run()
        world.probe_s = 1.9
        world.answers["mysql"] = refused()
        for _ in range(40):
            world.monitor.check_now(None)
            world.monitor.hurry("redis", True)
            await asyncio.sleep(0.4)
        assert world.most_in_flight == 1
        assert len(world.asked("redis")) > 5

    play(scene)


def test_a_failure_is_asked_again_a_second_later_before_anything_is_down() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.answers["mysql"] = refused()
        seen: list[tuple[float, HealthState]] = []
        while world.elapsed < 14.0:
            await asyncio.sleep(0.1)
            seen.append((world.elapsed, world.state("mysql")))
        first, second = world.asked("mysql", 7.0)[:2]
        assert second - first == pytest.approx(1.0, abs=0.11)
        assert all(state is HEALTHY for at, state in seen if at < second)
        assert seen[-1][1] is DOWN
        assert world.status("mysql").reason is Reason.REFUSED
        down_at = next(at for at, state in seen if state is DOWN)
        assert down_at - second < 0.5

    play(scene)


def test_one_lost_answer_alone_changes_nothing() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.answers["mysql"] = refused()
        await world.when(lambda: bool(world.asked("mysql", 7.0)))
        await asyncio.sleep(0.3)
        world.answers.clear()
        await asyncio.sleep(4.0)
        assert world.state("mysql") is HEALTHY
        assert [one.outcome for one in world.status("mysql").history].count(Outcome.FAIL) == 1
        assert world.status("mysql").since == world.status("redis").since

    play(scene)


def test_a_service_that_stays_down_is_not_asked_twice_a_round() -> None:
    async def scene(world: World) -> None:
        world.answers["mysql"] = refused()
        world.run()
        await world.until(60.0)
        assert len(world.asked("mysql", 10.0)) in (10, 11)

    play(scene)


def test_a_container_that_does_not_run_needs_no_second_try() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.die("mysql", 137, oom=True)
        await world.until(9.0)
        assert world.state("mysql") is DOWN
        assert world.status("mysql").detail == "exited 137, out of memory"
        await world.until(30.0)
        times = world.asked("mysql", 7.0)
        assert all(later - earlier > 3.0 for earlier, later in pairwise(times))

    play(scene)


@pytest.mark.parametrize("listing_s", [0.01, 1.8])
def test_the_containers_truth_is_asked_before_a_refused_port_is_believed(listing_s: float) -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.listing_s = listing_s
        # The container dies, but the engine's event never comes.
        world.set("mysql", exit_code=137, oom_killed=True, finished_at=world.now())
        world.containers["mysql"] = replace(
            world.containers["mysql"], state=type(world.containers["mysql"].state).EXITED
        )
        world.answers["mysql"] = refused()
        reasons = set()
        while world.elapsed < 15.0:
            await asyncio.sleep(0.05)
            reasons.add(world.status("mysql").reason)
        assert reasons == {None, Reason.OOM_KILLED}
        assert world.containers["mysql"].id in world.forgotten

    play(scene)


def test_a_refused_credential_is_tried_once_a_minute_until_it_changes() -> None:
    async def scene(world: World) -> None:
        world.answers["redis"] = wrong_password()
        world.credentials["redis"] = "old"
        world.run()
        await world.until(150.0)
        assert world.state("redis") is UNKNOWN
        assert world.status("redis").reason is Reason.AUTH
        assert world.status("redis").stale_s is None
        assert len(world.asked("redis")) == 3
        world.credentials["redis"] = "new"
        world.answers.clear()
        await world.until(156.0)
        assert world.state("redis") is HEALTHY
        assert world.asked("redis", 150.0)[0] <= 155.0

    play(scene)


def test_pressing_c_tries_a_refused_credential_at_once() -> None:
    async def scene(world: World) -> None:
        world.answers["redis"] = wrong_password()
        world.run()
        await world.until(10.0)
        assert len(world.asked("redis")) == 1
        world.monitor.check_now("redis")
        await world.until(10.2)
        assert len(world.asked("redis")) == 2
        await world.until(40.0)
        assert len(world.asked("redis")) == 2

    play(scene)


def test_a_credential_that_locks_accounts_is_never_tried_again_by_itself() -> None:
    locked = replace(REDIS, probe=ProbeSpec(ProbeKind.REDIS, locks_accounts=True))

    async def scene(world: World) -> None:
        world.answers["redis"] = wrong_password()
        world.run()
        await world.until(600.0)
        assert len(world.asked("redis")) == 1
        assert world.status("redis").stale_s is None
        world.begin("redis")
        await world.until(620.0)
        assert len(world.asked("redis")) == 1
        world.monitor.check_now("redis")
        await world.until(620.2)
        assert len(world.asked("redis")) == 2

    play(scene, services=(locked,))


def test_check_now_asks_one_or_all_at_once() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.monitor.check_now("redis")
        await world.until(7.2)
        assert world.asked("redis", 7.0) == [7.0]
        assert world.asked("mysql", 7.0) == []
        world.monitor.check_now(None)
        await world.until(7.4)
        assert world.asked("mysql", 7.0) == [7.2]

    play(scene)


def test_the_target_of_an_operation_is_asked_each_second() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.monitor.hurry("redis", True)
        await world.until(17.05)
        assert len(world.asked("redis", 7.0)) in (10, 11)
        world.monitor.hurry("redis", False)
        await world.until(37.0)
        assert len(world.asked("redis", 18.0)) in (3, 4, 5)

    play(scene)


def test_a_stopped_process_turns_nothing_down() -> None:
    async def scene(world: World) -> None:
        async def slow() -> ProbeResult:
            # A client whose own time-out has passed by the time it runs again.
            began = world.elapsed
            await asyncio.sleep(1.0)
            if world.elapsed - began > 2.0:
                return ProbeResult(Outcome.FAIL, world.now(), reason=Reason.TIMEOUT, detail="no answer within 2 s")
            return ProbeResult(Outcome.PASS, world.now(), latency_ms=900.0)

        world.run()
        await world.until(7.0)
        for name in ("redis", "rate-limiter", "mysql"):
            world.answers[name] = slow
        states: set[tuple[str, HealthState]] = set()
        for _ in range(5):
            world.monitor.check_now(None)
            await asyncio.sleep(0.2)
            cast(VirtualLoop, world.loop).jump(20.0)
            for _ in range(60):
                await asyncio.sleep(0.1)
                states |= {(one.name, one.state) for one in world.monitor.latest.services}
        assert {state for _, state in states} == {HEALTHY}
        failed = [one for one in world.status("redis").history if one.outcome is Outcome.FAIL]
        assert failed == []

    play(scene)


def test_a_stop_counts_before_the_tick_that_would_have_measured_it() -> None:
    async def scene(world: World) -> None:
        own_side = OwnSide(world.monitor._sources.self_probe, world.loop.time)
        watching = asyncio.create_task(own_side.watch())
        await asyncio.sleep(1.0)
        begin = world.loop.time()
        assert await own_side.ill(begin, failed=False) is None
        cast(VirtualLoop, world.loop).jump(20.0)
        # Nothing has run since: this is the first to look.
        assert "our own loop stood still for" in (await own_side.ill(begin, failed=False) or "")
        await asyncio.sleep(1.0)
        assert own_side.lag_since(begin) is not None
        assert own_side.lag_since(world.loop.time()) is None
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    play(scene)


def test_an_answer_through_a_lagging_loop_counts_for_nothing() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        before = len(world.status("redis").history)
        world.probe_s = 0.3
        world.monitor.check_now("redis")
        await asyncio.sleep(0.1)
        cast(VirtualLoop, world.loop).jump(0.8)
        await asyncio.sleep(0.35)
        assert "stood still for" in (world.monitor.latest.self_check or "")
        assert len(world.status("redis").history) == before
        await asyncio.sleep(1.5)
        # It was asked again soon, and that counts.
        assert len(world.status("redis").history) == before + 1
        assert world.monitor.latest.self_check is None

    play(scene)


@pytest.mark.parametrize("loopback", [False, OSError("no sockets left")])
def test_failures_while_our_loopback_is_ill_count_for_nothing(loopback: bool | Exception) -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.loopback = loopback
        for name in ("redis", "rate-limiter", "mysql"):
            world.answers[name] = refused()
        await world.until(30.0)
        assert world.state("redis") is HEALTHY
        assert world.status("redis").stale_s is not None
        assert world.monitor.latest.self_check == "our own loopback does not answer: that round counts for nothing"
        world.loopback = True
        await world.until(36.0)
        assert world.state("redis") is DOWN
        assert world.monitor.latest.self_check is None

    play(scene)


def test_the_loopback_is_asked_once_for_all_that_fail_together() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        assert world.self_probes == 0
        for name in ("redis", "rate-limiter", "mysql"):
            world.answers[name] = refused()
        world.monitor.check_now(None)
        await world.until(7.5)
        assert world.self_probes == 1

    play(scene)


def test_what_was_never_answered_for_our_own_fault_is_unknown() -> None:
    async def scene(world: World) -> None:
        world.loopback = False
        world.answers["mysql"] = refused()
        world.run()
        await world.until(10.0)
        assert (world.state("mysql"), world.status("mysql").reason) == (UNKNOWN, Reason.MONITOR)
        assert "our own loopback" in world.status("mysql").detail

    play(scene)


@pytest.mark.parametrize("error", [ValueError("garbage"), KeyError(1), RuntimeError(), OSError(24, "no files")])
def test_a_probe_that_raises_is_our_fault_and_backs_off(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        world.answers["mysql"] = error
        world.run()
        await world.until(100.0)
        assert (world.state("mysql"), world.status("mysql").reason) == (UNKNOWN, Reason.MONITOR)
        assert world.state("redis") is HEALTHY
        assert 3 <= len(world.asked("mysql")) <= 6
        world.answers.clear()
        await world.until(170.0)
        assert world.state("mysql") is HEALTHY
        assert len(world.asked("mysql", 140.0)) >= 5

    play(scene)
    assert "the probe of mysql raised" in caplog.text


def test_a_probe_that_never_ends_is_cut_and_is_our_fault() -> None:
    async def scene(world: World) -> None:
        async def never() -> ProbeResult:
            await asyncio.Event().wait()
            raise AssertionError

        world.answers["mysql"] = never
        world.run()
        await world.until(5.0)
        assert (world.state("mysql"), world.status("mysql").reason) == (UNKNOWN, Reason.MONITOR)
        assert world.status("mysql").detail == "its check did not end within 2.5 s"

    play(scene)


def test_a_probe_with_no_answer_grows_stale_and_says_how_old_it_is() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.loopback = False
        world.answers["mysql"] = refused()
        await world.when(lambda: world.status("mysql").stale_s is not None)
        counted = world.status("mysql").checked_at
        assert counted is not None
        assert (world.now() - counted).total_seconds() == pytest.approx(11.0, abs=1.2)
        assert world.status("mysql").stale_s == pytest.approx(10.5, abs=0.6)
        assert world.status("redis").stale_s is None

    play(scene)


def test_what_publishes_no_port_is_judged_by_its_container() -> None:
    async def scene(world: World) -> None:
        world.addresses["mysql"] = None
        world.run()
        await world.until(6.0)
        assert world.asked("mysql") == []
        assert (world.state("mysql"), world.status("mysql").probe) == (HEALTHY, Outcome.NONE)
        assert world.status("mysql").detail == "not reachable from here: container state only"

    play(scene)


def test_a_limiter_that_reports_itself_down_without_redis_is_degraded_by_it() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        world.die("redis", 0)
        world.answers["rate-limiter"] = ProbeResult(
            Outcome.FAIL, EPOCH, reason=Reason.BODY, detail="503, status DOWN", answered=True
        )
        states = set()
        while world.elapsed < 20.0:
            await asyncio.sleep(0.1)
            states.add(world.state("rate-limiter"))
        assert states == {HEALTHY, DEGRADED}
        limiter = world.status("rate-limiter")
        assert (limiter.reason, limiter.detail) == (Reason.DEPENDENCY, "redis: fails open")
        assert limiter.root_causes == ("redis",)
        assert world.status("redis").dependants == ("rate-limiter",)

    play(scene)


def test_a_service_that_flaps_by_itself_is_told() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        for _ in range(2):
            world.answers["mysql"] = refused()
            await asyncio.sleep(12.0)
            assert world.state("mysql") is DOWN
            world.answers.clear()
            await asyncio.sleep(12.0)
        assert (world.state("mysql"), world.status("mysql").reason) == (DEGRADED, Reason.FLAPPING)
        assert world.status("mysql").detail == "its verdict changed 4 times in 10 min"
        assert world.state("redis") is HEALTHY
        await asyncio.sleep(600.0)
        assert world.state("mysql") is HEALTHY

    play(scene)


def test_what_operators_do_is_no_flapping() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(7.0)
        for _ in range(4):
            world.tell("redis", "kill", signal="15")
            world.die("redis", 0)
            world.tell("redis", "stop")
            await asyncio.sleep(10.0)
            assert world.state("redis") is DOWN
            world.answers.clear()
            world.begin("redis")
            await asyncio.sleep(10.0)
        assert world.state("redis") is HEALTHY
        assert world.status("redis").starts_in_window == 0

    play(scene)
