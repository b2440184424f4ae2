"""The palette: every command by name, whatever the names hold."""

from __future__ import annotations

import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import OptionList

from moalog_tui.platform.health import HealthState
from moalog_tui.platform.services import Service, ServiceKind
from moalog_tui.ui.screens.preview import Preview
from tests.ui import feeds
from tests.ui.driving import screen, until
from tests.ui.vectors import VECTORS

NAMES = (*VECTORS, "[/]", "[@click=app.quit]x[/]", "[bold", "back\\", "日本語", "\\[/]")
BOX = feeds.container_of(feeds.SERVICES[0])


async def test_hostile_names_are_text() -> None:
    services = [Service(name, ServiceKind.APPLICATION) for name in dict.fromkeys(NAMES)]
    picture = feeds.picture([feeds.status_of(one, HealthState.DOWN, container=BOX) for one in services])
    async with screen(feeds.Bench([picture])) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"restart[")
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: any("restart [/]" in str(one.prompt) for one in options.options))
        shown = "\n".join(str(one.prompt) for one in options.options)
        assert "restart [@click=app.quit]x[/]" in shown
        assert "\x1b" not in shown
        await pilot.press("escape")
        await until(pilot, lambda: not app.dialog_open)
        assert app.is_running


async def test_a_name_leads_to_its_preview() -> None:
    async with screen(feeds.Bench([feeds.redis_down()])) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"restart mysql")
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: bool(options.options) and "restart mysql" in str(options.options[0].prompt))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Preview))
        assert isinstance(app.screen, Preview)
        assert app.screen.plan.service.name == "mysql"


@pytest.mark.parametrize("size", [(80, 24), (20, 5), (5, 2), (1, 1)])
async def test_every_key_in_any_size(size: tuple[int, int]) -> None:
    async with screen(feeds.Bench([feeds.redis_down()])) as (app, pilot):
        for wait in (0.0, 0.3):
            app.post_message(events.Key("ctrl+p", None))
            await until(pilot, lambda: isinstance(app.screen, CommandPalette))
            await pilot.resize_terminal(*size)
            await pilot.pause(wait)
            for key in ("pagedown", "pageup", "down", "home", "end", "up", "pagedown", "escape", "escape", "escape"):
                app.post_message(events.Key(key, None))
            await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
            await pilot.resize_terminal(120, 36)
            await pilot.pause()
            while app.dialog_open:
                await pilot.press("n")
        assert app.is_running
