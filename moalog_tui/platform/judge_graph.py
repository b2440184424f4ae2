"""The dependency graph: which failures are root causes, and which only follow (DESIGN, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.platform.services import Service

FAILING: Final = frozenset({HealthState.DOWN, HealthState.DEGRADED, HealthState.STARTING})
"""States that can explain another failure. *Unknown* explains nothing: we cannot tell."""

State = tuple[HealthState, Reason | None]


def dependencies_first(services: Sequence[Service]) -> tuple[str, ...]:
    """Return the names so that a service comes after what it needs; a cycle is cut where it is met."""
    needs = {service.name: [need.service for need in service.needs] for service in services}
    order: dict[str, None] = {}
    entered: set[str] = set()

    def visit(name: str) -> None:
        if name in entered or name not in needs:
            return
        entered.add(name)
        for needed in needs[name]:
            visit(needed)
        order[name] = None

    for service in services:
        visit(service.name)
    return tuple(order)


def root_causes(services: Sequence[Service], states: Mapping[str, State]) -> dict[str, tuple[str, ...]]:
    """Return, for each failing service that is no root cause itself, the root causes that explain it.

    A failing service whose failing dependencies are none is a root cause. A dependant that is degraded only by
    its dependencies is explained by those that are down, any other by all that fail.
    """
    edges: dict[str, list[str]] = {}
    for service in services:
        state, reason = states[service.name]
        if state not in FAILING:
            continue
        failing = [need.service for need in service.needs if need.service in states]
        wanted = frozenset({HealthState.DOWN}) if reason is Reason.DEPENDENCY else FAILING
        edges[service.name] = [name for name in failing if states[name][0] in wanted]

    found: dict[str, tuple[str, ...]] = {}
    for name, below in edges.items():
        causes = _ends(name, edges) if below else ()
        if causes:
            found[name] = causes
    return found


def _ends(name: str, edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The services that a walk down the edges ends at, nearest needs first; none where it only goes in a circle."""
    ends: list[str] = []
    seen, waiting = {name}, list(edges[name])
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        if edges.get(one):
            waiting[:0] = edges[one]
        else:
            ends.append(one)
    return tuple(ends)


def dependants_of(
    services: Sequence[Service], states: Mapping[str, State], causes: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return, for each root cause, the services that need it directly and that it explains."""
    found: dict[str, list[str]] = {}
    for service in services:
        for need in service.needs:
            is_root = need.service in states and need.service not in causes
            if is_root and need.service in causes.get(service.name, ()):
                found.setdefault(need.service, []).append(service.name)
    return {name: tuple(names) for name, names in found.items()}
