"""Letters typed right after `:` belong to the line: none of them acts."""

from __future__ import annotations

from moalog_tui.ui.screens.preview import Preview
from tests.ui import feeds
from tests.ui.driving import burst, screen


async def test_a_command_typed_in_one_burst_is_a_command_and_acts_on_nothing_else() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        burst(app, ":logs promtail\r")
        await pilot.pause(0.2)
        assert app.screen is app.overview, "a letter of the command opened a dialog"
        assert app.overview.services.selected == "promtail"
        assert app.overview.focused is app.overview.logs


async def test_a_search_typed_in_one_burst_is_a_search() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        burst(app, "/rx")
        await pilot.pause(0.2)
        assert not isinstance(app.screen, Preview)
        assert app.overview.command.asking
        assert app.overview.command.text == "rx"


async def test_the_opening_keys_are_letters_once_the_line_is_open() -> None:
    bench = feeds.Bench([feeds.redis_down()])
    async with screen(bench) as (app, pilot):
        burst(app, "&a:/&b")
        await pilot.pause(0.2)
        assert app.overview.command.text == "a:/&b"
