"""Running one plan: ask the engine, then wait until the service is as wanted, and say what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from moalog_tui.operations.operation import EventKind, OperationEvent, VerdictKind
from moalog_tui.operations.verification import Finding, Outlook, Verification
from moalog_tui.platform.containers import EngineError
from moalog_tui.platform.health import HealthState
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, Step, Tier, Verb

ENGINE_MARGIN_S: Final = 60.0
"""Seconds beyond the stop time-out after which the engine's answer is no longer waited for."""

GRACE_S: Final = 60.0
"""Waiting ends after twice the documented window, or this much after it, whichever is later."""

_MAYBE_DONE: Final = frozenset({"timeout", "lost"})
"""Kinds of engine error after which the action may be under way: then the pictures decide."""

_ENGINE_AWAY: Final = frozenset({"absent", "refused"})


def _clock() -> datetime:
    return datetime.now(UTC)


def _no_hurry(service: str, on: bool) -> None:
    """Nobody polls faster for this run."""


def _nothing_acted(plan: Plan) -> None:
    """Nobody keeps a record of this run."""


@dataclass(frozen=True)
class Executors:
    """What carries a plan out: plain callables, so that a screen, a command or a supervisor process can host it."""

    start: Callable[[str], Awaitable[None]]
    """Start a container by id; raises EngineError."""
    stop: Callable[[str, float], Awaitable[None]]
    """Stop a container, killing it after so many seconds."""
    restart: Callable[[str, float], Awaitable[None]]
    """Restart a container, killing it after so many seconds."""
    observe: Callable[[], Snapshot | None]
    """The newest picture, or None before the first."""
    hurry: Callable[[str, bool], None] = _no_hurry
    """Told that the target of a running operation wants probes each second, and when no longer."""
    acted: Callable[[Plan], None] = _nothing_acted
    """Told when the engine has carried the action out, even where nobody waits for it any more."""
    now: Callable[[], datetime] = _clock
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    poll_s: float = 0.25
    """Seconds between two looks at the newest picture."""
    report_s: float = 1.0
    """Seconds between two reports of progress."""


async def run_plan(plan: Plan, executors: Executors, operation: str = "") -> AsyncGenerator[OperationEvent, None]:
    """Run a plan and yield its reports; the last one carries the verdict.

    Cancelling the iteration yields a last report (cancelled) and then raises CancelledError. A call that the engine
    already has is not taken back: it ends by itself, and the report says so.
    """
    async with aclosing(Run(plan, executors, operation).events()) as events:
        async for event in events:
            yield event


