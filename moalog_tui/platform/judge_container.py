"""What a container's own facts say: the sentences that explain before a probe's do (DESIGN, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from moalog_tui.platform.containers import Container, ContainerState, OperatorAct
from moalog_tui.platform.durations import ago
from moalog_tui.platform.health import Reason
from moalog_tui.platform.starts import CrashLoop, seconds_since

_MEANINGS: Final = {
    126: "its command cannot be executed",
    127: "its command was not found",
    134: "aborted",
    137: "killed: host out of memory, docker kill, or its stop time-out",
    139: "segmentation fault",
    143: "terminated",
}


def out_of_memory(container: Container) -> bool:
    """Return whether the last run ended for want of memory.

    The engine keeps OOMKilled through a restart by policy: with an orderly end (0, 143) it is an old mark.
    """
    return container.oom_killed and container.exit_code not in (0, 143)


def exit_sentence(container: Container) -> str:
    """Return how the last run ended: "exited 137, out of memory"; a start that failed adds the engine's error."""
    code = container.exit_code
    if code is None:
        sentence = "exited"
    elif out_of_memory(container):
        sentence = f"exited {code}, out of memory"
    else:
        meaning = _MEANINGS.get(code)
        sentence = f"exited {code}, {meaning}" if meaning else f"exited {code}"
    return f"{sentence}: {container.error}" if container.error else sentence


def stopped_by(container: Container, acts: Sequence[OperatorAct]) -> OperatorAct | None:
    """Return our own record of the stop that ended the container's last run, or None: then it was not us."""
    found = [
        act
        for act in acts
        if act.verb == "stop"
        and act.container_id == container.id
        and container.finished_at is not None
        and act.at >= container.finished_at
    ]
    return max(found, key=lambda act: act.at, default=None)


def not_running(
    container: Container | None,
    acts: Sequence[OperatorAct],
    loop: CrashLoop | None,
    last_exit: int | None,
    now: datetime,
) -> tuple[Reason, str] | None:
    """Return why a container does not serve, or None where it runs and is in no crash loop.

    `last_exit` is the exit code of the last run, as the engine's events told it.
    """
    if container is None:
        return Reason.NOT_CREATED, "no container has been created"
    state = container.state
    if state is ContainerState.RESTARTING or (loop is not None and not loop.settled):
        return Reason.RESTARTING, loop_sentence(container, loop, last_exit)
    if state is ContainerState.RUNNING:
        return None
    if state is ContainerState.PAUSED:
        return Reason.PAUSED, "its container is paused"
    if state is ContainerState.CREATED:
        return Reason.EXITED, f"created, never started{': ' + container.error if container.error else ''}"
    if state in (ContainerState.DEAD, ContainerState.REMOVING):
        word = "is dead" if state is ContainerState.DEAD else "is being removed"
        return Reason.EXITED, f"its container {word}; {exit_sentence(container)}"
    if out_of_memory(container):
        return Reason.OOM_KILLED, exit_sentence(container)
    act = stopped_by(container, acts)
    if act is not None:
        return Reason.STOPPED, f"stopped by {act.by}, {ago(seconds_since(act.at, now) or 0.0)} ago"
    return Reason.EXITED, exit_sentence(container)


def loop_sentence(container: Container, loop: CrashLoop | None, last_exit: int | None) -> str:
    """Return the count of a crash loop's starts and the last exit: "restarted 3 times in 10 min, last exit 1"."""
    count = loop.count if loop is not None else container.restart_count
    times = "once" if count == 1 else f"{count} times"
    span = f" in {ago(loop.span_s)}" if loop is not None and loop.span_s else ""
    # A running container has no exit code of its own; the event of the last end has.
    last = container.exit_code if container.state is not ContainerState.RUNNING else last_exit
    memory = ", out of memory" if container.oom_killed else ""
    ending = f", last exit {last}{memory}" if last is not None else f", last exit unknown{memory}"
    return f"restarted {times}{span}{ending}"
