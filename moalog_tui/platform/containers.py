"""Facts about containers, as the engine tells them, and the ring of their starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ContainerState(StrEnum):
    """The engine's own word for a container's state."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class DockerHealth(StrEnum):
    """The engine's own health check; `none` where the container has no check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A container port that the engine publishes on the host."""

    container_port: int
    host_ip: str
    host_port: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as listed and inspected. Times are UTC; text is kept as received."""

    id: str
    name: str
    service: str | None
    """The compose service label; None where the container has no compose labels."""
    project: str | None
    image: str
    state: ContainerState
    health: DockerHealth = DockerHealth.NONE
    health_output: str = ""
    """The last output of the engine's health check, as received."""
    exit_code: int | None = None
    """Only where the container is not running."""
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    restart_policy: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ports: tuple[PublishedPort, ...] = ()
    tty: bool = False
    networks: tuple[str, ...] = ()
    working_dir: str | None = None
    """The compose label `project.working_dir`."""
    config_files: str | None = None
    one_off: bool = False
    memory_limit: int = 0
    """Bytes; 0 is unlimited."""

    @property
    def short_id(self) -> str:
        """The first twelve characters of the id."""
        return self.id[:12]

    @property
    def running(self) -> bool:
        """True while its process can answer (not paused, not restarting)."""
        return self.state is ContainerState.RUNNING


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """One event of the engine's stream, reduced to what the monitor uses."""

    at_ns: int
    """Epoch nanoseconds, the engine's clock."""
    action: str
    """create, start, die, stop, restart, kill, oom, pause, unpause, health_status, destroy, rename or update."""
    container_id: str
    name: str
    service: str | None
    exit_code: int | None = None
    health: DockerHealth | None = None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Whether the Docker Engine answers. `error` is a sentence with what to do; None while connected."""

    endpoint: str
    """The resolved endpoint and where it came from: "unix:///var/run/docker.sock (default)"."""
    connected: bool
    api_version: str | None = None
    server_version: str | None = None
    error: str | None = None
    kind: str | None = None
    """Why not: `absent`, `refused`, `permission`, `timeout`, `context` or `other`."""
    last_seen: datetime | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class StatsSample:
    """One reading of the engine's counters. CPU times are nanoseconds, memory bytes."""

    at: float
    """Monotonic seconds."""
    cpu_total_ns: int
    system_cpu_ns: int
    online_cpus: int
    memory_bytes: int
    memory_limit: int


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU per cent (100 is one core; None before a second sample) and memory in bytes."""

    cpu_percent: float | None
    memory_bytes: int
    memory_limit: int


def usage_between(previous: StatsSample | None, current: StatsSample) -> Usage:
    """Return the usage over two samples, by the formula of the docker command line (FACTS B7)."""
    percent: float | None = None
    if previous is not None:
        cpu = current.cpu_total_ns - previous.cpu_total_ns
        system = current.system_cpu_ns - previous.system_cpu_ns
        if system > 0 and cpu >= 0:
            percent = cpu / system * current.online_cpus * 100
    return Usage(percent, current.memory_bytes, current.memory_limit)


class EngineError(Exception):
    """The engine cannot be asked, or refused: `sentence` says what happened and what to do."""

    def __init__(self, sentence: str, kind: str = "other") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ProjectHint:
    """What is known of the compose project before the engine was asked (DESIGN, section 3).

    `explicit` is --project, COMPOSE_PROJECT_NAME or the file's `name:`; `working_dir` the compose file's folder;
    `default` the profile's project; `names` the profile's container names with their services.
    """

    explicit: str | None
    working_dir: str | None
    default: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ContainerListing:
    """The platform's containers at one moment, by service."""

    project: str
    by_label: bool
    """False where no container carries the project's label and container names were used."""
    containers: tuple[tuple[str, Container], ...]
    """(service, container) pairs; of several containers of one service, the running or newest one."""


@dataclass(frozen=True, slots=True)
class OperatorAct:
    """A start, stop or restart that an operator asked of this program, as our own record holds it."""

    service: str
    container_id: str
    verb: str
    at: datetime
    by: str
