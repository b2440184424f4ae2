"""A world for the monitor: the values its sources give, and an event loop whose clock moves only by waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from moalog_tui.monitor.monitor import Monitor
from moalog_tui.monitor.sources import Sources
from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerListing,
    ContainerState,
    EngineError,
    EngineStatus,
    OperatorAct,
    StatsSample,
)
from moalog_tui.platform.health import HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import (
    Dependency,
    Endpoint,
    MetricSpec,
    ProbeKind,
    ProbeSpec,
    Profile,
    Service,
    ServiceKind,
)
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot, Suggestion

T = TypeVar("T")
EPOCH = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)

REDIS = Service("redis", ServiceKind.DATASTORE, container="moalog-redis", port=6382,
                probe=ProbeSpec(ProbeKind.REDIS), startup_s=15.0)  # fmt: skip
LIMITER = Service("rate-limiter", ServiceKind.APPLICATION, port=8082, probe=ProbeSpec(ProbeKind.HTTP),
                  startup_s=90.0, needs=(Dependency("redis", "fails open"),))  # fmt: skip
MYSQL = Service("mysql", ServiceKind.DATASTORE, port=3307, probe=ProbeSpec(ProbeKind.MYSQL), startup_s=60.0)
PROMTAIL = Service("promtail", ServiceKind.OBSERVABILITY)
INIT = Service("otel-agent-init", ServiceKind.ONE_SHOT, completes=True)
SERVICES = (REDIS, LIMITER, MYSQL, PROMTAIL, INIT)
METRIC = MetricSpec("req", "req/s", "sum(rate(x[1m]))", "/s")


class _Jumping(selectors.SelectSelector):
    """Never waits: a wait for time moves the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for ever")
        self.moved += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `jump` is the process being stopped for a while."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return 1000.0 + self._jumping.moved

    def jump(self, seconds: float) -> None:
        self._jumping.moved += seconds


def play(scene: Callable[[World], Coroutine[Any, Any, T]], **settings: Any) -> T:
    """Run a scene in virtual time, and see that it leaves no task behind."""

    async def body() -> T:
        world = World(**settings)
        try:
            result = await scene(world)
        finally:
            await world.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body())


