"""What the platform is made of: services, how each is probed, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from moalog_tui.platform.secret import Secret

DEFAULT_SLOW_MS: Final = 1000.0
DEFAULT_STARTUP_S: Final = 30.0
DEFAULT_DEADLINE_S: Final = 2.0


class ServiceKind(StrEnum):
    """What a service is to the platform."""

    APPLICATION = "application"
    DATASTORE = "datastore"
    BROKER = "broker"
    OBSERVABILITY = "observability"
    EXPORTER = "exporter"
    ONE_SHOT = "one-shot"

    @property
    def is_platform(self) -> bool:
        """True for what the verdict counts as the platform itself; the rest is counted as observability."""
        return self in (ServiceKind.APPLICATION, ServiceKind.DATASTORE, ServiceKind.BROKER)


class ProbeKind(StrEnum):
    """Which adapter probes a service."""

    HTTP = "http"
    METRICS = "metrics"
    REDIS = "redis"
    MYSQL = "mysql"
    POSTGRES = "postgres"
    KAFKA = "kafka"
    ZOOKEEPER = "zookeeper"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """How a service is probed: which adapter, on which container port, and what it must answer."""

    kind: ProbeKind
    path: str = "/"
    """HTTP only: the path asked for."""
    expect_json: tuple[str, str] | None = None
    """HTTP only: a dotted path into the JSON body and the value it must have (`("result.status", "healthy")`)."""
    expect_text: str | None = None
    """HTTP only: a text the body must contain."""
    expect_status: tuple[int, ...] = ()
    """HTTP only: the statuses that pass; none given: 200 to 299. (A receiver's 404 on `/` proves it is alive.)"""
    headers: tuple[tuple[str, str], ...] = ()
    impaired_path: str | None = None
    """HTTP only: a second path (an actuator) asked when the first passes; `DOWN` there means impaired."""
    user: str | None = None
    """The user name itself, or the name of the setting that holds it where `user_setting` is set."""
    user_setting: str | None = None
    password_setting: str | None = None
    """The name of the setting that holds the password; its value and source come from the settings."""
    database: str | None = None
    database_setting: str | None = None
    locks_accounts: bool = False
    """True where refused credentials lock the account (Grafana): never tried again by itself."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Service X needs service Y while it runs; `loses` is the short effect on X when Y is down."""

    service: str
    loses: str
    timeout: str | None = None
    """How long X waits for Y before it gives up, in the platform's own words ("500 ms")."""
    behaviour: str | None = None
    """One sentence on what X does then."""


@dataclass(frozen=True, slots=True)
class ExternalDependency:
    """A system outside the platform: it has no probe, only what it leaves in the logs when it fails."""

    name: str
    loses: str
    timeout: str | None = None
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the platform. Durations are seconds, latencies milliseconds."""

    name: str
    kind: ServiceKind
    title: str = ""
    container: str | None = None
    """The container name, used where no compose label is found."""
    port: int | None = None
    """Default published port on the host."""
    port_variable: str | None = None
    """The environment variable that compose publishes the port under."""
    container_port: int | None = None
    probe: ProbeSpec = field(default_factory=lambda: ProbeSpec(ProbeKind.NONE))
    startup_s: float = DEFAULT_STARTUP_S
    slow_ms: float | None = DEFAULT_SLOW_MS
    """Over this median latency the service is slow; None switches the rule off."""
    stop_timeout_s: float = 10.0
    completes: bool = False
    """True for a one-shot: exited 0 is as expected."""
    impact: tuple[str, ...] = ()
    """What the platform loses when this service is down, a sentence each."""
    needs: tuple[Dependency, ...] = ()
    external: tuple[ExternalDependency, ...] = ()
    starts_after: tuple[str, ...] = ()
    """Compose's start order (`depends_on`), another relation than `needs`."""
    scenario: str | None = None
    """The slug of the runbook scenario written for this service's failure."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One reading of the metrics strip. `unit` is one of `/s`, `ratio`, `s`, `bytes`, `count`."""

    name: str
    title: str
    query: str
    unit: str
    warn: float | None = None
    """From this value on it is drawn as a warning."""
    service: str | None = None


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """A variable of the platform's environment that the profile gives a default."""

    name: str
    default: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A platform as its TOML file describes it. Service names are unique; every `needs` names one of them."""

    name: str
    title: str
    project: str
    services: tuple[Service, ...]
    metrics: tuple[MetricSpec, ...] = ()
    settings: tuple[SettingSpec, ...] = ()
    prometheus: str | None = None
    """The service that answers PromQL."""
    source: str = "built in"

    def service(self, name: str) -> Service | None:
        """Return the service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)


@dataclass(frozen=True, slots=True)
class Sourced:
    """A setting's value and where it came from ("your shell", ".env:21", "profile", "container")."""

    name: str
    value: str | Secret
    source: str

    @property
    def plain(self) -> str:
        """The value itself; only adapters and the settings call this on a secret."""
        return self.value.reveal() if isinstance(self.value, Secret) else self.value


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a probe goes. `source` is the rule that gave the port: "published", "environment", ".env:3", "profile"."""

    host: str
    port: int
    source: str
