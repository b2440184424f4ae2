"""The whole picture in one sentence, one order and a few counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from moalog_tui.platform.durations import ago
from moalog_tui.platform.health import HealthState
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot

SEVERITY: Final = {
    HealthState.DOWN: 0,
    HealthState.DEGRADED: 1,
    HealthState.STARTING: 2,
    HealthState.UNKNOWN: 3,
    HealthState.HEALTHY: 4,
}
"""Worst first."""

_ILL: Final = frozenset({HealthState.DOWN, HealthState.DEGRADED, HealthState.STARTING})
_NAMED: Final = 2
_LOSSES: Final = 3


def summary(statuses: Sequence[ServiceStatus]) -> dict[str, int]:
    """Return how many are in each state, muted and stale. Muted ones are counted as muted only."""
    counts = {state.value: 0 for state in HealthState}
    for status in statuses:
        if status.mute is None:
            counts[status.state.value] += 1
    counts["muted"] = sum(status.mute is not None for status in statuses)
    counts["stale"] = sum(status.stale_s is not None for status in statuses)
    return counts


def worst_first(statuses: Sequence[ServiceStatus]) -> list[tuple[ServiceStatus, int]]:
    """Return the rows of the table with their depth: root causes with what they break below them, then the rest.

    Order: failing (a root cause first, its dependants one level deeper each), unknown, healthy, muted. Within a
    group by severity, the platform before its observability, the wider blast radius first, then as given.
    """
    place = {status.name: index for index, status in enumerate(statuses)}
    children = _children(statuses)

    def reach(name: str, seen: frozenset[str]) -> int:
        return sum(1 + reach(below, seen | {below}) for below in children.get(name, ()) if below not in seen)

    def rank(status: ServiceStatus) -> tuple[int, bool, int, int]:
        name = status.name
        blast = -reach(name, frozenset({name}))
        return SEVERITY[status.state], not status.kind.is_platform, blast, place[name]

    rows: dict[str, tuple[ServiceStatus, int]] = {}
    known = {status.name: status for status in statuses}

    def add(status: ServiceStatus, depth: int) -> None:
        if status.name in rows:
            return
        rows[status.name] = (status, depth)
        for below in sorted((known[name] for name in children.get(status.name, ())), key=rank):
            add(below, depth + 1)

    shown = sorted((status for status in statuses if status.mute is None), key=rank)
    # Root causes first: a dependant may be as ill as its cause, and has its place below it.
    for status in [s for s in shown if s.state in _ILL and not s.root_causes] + shown:
        add(status, 0)
    for status in sorted((status for status in statuses if status.mute is not None), key=rank):
        rows.setdefault(status.name, (status, 0))
    return list(rows.values())


def _children(statuses: Sequence[ServiceStatus]) -> dict[str, list[str]]:
    """Failing services below the first failing service that they need and share a root cause with."""
    known = {status.name: status for status in statuses if status.mute is None}
    found: dict[str, list[str]] = {}
    for status in known.values():
        if status.state not in _ILL or not status.root_causes:
            continue
        for need in status.service.needs:
            above = known.get(need.service)
            if above is None or above.state not in _ILL:
                continue
            if set(above.root_causes or (above.name,)) & set(status.root_causes):
                found.setdefault(above.name, []).append(status.name)
                break
    return found


def verdict_line(snapshot: Snapshot) -> tuple[HealthState, str]:
    """Return the worst state of what is not muted, and one sentence on the whole platform. Kept as received."""
    state, sentences = verdict_lines(snapshot)
    return state, sentences[0]


def verdict_lines(snapshot: Snapshot) -> tuple[HealthState, tuple[str, ...]]:
    """Return the worst state and the verdict, longest first: where room is scarce, losses give way before counts."""
    counted = [status for status in snapshot.services if status.mute is None]
    worst = min((status.state for status in counted), key=SEVERITY.__getitem__, default=HealthState.HEALTHY)
    rest = [_impaired(counted), *_apart(snapshot, counted), *snapshot.extra, snapshot.self_check or ""]
    if not snapshot.engine.connected and snapshot.complete and SEVERITY[worst] > SEVERITY[HealthState.UNKNOWN]:
        worst = HealthState.UNKNOWN
    leads = [_lead(snapshot, counted, losses) for losses in range(_LOSSES, -1, -1)]
    sentences = (" · ".join(part for part in (lead, *rest) if part) for lead in leads)
    return worst, tuple(dict.fromkeys(sentences))


def _lead(snapshot: Snapshot, counted: Sequence[ServiceStatus], losses: int) -> str:
    if not snapshot.complete:
        return f"asking {len(snapshot.services)} services"
    if not snapshot.engine.connected:
        return _engine_away(snapshot)
    ill = [status for status, _ in worst_first(counted) if status.state in _ILL]
    roots = [status for status in ill if not status.root_causes] or ill[:1]
    if len(roots) > 1:
        more = f" +{len(roots) - _NAMED}" if len(roots) > _NAMED else ""
        return f"{len(roots)} roots: {', '.join(status.name for status in roots[:_NAMED])}{more}"
    if roots:
        return _one_root(roots[0], counted, losses)
    healthy = sum(status.state is HealthState.HEALTHY for status in counted)
    if not counted:
        return "nothing to watch"
    return f"all {healthy} healthy" if healthy == len(counted) else f"{healthy} of {len(counted)} healthy"


def _engine_away(snapshot: Snapshot) -> str:
    engine = snapshot.engine
    sentence = engine.error or "Docker does not answer"
    if engine.last_seen is None:
        return sentence
    age = max(0.0, (snapshot.at - engine.last_seen).total_seconds())
    return f"{sentence.rstrip('.')}; containers last seen {ago(age)} ago"


def _one_root(root: ServiceStatus, counted: Sequence[ServiceStatus], most: int) -> str:
    """ "redis is down: rate-limiter fails open, fluxpay-engine no idempotency", or why, where it breaks nothing."""
    head = f"{root.name} is {root.state.value}"
    if root.state is HealthState.DOWN:
        losses = [
            f"{status.name} {need.loses}"
            for status in sorted(counted, key=lambda status: not status.kind.is_platform)
            if status.name in root.dependants
            for need in status.service.needs
            if need.service == root.name and need.loses
        ]
        if losses and not most:
            return head
        if losses:
            more = f" +{len(losses) - most}" if len(losses) > most else ""
            return f"{head}: {', '.join(losses[:most])}{more}"
        if root.impact:
            return f"{head}: {root.impact[0].rstrip('.')}"
    return f"{head}: {root.detail}" if root.detail else head


def _impaired(counted: Sequence[ServiceStatus]) -> str:
    """How many are impaired, the platform and its observability apart."""
    ill = [status for status in counted if status.state in _ILL]
    platform = sum(status.kind.is_platform for status in ill)
    rest = len(ill) - platform
    if not ill:
        return ""
    if not platform:
        return f"no part of the platform impaired, {rest} in observability"
    apart = f", {rest} more in observability" if rest else ""
    return f"{platform} of {len(counted)} impaired{apart}"


def _apart(snapshot: Snapshot, counted: Sequence[ServiceStatus]) -> list[str]:
    """What is counted apart: unknown, stale, muted."""
    counts = summary(snapshot.services)
    unknown = [status for status in counted if status.state is HealthState.UNKNOWN]
    parts = []
    if unknown and snapshot.complete:
        named = f": {unknown[0].name}, {unknown[0].detail}" if len(unknown) == 1 and unknown[0].detail else ""
        parts.append(f"{len(unknown)} unknown{named}")
    parts += [f"{counts[name]} {name}" for name in ("stale", "muted") if counts[name]]
    return parts
