"""A small stage for operations: a clock that moves only when somebody sleeps, and an engine that keeps one service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from moalog_tui.operations.running import Executors
from moalog_tui.platform.containers import Container, ContainerState, EngineError, EngineStatus
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.services import Service
from moalog_tui.platform.snapshot import Latency, ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, Verb
from moalog_tui.runbook.planning import plan_action
from tests.operations.builders import ENGINE, REDIS, box, later, picture


@dataclass
class Stage:
    """One service on one engine. It answers `boot_s` after a start; probes come each second, as with hurry."""

    service: Service = REDIS
    boot_s: float = 3.0
    engine_s: float = 1.0
    refusal: EngineError | None = None
    engine: EngineStatus = ENGINE
    at: float = 0.0
    container: Container | None = None
    history: list[Latency] = field(default_factory=list)
    hurries: list[bool] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    on_tick: Callable[[Stage], None] = lambda stage: None
    _started: float = -3600.0

    def __post_init__(self) -> None:
        self.container = self.container or box(self.service)

    def executors(self) -> Executors:
        return Executors(
            start=self.start, stop=self.stop, restart=self.restart, observe=self.observe,
            hurry=lambda _, on: self.hurries.append(on), now=self.now, monotonic=lambda: self.at, sleep=self.sleep,
            report_s=0.5,
        )  # fmt: skip

    def plan(self, verb: Verb = Verb.RESTART) -> Plan:
        snapshot = self.observe()
        made = plan_action(
            verb, snapshot.services[0], snapshot, compose_file=None, project="moalog-server", read_only=False
        )
        assert isinstance(made, Plan), made
        return made

    def now(self) -> datetime:
        return later(self.at)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        before, self.at = self.at, self.at + seconds
        if int(before) != int(self.at):
            self._probe()
        self.on_tick(self)

    def observe(self) -> Snapshot:
        running = self.container is not None and self.container.running
        well = running and self.at - self._started >= self.boot_s
        state = HealthState.HEALTHY if well else HealthState.STARTING if running else HealthState.DOWN
        status = ServiceStatus(
            self.service, state, None if well else Reason.REFUSED, "" if well else "connection refused",
            self.history[-1].outcome if self.history else Outcome.PASS, later(0),
            self.history[-1].at if self.history else None, history=tuple(self.history[-60:]), container=self.container,
        )  # fmt: skip
        return picture(status, at=self.now(), engine=self.engine)

    async def start(self, container_id: str) -> None:
        await self._ask(f"start {container_id}")
        self.run(self.at)

    async def stop(self, container_id: str, timeout_s: float) -> None:
        await self._ask(f"stop {container_id} {timeout_s:g}")
        assert self.container is not None
        self.container = replace(self.container, state=ContainerState.EXITED, exit_code=0, finished_at=self.now())

    async def restart(self, container_id: str, timeout_s: float) -> None:
        await self._ask(f"restart {container_id} {timeout_s:g}")
        self.run(self.at)

    def run(self, at: float) -> None:
        assert self.container is not None
        self._started = at
        self.container = replace(self.container, state=ContainerState.RUNNING, started_at=later(at), exit_code=None)

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.at += self.engine_s

    def _probe(self) -> None:
        well = self.observe().services[0].state is HealthState.HEALTHY
        self.history.append(Latency(self.now(), 1.0 if well else None, Outcome.PASS if well else Outcome.FAIL))
