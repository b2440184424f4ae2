"""Operations: where every start, stop and restart begins, read-only or not, one at a time for each service."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.operations.record import ActsRecord
from moalog_tui.operations.running import Executors, Run
from moalog_tui.operations.single_flight import SingleFlight, Taken, Ticket
from moalog_tui.platform.containers import OperatorAct
from moalog_tui.runbook.plan import Plan
from moalog_tui.runbook.planning import READ_ONLY


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """An operation of this process that has not ended. `since` is UTC."""

    id: str
    plan: Plan
    by: str
    since: datetime

    @property
    def sentence(self) -> str:
        """What others are told: "restart of redis by alice since 19:02:01Z"."""
        return f"{self.plan.verb.value} of {self.plan.service.name} by {self.by} since {self.since:%H:%M:%S}Z"


class Operations:
    """Runs plans with the executors it is given, keeps them apart, and keeps the record of what was done."""

    def __init__(
        self, executors: Executors, flight: SingleFlight, record: ActsRecord, *, by: str, read_only: bool = False
    ) -> None:
        self._executors = replace(executors, acted=self._acted)
        self._told_acted = executors.acted
        self._flight, self._record = flight, record
        self._by, self._read_only = by, read_only
        self._running: dict[str, RunningOperation] = {}

    async def start(self, plan: Plan) -> AsyncGenerator[OperationEvent, None]:
        """Run a plan and yield its reports; the last one carries the verdict, which is *refused* where it may not run.

        Cancelling the iteration cancels the operation (see `run_plan`); the service stays taken until the engine
        has ended what it was asked for.
        """
        run = Run(plan, self._executors, _new_id(plan, self._executors.now()))
        if self._read_only:
            yield self._refused(run, READ_ONLY)
            return
        one = RunningOperation(run.operation, plan, self._by, self._executors.now())
        snapshot = self._executors.observe()
        ticket = self._flight.take(plan.service.name, one.sentence, snapshot.project if snapshot else None)
        if isinstance(ticket, Taken):
            yield self._refused(run, f"One operation at a time for each service: {ticket.note} still runs.")
            return
        self._running[one.id] = one
        self._record.prepare()
        try:
            async with aclosing(run.events()) as events:
                async for event in events:
                    yield event
                    if event.kind is EventKind.PREVIEW:
                        for caveat in filter(None, (ticket.caveat, self._record.caveat)):
                            yield self._report(run, EventKind.OUTPUT, caveat)
        finally:
            self._leave(one, ticket, run.call)

    def running(self) -> tuple[RunningOperation, ...]:
        """Return the operations of this process that have not ended, oldest first."""
        return tuple(self._running.values())

    def acts(self) -> tuple[OperatorAct, ...]:
        """Return what operators did, this one and others, oldest first; cheap enough for each picture."""
        return self._record.acts()

    def _leave(self, one: RunningOperation, ticket: Ticket, call: asyncio.Future[None] | None) -> None:
        def leave(_: object = None) -> None:
            self._running.pop(one.id, None)
            ticket.release()

        if call is None or call.done():
            leave()
        else:
            call.add_done_callback(leave)

    def _acted(self, plan: Plan) -> None:
        at = self._executors.now()
        self._record.write(OperatorAct(plan.service.name, plan.container_id, plan.verb.value, at, self._by))
        self._told_acted(plan)

    def _refused(self, run: Run, sentence: str) -> OperationEvent:
        return replace(self._report(run, EventKind.VERDICT, sentence), verdict=VerdictKind.REFUSED)

    def _report(self, run: Run, kind: EventKind, text: str) -> OperationEvent:
        return OperationEvent(run.operation, run.plan, kind, self._executors.now(), text=text)


def operator_name() -> str:
    """Return who operates: the user behind sudo, else the user of this process."""
    asked_by = os.environ.get("SUDO_USER", "")
    if asked_by and os.geteuid() == 0:
        return asked_by
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _new_id(plan: Plan, at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}-{plan.verb.value}-{plan.service.name}-{secrets.token_hex(2)}"
