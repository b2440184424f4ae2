"""Counting a container's starts: which ones nobody asked for, and when they make a crash loop (DESIGN, section 3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from moalog_tui.platform.containers import Container, ContainerEvent, ContainerState, OperatorAct

LOOP_SPAN_S: Final = 600.0
"""Three starts that nobody asked for within this many seconds are a crash loop."""

KEEP_STARTS: Final = 32
KEEP_CONTAINERS: Final = 256
ACT_MARGIN_S: Final = 60.0
"""How far our own record of an act and the engine's start event may lie apart: a stop may use its whole time-out."""

_STOPPING: Final = frozenset({"", "2", "3", "9", "15", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM"})
_ALONE: Final = frozenset({"", "no"})


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a container. `asked` where the engine's events show that somebody asked for it."""

    at: datetime
    asked: bool


class StartRing:
    """The starts of each container, as the engine's events and lists tell them. Bounded."""

    def __init__(self) -> None:
        self._starts: dict[str, deque[Start]] = {}
        self._asked: set[str] = set()
        self._counts: dict[str, tuple[int, datetime | None]] = {}
        self._exits: dict[str, int] = {}

    def note(self, event: ContainerEvent) -> None:
        """Take in one event, in the engine's order.

        `docker restart` is kill, die, stop, start, restart; so a kill that stops, or a stop, means that the next
        start was asked for, and a `restart` speaks of the start just before it. A HUP stops nothing.
        """
        ident, at = event.container_id, datetime.fromtimestamp(event.at_ns / 1e9, UTC)
        if event.action in ("create", "stop") or (event.action == "kill" and (event.signal or "") in _STOPPING):
            self._asked.add(ident)
        elif event.action == "start":
            self._append(ident, Start(at, ident in self._asked))
            self._asked.discard(ident)
        elif event.action == "restart":
            starts = self._starts.get(ident)
            if starts and not starts[-1].asked:
                starts[-1] = Start(starts[-1].at, asked=True)
            self._asked.discard(ident)
        elif event.action == "die" and event.exit_code is not None:
            self._exits[ident] = event.exit_code
            while len(self._exits) > KEEP_CONTAINERS:
                self._exits.pop(next(iter(self._exits)))
        elif event.action == "destroy":
            self._drop(ident)

    def saw(self, container: Container) -> None:
        """Take in a listed container: a start whose event was missed is told by StartedAt.

        The engine counts up RestartCount where its policy started the container, and sets it to nought where
        somebody did; only the first is a start that nobody asked for.
        """
        known = self._counts.get(container.id)
        self._counts[container.id] = (container.restart_count, container.started_at)
        while len(self._counts) > KEEP_CONTAINERS:
            self._drop(next(iter(self._counts)))
        if known is None or container.started_at is None or known[1] == container.started_at:
            return
        starts = self._starts.get(container.id)
        # An event's time and StartedAt differ by some milliseconds.
        if starts and starts[-1].at > container.started_at - timedelta(seconds=1):
            return
        self._append(container.id, Start(container.started_at, asked=container.restart_count <= known[0]))

    def starts(self, container_id: str) -> tuple[Start, ...]:
        """Return what is held of a container's starts, oldest first."""
        return tuple(self._starts.get(container_id, ()))

    def last_exit(self, container_id: str) -> int | None:
        """Return the exit code of the container's last end that an event told of, or None."""
        return self._exits.get(container_id)

    def stopping(self, container_id: str) -> bool:
        """Return whether somebody asked to stop the container, and it has not started since."""
        return container_id in self._asked

    def asked_at(self, container_id: str) -> datetime | None:
        """Return when the newest start that somebody asked for happened, or None."""
        return next((start.at for start in reversed(self._starts.get(container_id, ())) if start.asked), None)

    def _append(self, ident: str, start: Start) -> None:
        self._starts.setdefault(ident, deque(maxlen=KEEP_STARTS)).append(start)
        while len(self._starts) > KEEP_CONTAINERS:
            self._drop(next(iter(self._starts)))

    def _drop(self, ident: str) -> None:
        self._starts.pop(ident, None)
        self._counts.pop(ident, None)
        self._exits.pop(ident, None)
        self._asked.discard(ident)


def unasked(starts: Iterable[Start], container: Container, acts: Sequence[OperatorAct]) -> tuple[datetime, ...]:
    """Return the starts that nobody asked for, since the last one that somebody did ask for.

    Asked for are those the events show so, those that our own record holds, and every start of a container
    without a restart policy: nobody but an operator can have started it.
    """
    alone = container.restart_policy in _ALONE
    margin = timedelta(seconds=ACT_MARGIN_S)
    ours = [act.at for act in acts if act.container_id == container.id and act.verb in ("start", "restart")]
    found: list[datetime] = []
    for start in starts:
        if start.asked or alone or any(abs(start.at - at) <= margin for at in ours):
            found.clear()
        else:
            found.append(start.at)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """A container that starts over and over. `settled` once a run passed and outlived what ended the others."""

    count: int
    span_s: float
    """The span the starts were counted in; 0 where only the engine's own counter tells."""
    settled: bool


def crash_loop(
    container: Container, starts: Sequence[datetime], window_s: float, now: datetime, *, passed: bool
) -> CrashLoop | None:
    """Return the crash loop that a running or restarting container is in, or None.

    `starts` are those nobody asked for (`unasked`), `window_s` its start-up window, `passed` whether its probe passes.
    """
    if container.state not in (ContainerState.RUNNING, ContainerState.RESTARTING):
        return None
    age = seconds_since(container.started_at, now)
    for span, enough in ((window_s, 2), (LOOP_SPAN_S, 3)):
        within = [at for at in starts if (now - at).total_seconds() < span]
        if len(within) >= enough:
            gaps = [(later - at).total_seconds() for at, later in pairwise(within)]
            # A run that passes and lasts twice as long as the ones that ended is no loop any more: a red row
            # for what has been answering for minutes would be a wrong one.
            settled = passed and age is not None and age > max(window_s, 2 * max(gaps))
            return CrashLoop(len(within), span, settled)
    return _by_counter(container, window_s, now, age, passed=passed)


def _by_counter(
    container: Container, window_s: float, now: datetime, age: float | None, *, passed: bool
) -> CrashLoop | None:
    # Where our own ring is too young, RestartCount tells how often the policy started it since somebody last did;
    # the age of the container bounds when, and a young run that does not answer says that it goes on.
    count, life = container.restart_count, seconds_since(container.created_at, now)
    young = age is not None and age < window_s
    proven = life is not None and ((count >= 2 and life < window_s) or (count >= 3 and life < LOOP_SPAN_S))
    going_on = count >= 2 and young and not passed
    if container.state is ContainerState.RESTARTING or going_on or (proven and young):
        return CrashLoop(count, 0.0, settled=False)
    return None


def seconds_since(moment: datetime | None, now: datetime) -> float | None:
    """Return the seconds from `moment` to `now`, never negative: the engine's clock may be ahead of ours."""
    return None if moment is None else max(0.0, (now - moment).total_seconds())
