"""Health states, their reasons, and the outcome of one probe (DESIGN, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class HealthState(StrEnum):
    """The five states of a service. Stale is a mark on any of them, not a state."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    STARTING = "starting"
    DOWN = "down"
    UNKNOWN = "unknown"


MARKS: Final[dict[HealthState, tuple[str, str]]] = {
    HealthState.HEALTHY: ("●", "o"),
    HealthState.DEGRADED: ("◐", "!"),
    HealthState.STARTING: ("◌", "~"),
    HealthState.DOWN: ("✖", "X"),
    HealthState.UNKNOWN: ("?", "?"),
}
"""State to its glyph and to its ASCII form: the same on the screen and in what a command prints."""


class Reason(StrEnum):
    """Why a service is not healthy: a closed list."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    DNS = "dns"
    AUTH = "auth"
    TLS = "tls"
    HTTP_STATUS = "http-status"
    BODY = "body"
    PROTOCOL = "protocol"
    LOADING = "loading"
    STARTING_UP = "starting-up"
    READ_ONLY = "read-only"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    LIMITED = "limited"
    EXITED = "exited"
    OOM_KILLED = "oom-killed"
    RESTARTING = "restarting"
    PAUSED = "paused"
    STOPPED = "stopped"
    NOT_CREATED = "not-created"
    UNHEALTHY = "unhealthy"
    DEPENDENCY = "dependency"
    SLOW = "slow"
    FLAPPING = "flapping"
    DISK_FULL = "disk-full"
    MEMORY = "memory"
    MISSING_BINARY = "missing-binary"
    MONITOR = "monitor"


class Outcome(StrEnum):
    """What one probe says. `none`: the service has no probe, or none that is reachable from here."""

    PASS = "pass"  # noqa: S105 - an outcome, no password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NONE = "none"


IMPAIRED: frozenset[Reason] = frozenset(
    {Reason.LIMITED, Reason.READ_ONLY, Reason.TOO_MANY_CONNECTIONS, Reason.DISK_FULL, Reason.MEMORY}
)
"""Reasons with which a service answers, but ill: degraded, whatever the outcome of its probe."""

OUR_SIDE: frozenset[Reason] = frozenset({Reason.DNS, Reason.AUTH, Reason.MISSING_BINARY, Reason.MONITOR})
"""Reasons that lie with us, so that we cannot tell: unknown."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe's answer. "Down" is a value, never an exception.

    `answered` is true where the other side spoke its protocol at all (an HTTP status, a Redis error, a
    MySQL greeting): a service that answered is not "starting" because a port proxy accepted for it.
    `detail` is a sentence with the actual value, already fit to show but for sanitising.
    """

    outcome: Outcome
    at: datetime
    latency_ms: float | None = None
    reason: Reason | None = None
    detail: str = ""
    answered: bool = False

    @property
    def passed(self) -> bool:
        """True where the probe passes, impaired or not."""
        return self.outcome is Outcome.PASS
