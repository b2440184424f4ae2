"""Made-up pictures and feeds: values that the screen is given, in place of a monitor. No mocks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerState,
    EngineStatus,
    PublishedPort,
    Usage,
)
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.logs import LogRing, RawLine, Stream
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Dependency, Endpoint, ExternalDependency, MetricSpec, Service, ServiceKind
from moalog_tui.platform.snapshot import Latency, ServiceStatus, Snapshot, Suggestion
from moalog_tui.platform.text import Redactor
from moalog_tui.runbook.plan import Plan, Step, StepType, Tier, Verb
from moalog_tui.runbook.scenarios import Runbook, Scenario, Section
from moalog_tui.ui.desk import Desk, Follow

NOW = datetime(2026, 11, 23, 19, 2, 11, tzinfo=UTC)

K = ServiceKind
SERVICES: tuple[Service, ...] = (
    Service(
        "moalog-server",
        K.APPLICATION,
        needs=(
            Dependency("mysql", "no posts"),
            Dependency("rate-limiter", "no limits"),
            Dependency("fluxpay-engine", "no payments"),
        ),
    ),
    Service(
        "rate-limiter",
        K.APPLICATION,
        needs=(Dependency("redis", "fails open", "500 ms", "It lets every request through."),),
    ),
    Service(
        "fluxpay-engine",
        K.APPLICATION,
        needs=(
            Dependency("fluxpay-postgres", "no ledger"),
            Dependency("redis", "no idempotency checks"),
            Dependency("fluxpay-kafka", "no events"),
        ),
        external=(ExternalDependency("OpenAI", "no summaries", "30 s"),),
    ),
    Service(
        "redis",
        K.DATASTORE,
        startup_s=15,
        scenario="redis-down",
        impact=("Rate limiting fails open.", "Payments lose their duplicate guard."),
    ),
    Service("mysql", K.DATASTORE, startup_s=60, scenario="mysql-down", impact=("Nobody can read or write posts.",)),
    Service("fluxpay-postgres", K.DATASTORE),
    Service("fluxpay-kafka", K.BROKER, needs=(Dependency("fluxpay-zookeeper", "no controller"),)),
    Service("fluxpay-zookeeper", K.BROKER),
    Service("redis-exporter", K.EXPORTER, needs=(Dependency("redis", "no readings"),)),
    Service("mysqld-exporter", K.EXPORTER, needs=(Dependency("mysql", "no readings"),)),
    Service("rjmx-exporter-rate-limiter", K.EXPORTER, needs=(Dependency("rate-limiter", "no readings"),)),
    Service("rjmx-exporter-fluxpay", K.EXPORTER, needs=(Dependency("fluxpay-engine", "no readings"),)),
    Service("prometheus", K.OBSERVABILITY),
    Service("grafana", K.OBSERVABILITY, needs=(Dependency("prometheus", "empty panels"),)),
    Service("alertmanager", K.OBSERVABILITY),
    Service("loki", K.OBSERVABILITY),
    Service("promtail", K.OBSERVABILITY, needs=(Dependency("loki", "nowhere to send lines"),)),
    Service("jaeger", K.OBSERVABILITY),
    Service("otel-collector", K.OBSERVABILITY, needs=(Dependency("jaeger", "traces are dropped"),)),
    Service("otel-agent-init", K.ONE_SHOT, completes=True),
)

ENGINE = EngineStatus("unix:///var/run/docker.sock (default)", True, "1.47", "27.3.1")
AWAY = EngineStatus(
    "unix:///var/run/docker.sock (default)",
    False,
    error="Docker does not answer at unix:///var/run/docker.sock: nothing listens there; is it running?",
    kind="refused",
)

SPECS = (
    MetricSpec("rps", "req/s", "q", "/s"),
    MetricSpec("errors", "5xx", "q", "ratio", warn=0.01),
    MetricSpec("p95", "p95", "q", "s", warn=0.5),
    MetricSpec("redis", "redis mem", "q", "bytes"),
)


def container_of(service: Service, **changes: object) -> Container:
    """A container that runs well."""
    made = Container(
        id=(service.name.encode(errors="replace").hex() * 8)[:64],
        name=service.name if service.name.startswith("fluxpay") else f"moalog-{service.name}",
        service=service.name,
        project="moalog",
        image=f"moalog/{service.name}:1.4",
        state=ContainerState.RUNNING,
        created_at=NOW - timedelta(hours=4),
        started_at=NOW - timedelta(hours=3, minutes=12),
        ports=(PublishedPort(8080, "127.0.0.1", 8080),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def history_of(service: Service, failed: int = 0) -> tuple[Latency, ...]:
    """Sixty probes, the last `failed` of which failed."""
    base = 2 + len(service.name) % 9
    points = []
    for i in range(60):
        bad = i >= 60 - failed
        wave = base * (1 + 0.3 * math.sin(i / 3)) + (base * 2.5 if i == 21 else 0)
        at = NOW - timedelta(seconds=5 * (60 - i))
        points.append(Latency(at, None if bad else wave, Outcome.FAIL if bad else Outcome.PASS))
    return tuple(points)


def status_of(service: Service, state: HealthState = HealthState.HEALTHY, **changes: object) -> ServiceStatus:
    """One row; healthy unless told otherwise."""
    container = container_of(service)
    if service.completes:
        container = container_of(service, state=ContainerState.EXITED, exit_code=0)
    made = ServiceStatus(
        service=service,
        state=state,
        reason=None,
        detail="ran to its end, exit 0" if service.completes else "",
        probe=Outcome.NONE if service.completes else Outcome.PASS,
        since=NOW - timedelta(hours=3),
        checked_at=NOW,
        latency_ms=None if service.completes else float(2 + len(service.name) % 9),
        history=() if service.completes else history_of(service),
        container=container,
        endpoint=Endpoint("127.0.0.1", 8080, "published"),
        usage=None
        if service.completes
        else Usage(1.0 + len(service.name) % 4, 45_000_000 + 9_000_000 * len(service.name), 0),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def readings(errors: float = 0.0) -> tuple[MetricReading, ...]:
    """The four readings of the strip."""
    values = (42.1, errors, 0.081, 12_400_000.0)
    made = []
    for spec, value in zip(SPECS, values, strict=True):
        points = tuple(None if i == 7 else value * (1 + 0.2 * math.sin(i / 2)) for i in range(30))
        made.append(MetricReading(spec, value, None, points, NOW))
    return tuple(made)


def picture(statuses: Sequence[ServiceStatus] | None = None, **changes: object) -> Snapshot:
    """A whole picture; everything healthy unless told otherwise."""
    rows = tuple(statuses) if statuses is not None else tuple(status_of(service) for service in SERVICES)
    made = Snapshot(NOW, 1, "moalog", "moalog", ENGINE, rows, readings(), complete=True)
    return replace(made, **changes)  # type: ignore[arg-type]


def redis_down() -> Snapshot:
    """Redis was killed for want of memory; what needs it directly is impaired."""
    rows = []
    for service in SERVICES:
        if service.name == "redis":
            dead = container_of(
                service,
                state=ContainerState.EXITED,
                exit_code=137,
                oom_killed=True,
                finished_at=NOW - timedelta(minutes=4),
            )
            rows.append(
                status_of(
                    service,
                    HealthState.DOWN,
                    reason=Reason.OOM_KILLED,
                    detail="exited 137, out of memory, 4m ago",
                    container=dead,
                    probe=Outcome.FAIL,
                    latency_ms=None,
                    history=history_of(service, 9),
                    usage=None,
                    dependants=("rate-limiter", "fluxpay-engine", "redis-exporter"),
                    impact=service.impact,
                )
            )
        elif any(need.service == "redis" for need in service.needs):
            loses = next(need.loses for need in service.needs if need.service == "redis")
            rows.append(
                status_of(
                    service,
                    HealthState.DEGRADED,
                    reason=Reason.DEPENDENCY,
                    detail=f"redis: {loses}",
                    root_causes=("redis",),
                )
            )
        else:
            rows.append(status_of(service))
    events = (
        ContainerEvent(_ns(NOW - timedelta(minutes=4, seconds=1)), "oom", "72656469", "moalog-redis", "redis"),
        ContainerEvent(_ns(NOW - timedelta(minutes=4)), "die", "72656469", "moalog-redis", "redis", exit_code=137),
    )
    evidence = ("the container exited 137 (out of memory)", "RedisConnectionFailed is firing")
    return picture(rows, suggestions=(Suggestion("2", "Redis Down", evidence),), events=events)


def everything_down() -> Snapshot:
    """Every container exited."""
    rows = []
    for service in SERVICES:
        dead = container_of(service, state=ContainerState.EXITED, exit_code=0 if service.completes else 255)
        if service.completes:
            rows.append(status_of(service))
            continue
        roots = tuple(sorted({"redis", "mysql", "prometheus", "loki", "jaeger"} & {n.service for n in service.needs}))
        rows.append(
            status_of(
                service,
                HealthState.DOWN,
                reason=Reason.EXITED,
                detail="exited 255, 2m ago",
                container=dead,
                probe=Outcome.FAIL,
                latency_ms=None,
                usage=None,
                history=history_of(service, 24),
                root_causes=roots,
            )
        )
    silent = tuple(MetricReading(spec, None, "Prometheus does not answer") for spec in SPECS)
    return picture(rows, metrics=silent)


def no_daemon() -> Snapshot:
    """The engine was never reached."""
    rows = [
        status_of(
            service,
            HealthState.UNKNOWN,
            reason=Reason.MONITOR,
            detail="the engine does not answer",
            container=None,
            probe=Outcome.UNKNOWN,
            latency_ms=None,
            usage=None,
            history=(),
            endpoint=None,
        )
        for service in SERVICES
    ]
    silent = tuple(MetricReading(spec, None, "Prometheus does not answer") for spec in SPECS)
    return picture(rows, engine=AWAY, metrics=silent)


RUNBOOK = Runbook(
    "built in",
    "0" * 64,
    (
        Scenario(
            "2",
            "redis-down",
            "Redis Down",
            120,
            (
                Section(
                    "Impact",
                    "impact",
                    121,
                    (("bullet", "Requests are no longer limited."), ("bullet", "A payment sent twice is taken twice.")),
                ),
                Section(
                    "Diagnose",
                    "diagnose",
                    126,
                    (
                        ("comment", "# is it running?"),
                        ("command", "docker ps --filter name=moalog-redis"),
                        ("command", "docker logs --tail 20 moalog-redis"),
                    ),
                ),
                Section(
                    "Recover",
                    "recover",
                    133,
                    (("command", "docker compose start redis"), ("text", "It answers again within 15 seconds.")),
                ),
                Section("Verify", "verify", 140, (("command", "redis-cli ping"), ("text", "fluxpay-engine answers."))),
            ),
        ),
        Scenario(
            "1",
            "mysql-down",
            "MySQL Down",
            60,
            (Section("Impact", "impact", 61, (("bullet", "Posts cannot be read or written."),)),),
        ),
    ),
)


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)


class MadeFollow:
    """A follower whose lines were written beforehand; a test may extend the ring itself."""

    def __init__(self, ring: LogRing) -> None:
        self.ring = ring
        self.state = "following"
        self.stopped = False

    def stop(self) -> None:
        """End it."""
        self.stopped = True


LEVELS = ("INFO", "INFO", "INFO", "DEBUG", "WARN", "INFO", "ERROR", "INFO")


def line(number: int, text: str | None = None) -> RawLine:
    """The numbered line of a made log."""
    level = LEVELS[number % len(LEVELS)]
    body = text if text is not None else f"{level:<5} [http-{number % 8}] request {number} took {number * 7 % 90} ms"
    return RawLine(_ns(NOW - timedelta(minutes=6)) + number * 250_000_000, Stream.STDOUT, body)


@dataclass
class Bench:
    """A desk and what was asked of it."""

    pictures: list[Snapshot]
    texts: Sequence[str] | None = None
    lines: int = 200
    read_only: bool = False
    checked: list[str | None] = field(default_factory=list)
    follows: list[tuple[Container, LogRing, int | None, MadeFollow]] = field(default_factory=list)
    ran: list[Plan] = field(default_factory=list)
    feed: asyncio.Queue[Snapshot] = field(default_factory=asyncio.Queue)
    events: asyncio.Queue[OperationEvent | None] = field(default_factory=asyncio.Queue)

    def follow(self, container: Container, ring: LogRing, since: int | None) -> Follow:
        """Fill the ring with the made lines, once a container."""
        made = MadeFollow(ring)
        if since is None:
            if self.texts is not None:
                ring.extend(line(i, text) for i, text in enumerate(self.texts))
            else:
                ring.extend(line(i) for i in range(self.lines))
        self.follows.append((container, ring, since, made))
        return made

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """The pictures made beforehand, then those that a test puts into `feed`."""
        for one in self.pictures:
            yield one
        while True:
            yield await self.feed.get()

    def plan(self, verb: Verb, name: str, snapshot: Snapshot) -> Plan | str:
        """A plan as the runbook's planner makes it."""
        if self.read_only:
            return "read-only: started with --read-only; leave it out to act"
        status = snapshot.status(name)
        if status is None or status.container is None:
            return f"{name} has no container"
        safe = verb is Verb.START
        short = status.container.short_id
        return Plan(
            verb,
            status.service,
            status.container.id,
            status.container.name,
            Tier.SAFE if safe else Tier.DISRUPTIVE,
            (
                Step("1", StepType.ENGINE, f"{verb.value} the container"),
                Step("2", StepType.WAIT, "wait until it passes twice", (0.0, 15.0)),
            ),
            f"Engine API: {verb.value} of container {short}, stop time-out 10 s",
            ("docker", verb.value, "--time", "10", status.container.name),
            (f"{status.container.name}, {short}, up 3h12m, healthy",),
            ("rate-limiter and fluxpay-engine blip while it is away",),
        )

    async def run(self, plan: Plan) -> AsyncIterator[OperationEvent]:
        """Report what a test puts into `events`; None ends it."""
        self.ran.append(plan)
        while True:
            event = await self.events.get()
            if event is None:
                return
            yield event

    def verdict(self, plan: Plan, kind: VerdictKind = VerdictKind.RECOVERED) -> OperationEvent:
        """The last event of a plan."""
        return OperationEvent(
            "op", plan, EventKind.VERDICT, NOW, text="the probe passed twice", elapsed_s=4.0, verdict=kind
        )

    def desk(self, **changes: object) -> Desk:
        """The desk for a screen."""
        made = Desk(
            title="moalog",
            service_names=tuple(service.name for service in SERVICES),
            snapshots=self.snapshots,
            follow=self.follow,
            redactor=Redactor(),
            runbook=lambda: RUNBOOK,
            check_now=self.checked.append,
            plan=self.plan,
            run=self.run,
            watching=lambda _: None,
            read_only=self.read_only,
            now=lambda: NOW,
        )
        return replace(made, **changes)  # type: ignore[arg-type]


Clock = Callable[[], float]
