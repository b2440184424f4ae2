"""Builds the adapters and hands them on as plain callables: the only module, beside cli/, that sees everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.adapters.docker_logs import LogFollower
from moalog_tui.adapters.host import HostError, read_text
from moalog_tui.adapters.loopback import self_probe
from moalog_tui.adapters.prober import Prober
from moalog_tui.adapters.prometheus import PrometheusReader
from moalog_tui.config import Settings
from moalog_tui.monitor.monitor import Monitor
from moalog_tui.monitor.sources import Sources
from moalog_tui.operations.operations import Operations, operator_name
from moalog_tui.operations.record import ActsRecord, fallback_folders
from moalog_tui.operations.running import Executors
from moalog_tui.operations.single_flight import SingleFlight, lock_folders
from moalog_tui.platform.containers import Container, EngineStatus
from moalog_tui.platform.health import ProbeResult
from moalog_tui.platform.logs import LogRing
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Endpoint, Service
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot, Suggestion
from moalog_tui.runbook.plan import Plan, Verb
from moalog_tui.runbook.planning import Refusal, documented_windows, plan_action
from moalog_tui.runbook.reading import built_in, read_runbook
from moalog_tui.runbook.scenarios import Runbook
from moalog_tui.runbook.suggest import suggest
from moalog_tui.ui.desk import Desk

CLOSE_DEADLINE_S: Final = 0.3
"""For closing clients while quitting: what does not close in this time is left to the system."""


class Wired:
    """One run of the program: its adapters, its monitor, its operations."""

    def __init__(self, settings: Settings, deadline_s: float | None = None) -> None:
        self.settings = settings
        self.deadline_s = deadline_s or settings.deadline_s
        self._calls = BlockingCalls()
        self.engine = DockerEngine(self._calls, settings.environment)
        self._prober = Prober(self._calls, settings.setting, {one.probe.kind for one in settings.services})
        self._prometheus = PrometheusReader(self._calls, self.deadline_s)
        self._runbook = RunbookKeeper(settings)
        self._record = ActsRecord((settings.state_dir, *fallback_folders()))
        self._remote = False
        self.monitor = Monitor(
            settings.profile,
            settings.services,
            self._sources(),
            mutes=settings.mutes,
            interval=settings.interval_s,
            deadline=self.deadline_s,
        )
        self.operations = Operations(
            Executors(
                start=self.engine.start,
                stop=self.engine.stop,
                restart=self.engine.restart,
                observe=lambda: self.monitor.latest,
                hurry=self.monitor.hurry,
            ),
            SingleFlight(lock_folders(settings.state_dir), settings.hint.explicit or settings.profile.project),
            self._record,
            by=operator_name(),
            read_only=settings.read_only,
        )

    def _sources(self) -> Sources:
        settings = self.settings
        return Sources(
            engine_status=self._engine_status,
            containers=partial(self.engine.containers, settings.hint),
            events=self.engine.events,
            forget=self.engine.forget,
            probe=self.probe,
            endpoint=self._endpoint,
            stats=self.engine.stats,
            metrics=self._metrics,
            self_probe=partial(self_probe, self.deadline_s),
            acts=self._record.acts,
            suggest=self._suggest,
            credential=self._credential,
        )

    async def _engine_status(self) -> EngineStatus:
        status = await self.engine.status()
        self._remote = status.remote
        return status

    async def probe(self, service: Service, endpoint: Endpoint) -> ProbeResult:
        """Probe one service at one place; never raises."""
        return await self._prober.probe(service, endpoint, self.deadline_s)

    async def probe_all(self) -> Sequence[tuple[Service, Endpoint | None, ProbeResult]]:
        """One round of the monitor, as doctor tells it: where each probe went and what it said."""
        snapshot = await self.monitor.one_round()
        return [
            (
                status.service,
                status.endpoint,
                ProbeResult(
                    status.probe, status.checked_at or snapshot.at, status.latency_ms, status.reason, status.detail
                ),
            )
            for status in snapshot.services
        ]

    def _endpoint(self, service: Service, container: Container | None) -> Endpoint | None:
        return self.settings.endpoint(service, container, self._remote)

    async def _metrics(self, endpoint: Endpoint) -> tuple[MetricReading, ...]:
        return await self._prometheus.read(endpoint, self.settings.profile.metrics)

    def _suggest(self, statuses: Sequence[ServiceStatus]) -> tuple[Suggestion, ...]:
        return suggest(statuses, self._runbook.current())

    def _credential(self, service: Service) -> object:
        spec = service.probe
        names = (spec.user_setting, spec.password_setting, spec.database_setting)
        return tuple(self.settings.setting(name) for name in names if name)

    def plan(self, verb: Verb, name: str, snapshot: Snapshot) -> Plan | str:
        """Plan an action on a service, or say in a sentence why there is none."""
        status = snapshot.status(name)
        if status is None:
            return f"There is no service {name}."
        settings = self.settings
        made = plan_action(
            verb,
            status,
            snapshot,
            compose_file=str(settings.compose_file) if settings.compose_file else None,
            project=snapshot.project,
            read_only=settings.read_only,
            windows=documented_windows(self._runbook.current(), settings.services),
        )
        return made.sentence if isinstance(made, Refusal) else made

    def runbook(self) -> Runbook:
        """The runbook as it stands now."""
        return self._runbook.current()

    def follow(self, container: Container, ring: LogRing, since_ns: int | None) -> LogFollower:
        """Follow a container's log into a ring, from after a time or from its last lines."""
        return self.engine.follow(container, ring, since_ns)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Run the monitor and yield each new picture; ends with it, and takes it along when it is closed."""
        running = asyncio.create_task(self.monitor.run(), name="monitor")
        try:
            async for snapshot in self.monitor.snapshots():
                yield snapshot
        finally:
            await end(running)
            await self.close()

    async def close(self) -> None:
        """Give connections back; never waits for another side that hangs."""
        self.engine.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._prober.aclose()


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for it, but not for ever: quitting must not depend on what hangs."""
    task.cancel()
    await asyncio.wait({task}, timeout=CLOSE_DEADLINE_S)


class RunbookKeeper:
    """The platform's own runbook, read again when its file changed; the built-in one where there is none."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.runbook
        self._stamp: tuple[int, ...] | None = None
        self._held: Runbook | None = None

    def current(self) -> Runbook:
        """Return the runbook; a file that cannot be read any more leaves the last one in place."""
        if self._path is None:
            self._held = self._held or built_in()
            return self._held
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp or self._held is None:
                self._held = read_runbook(read_text(self._path), str(self._path))
                self._stamp = stamp
        except (OSError, HostError):
            self._held = self._held or built_in()
        return self._held


def wire(settings: Settings, deadline: float | None = None) -> Wired:
    """Build one run of the program. Nothing is connected before it is first asked."""
    return Wired(settings, deadline)


def desk_for(wired: Wired) -> Desk:
    """Return what the screen is given: values and plain callables."""
    settings = wired.settings
    return Desk(
        title=settings.profile.title,
        service_names=tuple(service.name for service in settings.services),
        snapshots=wired.snapshots,
        follow=wired.follow,
        redactor=settings.redactor(),
        runbook=wired.runbook,
        check_now=wired.monitor.check_now,
        plan=wired.plan,
        run=wired.operations.start,
        watching=wired.monitor.watching,
        read_only=settings.read_only,
        ascii=settings.ascii,
        engine_label="docker",
        keys=settings.keys,
    )
