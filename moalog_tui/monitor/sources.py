"""What the monitor asks: plain callables, which the wiring makes from the adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerListing,
    EngineStatus,
    OperatorAct,
    StatsSample,
)
from moalog_tui.platform.health import ProbeResult
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Endpoint, Service
from moalog_tui.platform.snapshot import ServiceStatus, Suggestion


@dataclass(frozen=True)
class Sources:
    """Everything outside. The monitor bounds each call, and survives whatever one raises."""

    engine_status: Callable[[], Awaitable[EngineStatus]]
    """Never raises."""
    containers: Callable[[], Awaitable[ContainerListing]]
    """Raises EngineError."""
    events: Callable[[str, tuple[str, ...], int | None], AsyncIterator[ContainerEvent]]
    """(project, container names, since in epoch nanoseconds); raises EngineError or ends when the stream is lost."""
    forget: Callable[[str], None]
    """Told the id of a container whose cached inspect is void."""
    probe: Callable[[Service, Endpoint], Awaitable[ProbeResult]]
    """Never raises; bounded by its deadline."""
    endpoint: Callable[[Service, Container | None], Endpoint | None]
    """Where a service is probed, given its container; None where it cannot be reached from here."""
    stats: Callable[[str], Awaitable[StatsSample | None]]
    """One reading of a container's counters; raises EngineError."""
    metrics: Callable[[Endpoint], Awaitable[tuple[MetricReading, ...]]]
    """The readings of the metrics strip; never raises."""
    self_probe: Callable[[], Awaitable[bool]]
    """Whether our own loopback answers in time."""
    acts: Callable[[], Sequence[OperatorAct]]
    """Our own record of what operators asked for."""
    suggest: Callable[[Sequence[ServiceStatus]], tuple[Suggestion, ...]]
    """The runbook scenarios that apply."""
    credential: Callable[[Service], object]
    """An opaque value that changes when the service's credential changes."""
