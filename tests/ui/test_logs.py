"""The log panel: follows, holds still, marks, searches, filters, and stays with the container."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from moalog_tui.platform.containers import ContainerEvent, ContainerState
from moalog_tui.platform.health import HealthState
from tests.ui import feeds
from tests.ui.driving import drawn, screen, until


async def test_a_reader_who_scrolled_up_stays_put_while_lines_arrive() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        logs = app.overview.logs
        await pilot.press("l", "k", "k", "k")
        before = logs.rows
        ring = bench.follows[0][1]
        ring.extend(feeds.line(i) for i in range(200, 260))
        logs.drain()
        await pilot.pause()
        assert logs.rows == before
        assert "60 new lines below" in drawn(logs)
        await pilot.press("f")
        await pilot.pause()
        assert "259" in logs.rows[-1]
        assert "new lines" not in drawn(logs)


async def test_the_reader_keeps_the_line_while_old_ones_fall_out() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        logs = app.overview.logs
        await pilot.press("l", "k")
        before = logs.rows
        ring = bench.follows[0][1]
        ring.extend(feeds.line(i) for i in range(200, 10_100))
        logs.drain()
        await pilot.pause()
        assert ring.first > 0
        assert logs.rows == before


async def test_a_page_fills_line_by_line_then_jumps_half_a_page() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, _):
        logs, ring = app.overview.logs, bench.follows[0][1]
        page = logs.body_height
        assert len(logs.rows) == page
        ring.extend([feeds.line(200)])
        logs.drain()
        assert len(logs.rows) == page - page // 2
        first = logs.rows[0]
        for number in range(201, 201 + page // 2):
            ring.extend([feeds.line(number)])
            logs.drain()
            assert logs.rows[0] == first


async def test_search_filter_and_errors() -> None:
    async with screen(feeds.Bench([feeds.picture()])) as (app, pilot):
        logs = app.overview.logs
        await pilot.press("l", "slash", *"request 77 ", "enter")
        await pilot.pause()
        assert "request 77 " in (logs.line_under_cursor() or "")
        await pilot.press("e")
        assert "ERROR" in (logs.line_under_cursor() or "")
        first = logs.line_under_cursor()
        await pilot.press("e", "E")
        assert logs.line_under_cursor() == first
        await pilot.press("ampersand", *"!INFO", "enter")
        await pilot.pause()
        assert logs.rows
        assert not [row for row in logs.rows if "INFO" in row]
        await pilot.press("ampersand", *["backspace"] * 5, *"ERROR", "enter")
        await pilot.pause()
        assert all("ERROR" in row for row in logs.rows)
        assert "only ERROR" in drawn(logs)


async def test_the_page_shows_what_was_filtered_as_it_arrives() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        logs = app.overview.logs
        logs.set_filter("needle")
        assert "no line holds needle" in drawn(logs)
        bench.follows[0][1].extend([feeds.line(200, "hay"), feeds.line(201, "a needle")])
        logs.drain()
        await pilot.pause()
        assert logs.rows == ("a needle",)


async def test_stop_and_start_are_marked_and_the_log_goes_on() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        logs, services = app.overview.logs, app.overview.services
        name = services.selected or ""
        service = feeds.SERVICES[0]
        at = feeds.line(300).ts_ns
        old, ring, _, follow = bench.follows[0]
        follow.state = "ended"
        died = ContainerEvent(at, "die", old.id, old.name, name, exit_code=143)
        dead = feeds.container_of(service, state=ContainerState.EXITED, exit_code=143)
        rows = [feeds.status_of(s, HealthState.DOWN, container=dead) if s is service else feeds.status_of(s)
                for s in feeds.SERVICES]  # fmt: skip
        await bench.feed.put(feeds.picture(rows, events=(died,)))
        await until(pilot, lambda: services.statuses[name].failing)
        logs.drain()
        assert any("container stopped" in row and "exit 143" in row for row in logs.rows)
        started = replace(died, at_ns=at + 10**9, action="start", exit_code=None)
        again = feeds.container_of(service, started_at=feeds.NOW - timedelta(seconds=3))
        rows = [feeds.status_of(s, container=again) if s is service else feeds.status_of(s) for s in feeds.SERVICES]
        await bench.feed.put(feeds.picture(rows, events=(died, started)))
        await until(pilot, lambda: len(bench.follows) == 2)
        logs.drain()
        assert sum("container stopped" in row for row in logs.rows) == 1
        assert any("container started" in row for row in logs.rows)
        assert follow.stopped
        assert bench.follows[1][1] is ring
        assert bench.follows[1][2] == feeds.line(199).ts_ns


async def test_a_recreated_container_is_followed_by_its_new_id() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        service = feeds.SERVICES[0]
        new = feeds.container_of(service, id="f" * 64, created_at=feeds.NOW)
        rows = [feeds.status_of(s, container=new) if s is service else feeds.status_of(s) for s in feeds.SERVICES]
        await bench.feed.put(feeds.picture(rows))
        await until(pilot, lambda: len(bench.follows) == 2)
        assert bench.follows[1][0].id == "f" * 64
        assert bench.follows[0][3].stopped
        app.overview.logs.drain()
        ring = bench.follows[1][1]
        assert any(raw.marker == "recreate" for _, raw in ring.slice(ring.first, ring.end))


async def test_another_service_brings_another_log_and_ends_the_first() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: len(bench.follows) == 2)
        assert bench.follows[0][3].stopped
        assert bench.follows[1][0].service == app.overview.services.selected == "redis"


async def test_pause_holds_the_screen_and_copy_goes_to_the_clipboard() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        logs = app.overview.logs
        await pilot.press("p")
        before = logs.rows
        bench.follows[0][1].extend([feeds.line(200)])
        await bench.feed.put(feeds.redis_down())
        await pilot.pause(1.2)
        assert logs.rows == before
        assert not app.overview.services.statuses["redis"].failing
        await pilot.press("p")
        await until(pilot, lambda: app.overview.services.statuses["redis"].failing)
        await pilot.press("l", "k", "y")
        await pilot.pause()
        assert app.clipboard == logs.line_under_cursor()


async def test_timestamps_wrap_and_sideways() -> None:
    bench = feeds.Bench([feeds.picture()], texts=["start " + "word " * 60 + "end"])
    async with screen(bench, size=(80, 24)) as (app, pilot):
        logs = app.overview.logs
        assert "18:56:11.000" in drawn(logs)
        await pilot.press("t")
        assert "18:56:11.000" not in drawn(logs)
        await pilot.press("w")
        await pilot.pause()
        assert len(logs.rows) > 3
        assert logs.rows[-1].endswith("end")
        await pilot.press("w", "right")
        await pilot.pause()
        assert "start" not in drawn(logs)
