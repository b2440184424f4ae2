"""What the screen is given: values and plain callables, no client and no settings object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from moalog_tui.operations.operation import OperationEvent
from moalog_tui.platform.containers import Container
from moalog_tui.platform.logs import LogRing
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.platform.text import Redactor
from moalog_tui.runbook.plan import Plan, Verb
from moalog_tui.runbook.scenarios import Runbook


class Follow(Protocol):
    """A log follower that runs on a thread of its own and fills a ring."""

    @property
    def state(self) -> str:
        """One of "connecting", "following", "ended" or a sentence on why it is not; kept as received."""
        ...

    def stop(self) -> None:
        """End it; returns at once."""
        ...


@dataclass(frozen=True)
class Desk:
    """Everything the screen needs. Every callable returns at once or awaits; none blocks."""

    title: str
    service_names: tuple[str, ...]
    """Drawn at once, before the first snapshot."""
    snapshots: Callable[[], AsyncIterator[Snapshot]]
    """Runs the monitor and yields each new picture; latest wins. Cancelling the iteration stops it."""
    follow: Callable[[Container, LogRing, int | None], Follow]
    """Follow a container's logs into a ring, from an epoch-nanosecond time (exclusive) or the last lines."""
    redactor: Redactor
    runbook: Callable[[], Runbook]
    """The runbook as it stands now."""
    check_now: Callable[[str | None], None]
    """Probe one service, or all (None), at once."""
    plan: Callable[[Verb, str, Snapshot], Plan | str]
    """The plan for an action on a service, or a sentence on why there is none (read-only, no container)."""
    run: Callable[[Plan], AsyncIterator[OperationEvent]]
    """Run a plan: single-flight for each service; cancelling the iteration cancels the operation."""
    watching: Callable[[bool], None]
    """Told whether the table with CPU and memory is on the screen, so that stats are read only then."""
    read_only: bool = False
    ascii: bool = False
    engine_label: str = "docker"
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys changed in the configuration: a binding's id, and the keys that replace its own ("ctrl+r,f6")."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The clock of the screen."""