class Run:
    """One run of one plan. `call` is the engine's part, which may outlive a cancelled run."""

    def __init__(self, plan: Plan, executors: Executors, operation: str = "") -> None:
        self.plan, self.operation = plan, operation
        self.call: asyncio.Future[None] | None = None
        self._do = executors
        self._began = executors.monotonic()
        self._name = plan.service.name
        self._act, self._wait = plan.steps[0], plan.steps[-1]

    async def events(self) -> AsyncGenerator[OperationEvent, None]:
        """Yield the reports, in order, once."""
        self._do.hurry(self._name, True)
        try:
            async with aclosing(self._reports()) as reports:
                async for event in reports:
                    yield event
        except asyncio.CancelledError:
            yield self._verdict(VerdictKind.CANCELLED, self._cancelled())
            raise
        finally:
            self._do.hurry(self._name, False)

    async def _reports(self) -> AsyncGenerator[OperationEvent, None]:
        yield self._event(EventKind.PREVIEW, self.plan.will)
        before, moved = self._target()
        if moved is not None:
            yield self._verdict(VerdictKind.REFUSED, moved)
            return
        yield self._event(EventKind.START, self._act.title, self._act)
        self.call = asyncio.ensure_future(self._ask_engine())
        self.call.add_done_callback(_retrieve)
        deadline = self._began + self.plan.service.stop_timeout_s + ENGINE_MARGIN_S
        while not self.call.done() and self._do.monotonic() < deadline:
            await asyncio.wait({self.call}, timeout=self._do.report_s)
            if not self.call.done():
                yield self._event(EventKind.WAIT, "waiting for the engine", self._act)
        if not self.call.done():
            yield self._verdict(
                VerdictKind.CANNOT_TELL, f"the engine has not answered; the {self.plan.verb.value} may be under way"
            )
            return
        refused, doubt = self._engine_said(self.call)
        if refused is not None:
            yield refused
            return
        done = f"the engine did it: {self._act.title}"
        yield self._event(EventKind.OUTPUT if doubt else EventKind.END, doubt or done, self._act)
        async with aclosing(self._watch(Verification(self.plan, before, self._do.now()))) as watching:
            async for event in watching:
                yield event

    async def _watch(self, verification: Verification) -> AsyncGenerator[OperationEvent, None]:
        """Wait for the documented window, then as long as is fair, and end with the verdict."""
        began = reported = self._do.monotonic()
        window = self._wait.expected_s[1] if self._wait.expected_s else self.plan.service.startup_s
        patience = max(2 * window, window + GRACE_S)
        yield self._event(EventKind.START, self._wait.title, self._wait)
        while True:
            finding, waited = verification.look(self._do.observe()), self._do.monotonic() - began
            if finding.outlook is Outlook.WAITING and waited >= patience:
                finding = verification.at_the_end(self._do.observe(), self._do.now())
                finding = (
                    Finding(Outlook.UNTELLABLE, finding.sentence) if finding.outlook is Outlook.WAITING else finding
                )
            if finding.outlook is not Outlook.WAITING:
                yield self._event(EventKind.END, finding.sentence, self._wait)
                yield self._judge(finding, waited, window)
                return
            if self._do.monotonic() - reported >= self._do.report_s:
                reported = self._do.monotonic()
                late = f"later than the documented {window:g} s: " if waited > window else ""
                yield self._event(EventKind.WAIT, late + finding.sentence, self._wait)
            await self._do.sleep(self._do.poll_s)

    def _judge(self, finding: Finding, waited: float, window: float) -> OperationEvent:
        name, after = self._name, f"after {waited:.0f} s"
        if finding.outlook is Outlook.FAILED:
            return self._verdict(VerdictKind.NOT_RECOVERED, f"{name}, {after}: {finding.sentence}")
        if finding.outlook is Outlook.UNTELLABLE:
            return self._verdict(VerdictKind.CANNOT_TELL, f"{name}, {after}: {finding.sentence}")
        if self.plan.verb is Verb.STOP:
            return self._verdict(VerdictKind.STOPPED, f"{name} is stopped: {finding.sentence}")
        if waited > window:
            late = f"{name} recovered {after}, later than the documented {window:g} s: {finding.sentence}"
            return self._verdict(VerdictKind.RECOVERED_LATE, late)
        return self._verdict(VerdictKind.RECOVERED, f"{name} recovered {after}: {finding.sentence}")

    async def _ask_engine(self) -> None:
        plan, patience = self.plan, self.plan.service.stop_timeout_s
        if plan.verb is Verb.START:
            await self._do.start(plan.container_id)
        elif plan.verb is Verb.STOP:
            await self._do.stop(plan.container_id, patience)
        else:
            await self._do.restart(plan.container_id, patience)
        self._do.acted(plan)

    def _engine_said(self, call: asyncio.Future[None]) -> tuple[OperationEvent | None, str | None]:
        """Return the verdict where the engine refused, or the doubt where it may have acted without saying so."""
        if call.cancelled():
            return self._verdict(VerdictKind.CANNOT_TELL, "the call to the engine was cut off: unknown outcome"), None
        error = call.exception()
        if error is None:
            return None, None
        if isinstance(error, TimeoutError):
            return None, f"the engine did not answer in time; the {self.plan.verb.value} may be under way"
        if not isinstance(error, EngineError):
            return self._verdict(VerdictKind.CANNOT_TELL, f"unexpected: {type(error).__name__}: {error}"), None
        if error.kind in _MAYBE_DONE:
            return None, error.sentence
        kind = VerdictKind.CANNOT_TELL if error.kind in _ENGINE_AWAY else VerdictKind.NOT_RECOVERED
        return self._verdict(kind, error.sentence), None

    def _target(self) -> tuple[ServiceStatus | None, str | None]:
        """Return the target as it stands, and why it is no longer the one of the preview."""
        snapshot = self._do.observe()
        status = snapshot.status(self._name) if snapshot is not None else None
        if status is None or snapshot is None or not snapshot.engine.connected:
            return status, None
        shown = self.plan.container_id[:12]
        if status.container is None:
            gone = f"the container {shown} of {self._name} is gone since the preview"
            return status, gone if snapshot.complete else None
        if status.container.id != self.plan.container_id:
            now = status.container.short_id
            return status, f"{self._name} was recreated since the preview ({shown}, now {now}): look at a new preview"
        safe = self.plan.verb is Verb.RESTART and self.plan.tier is Tier.SAFE
        if safe and status.container.running and status.state is not HealthState.DOWN:
            return (
                status,
                f"{self._name} runs since the preview, so a restart would interrupt it: look at a new preview",
            )
        return status, None

    def _cancelled(self) -> str:
        verb = self.plan.verb.value
        if self.call is None:
            return f"cancelled before the {verb} of {self._name} began: nothing was done"
        if not self.call.done():
            return (
                f"cancelled while the engine was at the {verb} of {self._name}, which it may still end: unknown outcome"
            )
        return (
            f"cancelled while waiting; the engine has done the {verb} of {self._name}, whether it is well is not known"
        )

    def _event(
        self, kind: EventKind, text: str, step: Step | None = None, verdict: VerdictKind | None = None
    ) -> OperationEvent:
        return OperationEvent(
            operation=self.operation,
            plan=self.plan,
            kind=kind,
            at=self._do.now(),
            step=step.id if step else None,
            text=text,
            elapsed_s=self._do.monotonic() - self._began,
            expected_s=step.expected_s if step else None,
            verdict=verdict,
        )

    def _verdict(self, verdict: VerdictKind, text: str) -> OperationEvent:
        return self._event(EventKind.VERDICT, text, verdict=verdict)


def _retrieve(call: asyncio.Future[None]) -> None:
    """Take a late error of a call that nobody waits for any more, so that the loop does not complain of it."""
    if not call.cancelled():
        call.exception()
