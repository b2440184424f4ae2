"""The screen as pictures. After a change of the look: `make golden`, then look at each."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.ui.app import MoalogApp
from moalog_tui.ui.screens.preview import Preview
from tests.ui import feeds
from tests.ui.pictures import svg_of

HERE = Path(__file__).parent
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
SIZES = {"80x24": (80, 24), "120x36": (120, 36), "160x48": (160, 48)}

Then = Callable[[Pilot[Any], MoalogApp], Awaitable[None]]


async def _details(pilot: Pilot[Any], app: MoalogApp) -> None:
    await pilot.press("d")


async def _preview(pilot: Pilot[Any], app: MoalogApp) -> None:
    await pilot.press("j", "r")
    while getattr(app.screen, "ready", False) is False:
        await pilot.pause(0.05)
    assert isinstance(app.screen, Preview)
    app.screen.draw()


async def _help(pilot: Pilot[Any], app: MoalogApp) -> None:
    await pilot.press("question_mark")


async def _runbook(pilot: Pilot[Any], app: MoalogApp) -> None:
    await pilot.press("b")


Drawn = tuple[str, Callable[[], Snapshot], str, dict[str, Any], Then | None]

STATES: tuple[tuple[str, Callable[[], Snapshot], dict[str, Any]], ...] = (
    ("healthy", feeds.picture, {}),
    ("redis-down", feeds.redis_down, {}),
    ("everything-down", feeds.everything_down, {}),
    ("no-daemon", feeds.no_daemon, {}),
    ("read-only", feeds.redis_down, {"read_only": True}),
    ("no-color", feeds.redis_down, {"no_color": True}),
    ("ascii", feeds.redis_down, {"ascii": True}),
)
PICTURES: tuple[Drawn, ...] = (
    *((name, picture, size, options, None) for name, picture, options in STATES for size in SIZES),
    ("details", feeds.redis_down, "80x24", {}, _details),
    ("preview", feeds.redis_down, "80x24", {}, _preview),
    ("preview-ascii", feeds.redis_down, "80x24", {"ascii": True}, _preview),
    ("help", feeds.redis_down, "120x36", {}, _help),
    ("runbook", feeds.redis_down, "80x24", {}, _runbook),
)


@pytest.mark.parametrize(
    ("name", "picture", "size", "options", "then"), PICTURES, ids=lambda v: v if isinstance(v, str) else ""
)
async def test_picture(
    name: str,
    picture: Callable[[], Snapshot],
    size: str,
    options: dict[str, Any],
    then: Then | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The screen looks as it was last approved."""
    options = dict(options)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if options.pop("no_color", False):
        monkeypatch.setenv("NO_COLOR", "1")
    bench = feeds.Bench([picture()], read_only=options.get("read_only", False))
    app = MoalogApp(bench.desk(**options))
    async with app.run_test(size=SIZES[size]) as pilot:
        await settle(pilot, app)
        if then is not None:
            await then(pilot, app)
            await pilot.pause()
        svg = svg_of(app)
    path = HERE / f"{name}-{size}.svg"
    if UPDATE:
        path.write_text(svg, "utf-8")
    assert path.read_text("utf-8") == svg, f"{path.name} changed: look at it, then run `make golden`"


async def settle(pilot: Pilot[Any], app: MoalogApp) -> None:
    """Wait until the picture and the log are on the screen."""
    for _ in range(200):
        await pilot.pause(0.02)
        logs = app.overview.logs
        if app.overview.snapshot is not None:
            status = app.overview.snapshot.status(app.overview.services.selected or "")
            if status is None or status.container is None or logs.view.ring.end:
                break
    app.overview.logs.drain()
    await pilot.pause()
