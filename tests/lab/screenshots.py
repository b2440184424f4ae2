"""The pictures of `screenshots/`, made from the lab: the real screen, in front of the real platform."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from moalog_tui.config import Flags, load_settings
from moalog_tui.ui.app import MoalogApp
from moalog_tui.wiring import desk_for, wire
from tests.lab.folder import LabError
from tests.lab.harness import Lab
from tests.ui.pictures import svg_of

FOLDER = Path(__file__).parents[2] / "screenshots"
SIZES = {"80x24": (80, 24), "120x36": (120, 36), "160x48": (160, 48)}
SETTLE_S = 45.0
"""Long enough for the latency strips to fill and for every source to answer."""
DEADLINE_S = 90.0


async def pictures(lab: Lab, name: str, ready: Callable[[MoalogApp], bool]) -> None:
    """Run the screen before the lab until it shows what it should, and export it at every size."""
    with patch.dict(os.environ, lab.environment(), clear=True):
        settings = load_settings(Flags(platform=str(lab.platform_dir)), os.environ, Path.cwd())
        app = MoalogApp(desk_for(wire(settings)))
        async with app.run_test(size=SIZES["160x48"]) as pilot:
            began = time.monotonic()
            while not ready(app) or time.monotonic() - began < SETTLE_S:
                if time.monotonic() - began > DEADLINE_S:
                    raise LabError(f"The screen did not come to show {name}.")
                await pilot.pause(0.5)
            for size, (columns, rows) in SIZES.items():
                await pilot.resize_terminal(columns, rows)
                await pilot.pause(1.5)
                export(app, f"{name}-{size}")


def export(app: MoalogApp, name: str) -> None:
    """Write one picture, as SVG and PNG."""
    target = FOLDER / f"{name}.svg"
    target.write_text(svg_of(app), "utf-8")
    png(target)


def png(source: Path) -> None:
    """Draw a picture as PNG, where the program that does it is installed."""
    program = shutil.which("rsvg-convert")
    if program is None:
        raise LabError("PNG pictures need rsvg-convert; install it with: apt-get install librsvg2-bin")
    subprocess.run([program, str(source), "-o", str(source.with_suffix(".png"))], check=True, timeout=60)


def all_well(app: MoalogApp) -> bool:
    """Every service is healthy."""
    snapshot = app.overview.snapshot
    return snapshot is not None and snapshot.complete and not any(status.failing for status in snapshot.services)


def redis_down(app: MoalogApp) -> bool:
    """Redis and what needs it are told."""
    snapshot = app.overview.snapshot
    return snapshot is not None and sum(status.failing for status in snapshot.services) >= 3


def make(lab: Lab) -> None:
    """Make every picture."""
    FOLDER.mkdir(exist_ok=True)
    lab.up()
    asyncio.run(pictures(lab, "healthy", all_well))
    lab.stop("redis")
    try:
        asyncio.run(pictures(lab, "redis-down", redis_down))
    finally:
        lab.start("redis")


if __name__ == "__main__":
    make(Lab())
