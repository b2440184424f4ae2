"""One run of a plan, from preview to verdict, on a stage with a clock of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.operations.running import run_plan
from moalog_tui.platform.containers import ContainerState, EngineError
from moalog_tui.runbook.plan import Plan, Tier, Verb
from tests.operations.builders import INIT, REDIS, box
from tests.operations.stage import Stage

EXITED = ContainerState.EXITED


async def run(stage: Stage, plan: Plan) -> list[OperationEvent]:
    async with asyncio.timeout(20):
        return [event async for event in run_plan(plan, stage.executors(), "op-1")]


def verdict(events: list[OperationEvent]) -> tuple[VerdictKind | None, str]:
    assert [event.kind for event in events].count(EventKind.VERDICT) == 1
    assert events[-1].kind is EventKind.VERDICT
    return events[-1].verdict, events[-1].text


async def test_a_restart_recovers_and_reports_each_step() -> None:
    stage = Stage()
    plan = stage.plan()
    events = await run(stage, plan)
    assert verdict(events) == (VerdictKind.RECOVERED, "redis recovered after 4 s: healthy")
    kinds = [event.kind for event in events if event.kind is not EventKind.WAIT]
    assert kinds == [
        EventKind.PREVIEW,
        EventKind.START,
        EventKind.END,
        EventKind.START,
        EventKind.END,
        EventKind.VERDICT,
    ]
    assert events[0].text == plan.will
    assert stage.asked == [f"restart {plan.container_id} 10"]
    assert stage.hurries == [True, False]
    waits = [event for event in events if event.kind is EventKind.WAIT]
    assert {event.expected_s for event in waits} == {(0.0, 15)}
    assert any("connection refused" in event.text for event in waits)
    assert [event.elapsed_s for event in events] == sorted(event.elapsed_s for event in events)
    assert {event.operation for event in events} == {"op-1"}
    assert events[-1].exit_code == 0


async def test_a_late_recovery_is_told_as_late() -> None:
    events = await run(stage := Stage(boot_s=20), stage.plan())
    kind, text = verdict(events)
    assert kind is VerdictKind.RECOVERED_LATE
    assert text == "redis recovered after 21 s, later than the documented 15 s: healthy"
    assert any(event.text.startswith("later than the documented 15 s: ") for event in events)


async def test_what_never_answers_has_not_recovered() -> None:
    events = await run(stage := Stage(boot_s=10_000), stage.plan())
    assert verdict(events) == (VerdictKind.NOT_RECOVERED, "redis, after 75 s: starting: connection refused")
    assert events[-1].exit_code == 1


async def test_a_crash_after_the_start_is_told_at_once() -> None:
    def crash(stage: Stage) -> None:
        if stage.at > 3 and stage.container is not None:
            stage.container = replace(stage.container, state=EXITED, exit_code=1, restart_policy="no")

    events = await run(stage := Stage(on_tick=crash), stage.plan())
    assert verdict(events) == (
        VerdictKind.NOT_RECOVERED,
        "redis, after 2 s: it ended again, exit code 1: connection refused",
    )


async def test_a_stop_is_verified() -> None:
    events = await run(stage := Stage(), stage.plan(Verb.STOP))
    assert verdict(events) == (VerdictKind.STOPPED, "redis is stopped: exited, exit code 0")


async def test_a_stop_that_does_not_hold_is_told() -> None:
    stage = Stage()
    plan = stage.plan(Verb.STOP)

    async def stop_in_vain(container_id: str, timeout_s: float) -> None:
        await asyncio.sleep(0)

    executors = replace(stage.executors(), stop=stop_in_vain)
    events = [event async for event in run_plan(plan, executors)]
    assert verdict(events) == (VerdictKind.NOT_RECOVERED, "redis, after 70 s: running")


async def test_a_start_of_a_one_shot_ends_when_it_ended_well() -> None:
    def end(stage: Stage) -> None:
        if stage.at > 4 and stage.container is not None:
            stage.container = replace(stage.container, state=EXITED, exit_code=0)

    stage = Stage(INIT, container=box(INIT, EXITED, exit_code=0), on_tick=end)
    assert verdict(await run(stage, stage.plan(Verb.START)))[0] is VerdictKind.RECOVERED


async def test_a_plan_of_a_recreated_container_is_refused() -> None:
    stage = Stage()
    plan = stage.plan()
    stage.container = box(REDIS, id="fedcba9876543210")
    kind, text = verdict(await run(stage, plan))
    assert kind is VerdictKind.REFUSED
    assert "was recreated since the preview (redis-012345, now fedcba987654)" in text
    assert stage.asked == []
    stage.container = box(REDIS)
    stage.container = None
    assert "is gone since the preview" in verdict(await run(stage, plan))[1]


async def test_what_was_confirmed_as_a_start_interrupts_nothing_that_runs_by_now() -> None:
    stage = Stage(container=box(REDIS, EXITED, exit_code=1))
    plan = stage.plan()
    assert plan.tier is Tier.SAFE
    stage.run(-60)
    kind, text = verdict(await run(stage, plan))
    assert (kind, stage.asked) == (VerdictKind.REFUSED, [])
    assert "redis runs since the preview" in text
    stage.container = box(REDIS, EXITED, exit_code=1)
    assert verdict(await run(stage, plan))[0] is VerdictKind.RECOVERED


async def test_a_container_recreated_while_waiting_cannot_be_told() -> None:
    def recreate(stage: Stage) -> None:
        if stage.at > 3:
            stage.container = box(REDIS, id="fedcba9876543210")

    kind, text = verdict(await run(stage := Stage(on_tick=recreate), stage.plan()))
    assert kind is VerdictKind.CANNOT_TELL
    assert "somebody recreated it meanwhile" in text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("permission", VerdictKind.NOT_RECOVERED),
        ("other", VerdictKind.NOT_RECOVERED),
        ("absent", VerdictKind.CANNOT_TELL),
        ("refused", VerdictKind.CANNOT_TELL),
    ],
)
async def test_an_engine_that_refuses_gives_its_reason(kind: str, expected: VerdictKind) -> None:
    stage = Stage(refusal=EngineError("no such container", kind))
    assert verdict(await run(stage, stage.plan())) == (expected, "no such container")
    assert stage.hurries == [True, False]


async def test_a_call_that_timed_out_may_have_been_carried_out() -> None:
    def late(stage: Stage) -> None:
        if 5 < stage.at < 5.3:
            stage.run(stage.at)

    events = await run(
        stage := Stage(refusal=EngineError("no answer; it may be under way", "timeout"), on_tick=late), stage.plan()
    )
    assert verdict(events)[0] is VerdictKind.RECOVERED
    assert [event.text for event in events if event.kind is EventKind.OUTPUT] == ["no answer; it may be under way"]


async def test_an_engine_lost_while_waiting_cannot_be_told() -> None:
    def lose(stage: Stage) -> None:
        if stage.at > 2:
            stage.engine = replace(stage.engine, connected=False, error="no daemon at /x")

    events = await run(stage := Stage(on_tick=lose), stage.plan())
    assert verdict(events) == (VerdictKind.CANNOT_TELL, "redis, after 75 s: no daemon at /x")
    assert events[-1].exit_code == 3


async def test_an_unexpected_error_still_ends_with_a_verdict() -> None:
    async def broken(container_id: str, timeout_s: float) -> None:
        raise RuntimeError("no")

    stage = Stage()
    events = [event async for event in run_plan(stage.plan(), replace(stage.executors(), restart=broken))]
    assert verdict(events) == (VerdictKind.CANNOT_TELL, "unexpected: RuntimeError: no")


async def test_an_engine_that_never_answers_ends_after_its_deadline() -> None:
    stage = Stage()
    forever = asyncio.Event()

    async def hang(container_id: str, timeout_s: float) -> None:
        await forever.wait()

    ticks = iter(range(0, 10_000, 5))
    executors = replace(stage.executors(), restart=hang, monotonic=lambda: float(next(ticks)), report_s=0.001)
    events = [event async for event in run_plan(stage.plan(), executors)]
    kind, text = verdict(events)
    assert kind is VerdictKind.CANNOT_TELL
    assert "may be under way" in text
    forever.set()
    await asyncio.sleep(0)


async def cancelled_run(stage: Stage, until: EventKind, executors_change: dict[str, object]) -> list[OperationEvent]:
    """Run a plan in a task and cancel it at the first event of a kind; it must end cancelled, with a verdict."""
    seen: list[OperationEvent] = []
    reached = asyncio.Event()

    async def consume() -> None:
        async for event in run_plan(stage.plan(), replace(stage.executors(), **executors_change)):  # type: ignore[arg-type]
            seen.append(event)
            if event.kind is until:
                reached.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(20):
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert stage.hurries == [True, False]
    return seen


async def test_cancelling_while_the_engine_works_is_an_unknown_outcome_and_the_call_ends_by_itself() -> None:
    stage = Stage()
    go, done = asyncio.Event(), asyncio.Event()

    async def slow(container_id: str, timeout_s: float) -> None:
        await go.wait()
        done.set()

    events = await cancelled_run(stage, EventKind.START, {"restart": slow})
    kind, text = verdict(events)
    assert kind is VerdictKind.CANCELLED
    assert "unknown outcome" in text
    assert events[-1].exit_code == 130
    go.set()
    await asyncio.wait_for(done.wait(), 5)


async def test_cancelling_while_waiting_says_what_was_done() -> None:
    stage = Stage(boot_s=10_000)

    async def calm(seconds: float) -> None:
        stage.at += 0.01
        await asyncio.sleep(0.001)

    events = await cancelled_run(stage, EventKind.WAIT, {"sleep": calm, "report_s": 0.05})
    kind, text = verdict(events)
    assert kind is VerdictKind.CANCELLED
    assert "the engine has done the restart of redis" in text


async def test_leaving_the_iteration_early_stops_the_waiting() -> None:
    stage = Stage(boot_s=10_000)
    events = run_plan(stage.plan(), stage.executors())
    async for event in events:
        if event.kind is EventKind.WAIT:
            break
    await events.aclose()
    assert stage.hurries == [True, False]
