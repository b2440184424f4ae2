"""Which scenarios apply now, and why: root causes first, at most three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.platform.services import ServiceKind
from moalog_tui.platform.snapshot import ServiceStatus, Suggestion
from moalog_tui.runbook.scenarios import Runbook, Scenario

MOST: Final = 3
"""Suggestions shown; more help nobody."""

FULL_STACK_FROM: Final = 4
"""So many services of the platform itself down at once, and recovering the whole stack is worth a thought."""

GENERIC: Final = "service-down-generic"
FULL_STACK: Final = "full-stack-recovery"

SCENARIO_OF_REASON: Final[dict[Reason, tuple[str, ...]]] = {
    # The first of these that the runbook has; `{service}` is the service's name.
    Reason.MEMORY: ("{service}-memory-pressure",),
    Reason.DISK_FULL: ("disk-space-issues",),
}
NO_SCENARIO: Final = frozenset({Reason.LIMITED, Reason.SLOW})
"""Degradations that no scenario of a failed service helps with."""

_KIND_ORDER: Final = (
    ServiceKind.DATASTORE,
    ServiceKind.BROKER,
    ServiceKind.APPLICATION,
    ServiceKind.ONE_SHOT,
    ServiceKind.EXPORTER,
    ServiceKind.OBSERVABILITY,
)


def suggest(statuses: Sequence[ServiceStatus], runbook: Runbook) -> tuple[Suggestion, ...]:
    """Return the scenarios that apply, each with its evidence: root causes, the worst first, then the full stack."""
    roots = sorted(filter(_is_root, statuses), key=_weight)
    found: dict[str, Suggestion] = {}
    for status in roots:
        scenario = scenario_for(status, runbook)
        if scenario is not None:
            before = found.get(scenario.slug)
            evidence = (before.evidence if before else ()) + _evidence(status)
            found[scenario.slug] = Suggestion(scenario.id, scenario.title, evidence)
    whole = _full_stack(statuses, runbook)
    if whole is None:
        return tuple(found.values())[:MOST]
    return (*[one for one in found.values() if one.scenario != whole.scenario][: MOST - 1], whole)


def scenario_for(status: ServiceStatus, runbook: Runbook) -> Scenario | None:
    """Return the scenario of one service as it stands: by its reason, else its own, else the generic one."""
    slugs = [slug.format(service=status.name) for slug in SCENARIO_OF_REASON.get(status.reason or Reason.MONITOR, ())]
    slugs += [status.service.scenario or "", GENERIC]
    return next((one for slug in slugs if slug and (one := _find(runbook, slug)) is not None), None)


def _find(runbook: Runbook, slug: str) -> Scenario | None:
    """Return the scenario of that slug, or the one whose title has all its words ("fluxpay-kafka-is-down")."""
    exact = next((one for one in runbook.scenarios if one.slug == slug), None)
    if exact is not None:
        return exact
    words = set(slug.split("-"))
    return next((one for one in runbook.scenarios if words <= set(one.slug.split("-"))), None)


def _is_root(status: ServiceStatus) -> bool:
    """True for a service that fails for a reason of its own, that we can tell, and that is not muted."""
    if status.mute is not None or status.root_causes or status.reason in NO_SCENARIO:
        return False
    return status.state is HealthState.DOWN or (
        status.state is HealthState.DEGRADED and status.reason is not Reason.DEPENDENCY
    )


def _weight(status: ServiceStatus) -> tuple[bool, bool, int, int]:
    """Sort key: the platform before its observability, down before degraded, then by what it breaks."""
    return (
        not status.kind.is_platform,
        status.state is not HealthState.DOWN,
        -len(status.dependants),
        _KIND_ORDER.index(status.kind),
    )


def _evidence(status: ServiceStatus) -> tuple[str, ...]:
    why = status.detail or (status.reason.value if status.reason else "")
    said = f"{status.name} is {status.state.value}" + (f": {why}" if why else "")
    if status.stale_s is not None:
        said += f" (as of {status.stale_s:.0f} s ago)"
    if not status.dependants:
        return (said,)
    return said, f"{', '.join(status.dependants)} {'is' if len(status.dependants) == 1 else 'are'} impaired by it"


def _full_stack(statuses: Sequence[ServiceStatus], runbook: Runbook) -> Suggestion | None:
    platform = [status for status in statuses if status.kind.is_platform and status.mute is None]
    down = [status.name for status in platform if status.state is HealthState.DOWN]
    scenario = _find(runbook, FULL_STACK) if len(down) >= FULL_STACK_FROM else None
    if scenario is None:
        return None
    named = ", ".join(down[:3]) + (f" +{len(down) - 3}" if len(down) > 3 else "")
    return Suggestion(
        scenario.id, scenario.title, (f"{len(down)} of {len(platform)} platform services are down: {named}",)
    )
