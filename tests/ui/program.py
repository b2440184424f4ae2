"""The screen as a program of its own, for tests through a pseudo-terminal: `python -m tests.ui.program CASE`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from moalog_tui.platform.containers import Container
from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.platform.logs import LogRing
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.ui.app import run_screen
from moalog_tui.ui.desk import Follow
from tests.ui import feeds
from tests.ui.vectors import VECTORS


class Hung(feeds.Bench):
    """A feed that will not end: it takes no notice of being cancelled."""

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """One picture, then silence for ever."""
        yield feeds.redis_down()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


class Broken(feeds.Bench):
    """A desk whose follower raises in the screen's own handler."""

    def follow(self, container: Container, ring: LogRing, since: int | None) -> Follow:
        """Raise."""
        raise RuntimeError("secret-in-a-traceback")


def hostile() -> Snapshot:
    """Every outside text is an attack."""
    rows = []
    for index, service in enumerate(feeds.SERVICES):
        vector = VECTORS[index % len(VECTORS)]
        container = feeds.container_of(service, name=vector, image=vector)
        rows.append(
            feeds.status_of(service, HealthState.DOWN, reason=Reason.REFUSED, detail=vector, container=container)
        )
    return feeds.picture(rows, extra=VECTORS[:3])


def main() -> int:
    """Run one case."""
    case = sys.argv[1]
    changes: dict[str, Any] = {"now": lambda: datetime.now(UTC)}
    bench: feeds.Bench = feeds.Bench([feeds.redis_down()])
    if case == "hung":
        bench = Hung([])
    elif case == "broken":
        bench = Broken([feeds.redis_down()])
    elif case == "hostile":
        bench = feeds.Bench([hostile()], texts=VECTORS)
    elif case == "clash":
        changes["keys"] = {"service.restart": "c"}
    try:
        return run_screen(bench.desk(**changes))
    except RuntimeError as error:
        sys.stderr.write(f"failed ({type(error).__name__})\n")
        return 70


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
