"""A real process with a real monitor, for `test_real_time.py`: prints each picture as a line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from moalog_tui.monitor.monitor import Monitor
from moalog_tui.monitor.sources import Sources
from moalog_tui.platform.containers import Container, ContainerEvent, ContainerListing, ContainerState, EngineStatus
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Endpoint, ProbeKind, ProbeSpec, Profile, Service, ServiceKind

DEADLINE_S = 1.0
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


async def probe(_service: Service, endpoint: Endpoint) -> ProbeResult:
    """Read one line from the port, within the deadline."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            try:
                await reader.readline()
            finally:
                writer.close()
    except (TimeoutError, OSError) as error:
        return ProbeResult(Outcome.FAIL, datetime.now(UTC), reason=Reason.TIMEOUT, detail=type(error).__name__)
    return ProbeResult(Outcome.PASS, datetime.now(UTC), latency_ms=1.0, answered=True)


async def containers() -> ContainerListing:
    """One container that has been running for long."""
    one = Container("id", "s", "s", "p", "i", ContainerState.RUNNING, started_at=BEGAN, created_at=BEGAN)
    return ContainerListing("p", by_label=True, containers=(("s", one),))


async def events(_project: str, _names: tuple[str, ...], _since: int | None) -> AsyncIterator[ContainerEvent]:
    """A stream on which nothing happens."""
    await asyncio.Event().wait()
    yield ContainerEvent(0, "", "", "", None)


async def yes() -> bool:
    return True


async def engine() -> EngineStatus:
    return EngineStatus("unix", connected=True)


async def nothing(_endpoint: Endpoint) -> tuple[MetricReading, ...]:
    return ()


async def no_stats(_ident: str) -> None:
    return None


async def main(port: int, seconds: float) -> None:
    """Watch one service for so many seconds of running time."""
    service = Service("s", ServiceKind.DATASTORE, probe=ProbeSpec(ProbeKind.HTTP))
    sources = Sources(
        engine_status=engine, containers=containers, events=events, forget=lambda _ident: None, probe=probe,
        endpoint=lambda _service, _container: Endpoint("127.0.0.1", port, "profile"), stats=no_stats,
        metrics=nothing, self_probe=yes, acts=lambda: (), suggest=lambda _statuses: (),
        credential=lambda _service: None,
    )  # fmt: skip
    monitor = Monitor(Profile("p", "p", "p", (service,)), (service,), sources, interval=0.5, deadline=DEADLINE_S)
    running = asyncio.create_task(monitor.run())
    try:
        async with asyncio.timeout(seconds):
            async for snapshot in monitor.snapshots():
                status = snapshot.services[0]
                failed = sum(one.outcome is Outcome.FAIL for one in status.history)
                line = {"state": status.state, "failed": failed, "own": snapshot.self_check, "n": len(status.history)}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
    except TimeoutError:
        running.cancel()
    await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
