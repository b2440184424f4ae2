"""Pictures of a small platform for tests: redis, the rate limiter that needs it, a broker and a one-shot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from moalog_tui.platform.containers import Container, ContainerState, EngineStatus
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.services import Dependency, ProbeKind, ProbeSpec, Service, ServiceKind
from moalog_tui.platform.snapshot import Latency, ServiceStatus, Snapshot

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
REDIS = Service(
    "redis", ServiceKind.DATASTORE, container="moalog-redis", probe=ProbeSpec(ProbeKind.REDIS), startup_s=15,
    impact=("Nothing is rate limited.",), scenario="redis-down",
)  # fmt: skip
LIMITER = Service(
    "rate-limiter", ServiceKind.APPLICATION, probe=ProbeSpec(ProbeKind.HTTP), startup_s=90,
    scenario="rate-limiter-down", needs=(Dependency("redis", "fails open", "2 s", "It lets every request pass."),),
)  # fmt: skip
KAFKA = Service(
    "fluxpay-kafka", ServiceKind.BROKER, probe=ProbeSpec(ProbeKind.KAFKA), startup_s=75, scenario="kafka-down"
)
PROMTAIL = Service("promtail", ServiceKind.OBSERVABILITY)
INIT = Service("otel-agent-init", ServiceKind.ONE_SHOT, completes=True)
ENGINE = EngineStatus("unix:///var/run/docker.sock (default)", connected=True)


def later(seconds: float) -> datetime:
    """Return the moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def box(service: Service, state: ContainerState = ContainerState.RUNNING, /, **facts: Any) -> Container:
    """Return a compose container of a service, started an hour before noon."""
    known: dict[str, Any] = {
        "id": f"{service.name}-0123456789abcdef", "name": service.container or service.name, "service": service.name,
        "project": "moalog-server", "image": f"{service.name}:1", "state": state, "started_at": later(-3600),
        "restart_policy": "unless-stopped",
    }  # fmt: skip
    if state is ContainerState.EXITED:
        known |= {"exit_code": 137, "finished_at": later(-60)}
    return Container(**(known | facts))


def status(
    service: Service, state: HealthState = HealthState.HEALTHY, reason: Reason | None = None, **facts: Any
) -> ServiceStatus:
    """Return a service's status, with a running container unless another is given."""
    known: dict[str, Any] = {
        "detail": "", "probe": Outcome.PASS if state is HealthState.HEALTHY else Outcome.FAIL, "since": NOON,
        "checked_at": NOON, "container": box(service),
    }  # fmt: skip
    return ServiceStatus(service, state, reason, **(known | facts))


def picture(*statuses: ServiceStatus, at: datetime = NOON, **facts: Any) -> Snapshot:
    """Return a complete snapshot of these services."""
    known: dict[str, Any] = {"engine": ENGINE, "complete": True}
    return Snapshot(at, 1, "Moalog", "moalog-server", services=statuses, **(known | facts))


def probed(one: ServiceStatus, *outcomes: tuple[float, Outcome]) -> ServiceStatus:
    """Return the status with these probes, given as seconds after noon and outcome."""
    history = tuple(Latency(later(at), 1.0 if outcome is Outcome.PASS else None, outcome) for at, outcome in outcomes)
    return replace(one, history=history, checked_at=history[-1].at if history else None, probe=history[-1].outcome)
