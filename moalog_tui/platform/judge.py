"""The health of every service, judged from facts: states, reasons and their precedence (DESIGN, section 3).

Pure: `judge` takes what the monitor gathered and gives one `Judgement` a service. `worst_first`, `verdict_line` and
`summary` speak about the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Final

from moalog_tui.platform.containers import Container, ContainerState, DockerHealth, OperatorAct
from moalog_tui.platform.durations import ago
from moalog_tui.platform.health import IMPAIRED, OUR_SIDE, HealthState, Outcome, ProbeResult, Reason
from moalog_tui.platform.judge_container import loop_sentence, not_running
from moalog_tui.platform.judge_graph import dependants_of, dependencies_first, root_causes
from moalog_tui.platform.services import Dependency, ProbeKind, Service
from moalog_tui.platform.starts import LOOP_SPAN_S, CrashLoop, Start, crash_loop, seconds_since, unasked
from moalog_tui.platform.verdict import summary, verdict_line, worst_first

__all__ = ["Facts", "Judgement", "judge", "judge_one", "stale_seconds", "summary", "verdict_line", "worst_first"]

FLAPPING_CHANGES: Final = 4
FLAPPING_SPAN_S: Final = 600.0
"""So many changes of verdict within so many seconds are flapping."""

SLOW_SAMPLES: Final = 5
"""The median of this many latencies decides; fewer are no judgement on speed."""

_WARMING: Final = frozenset({Reason.LOADING, Reason.STARTING_UP})
_PAGE: Final = frozenset({Reason.HTTP_STATUS, Reason.BODY})


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one service at one moment. Times are UTC, durations seconds."""

    service: Service
    container: Container | None = None
    """As last listed; None where it has none."""
    engine_known: bool = False
    """True while the engine answers, so that the container's facts hold."""
    seen_at: datetime | None = None
    """When the engine last told of the containers."""
    probe: ProbeResult | None = None
    """The newest result; None before the first, or where the container restarted since."""
    before: ProbeResult | None = None
    """The result before a row of failures: it stands until the failure is confirmed."""
    confirmed: bool = False
    """True where the failure was followed by another, at least 1 s later, and the engine was asked since."""
    excused: bool = False
    """True where the failure is from while something it needs was down, and it has not answered since."""
    reachable: bool = True
    """False where the service has no address that can be probed from here."""
    latencies: tuple[float, ...] = ()
    """Milliseconds of the newest probes that passed, oldest first."""
    starts: tuple[Start, ...] = ()
    last_exit: int | None = None
    ring_since: datetime | None = None
    """Since when starts and changes are counted."""
    acts: tuple[OperatorAct, ...] = ()
    changes: int = 0
    """Changes of verdict within FLAPPING_SPAN_S."""
    own_side: str | None = None
    """A sentence where our own side was ill while we asked."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is held of a service. `own` is its verdict without its dependencies and without flapping; None: none."""

    state: HealthState
    reason: Reason | None = None
    detail: str = ""
    by_container: bool = False
    """True where the container alone decided, so that its age is the judgement's age."""
    notes: tuple[str, ...] = ()
    own: HealthState | None = None
    starts: int = 0
    root_causes: tuple[str, ...] = ()
    dependants: tuple[str, ...] = ()
    impact: tuple[str, ...] = ()


_Verdict = tuple[HealthState, Reason | None, str, bool]
_HEALTHY: Final[_Verdict] = (HealthState.HEALTHY, None, "", False)


def judge(platform: Sequence[Facts], now: datetime) -> dict[str, Judgement]:
    """Judge every service: each by itself and by its direct dependencies, then the root causes over the graph."""
    known = {facts.service.name: facts for facts in platform}
    services = [facts.service for facts in platform]
    found: dict[str, Judgement] = {}
    for name in dependencies_first(services):
        facts = known[name]
        down = [
            need
            for need in facts.service.needs
            if need.service in found and found[need.service].state is HealthState.DOWN
        ]
        found[name] = judge_one(facts, down, now)
    states = {name: (one.state, one.reason) for name, one in found.items()}
    causes = root_causes(services, states)
    breaks = dependants_of(services, states, causes)
    return {
        service.name: replace(
            found[service.name],
            root_causes=causes.get(service.name, ()),
            dependants=breaks.get(service.name, ()),
            impact=_impact(service, found),
        )
        for service in services
    }


