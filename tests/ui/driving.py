"""Driving the screen in tests: start it, wait for what shall be, read what is drawn."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot
from textual.widget import Widget

from moalog_tui.ui.app import MoalogApp
from tests.ui.feeds import Bench

DEADLINE_S = 10.0


@asynccontextmanager
async def screen(
    bench: Bench, size: tuple[int, int] = (120, 36), **changes: Any
) -> AsyncIterator[tuple[MoalogApp, Pilot[Any]]]:
    """Run the screen on a desk until its first picture and log are drawn."""
    app = MoalogApp(bench.desk(**changes))
    async with app.run_test(size=size) as pilot:
        if bench.pictures:
            await until(pilot, lambda: app.overview.snapshot is not None)
            selected = (
                app.overview.snapshot.status(app.overview.services.selected or "") if app.overview.snapshot else None
            )
            if selected is not None and selected.container is not None:
                await until(pilot, lambda: bool(bench.follows))
            app.overview.logs.drain()
            await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[Any], done: Callable[[], object]) -> None:
    """Wait until `done`, for ten seconds at most."""
    end = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < end, "it did not come to pass"
        await pilot.pause(0.02)


def drawn(widget: Widget) -> str:
    """The lines of a widget as they are drawn."""
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


def told(app: MoalogApp) -> str:
    """What the last lines tell: operations, and what was said."""
    return drawn(app.overview.ticker) + "\n" + drawn(app.overview.footer)


def burst(app: MoalogApp, text: str) -> None:
    """Type as a paste or a fast typist does: every key is queued before the first is handled."""
    names = {":": "colon", " ": "space", "\r": "enter", "/": "slash", "&": "ampersand"}
    for character in text:
        app.post_message(events.Key(names.get(character, character), character))
