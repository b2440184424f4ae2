"""One immutable picture of the platform: what the screen draws and what `check` prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from moalog_tui.platform.containers import Container, ContainerEvent, EngineStatus, Usage
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Endpoint, Service, ServiceKind


@dataclass(frozen=True, slots=True)
class Mute:
    """A service that the operator does not want to hear of for now."""

    service: str
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Latency:
    """One point of a service's latency strip: milliseconds, or None where the probe did not pass."""

    at: datetime
    milliseconds: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service at one moment: a row of the table, an entry of `check --json`."""

    service: Service
    state: HealthState
    reason: Reason | None
    detail: str
    """A sentence with the actual value; empty for a healthy service with nothing to add. Kept as received."""
    probe: Outcome
    since: datetime
    """When the state was last changed, as far as this process has seen."""
    checked_at: datetime | None
    stale_s: float | None = None
    """Seconds since the last answer, where that is older than twice the interval in force; else None."""
    latency_ms: float | None = None
    history: tuple[Latency, ...] = ()
    """The last 60 probes, oldest first."""
    container: Container | None = None
    """None where the service has no container (not-created) or the engine never told of it."""
    endpoint: Endpoint | None = None
    root_causes: tuple[str, ...] = ()
    """The services, themselves failing for their own reasons, that explain this one; first the first."""
    dependants: tuple[str, ...] = ()
    """Services that this one, being a root cause, impairs directly."""
    impact: tuple[str, ...] = ()
    """What the platform loses by this state, a sentence each."""
    usage: Usage | None = None
    mute: Mute | None = None
    starts_in_window: int = 0
    notes: tuple[str, ...] = ()
    """Further facts for details: "history since 18:59:01Z", "last run was killed: out of memory"."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def kind(self) -> ServiceKind:
        """What the service is to the platform."""
        return self.service.kind

    @property
    def root_cause(self) -> str | None:
        """The first root cause, or None."""
        return self.root_causes[0] if self.root_causes else None

    @property
    def failing(self) -> bool:
        """True for every state but healthy."""
        return self.state is not HealthState.HEALTHY


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A runbook scenario that applies, and why."""

    scenario: str
    """The scenario's id in the runbook ("2")."""
    title: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole picture. `services` is in the profile's order; the table sorts it (`worst_first`)."""

    at: datetime
    sequence: int
    platform: str
    """The profile's title."""
    project: str
    engine: EngineStatus
    services: tuple[ServiceStatus, ...]
    metrics: tuple[MetricReading, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    events: tuple[ContainerEvent, ...] = ()
    """Recent container events, oldest first, bounded."""
    self_check: str | None = None
    """A sentence where our own side is ill (loop lag, loopback missed), else None."""
    complete: bool = False
    """True once every source has answered or missed its deadline at least once."""
    extra: tuple[str, ...] = field(default=())
    """Sentences for the verdict line's second place ("services only in the compose file: 2")."""

    def status(self, name: str) -> ServiceStatus | None:
        """Return the status of the service of that name, or None."""
        return next((status for status in self.services if status.name == name), None)
