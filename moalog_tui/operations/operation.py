"""What one run of a plan reports, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moalog_tui.runbook.plan import Plan


class OperationState(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown outcome"


class VerdictKind(StrEnum):
    """What came of it."""

    RECOVERED = "recovered"
    RECOVERED_LATE = "recovered late"
    NOT_RECOVERED = "not recovered"
    CANNOT_TELL = "cannot tell"
    STOPPED = "stopped"
    """The verdict of a stop that did what was asked."""
    CANCELLED = "cancelled"
    REFUSED = "refused"


EXIT_CODES: dict[VerdictKind, int] = {
    VerdictKind.RECOVERED: 0,
    VerdictKind.RECOVERED_LATE: 0,
    VerdictKind.STOPPED: 0,
    VerdictKind.NOT_RECOVERED: 1,
    VerdictKind.CANNOT_TELL: 3,
    VerdictKind.REFUSED: 4,
    VerdictKind.CANCELLED: 130,
}
"""The commands' exit codes (CONTRACTS)."""


class EventKind(StrEnum):
    """The kinds of report an operation makes, in this order."""

    PREVIEW = "preview"
    START = "start"
    OUTPUT = "output"
    WAIT = "wait"
    END = "end"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class OperationEvent:
    """One report of a running operation; the last one is its verdict.

    `elapsed_s` counts from the start of the operation, `expected_s` is the documented window of the step.
    """

    operation: str
    plan: Plan
    kind: EventKind
    at: datetime
    step: str | None = None
    text: str = ""
    elapsed_s: float = 0.0
    expected_s: tuple[float, float] | None = None
    verdict: VerdictKind | None = None

    @property
    def exit_code(self) -> int | None:
        """The command's exit code, once there is a verdict."""
        return EXIT_CODES[self.verdict] if self.verdict else None
