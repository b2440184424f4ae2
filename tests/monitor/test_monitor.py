"""Snapshots, one round, counters and metrics, and a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from moalog_tui.platform.containers import ContainerState, EngineError
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.judge import summary, verdict_line
from moalog_tui.platform.snapshot import Mute, ServiceStatus, Snapshot, Suggestion
from tests.monitor.world import EPOCH, World, collect, play, refused, wrong_password

DOWN, HEALTHY, UNKNOWN, DEGRADED = HealthState.DOWN, HealthState.HEALTHY, HealthState.UNKNOWN, HealthState.DEGRADED


def test_snapshots_begin_at_once_and_a_slow_reader_skips() -> None:
    async def scene(world: World) -> None:
        stream = world.monitor.snapshots()
        first = await anext(stream)
        assert first.sequence == 0
        world.run()
        await world.until(30.0)
        later = await anext(stream)
        assert later is world.monitor.latest
        assert later.sequence > 3

    play(scene)


def test_several_readers_see_the_same_picture() -> None:
    async def scene(world: World) -> None:
        world.run()
        both = await asyncio.gather(collect(world.monitor, 3), collect(world.monitor, 3))
        assert [one.sequence for one in both[0]] == [one.sequence for one in both[1]]

    play(scene)


def test_there_are_at_most_four_pictures_a_second() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        begin = world.monitor.latest.sequence
        for _ in range(50):
            world.monitor.check_now(None)
            await asyncio.sleep(0.1)
        assert 5 <= world.monitor.latest.sequence - begin <= 21

    play(scene)


def test_nothing_is_published_where_nothing_changed() -> None:
    async def scene(world: World) -> None:
        for name in ("redis", "rate-limiter", "mysql"):
            world.addresses[name] = None
        world.run()
        await world.until(31.0)
        first = world.monitor.latest
        await world.until(34.9)
        assert world.monitor.latest is first
        redis = world.monitor.latest.services[0]
        await world.until(41.0)
        # Only the time of the newest list moved.
        assert world.monitor.latest.sequence - first.sequence <= 4
        assert redis.checked_at != world.monitor.latest.services[0].checked_at

    play(scene)


def test_a_cancelled_monitor_leaves_no_task_even_with_every_source_hung() -> None:
    async def scene(world: World) -> None:
        async def never() -> ProbeResult:
            await asyncio.Event().wait()
            raise AssertionError

        world.listing_s = 1e6
        for name in ("redis", "rate-limiter", "mysql"):
            world.answers[name] = never
        world.run()
        world.monitor.watching(True)
        await world.until(3.0)
        begin = world.elapsed
        await world.stop()
        assert world.elapsed - begin < 0.1
        assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

    play(scene)


def test_a_loop_that_breaks_starts_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        def garbage(_statuses: Sequence[ServiceStatus]) -> tuple[Suggestion, ...]:
            raise ZeroDivisionError

        world.suggest = garbage
        world.run()
        await world.until(6.0)
        assert world.state("redis") is HEALTHY
        assert world.monitor.latest.suggestions == ()

    play(scene)
    assert "suggesting scenarios raised" in caplog.text


def test_suggestions_come_with_the_statuses_they_speak_of() -> None:
    async def scene(world: World) -> None:
        world.suggest = lambda statuses: tuple(
            Suggestion("2", "Redis Down", (one.detail,)) for one in statuses if one.state is DOWN
        )
        world.run()
        await world.until(6.5)
        world.die("redis", 137, oom=True)
        await world.until(8.0)
        assert world.monitor.latest.suggestions == (Suggestion("2", "Redis Down", ("exited 137, out of memory",)),)

    play(scene)


def test_counters_are_read_only_while_somebody_looks_and_four_at_a_time() -> None:
    async def scene(world: World) -> None:
        for index in range(8):
            one = world.containers["redis"]
            world.containers[f"more-{index}"] = type(one)(f"id-{index}", "x", "x", "p", "i", ContainerState.RUNNING)
        world.run()
        await world.until(6.5)
        assert world.sampled == []
        world.monitor.watching(True)
        await world.until(18.0)
        usage = world.status("redis").usage
        assert usage is not None
        assert usage.cpu_percent == pytest.approx(20.0)
        assert world.most_sampling == 4
        assert world.containers["otel-agent-init"].id not in {one for one, _ in world.sampled}
        world.monitor.watching(False)
        await world.until(20.0)
        count = len(world.sampled)
        await world.until(60.0)
        assert len(world.sampled) == count
        assert world.status("redis").usage is None

    play(scene)


@pytest.mark.parametrize("error", [EngineError("no such container"), IndexError("garbage")])
def test_counters_that_cannot_be_read_are_asked_less_and_less(error: Exception) -> None:
    async def scene(world: World) -> None:
        world.stats_error = error
        world.run()
        world.monitor.watching(True)
        await world.until(120.0)
        redis = [at for one, at in world.sampled if one.startswith("redis")]
        assert 4 <= len(redis) <= 6
        assert world.status("redis").usage is None
        assert world.state("redis") is HEALTHY
        world.stats_error = None
        await world.until(260.0)
        assert world.status("redis").usage is not None

    play(scene)


def test_metrics_are_read_steadily_and_their_loss_is_told() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(1.0)
        assert world.monitor.latest.metrics[0].value == 42.0
        await world.until(60.0)
        assert len(world.metrics_asked) in (6, 7)
        world.metrics_error = RuntimeError("garbage")
        await world.until(75.0)
        reading = world.monitor.latest.metrics[0]
        assert (reading.value, reading.why) == (None, "cannot be read: RuntimeError")
        await world.until(300.0)
        assert len(world.metrics_asked) <= 14
        world.addresses["mysql"] = None
        await world.until(380.0)
        assert world.monitor.latest.metrics[0].why == "no Prometheus in reach"

    play(scene)


def test_muted_services_stay_out_of_the_verdict_until_their_time_is_over() -> None:
    async def scene(world: World) -> None:
        world.run()
        await world.until(6.5)
        world.die("mysql", 1)
        await world.until(8.0)
        assert verdict_line(world.monitor.latest)[0] is HEALTHY
        assert summary(world.monitor.latest.services)["muted"] == 1
        await world.until(70.0)
        assert verdict_line(world.monitor.latest)[0] is DOWN

    play(scene, mutes=(Mute("mysql", "migration", EPOCH + timedelta(seconds=60)),))


# ------------------------------------------------------------------ one round


def one_round(world: World) -> asyncio.Task[Snapshot]:
    return asyncio.create_task(world.monitor.one_round())


def test_one_round_of_a_healthy_platform() -> None:
    async def scene(world: World) -> None:
        snapshot = await world.monitor.one_round()
        assert [one.name for one in snapshot.services if one.failing] == []
        assert snapshot.complete
        assert len(world.probed) == 3
        assert world.elapsed < 0.2
        assert len(world.listed) == 1
        assert verdict_line(snapshot) == (HEALTHY, "all 5 healthy")

    play(scene)


def test_one_round_asks_only_what_failed_again_and_not_what_does_not_run() -> None:
    async def scene(world: World) -> None:
        world.answers["mysql"] = refused()
        world.set("redis", state=ContainerState.EXITED, exit_code=137, oom_killed=True)
        world.answers["redis"] = refused()
        snapshot = await world.monitor.one_round()
        assert world.asked("mysql") == [0.0, 1.0]
        assert world.asked("redis") == [0.0]
        assert world.asked("rate-limiter") == [0.0]
        found = {one.name: (one.state, one.reason, one.root_causes) for one in snapshot.services if one.failing}
        assert found == {
            "redis": (DOWN, Reason.OOM_KILLED, ()),
            "rate-limiter": (DEGRADED, Reason.DEPENDENCY, ("redis",)),
            "mysql": (DOWN, Reason.REFUSED, ()),
        }

    play(scene)


def test_one_round_sees_a_container_die_between_its_two_looks() -> None:
    async def scene(world: World) -> None:
        world.answers["mysql"] = refused()
        running = one_round(world)
        await asyncio.sleep(0.1)
        world.set("mysql", state=ContainerState.EXITED, exit_code=1)
        snapshot = await running
        status = snapshot.status("mysql")
        assert status is not None
        assert status.detail == "exited 1"

    play(scene)


@pytest.mark.parametrize("deadline", [0.3, 2.0, 5.0])
@pytest.mark.parametrize("engine_s", [0.01, 1.0, 1e6])
def test_one_round_ends_in_time_whatever_hangs(deadline: float, engine_s: float) -> None:
    async def scene(world: World) -> None:
        async def silent() -> ProbeResult:
            await asyncio.sleep(deadline)
            return ProbeResult(Outcome.FAIL, world.now(), reason=Reason.TIMEOUT, detail="no answer")

        async def never() -> ProbeResult:
            await asyncio.Event().wait()
            raise AssertionError

        world.listing_s = engine_s
        world.answers["mysql"] = silent
        world.answers["redis"] = never
        snapshot = await world.monitor.one_round()
        assert world.elapsed <= 2 * deadline + 1.5
        assert snapshot.complete
        states = {one.name: one.state for one in snapshot.services}
        assert states["redis"] is UNKNOWN
        assert states["mysql"] is (DOWN if engine_s < deadline else UNKNOWN)
        assert states["rate-limiter"] is HEALTHY

    play(scene, deadline=deadline)


def test_one_round_without_an_engine_calls_nothing_down() -> None:
    async def scene(world: World) -> None:
        world.connected = False
        world.answers["mysql"] = refused()
        snapshot = await world.monitor.one_round()
        assert {one.name: one.state for one in snapshot.services if one.failing} == {
            "mysql": UNKNOWN, "promtail": UNKNOWN, "otel-agent-init": UNKNOWN,
        }  # fmt: skip
        assert verdict_line(snapshot)[1].startswith("Docker does not answer")

    play(scene)


def test_one_round_with_a_wrong_password_and_a_crash_loop() -> None:
    async def scene(world: World) -> None:
        world.answers["redis"] = wrong_password()
        world.answers["mysql"] = refused()
        world.set("mysql", restart_count=4, started_at=world.now() - timedelta(seconds=2))
        snapshot = await world.monitor.one_round()
        found = {one.name: (one.state, one.reason, one.detail) for one in snapshot.services if one.failing}
        assert found == {
            "redis": (UNKNOWN, Reason.AUTH, "alive, credential wrong"),
            "mysql": (DOWN, Reason.RESTARTING, "restarted 4 times, last exit unknown (history since 19:00:00Z)"),
        }

    play(scene)


def test_rounds_can_follow_each_other_and_a_run() -> None:
    async def scene(world: World) -> None:
        world.answers["mysql"] = refused()
        assert {one.name for one in (await world.monitor.one_round()).services if one.failing} == {"mysql"}
        world.answers.clear()
        assert [one.name for one in (await world.monitor.one_round()).services if one.failing] == []
        world.run()
        await asyncio.sleep(6.0)
        assert world.state("mysql") is HEALTHY

    play(scene)


def test_a_cancelled_round_leaves_no_task() -> None:
    async def scene(world: World) -> None:
        world.listing_s = 1e6
        running = one_round(world)
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    play(scene)
