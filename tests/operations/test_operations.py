"""Operations: read-only enforced where they start, one at a time, recorded when the engine has done it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.operations.operations import Operations, operator_name
from moalog_tui.operations.record import ActsRecord
from moalog_tui.operations.running import Executors
from moalog_tui.operations.single_flight import SingleFlight
from moalog_tui.platform.containers import EngineError
from moalog_tui.runbook.plan import Plan, Verb
from tests.operations.builders import later
from tests.operations.stage import Stage


def operations(folder: Path, executors: Executors, *, read_only: bool = False) -> Operations:
    flight, record = SingleFlight([folder], "moalog-server"), ActsRecord([folder])
    return Operations(executors, flight, record, by="alice", read_only=read_only)


async def run(mine: Operations, plan: Plan) -> list[OperationEvent]:
    async with asyncio.timeout(20):
        return [event async for event in mine.start(plan)]


async def test_an_operation_runs_is_recorded_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stage = Stage()
    mine = operations(tmp_path, stage.executors())
    events = await run(mine, plan := stage.plan())
    assert events[-1].verdict is VerdictKind.RECOVERED
    assert mine.running() == ()
    (act,) = mine.acts()
    assert (act.service, act.container_id, act.verb, act.by) == ("redis", plan.container_id, "restart", "alice")
    assert act.at == later(1)
    assert {event.operation for event in events} == {events[0].operation}
    assert (await run(mine, plan))[-1].verdict is VerdictKind.RECOVERED


async def test_read_only_is_enforced_where_operations_start(tmp_path: Path) -> None:
    stage = Stage()
    mine = operations(tmp_path, stage.executors(), read_only=True)
    (event,) = await run(mine, stage.plan())
    assert (event.kind, event.verdict, event.exit_code) == (EventKind.VERDICT, VerdictKind.REFUSED, 4)
    assert "Read-only" in event.text
    assert stage.asked == []
    assert mine.acts() == ()


async def test_a_second_request_is_told_what_runs(tmp_path: Path) -> None:
    stage = Stage()
    mine = operations(tmp_path, stage.executors())
    others = operations(tmp_path, stage.executors())
    plan = stage.plan()
    async for event in mine.start(plan):
        if event.kind is EventKind.START:
            assert [one.sentence for one in mine.running()] == ["restart of redis by alice since 12:00:00Z"]
            for second in (mine, others):
                (refusal,) = await run(second, stage.plan(Verb.STOP))
                assert refusal.verdict is VerdictKind.REFUSED
                assert "restart of redis by alice since 12:00:00Z still runs" in refusal.text
    assert stage.asked == [f"restart {plan.container_id} 10"]
    assert (await run(others, stage.plan(Verb.STOP)))[-1].verdict is VerdictKind.STOPPED


async def test_who_was_started_with_another_project_name_is_kept_out_too(tmp_path: Path) -> None:
    stage = Stage()
    mine = operations(tmp_path, stage.executors())
    others = Operations(stage.executors(), SingleFlight([tmp_path], "prod"), ActsRecord([tmp_path]), by="bob")
    async for event in mine.start(stage.plan()):
        if event.kind is EventKind.START:
            (refusal,) = await run(others, stage.plan(Verb.STOP))
            assert refusal.verdict is VerdictKind.REFUSED


async def test_a_failed_action_is_not_recorded(tmp_path: Path) -> None:
    stage = Stage(refusal=EngineError("no", "other"))
    mine = operations(tmp_path, stage.executors())
    assert (await run(mine, stage.plan(Verb.STOP)))[-1].verdict is VerdictKind.NOT_RECOVERED
    assert mine.acts() == ()
    assert mine.running() == ()


async def test_a_cancelled_operation_holds_the_service_until_the_engine_has_ended(tmp_path: Path) -> None:
    stage = Stage()
    go = asyncio.Event()

    async def slow(container_id: str, timeout_s: float) -> None:
        await go.wait()

    mine = operations(tmp_path, replace(stage.executors(), stop=slow))
    others = operations(tmp_path, stage.executors())
    plan = stage.plan(Verb.STOP)
    seen: list[OperationEvent] = []
    waits = asyncio.Event()

    async def consume() -> None:
        async for event in mine.start(plan):
            seen.append(event)
            if event.kind is EventKind.WAIT:
                waits.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(20):
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen[-1].verdict is VerdictKind.CANCELLED
        assert len(mine.running()) == 1
        assert (await run(others, plan))[-1].verdict is VerdictKind.REFUSED
        go.set()
        # The engine's call wakes, ends, and tells those who wait for it: a handful of turns of the loop.
        for _ in range(10):
            await asyncio.sleep(0)
        assert mine.running() == ()
    assert [act.verb for act in mine.acts()] == ["stop"]
    assert (await run(others, stage.plan(Verb.STOP)))[-1].verdict is VerdictKind.STOPPED


async def test_what_cannot_be_locked_or_recorded_is_said_and_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    stage = Stage()
    mine = operations(blocked / "x", stage.executors())
    events = await run(mine, stage.plan())
    assert events[-1].verdict is VerdictKind.RECOVERED
    said = [event.text for event in events if event.kind is EventKind.OUTPUT]
    assert any("inside this program only" in text for text in said)
    assert any("memory only" in text for text in said)
    assert [act.verb for act in mine.acts()] == ["restart"]


async def test_operations_on_two_services_run_beside_each_other(tmp_path: Path) -> None:
    first, second = Stage(), Stage(service=replace(Stage().service, name="mysql"))
    folder = tmp_path / "state"
    one, other = operations(folder, first.executors()), operations(folder, second.executors())
    both = await asyncio.gather(run(one, first.plan()), run(other, second.plan()))
    assert [events[-1].verdict for events in both] == [VerdictKind.RECOVERED, VerdictKind.RECOVERED]
    assert [act.service for act in one.acts()] == [act.service for act in other.acts()]
    assert {act.service for act in one.acts()} == {"redis", "mysql"}


def test_the_operator_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert operator_name()
