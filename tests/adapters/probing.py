"""What every probe test needs: a prober with settings, a service of each kind, a clock held to a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prober import Prober
from moalog_tui.platform.health import ProbeResult
from moalog_tui.platform.secret import Secret
from moalog_tui.platform.services import Endpoint, ProbeKind, ProbeSpec, Service, ServiceKind, Sourced
from tests.adapters.servers import Handler, Server

DEADLINE = 0.5
"""Seconds; each test of a deadline allows twice this."""

KINDS = [kind for kind in ProbeKind if kind is not ProbeKind.NONE]

SPECS: Mapping[ProbeKind, ProbeSpec] = {
    ProbeKind.HTTP: ProbeSpec(ProbeKind.HTTP, path="/health", expect_json=("result.status", "healthy")),
    ProbeKind.METRICS: ProbeSpec(ProbeKind.METRICS),
    ProbeKind.REDIS: ProbeSpec(ProbeKind.REDIS, password_setting="REDIS_PASSWORD"),
    ProbeKind.MYSQL: ProbeSpec(ProbeKind.MYSQL, user="root", password_setting="MYSQL_ROOT_PASSWORD"),
    ProbeKind.POSTGRES: ProbeSpec(
        ProbeKind.POSTGRES, user="fluxpay", password_setting="FLUXPAY_DB_PASSWORD", database="fluxpay"
    ),
    ProbeKind.KAFKA: ProbeSpec(ProbeKind.KAFKA),
    ProbeKind.ZOOKEEPER: ProbeSpec(ProbeKind.ZOOKEEPER),
}

PASSWORD = "correct-horse-battery"


def service(spec: ProbeSpec | ProbeKind) -> Service:
    """Return a service with this probe."""
    spec = SPECS[spec] if isinstance(spec, ProbeKind) else spec
    return Service(f"test-{spec.kind}", ServiceKind.DATASTORE, probe=spec)


def settings(password: str | None = PASSWORD) -> Callable[[str], Sourced | None]:
    """Return settings in which every name has this password, from line 21 of a file."""
    return lambda name: None if password is None else Sourced(name, Secret(password), ".env:21")


async def probe(
    spec: ProbeSpec | ProbeKind, endpoint: Endpoint, deadline: float = DEADLINE, password: str | None = PASSWORD
) -> ProbeResult:
    """Probe once with a prober of its own."""
    prober = Prober(BlockingCalls(), settings(password))
    try:
        await warm(prober, spec if isinstance(spec, ProbeKind) else spec.kind)
        return await prober.probe(service(spec), endpoint, deadline)
    finally:
        await prober.aclose()


async def probe_handler(
    spec: ProbeSpec | ProbeKind, handler: Handler, deadline: float = DEADLINE, password: str | None = PASSWORD
) -> ProbeResult:
    """Probe a server with this handler once, held to twice the deadline."""
    with Server(handler) as server, within(2 * deadline):
        return await probe(spec, server.endpoint, deadline, password)


async def probe_all(
    cases: Sequence[tuple[ProbeKind, Handler]], deadline: float = DEADLINE
) -> list[tuple[ProbeKind, ProbeResult]]:
    """Probe a server with each handler, all at once, each held to twice the deadline."""

    async def one(kind: ProbeKind, endpoint: Endpoint) -> tuple[ProbeKind, ProbeResult]:
        with within(2 * deadline):
            return kind, await probe(kind, endpoint, deadline)

    with ExitStack() as stack:
        servers = [(kind, stack.enter_context(Server(handler))) for kind, handler in cases]
        return await asyncio.gather(*(one(kind, server.endpoint) for kind, server in servers))


async def warm(prober: Prober, kind: ProbeKind) -> None:
    """Load the client, so that a test's clock shows the probe alone."""
    await prober._load(kind)


@contextmanager
def within(limit: float) -> Iterator[None]:
    """Fail when the block takes longer than `limit` seconds."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    if took > limit:
        pytest.fail(f"took {took:.2f} s, allowed are {limit:.2f} s")