def judge_one(facts: Facts, down: Sequence[Dependency], now: datetime) -> Judgement:
    """Judge one service, given those of its dependencies that are down. The first rule that matches wins."""
    case = _Case(facts, tuple(down), now)
    state, reason, detail, by_container = case.decide()
    return Judgement(state, reason, detail, by_container, case.notes(), case.own(state, reason), len(case.unasked))


def stale_seconds(age_s: float | None, interval_s: float | None) -> float | None:
    """Return the age in whole seconds where it is over twice the interval in force, else None.

    `interval_s` is None where nothing is asked again by itself: such an answer does not grow stale.
    """
    if age_s is None or interval_s is None or age_s <= 2 * interval_s:
        return None
    return float(int(age_s))


class _Case:
    """One service before the rules; `decide` walks them in the order of DESIGN."""

    def __init__(
        self, facts: Facts, down: tuple[Dependency, ...], now: datetime, *, changes: int | None = None
    ) -> None:
        self.facts, self.down, self.now = facts, down, now
        self.service, self.container, self.probe = facts.service, facts.container, facts.probe
        self.changes = facts.changes if changes is None else changes
        self.unasked: tuple[datetime, ...] = ()
        self.loop: CrashLoop | None = None
        self.age = seconds_since(self.container.started_at, now) if self.container and facts.engine_known else None
        if self.container is not None and facts.engine_known:
            self.unasked = unasked(facts.starts, self.container, facts.acts)
            passed = self.probe is not None and self.probe.passed
            self.loop = crash_loop(self.container, self.unasked, self.service.startup_s, now, passed=passed)

    def decide(self) -> _Verdict:
        rules: tuple[Callable[[], _Verdict | None], ...] = (
            self.as_expected,
            self.container_not_running,
            self.own_side,
            self.container_only,
            self.starting,
            self.complains_without_dependency,
            self.impaired_or_loading,
            self.warming_up,
            self.failed,
            self.passed,
        )
        return next(verdict for rule in rules if (verdict := rule()) is not None)

    def as_expected(self) -> _Verdict | None:
        """Rule 1: a one-shot that exited 0 has done its work."""
        container = self.container
        if not (self.service.completes and self.facts.engine_known and container is not None):
            return None
        if container.state is ContainerState.EXITED and container.exit_code == 0:
            return HealthState.HEALTHY, None, "completed, exited 0", True
        return None

    def container_not_running(self) -> _Verdict | None:
        """Rule 2, with the crash loop: what does not run, or not for long, is down whatever its port says."""
        if not self.facts.engine_known:
            return None
        why = not_running(self.container, self.facts.acts, self.loop, self.facts.last_exit, self.now)
        if why is None:
            return None
        reason, detail = why
        since = self._history_since()
        if reason is Reason.RESTARTING and since and not (self.loop and self.loop.span_s):
            detail = f"{detail} ({since})"
        return HealthState.DOWN, reason, detail, True

    def own_side(self) -> _Verdict | None:
        """Rule 3: our credential, our names, our programs, our loop, or the engine that we ask about containers."""
        probe, facts = self.probe, self.facts
        if not facts.engine_known and (self._is_container_only() or self.service.completes):
            return HealthState.UNKNOWN, Reason.MONITOR, self._last_seen(), True
        if self._is_container_only():
            return None
        if probe is None:
            if self._inside_window():
                return None
            return HealthState.UNKNOWN, Reason.MONITOR, facts.own_side or "not asked yet", False
        if probe.reason in OUR_SIDE or probe.outcome is Outcome.UNKNOWN:
            return HealthState.UNKNOWN, probe.reason or Reason.MONITOR, _said(probe), False
        alive = probe.reason in IMPAIRED or probe.reason in _WARMING
        if probe.outcome is Outcome.FAIL and not facts.engine_known and not alive:
            return HealthState.UNKNOWN, Reason.MONITOR, f"{_said(probe)}, but {self._last_seen()}", False
        return None

    def container_only(self) -> _Verdict | None:
        """Without a probe, or with none that reaches it from here, the container's own state decides."""
        if not self._is_container_only():
            return None
        container = self.container
        health = container.health if container else DockerHealth.NONE
        if self.service.completes:
            if self._inside_window():
                return HealthState.STARTING, Reason.STARTING_UP, "at work, not completed yet", True
            return HealthState.DEGRADED, Reason.SLOW, f"not completed after {ago(self.age or 0.0)}", True
        if health is DockerHealth.STARTING and self._inside_window():
            return HealthState.STARTING, Reason.STARTING_UP, f"{self._up()}, Docker's check has not passed yet", True
        state, reason, detail, _ = self.passed()
        if state is HealthState.HEALTHY:
            detail = "container state only"
            if self.service.probe.kind is not ProbeKind.NONE:
                detail = "not reachable from here: container state only"
        return state, reason, detail, True

    def starting(self) -> _Verdict | None:
        """Rule 4: it started less than its window ago and does not answer yet."""
        probe = self.probe
        if not self._inside_window() or (probe is not None and (probe.answered or probe.outcome is not Outcome.FAIL)):
            return None
        said = f": {_said(probe)}" if probe is not None else ", not asked yet"
        return HealthState.STARTING, Reason.STARTING_UP, f"{self._up()}{said}", False

    def complains_without_dependency(self) -> _Verdict | None:
        """Rule 5: it answers that it is ill, and something it needs is down."""
        probe = self.probe
        if probe is None or probe.outcome is not Outcome.FAIL or not probe.answered or not self.down:
            return None
        return HealthState.DEGRADED, Reason.DEPENDENCY, _losses(self.down), False

    def impaired_or_loading(self) -> _Verdict | None:
        """Rule 6: it answers, but limited, read-only, full or short of memory; or it still loads."""
        probe = self.probe
        if probe is None:
            return None
        if probe.reason in IMPAIRED:
            return HealthState.DEGRADED, probe.reason, _said(probe), False
        if probe.reason in _WARMING:
            return HealthState.STARTING, probe.reason, _said(probe), False
        return None

    def warming_up(self) -> _Verdict | None:
        """Rule 4 again: a page that complains soon after the start is no fault yet (Loki says 503 for 15 s)."""
        probe = self.probe
        if probe is None or probe.outcome is not Outcome.FAIL or probe.reason not in _PAGE or not self._inside_window():
            return None
        return HealthState.STARTING, Reason.STARTING_UP, f"{self._up()}: {_said(probe)}", False

    def failed(self) -> _Verdict | None:
        """Rule 7: it failed, and failed again; a first failure leaves the verdict as it was."""
        probe, facts = self.probe, self.facts
        if probe is None or probe.outcome is not Outcome.FAIL:
            return None
        if facts.confirmed:
            return HealthState.DOWN, probe.reason or Reason.PROTOCOL, _said(probe), False
        if facts.excused or facts.before is None or facts.before.outcome is Outcome.FAIL:
            return HealthState.UNKNOWN, Reason.MONITOR, f"{_said(probe)}; asking again", False
        earlier = replace(facts, probe=facts.before, before=None)
        return _Case(earlier, self.down, self.now, changes=self.changes).decide()

    def passed(self) -> _Verdict:
        """Rule 8: it passes, but something it needs is down, Docker calls it unhealthy, it flaps, or it is slow."""
        container, facts = self.container, self.facts
        if self.down:
            return HealthState.DEGRADED, Reason.DEPENDENCY, _losses(self.down), False
        if container is not None and facts.engine_known and container.health is DockerHealth.UNHEALTHY:
            output = " ".join(container.health_output.split())
            return HealthState.DEGRADED, Reason.UNHEALTHY, f"Docker: {output or 'unhealthy'}", False
        if self.changes >= FLAPPING_CHANGES:
            return HealthState.DEGRADED, Reason.FLAPPING, f"its verdict changed {self.changes} times in 10 min", False
        if self.loop is not None and self.loop.settled and container is not None:
            return HealthState.DEGRADED, Reason.FLAPPING, loop_sentence(container, self.loop, facts.last_exit), False
        limit, newest = self.service.slow_ms, facts.latencies[-SLOW_SAMPLES:]
        if limit is not None and len(newest) == SLOW_SAMPLES and median(newest) > limit:
            return HealthState.DEGRADED, Reason.SLOW, f"answers in {median(newest):.0f} ms, over {limit:.0f} ms", False
        return _HEALTHY

    def own(self, state: HealthState, reason: Reason | None) -> HealthState | None:
        """The verdict that flapping counts: neither a dependency's doing, nor what we cannot tell, nor a start."""
        if reason is Reason.DEPENDENCY:
            return HealthState.HEALTHY
        if reason is Reason.FLAPPING:
            state = _Case(self.facts, self.down, self.now, changes=0).decide()[0] if self.changes else state
        return None if state in (HealthState.UNKNOWN, HealthState.STARTING) else state

    def notes(self) -> tuple[str, ...]:
        """Facts beside the verdict, for details."""
        container, probe, found = self.container, self.probe, list[str]()
        if container is not None and container.running and container.oom_killed:
            found.append("the last run was killed: out of memory")
        since = self._history_since()
        if container is not None and since and (container.restart_count or self.unasked):
            found.append(since)
        if not self.facts.engine_known and container is not None:
            found.append(self._last_seen())
        if self.service.probe.kind is not ProbeKind.NONE and not self.facts.reachable:
            found.append("not reachable from here: it publishes no port")
        if probe is not None and self.down and probe.outcome is Outcome.FAIL and probe.answered:
            found.append(f"its own check says: {_said(probe)}")
        if probe is not None and probe.passed and self.facts.engine_known and not (container and container.running):
            found.append("something answers at its address all the same")
        return tuple(found)

    def _is_container_only(self) -> bool:
        return self.service.probe.kind is ProbeKind.NONE or not self.facts.reachable

    def _inside_window(self) -> bool:
        running = self.container is not None and self.container.running
        return running and self.age is not None and self.age < self.service.startup_s

    def _up(self) -> str:
        return f"up {int(self.age or 0.0)} s of {self.service.startup_s:.0f} s"

    def _last_seen(self) -> str:
        age = seconds_since(self.facts.seen_at, self.now)
        if age is None:
            return "Docker does not answer"
        word = self.container.state.value if self.container else "not created"
        return f"container last seen {ago(age)} ago ({word})"

    def _history_since(self) -> str | None:
        """ "history since HH:MM:SSZ", while our own ring is younger than the window of a crash loop."""
        age = seconds_since(self.facts.ring_since, self.now)
        if self.facts.ring_since is None or age is None or age >= LOOP_SPAN_S:
            return None
        return f"history since {self.facts.ring_since:%H:%M:%S}Z"


def _said(probe: ProbeResult) -> str:
    if probe.detail:
        return probe.detail
    return probe.reason.value if probe.reason else "no answer"


def _losses(down: Sequence[Dependency]) -> str:
    return "; ".join(f"{need.service}: {need.loses}" if need.loses else need.service for need in down)


def _impact(service: Service, found: dict[str, Judgement]) -> tuple[str, ...]:
    """What the platform loses by a service's state: its own impact while it serves nothing, else what it lacks."""
    one = found[service.name]
    if one.state in (HealthState.DOWN, HealthState.STARTING):
        return service.impact
    if one.reason is not Reason.DEPENDENCY:
        return ()
    down = (n for n in service.needs if n.service in found and found[n.service].state is HealthState.DOWN)
    return tuple(need.behaviour or f"{service.name}: {need.loses}" for need in down)
