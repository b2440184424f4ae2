"""Actions become plans: what will be done, by which tier, and the command an operator would type for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from moalog_tui.platform.services import Service


class Tier(StrEnum):
    """How much damage a step can do (DESIGN, section 4)."""

    READ = "read"
    SAFE = "safe"
    DISRUPTIVE = "disruptive"
    PLATFORM_WIDE = "platform-wide"
    DESTRUCTIVE = "destructive"


class Verb(StrEnum):
    """What can be done to one service."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


class StepType(StrEnum):
    """What executes a step."""

    ENGINE = "engine"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan. `expected_s` is the documented window (shortest, longest) in seconds."""

    id: str
    type: StepType
    title: str
    expected_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation will do to one service, bound to one container id at the time it was asked for."""

    verb: Verb
    service: Service
    container_id: str
    container_name: str
    tier: Tier
    steps: tuple[Step, ...]
    will: str
    """The preview's first line: "Engine API: restart of container 3f2a…, stop time-out 10 s"."""
    as_typed: tuple[str, ...]
    """The argv that an operator would type for it; `y` copies it. Never holds a secret."""
    facts: tuple[str, ...] = ()
    """The target's id, age and health."""
    consequences: tuple[str, ...] = ()
    """Who blips, and what else the operator must know before saying yes."""
