"""Whether an action did what was wanted, read from the monitor's pictures alone. Pure: no `await`, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from moalog_tui.platform.containers import Container, ContainerState, DockerHealth
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, Verb

PASSES: Final = 2
"""Probes that must pass in a row: one may have met the old process, or a lucky moment."""

STEADY_S: Final = 2.0
"""Without a probe: so long must the container be seen to run."""

OLD_PICTURE_S: Final = 20.0
"""A picture this old tells nothing of now: the monitor itself has stopped."""

_ENDED: Final = frozenset({ContainerState.EXITED, ContainerState.DEAD})
_STAYS_DOWN: Final = frozenset({"", "no"})


class Outlook(StrEnum):
    """What one look says."""

    WAITING = "waiting"
    REACHED = "reached"
    FAILED = "failed"
    UNTELLABLE = "untellable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One look: what it says, in a sentence without the service's name."""

    outlook: Outlook
    sentence: str


class Verification:
    """Looks at one service after an action until it is as wanted.

    `before` is its status when the action was asked for, `done_at` when the engine had answered (UTC).
    """

    def __init__(self, plan: Plan, before: ServiceStatus | None, done_at: datetime) -> None:
        self._plan, self._done_at = plan, done_at
        old = before.container if before is not None else None
        # A start that somebody else was quicker with changes nothing any more, and is as good.
        quicker = plan.verb is Verb.START and old is not None and old.running
        self._old_start = None if old is None or quicker else old.started_at
        self._running_since: datetime | None = None

    def look(self, snapshot: Snapshot | None) -> Finding:
        """Judge one picture."""
        status = snapshot.status(self._plan.service.name) if snapshot is not None else None
        if snapshot is None or status is None:
            return Finding(Outlook.WAITING, "no picture of it yet")
        if not snapshot.engine.connected:
            return Finding(Outlook.WAITING, "the Docker Engine does not answer")
        container = status.container
        if container is None:
            if self._plan.verb is Verb.STOP:
                return Finding(Outlook.REACHED, "its container is gone")
            return Finding(Outlook.FAILED if snapshot.complete else Outlook.WAITING, "its container is gone")
        if container.id != self._plan.container_id:
            return Finding(Outlook.UNTELLABLE, f"somebody recreated it meanwhile (now {container.short_id})")
        if self._plan.verb is Verb.STOP:
            return self._stopped(container)
        if self._old_start is not None and container.started_at == self._old_start:
            return Finding(Outlook.WAITING, f"{container.state.value}, not started anew yet")
        return self._started(status, container, snapshot.at)

    def at_the_end(self, snapshot: Snapshot | None, now: datetime) -> Finding:
        """Say why the waiting was in vain: it failed, or we cannot tell."""
        finding = self.look(snapshot)
        if finding.outlook is not Outlook.WAITING or snapshot is None:
            return finding if snapshot is not None else Finding(Outlook.UNTELLABLE, finding.sentence)
        age = (now - snapshot.at).total_seconds()
        status = snapshot.status(self._plan.service.name)
        if age > OLD_PICTURE_S:
            return Finding(Outlook.UNTELLABLE, f"the last picture of it is {age:.0f} s old")
        if not snapshot.engine.connected:
            return Finding(Outlook.UNTELLABLE, snapshot.engine.error or finding.sentence)
        if snapshot.self_check is not None:
            return Finding(Outlook.UNTELLABLE, snapshot.self_check)
        if status is None or (status.state is HealthState.UNKNOWN and status.probe is not Outcome.NONE):
            return Finding(Outlook.UNTELLABLE, finding.sentence)
        return Finding(Outlook.FAILED, finding.sentence)

    def _stopped(self, container: Container) -> Finding:
        if container.state in _ENDED or container.state is ContainerState.CREATED:
            code = f", exit code {container.exit_code}" if container.exit_code is not None else ""
            return Finding(Outlook.REACHED, f"{container.state.value}{code}")
        return Finding(Outlook.WAITING, container.state.value)

    def _started(self, status: ServiceStatus, container: Container, seen_at: datetime) -> Finding:
        if container.state in _ENDED:
            return self._ended(status, container)
        if self._plan.service.completes:
            return Finding(Outlook.WAITING, "at work")
        if status.probe is Outcome.NONE:
            return self._without_probe(status, container, seen_at)
        passes = self._passes_in_a_row(status)
        if passes >= PASSES:
            return Finding(Outlook.REACHED, _well(status))
        fresh = status.checked_at is not None and status.checked_at > self._done_at
        if fresh and status.reason is Reason.AUTH:
            return Finding(Outlook.UNTELLABLE, f"it is alive, but refuses our credential: {_state(status)}")
        if passes:
            return Finding(Outlook.WAITING, f"{passes} of {PASSES} probes passed")
        return Finding(Outlook.WAITING, _state(status) if fresh else "not probed yet since")

    def _ended(self, status: ServiceStatus, container: Container) -> Finding:
        if self._plan.service.completes and container.exit_code == 0:
            return Finding(Outlook.REACHED, "completed, exit code 0")
        final = self._plan.service.completes or container.restart_policy in _STAYS_DOWN
        told = f"it ended again, exit code {container.exit_code}" + (f": {status.detail}" if status.detail else "")
        return Finding(Outlook.FAILED if final else Outlook.WAITING, told)

    def _without_probe(self, status: ServiceStatus, container: Container, seen_at: datetime) -> Finding:
        if not container.running or container.health in (DockerHealth.STARTING, DockerHealth.UNHEALTHY):
            self._running_since = None
            health = f", Docker says {container.health.value}" if container.health is not DockerHealth.NONE else ""
            return Finding(Outlook.WAITING, container.state.value + health)
        if self._running_since is None:
            self._running_since = seen_at
        if (seen_at - self._running_since).total_seconds() < STEADY_S:
            return Finding(Outlook.WAITING, "running")
        if status.state is HealthState.DOWN:  # a crash loop, seen by its starts
            return Finding(Outlook.WAITING, _state(status))
        return Finding(Outlook.REACHED, "running (container state only: it has no probe)")

    def _passes_in_a_row(self, status: ServiceStatus) -> int:
        """Count the newest probes since the action that passed one after the other."""
        count = 0
        for probe in reversed(status.history):
            if probe.at <= self._done_at or probe.outcome is not Outcome.PASS:
                break
            count += 1
        return count


def _well(status: ServiceStatus) -> str:
    return status.state.value if status.state is HealthState.HEALTHY else f"it answers, but is {_state(status)}"


def _state(status: ServiceStatus) -> str:
    return f"{status.state.value}: {status.detail}" if status.detail else status.state.value
