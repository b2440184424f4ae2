"""From what the loops know to one snapshot: judged, aged, and the same object where nothing changed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from moalog_tui.monitor.engine import EngineWatch
from moalog_tui.monitor.own_side import OwnSide
from moalog_tui.monitor.poller import Poller
from moalog_tui.monitor.sources import Sources
from moalog_tui.monitor.usage import UsageReader
from moalog_tui.platform.containers import OperatorAct
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.judge import FLAPPING_SPAN_S, SLOW_SAMPLES, Facts, Judgement, judge, stale_seconds
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Profile, Service
from moalog_tui.platform.snapshot import Mute, ServiceStatus, Snapshot, Suggestion
from moalog_tui.platform.starts import seconds_since

log = logging.getLogger(__name__)

KEEP_CHANGES: Final = 16
ASKED_MARGIN_S: Final = 60.0
"""So long after an operator's act (and the start-up window) a change of verdict is the act's doing."""


class _Past:
    """What a service's verdict was, and how often it changed by itself."""

    def __init__(self, now: datetime) -> None:
        self.since = now
        self.state: HealthState | None = None
        self.own: HealthState | None = None
        self.changes: deque[float] = deque(maxlen=KEEP_CHANGES)
        self.status: ServiceStatus | None = None


class Picture:
    """Builds snapshots. `readings` are the newest metrics, as their loop left them."""

    def __init__(
        self,
        profile: Profile,
        pollers: Mapping[str, Poller],
        engine: EngineWatch,
        own_side: OwnSide,
        usage: UsageReader,
        sources: Sources,
        mutes: Sequence[Mute],
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._profile, self._pollers = profile, pollers
        self._engine, self._own_side, self._usage, self._sources = engine, own_side, usage, sources
        self._mutes, self._clock, self._now = tuple(mutes), clock, now
        self.readings: tuple[MetricReading, ...] = ()
        self._past = {name: _Past(now()) for name in pollers}
        self._suggested: tuple[tuple[ServiceStatus, ...], tuple[Suggestion, ...]] = ((), ())

    def build(self, latest: Snapshot | None) -> Snapshot:
        """Return the picture of this moment; `latest` itself where nothing changed since."""
        at, acts = self._now(), self._acts()
        found = judge(self._facts(acts), at)
        if self._excuse(found) or self._count_changes(found, acts, at):
            found = judge(self._facts(acts), at)
            self._count_changes(found, acts, at)
        services = tuple(self._status(poller, found[name], at) for name, poller in self._pollers.items())
        engine, complete = self._engine, self._complete()
        suggestions, events = self._suggestions(services), tuple(engine.recent)
        project = engine.project or self._profile.project
        if latest is not None and (
            # Services, readings and events are the same objects where they did not change, so this is cheap.
            (latest.services, latest.engine, latest.metrics, latest.suggestions, latest.events)
            == (services, engine.status, self.readings, suggestions, events)
            and (latest.self_check, latest.complete, latest.project) == (self._own_side.sentence, complete, project)
        ):
            return latest
        return Snapshot(
            at=at,
            sequence=latest.sequence + 1 if latest is not None else 0,
            platform=self._profile.title,
            project=project,
            engine=engine.status,
            services=services,
            metrics=self.readings,
            suggestions=suggestions,
            events=events,
            self_check=self._own_side.sentence,
            complete=complete,
        )

    def _complete(self) -> bool:
        return self._engine.answered.is_set() and all(poller.asked for poller in self._pollers.values())

    def _acts(self) -> tuple[OperatorAct, ...]:
        try:
            return tuple(self._sources.acts())
        except Exception:
            log.exception("reading our own record raised")
            return ()

    def _facts(self, acts: Sequence[OperatorAct]) -> list[Facts]:
        return [self._facts_of(poller, acts) for poller in self._pollers.values()]

    def _facts_of(self, poller: Poller, acts: Sequence[OperatorAct]) -> Facts:
        service, engine = poller.service, self._engine
        container = engine.containers.get(service.name)
        ident = container.id if container is not None else ""
        passed = [one.milliseconds for one in poller.history if one.milliseconds is not None]
        return Facts(
            service=service,
            container=container,
            engine_known=engine.known,
            seen_at=engine.seen_at,
            probe=poller.result,
            before=poller.before,
            confirmed=poller.confirmed,
            excused=poller.excused,
            reachable=poller.reachable,
            latencies=tuple(passed[-SLOW_SAMPLES:]),
            starts=engine.ring.starts(ident),
            last_exit=engine.ring.last_exit(ident),
            ring_since=engine.ring_since,
            acts=tuple(act for act in acts if act.service == service.name),
            changes=self._changes(service.name),
            own_side=poller.dropped,
        )

    def _excuse(self, found: Mapping[str, Judgement]) -> bool:
        """Let no failure that was put down to a dependency outlive it; return whether one did."""
        changed = False
        for name, one in found.items():
            poller = self._pollers[name]
            if poller.result is not None and poller.result.outcome is Outcome.FAIL:
                changed |= poller.excuse(one.reason is Reason.DEPENDENCY)
        return changed

    def _changes(self, name: str) -> int:
        since = self._clock() - FLAPPING_SPAN_S
        return sum(at > since for at in self._past[name].changes)

    def _count_changes(self, found: Mapping[str, Judgement], acts: Sequence[OperatorAct], at: datetime) -> bool:
        """Note each service's own changes of verdict that no operator caused; return whether there were any."""
        counted = False
        for name, one in found.items():
            past = self._past[name]
            if one.own is None or one.own is past.own:
                continue
            if past.own is not None and not self._asked_for(self._pollers[name].service, acts, at):
                past.changes.append(self._clock())
                counted = True
            past.own = one.own
        return counted

    def _asked_for(self, service: Service, acts: Sequence[OperatorAct], at: datetime) -> bool:
        container = self._engine.containers.get(service.name)
        moments = [act.at for act in acts if act.service == service.name]
        if container is not None:
            if self._engine.ring.stopping(container.id):
                return True
            asked = (self._engine.ring.asked_at(container.id), container.created_at)
            moments += [moment for moment in asked if moment is not None]
        margin = service.startup_s + ASKED_MARGIN_S
        return any(age is not None and age < margin for age in (seconds_since(one, at) for one in moments))

    def _status(self, poller: Poller, one: Judgement, at: datetime) -> ServiceStatus:
        service, engine = poller.service, self._engine
        past = self._past[service.name]
        if one.state is not past.state:
            past.state, past.since = one.state, at
        container, result = engine.containers.get(service.name), poller.result
        passed = result is not None and result.passed
        outcome = Outcome.NONE if not poller.reachable else Outcome.UNKNOWN if result is None else result.outcome
        status = ServiceStatus(
            service=service,
            state=one.state,
            reason=one.reason,
            detail=one.detail,
            probe=outcome,
            since=past.since,
            checked_at=result.at if result is not None and not one.by_container else engine.seen_at,
            stale_s=self._stale(poller, one),
            latency_ms=result.latency_ms if result is not None and passed else None,
            history=poller.history,
            container=container,
            endpoint=poller.endpoint,
            root_causes=one.root_causes,
            dependants=one.dependants,
            impact=one.impact,
            usage=self._usage.of(container.id) if container is not None and container.running else None,
            mute=self._mute(service.name, at),
            starts_in_window=one.starts,
            notes=one.notes,
        )
        if past.status is not None and past.status == status:
            return past.status
        past.status = status
        return status

    def _stale(self, poller: Poller, one: Judgement) -> float | None:
        if one.by_container:
            listed = self._engine.listed_at if self._engine.seen_at is not None else None
            return stale_seconds(None if listed is None else self._clock() - listed, self._engine.interval)
        age = None if poller.counted_at is None or poller.result is None else self._clock() - poller.counted_at
        return stale_seconds(age, poller.interval_in_force)

    def _mute(self, name: str, at: datetime) -> Mute | None:
        held = (mute for mute in self._mutes if mute.service == name)
        return next((mute for mute in held if mute.until is None or mute.until > at), None)

    def _suggestions(self, services: tuple[ServiceStatus, ...]) -> tuple[Suggestion, ...]:
        if services == self._suggested[0]:
            return self._suggested[1]
        try:
            found = tuple(self._sources.suggest(services))
        except Exception:
            log.exception("suggesting scenarios raised")
            found = ()
        self._suggested = (services, found)
        return found