class World:
    """Values that the sources give; a test changes them as it goes."""

    def __init__(self, services: Sequence[Service] = SERVICES, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        self.start = self.loop.time()
        self.connected = True
        self.engine_error: Exception | None = None
        self.events_error: Exception | None = None
        self.listing_s = 0.01
        self.containers: dict[str, Container] = {
            service.name: container(service, self.now() - timedelta(hours=3)) for service in services
        }
        if INIT.name in self.containers:
            done = self.containers[INIT.name]
            self.containers[INIT.name] = replace(done, state=ContainerState.EXITED, exit_code=0, finished_at=EPOCH)
        self.answers: dict[str, ProbeResult | Exception | Callable[[], Awaitable[ProbeResult]]] = {}
        self.probed: list[tuple[str, float]] = []
        self.in_flight: dict[str, int] = {}
        self.most_in_flight = 0
        self.probe_s = 0.01
        self.streams: list[asyncio.Queue[ContainerEvent | None]] = []
        self.since: list[int | None] = []
        self.forgotten: list[str] = []
        self.listed: list[float] = []
        self.acts: list[OperatorAct] = []
        self.loopback: bool | Exception = True
        self.self_probes = 0
        self.credentials: dict[str, object] = {}
        self.addresses: dict[str, Endpoint | None] = {}
        self.sampled: list[tuple[str, float]] = []
        self.stats_error: Exception | None = None
        self.sampling = 0
        self.most_sampling = 0
        self.metrics_asked: list[float] = []
        self.metrics_error: Exception | None = None
        self.suggest: Callable[[Sequence[ServiceStatus]], tuple[Suggestion, ...]] = lambda _statuses: ()
        profile = Profile("moalog", "moalog", "moalog-server", tuple(services), metrics=(METRIC,), prometheus="mysql")
        self.monitor = Monitor(
            profile, services, self._sources(), clock=self.loop.time, now=self.now, **settings
        )  # fmt: skip
        self._running: asyncio.Task[None] | None = None

    def _sources(self) -> Sources:
        return Sources(
            engine_status=self._engine_status,
            containers=self._containers,
            events=self._events,
            forget=self.forgotten.append,
            probe=self._probe,
            endpoint=self._endpoint,
            stats=self._stats,
            metrics=self._metrics,
            self_probe=self._self_probe,
            acts=lambda: self.acts,
            suggest=lambda statuses: self.suggest(statuses),
            credential=lambda service: self.credentials.get(service.name),
        )

    # -------------------------------------------------------------- time

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.loop.time() - self.start

    def now(self) -> datetime:
        """The wall clock of this world."""
        return EPOCH + timedelta(seconds=self.loop.time() - self.start)

    def run(self) -> None:
        """Start the monitor."""
        self._running = asyncio.create_task(self.monitor.run())

    async def stop(self) -> None:
        """Cancel the monitor, as quitting does, and wait for its end."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def until(self, seconds: float) -> None:
        """Wait until so many seconds since the beginning."""
        await asyncio.sleep(self.start + seconds - self.loop.time())

    async def when(self, true: Callable[[], bool], within: float = 60.0) -> None:
        """Wait until something holds, in steps of 50 ms."""
        for _ in range(int(within / 0.05)):
            if true():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it never came true")

    def status(self, name: str) -> ServiceStatus:
        """The newest status of a service."""
        status = self.monitor.latest.status(name)
        assert status is not None
        return status

    def state(self, name: str) -> HealthState:
        """The newest state of a service."""
        return self.status(name).state

    def asked(self, name: str, since: float = 0.0) -> list[float]:
        """When a service was probed, in seconds since the beginning, rounded to tenths."""
        return [round(at, 1) for one, at in self.probed if one == name and at >= since]

    # ---------------------------------------------------------- happenings

    def set(self, name: str, **changes: Any) -> None:
        """Change a container's facts without an event."""
        self.containers[name] = replace(self.containers[name], **changes)

    def tell(self, name: str, action: str, **more: Any) -> None:
        """Send an event of a service's container to everybody who listens."""
        one = self.containers[name]
        at = int(self.now().timestamp() * 1e9)
        for stream in self.streams:
            stream.put_nowait(ContainerEvent(at, action, one.id, one.name, one.service, **more))

    def die(self, name: str, code: int = 1, *, oom: bool = False) -> None:
        """End a container, with its event; its port refuses from now on."""
        self.set(name, state=ContainerState.EXITED, exit_code=code, oom_killed=oom, finished_at=self.now())
        self.answers[name] = refused()
        self.tell(name, "die", exit_code=code)

    def begin(self, name: str, *, by_policy: bool = False) -> None:
        """Start a container, with its event."""
        count = self.containers[name].restart_count + 1 if by_policy else 0
        self.set(name, state=ContainerState.RUNNING, exit_code=None, started_at=self.now(), restart_count=count)
        self.tell(name, "start")

    def kill_engine(self) -> None:
        """The daemon dies, and its port proxies with it; its event streams end."""
        self.connected = False
        for service in SERVICES:
            self.answers[service.name] = refused()
        for stream in self.streams:
            stream.put_nowait(None)

    def revive_engine(self) -> None:
        """The daemon comes back, containers unharmed."""
        self.connected = True
        self.answers.clear()

    # ------------------------------------------------------------- sources

    async def _engine_status(self) -> EngineStatus:
        await asyncio.sleep(0.001)
        if self.connected:
            return EngineStatus("unix:///x.sock", connected=True, api_version="1.41")
        return EngineStatus("unix:///x.sock", connected=False, error="Docker does not answer.", kind="absent")

    async def _containers(self) -> ContainerListing:
        self.listed.append(self.elapsed)
        await asyncio.sleep(self.listing_s)
        if self.engine_error is not None:
            raise self.engine_error
        if not self.connected:
            raise EngineError("Docker does not answer.", "absent")
        return ContainerListing("moalog-server", by_label=True, containers=tuple(self.containers.items()))

    async def _events(self, project: str, names: tuple[str, ...], since: int | None) -> AsyncIterator[ContainerEvent]:
        assert project == "moalog-server"
        assert "moalog-redis" in names
        self.since.append(since)
        await asyncio.sleep(0.001)
        if self.events_error is not None:
            raise self.events_error
        if not self.connected:
            raise EngineError("Docker does not answer.", "absent")
        queue: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self.streams.append(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self.streams.remove(queue)

    async def _probe(self, service: Service, endpoint: Endpoint) -> ProbeResult:
        self.probed.append((service.name, self.elapsed))
        self.in_flight[service.name] = self.in_flight.get(service.name, 0) + 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight[service.name])
        try:
            answer = self.answers.get(service.name)
            if callable(answer):
                return await answer()
            await asyncio.sleep(self.probe_s)
            answer = self.answers.get(service.name)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, ProbeResult):
                return replace(answer, at=self.now())
            return ProbeResult(Outcome.PASS, self.now(), latency_ms=3.0, answered=True)
        finally:
            self.in_flight[service.name] -= 1

    def _endpoint(self, service: Service, one: Container | None) -> Endpoint | None:
        if service.name in self.addresses:
            return self.addresses[service.name]
        return Endpoint("127.0.0.1", service.port, "profile") if service.port else None

    async def _stats(self, container_id: str) -> StatsSample | None:
        self.sampling += 1
        self.most_sampling = max(self.most_sampling, self.sampling)
        try:
            await asyncio.sleep(1.0)
            self.sampled.append((container_id, self.elapsed))
            if self.stats_error is not None:
                raise self.stats_error
            ns = int(self.loop.time() * 1e9)
            return StatsSample(self.loop.time(), ns // 10, ns, 2, 1 << 20, 0)
        finally:
            self.sampling -= 1

    async def _metrics(self, endpoint: Endpoint) -> tuple[MetricReading, ...]:
        self.metrics_asked.append(self.elapsed)
        if self.metrics_error is not None:
            raise self.metrics_error
        return (MetricReading(METRIC, 42.0, None, (41.0, 42.0), self.now()),)

    async def _self_probe(self) -> bool:
        self.self_probes += 1
        if isinstance(self.loopback, Exception):
            raise self.loopback
        return self.loopback


def container(service: Service, started_at: datetime, **more: Any) -> Container:
    """A running container of a service."""
    return Container(
        id=f"{service.name}-0123456789abcdef",
        name=service.container or service.name,
        service=service.name,
        project="moalog-server",
        image="image",
        state=ContainerState.RUNNING,
        restart_policy=more.pop("restart_policy", "unless-stopped"),
        created_at=started_at,
        started_at=started_at,
        **more,
    )


def refused() -> ProbeResult:
    """A port that refuses."""
    return ProbeResult(Outcome.FAIL, EPOCH, reason=Reason.REFUSED, detail="refused")


def wrong_password() -> ProbeResult:
    """Alive, but our credential is wrong."""
    return ProbeResult(Outcome.UNKNOWN, EPOCH, reason=Reason.AUTH, detail="alive, credential wrong", answered=True)


async def collect(monitor: Monitor, count: int) -> list[Snapshot]:
    """The next so many snapshots."""
    found: list[Snapshot] = []
    async for snapshot in monitor.snapshots():
        found.append(snapshot)
        if len(found) == count:
            break
    return found
