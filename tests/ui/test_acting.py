"""Acting: a preview that cannot be answered by accident, one operation at a time, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.runbook.plan import Verb
from moalog_tui.ui.app import MoalogApp
from moalog_tui.ui.screens.preview import ActMenu, Preview
from tests.ui import feeds
from tests.ui.driving import burst, drawn, screen, told, until


async def armed(pilot: Pilot[Any], app: MoalogApp) -> Preview:
    """Wait until the preview counts keys, and until it was quiet for long enough."""
    await until(pilot, lambda: isinstance(app.screen, Preview))
    preview = app.screen
    assert isinstance(preview, Preview)
    await until(pilot, lambda: preview.ready)
    # A yes counts after this much silence only.
    await pilot.pause(0.4)
    return preview


async def test_keys_of_the_same_burst_confirm_nothing() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "r", "y", "y", "enter")
        await pilot.pause(0.1)
        assert isinstance(app.screen, Preview)
        assert bench.ran == []
        text = drawn(app.screen.query_one("#box"))
        assert "not ready" in text or "ready" in text


async def test_the_preview_says_ready_and_y_runs() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench, size=(80, 24)) as (app, pilot):
        await pilot.press("j", "r")
        preview = await armed(pilot, app)
        text = drawn(preview.query_one("#box"))
        assert "ready" in text
        assert "restart rate-limiter, container 726174652d6c" in text
        assert "as you would type it: docker restart --time 10 moalog-rate-limiter" in text
        assert "y  yes, restart" in text
        assert "n  cancel" in text
        await pilot.press("y")
        await until(pilot, lambda: len(bench.ran) == 1)
        assert bench.ran[0].service.name == "rate-limiter"
        assert "restarting rate-limiter: 0 s of ≤ 15 s" in told(app)


async def test_a_repeated_key_and_pasted_text_confirm_nothing() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "r")
        preview = await armed(pilot, app)
        burst(app, "yyy")
        await pilot.pause(0.3)
        assert app.screen is preview
        app.screen.post_message(events.Paste("y\n"))
        await pilot.pause(0.3)
        assert app.screen is preview
        assert "pasted text decides nothing" in drawn(preview.query_one("#box"))
        assert bench.ran == []


async def test_enter_presses_cancel_for_what_disrupts_and_yes_for_what_is_safe() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "r")
        await armed(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert bench.ran == []
        await pilot.press("k", "x", "s")
        await armed(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: len(bench.ran) == 1)
        assert bench.ran[0].verb is Verb.START


async def test_the_dialog_is_bound_to_the_service_at_key_press() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "r")
        preview = await armed(pilot, app)
        await bench.feed.put(feeds.redis_down())
        await until(pilot, lambda: app.overview.services.statuses["redis"].failing)
        assert app.overview.services.order.rows[0][0] == "moalog-server"
        assert preview.plan.service.name == "rate-limiter"
        await pilot.press("y")
        await until(pilot, lambda: bool(bench.ran))
        assert bench.ran[0].service.name == "rate-limiter"


async def test_a_second_restart_is_told_what_runs_and_the_verdict_is_shown() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        plan = bench.plan(Verb.RESTART, "redis", feeds.redis_down())
        assert not isinstance(plan, str)
        app.start(plan)
        await until(pilot, lambda: len(bench.ran) == 1)
        await pilot.press("r")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert "one at a time" in told(app)
        app.start(plan)
        await pilot.pause()
        assert len(bench.ran) == 1
        waiting = OperationEvent("op", plan, EventKind.WAIT, feeds.NOW, text="it starts", expected_s=(0.0, 15.0))
        await bench.events.put(waiting)
        await until(pilot, lambda: "it starts" in told(app))
        assert "Under way: restart of redis." in app.operations_sentence()
        await bench.events.put(bench.verdict(plan))
        await until(pilot, lambda: "restart of redis: recovered" in told(app))
        assert app.operations_sentence() == ""
        await bench.events.put(None)


async def test_two_services_are_worked_on_at_the_same_time() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        for name in ("redis", "mysql"):
            plan = bench.plan(Verb.RESTART, name, feeds.redis_down())
            assert not isinstance(plan, str)
            app.start(plan)
        await until(pilot, lambda: len(bench.ran) == 2)
        text = told(app)
        assert "restarting redis" in text
        assert "restarting mysql" in text


async def test_an_operation_without_a_verdict_is_an_unknown_outcome() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        plan = bench.plan(Verb.STOP, "redis", feeds.redis_down())
        assert not isinstance(plan, str)
        app.start(plan)
        await bench.events.put(None)
        await until(pilot, lambda: "outcome is unknown" in told(app))


async def test_read_only_refuses_with_the_way_out() -> None:
    bench = feeds.Bench([feeds.redis_down()], read_only=True)
    async with screen(bench) as (app, pilot):
        await pilot.press("r")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert "--read-only" in told(app)
        assert "READ-ONLY" in drawn(app.overview.verdict)


async def test_the_menu_picks_by_letter_and_arrow() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(app.screen, ActMenu)
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(app.screen, Preview))
        assert isinstance(app.screen, Preview)
        assert app.screen.plan.verb is Verb.STOP


async def test_a_late_recovery_says_so() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        plan = bench.plan(Verb.RESTART, "redis", feeds.redis_down())
        assert not isinstance(plan, str)
        clock = [100.0]
        app.monotonic = lambda: clock[0]
        app.start(plan)
        await until(pilot, lambda: bool(bench.ran))
        clock[0] += 20
        app.tell()
        assert "restarting redis: 20 s of ≤ 15 s, later than documented" in told(app)
        await bench.events.put(bench.verdict(plan, VerdictKind.RECOVERED_LATE))
        await until(pilot, lambda: "recovered late" in told(app))


@pytest.mark.parametrize("opens", ["x", "r", "d", "?", "q"])
async def test_a_held_key_that_closes_closes_once(opens: str) -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        for closes in ("\x1b", "q", "n", "r"):
            await pilot.press("question_mark" if opens == "?" else opens)
            await until(pilot, lambda: app.dialog_open)
            await pilot.pause(0.4)
            for _ in range(4):
                app.post_message(events.Key("escape" if closes == "\x1b" else closes, closes))
            await pilot.pause(0.1)
            assert app.is_running
            while app.dialog_open:
                await pilot.press("escape")
                await pilot.pause(0.4)
        assert bench.ran == []


async def test_a_burst_opens_one_preview_and_no_other_waits_below_it() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        burst(app, "jrjr")
        preview = await armed(pilot, app)
        assert len(app.screen_stack) == 2
        assert preview.plan.service.name == "rate-limiter"
        await pilot.press("n")
        await until(pilot, lambda: not app.dialog_open)
        assert bench.ran == []


async def test_nothing_opens_over_a_preview_and_what_comes_back_is_disarmed() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "r")
        preview = await armed(pilot, app)
        await pilot.press("ctrl+p")
        assert app.screen is preview
        app.app_resume_signal.publish(app)  # ctrl+z, and fg
        await pilot.pause()
        assert not preview.ready
        await pilot.press("y")
        await pilot.pause(0.2)
        assert (app.screen, bench.ran) == (preview, [])
        await armed(pilot, app)
        await pilot.press("y")
        await until(pilot, lambda: len(bench.ran) == 1)


async def test_nothing_is_decided_where_it_cannot_be_read() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench, size=(80, 24)) as (app, pilot):
        await pilot.press("j", "r")
        preview = await armed(pilot, app)
        await pilot.resize_terminal(30, 6)
        await pilot.pause(0.4)
        assert "too small to decide" in drawn(preview.query_one("#box"))
        await pilot.press("y")
        await pilot.pause(0.4)
        assert (app.screen, bench.ran) == (preview, [])
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.4)
        await pilot.press("y")
        await until(pilot, lambda: len(bench.ran) == 1)
