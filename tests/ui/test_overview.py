"""The overview: rows, cursor, order, folding, columns, and what each key tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.ui.keys import KeyClash, key_table
from moalog_tui.ui.layout import Wish, places, table_room
from moalog_tui.ui.order import Order
from moalog_tui.ui.widgets.services import columns_for
from tests.ui import feeds
from tests.ui.driving import drawn, screen, told, until


async def test_names_stand_on_the_screen_before_any_picture() -> None:
    async with screen(feeds.Bench([])) as (app, pilot):
        await pilot.pause()
        text = drawn(app.overview.services)
        assert "redis" in text
        assert "asking" in text


async def test_a_root_cause_stands_first_with_what_it_breaks_below_it() -> None:
    async with screen(feeds.Bench([feeds.redis_down()])) as (app, _):
        lines = drawn(app.overview.services).splitlines()
        assert "✖ redis" in lines[2]
        assert "exited 137, out of memory" in lines[2]
        assert "├ rate-limiter" in lines[3]
        assert "└ redis-exporter" in lines[5]
        assert drawn(app.overview.verdict).startswith(" ✖ redis is down")


async def test_the_cursor_follows_the_service_across_a_new_order() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        services = app.overview.services
        clock = [1000.0]
        services.monotonic = lambda: clock[0]
        assert services.select("grafana")
        await bench.feed.put(feeds.redis_down())
        clock[0] += 60
        await until(pilot, lambda: services.statuses["redis"].failing)
        assert services.order.rows[0][0] == "redis"
        assert services.selected == "grafana"
        marked = [line for line in drawn(services).splitlines()[2:] if line.startswith("▌")]
        assert len(marked) == 1
        assert "grafana" in marked[0]


async def test_an_order_is_held_after_a_key_until_it_is_applied() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        services = app.overview.services
        await pilot.press("j")
        await bench.feed.put(feeds.redis_down())
        await until(pilot, lambda: services.statuses["redis"].failing)
        assert services.order.rows[0][0] == "moalog-server"
        assert "order held" in drawn(services)
        # What is held is the order, never the truth.
        assert "exited 137" in drawn(services)
        await pilot.press("R")
        assert services.order.rows[0][0] == "redis"
        assert "order held" not in drawn(services)
        assert bench.checked == [None]


def test_the_order_changes_every_ten_seconds_at_most_and_not_in_a_dialog() -> None:
    order = Order([service.name for service in feeds.SERVICES])
    assert order.offer(feeds.redis_down().services, 0.0, busy=False)
    healthy = feeds.picture().services
    assert not order.offer(healthy, 5.0, busy=False)
    assert order.held is not None
    assert not order.offer(healthy, 11.0, busy=True)
    assert order.offer(healthy, 11.0, busy=False)
    order.touch(30.0)
    assert not order.offer(feeds.redis_down().services, 34.0, busy=False)
    assert order.offer(feeds.redis_down().services, 35.0, busy=False)


async def test_healthy_services_fold_at_80x24_and_h_opens_them() -> None:
    async with screen(feeds.Bench([feeds.redis_down()]), size=(80, 24)) as (app, pilot):
        services = app.overview.services
        assert "16 healthy" in drawn(services)
        await pilot.press("h")
        await pilot.pause()
        assert "16 healthy" not in drawn(services)
        assert services.line_count() == 20


async def test_a_folded_service_that_turns_down_is_shown_though_the_order_is_held() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench, size=(80, 24)) as (app, pilot):
        await pilot.press("j")
        ill = [
            replace(s, state=HealthState.DOWN, reason=Reason.REFUSED, detail="refused") if s.name == "loki" else s
            for s in feeds.redis_down().services
        ]
        await bench.feed.put(feeds.picture(ill))
        await until(pilot, lambda: app.overview.services.statuses["loki"].failing)
        assert "loki" in drawn(app.overview.services)


@pytest.mark.parametrize("width", [80, 90, 100, 120, 160, 200])
def test_why_keeps_thirty_cells_and_columns_fill_the_width(width: int) -> None:
    columns = columns_for(width, 26)
    assert columns.why >= 30
    used = 3 + columns.name + 1 + columns.state + 1 + columns.why
    used += columns.spark + columns.latency + columns.up + columns.restarts + columns.cpu + columns.memory
    assert used == width - 1


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 48), (60, 16), (300, 90)])
@pytest.mark.parametrize("runbook", [False, True])
def test_panels_neither_overlap_nor_leave_the_screen(size: tuple[int, int], runbook: bool) -> None:
    width, height = size
    found = places(width, height, Wish(22, 7, ticker_lines=1, runbook=runbook))
    cells: set[tuple[int, int]] = set()
    for place in found.values():
        own = {(x, y) for x in range(place.x, place.x + place.width) for y in range(place.y, place.y + place.height)}
        assert not cells & own
        cells |= own
    assert all(0 <= x < width and 0 <= y < height for x, y in cells)
    assert "services" in found
    assert found["services"].height <= table_room(width, height, 1)


async def test_the_runbook_never_covers_the_table_below_120_columns() -> None:
    async with screen(feeds.Bench([feeds.redis_down()]), size=(100, 30)) as (app, pilot):
        overview = app.overview
        assert [panel.id for panel in overview.panels()] == ["services", "logs"]
        await pilot.press("b")
        await pilot.pause()
        assert [panel.id for panel in overview.panels()] == ["services", "runbook"]
        assert not overview.runbook.region.overlaps(overview.services.region)
        assert "Redis Down" in drawn(overview.runbook)


async def test_keys_ask_for_checks_and_later_views_are_told() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        await pilot.press("c", "C", "3")
        await pilot.pause()
        assert bench.checked == ["redis", None]
        assert "later version" in told(app)


async def test_commands_complete_and_name_what_is_near() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        await pilot.press("colon", *"chec", "tab", *"redi", "tab")
        assert app.overview.command.text == "check redis"
        await pilot.press("enter")
        await pilot.pause()
        assert bench.checked == ["redis"]
        await pilot.press("colon", *"chekc", "enter")
        await pilot.pause()
        assert 'did you mean "check"?' in told(app)


async def test_letters_typed_on_the_command_line_are_no_keys() -> None:
    async with screen(feeds.Bench([feeds.picture()])) as (app, pilot):
        await pilot.press("colon", "q", "r", "x")
        assert app.overview.command.text == "qrx"
        assert len(app.screen_stack) == 1
        await pilot.press("escape")
        assert app.overview.footer.display


async def test_details_tell_ports_image_needs_and_events() -> None:
    async with screen(feeds.Bench([feeds.redis_down()]), size=(120, 60)) as (app, pilot):
        await pilot.press("j", "d")
        await pilot.pause()
        text = drawn(app.screen.query_one("#box"))
        assert "127.0.0.1:8080 to 8080/tcp" in text
        assert "moalog/rate-limiter:1.4" in text
        assert "without it: fails open" in text
        await pilot.press("escape", "k", "d")
        await pilot.pause()
        assert "die, exit 137" in drawn(app.screen.query_one("#box"))


def test_a_clash_of_keys_names_both_bindings() -> None:
    with pytest.raises(KeyClash, match=r'"service.check".*"service.restart"'):
        key_table({"service.restart": "c"})
    with pytest.raises(KeyClash, match=r'did you mean "service.restart"'):
        key_table({"service.restrt": "f6"})
    with pytest.raises(KeyClash, match="ctrl"):
        key_table({"service.restart": "ctrl+d"})
    assert key_table({"service.restart": "f6"})["service.restart"] == ("f6",)


async def test_a_changed_key_replaces_its_own() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench, keys={"service.check": "f7"}) as (_, pilot):
        await pilot.press("c", "f7")
        assert bench.checked == ["moalog-server"]


HOSTILE = (
    "[/]",
    "[bold]x",
    "[link=file:///x]y[/link]",
    "\x1b]0;PWN\x07z",
    "\x1b[31mred",
    "\x9b31m",
    "‮evil",
    "a" * 5000,
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_outside_text_loses_no_bracket_and_puts_no_control_byte(text: str) -> None:
    service = feeds.SERVICES[3]
    named = feeds.container_of(service, name=f"c{text}", image=text)
    rows = [
        feeds.status_of(s, HealthState.DOWN, reason=Reason.REFUSED, detail=text, container=named, notes=(text,))
        if s is service
        else feeds.status_of(s)
        for s in feeds.SERVICES
    ]
    bench = feeds.Bench([feeds.picture(rows, extra=(text,))], texts=[text, f"[INFO] {text}"])
    async with screen(bench, size=(160, 48)) as (app, pilot):
        await pilot.press("d")
        await pilot.pause()
        every = drawn(app.screen.query_one("#box"))
        for widget in app.overview.children:
            every += drawn(widget)
        assert not [c for c in every if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c == "‮"]
        if "[" in text and "\x1b" not in text:
            assert text in drawn(app.overview.services)
            assert text in app.overview.logs.rows[0]
        assert app.overview.logs.rows[1].startswith("[INFO]")


async def test_a_line_of_one_megabyte_is_drawn_cut() -> None:
    bench = feeds.Bench([feeds.picture()], texts=["x" * 1_000_000, "next"])
    async with screen(bench) as (app, pilot):
        await pilot.press("w")
        await pilot.pause()
        assert all(len(row) <= 4097 for row in app.overview.logs.rows)
        assert "next" in app.overview.logs.rows[-1]


async def test_the_palette_offers_what_the_command_line_does() -> None:
    bench = feeds.Bench([feeds.picture()])
    async with screen(bench) as (app, pilot):
        await pilot.press("ctrl+p", *"check redis")
        await until(pilot, lambda: len(app.screen.query("OptionList")) == 1)
        await pilot.pause(0.4)
        await pilot.press("enter")
        await pilot.pause(0.1)
        await pilot.press("enter")
        await until(pilot, lambda: bench.checked == ["redis"])


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (79, 23), (119, 60), (250, 20)])
async def test_no_size_breaks_the_screen(size: tuple[int, int]) -> None:
    async with screen(feeds.Bench([feeds.redis_down()]), size=size) as (app, pilot):
        await pilot.press("d", "escape", "b", "z", "z", "r", "escape", "question_mark")
        await pilot.pause()
        assert app.is_running


async def test_usage_is_read_only_while_the_table_is_on_the_screen() -> None:
    told_of: list[bool] = []
    async with screen(feeds.Bench([feeds.picture()]), watching=told_of.append) as (_, pilot):
        await pilot.press("l", "z")
        await pilot.press("z")
        await pilot.pause()
    assert told_of == [True, False, True]
