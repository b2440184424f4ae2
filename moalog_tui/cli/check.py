"""`moalog-tui check`: one round of the monitor, as lines or JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from moalog_tui.cli.output import Paint, timestamp
from moalog_tui.platform.durations import duration
from moalog_tui.platform.health import MARKS, HealthState
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.platform.text import Redactor
from moalog_tui.platform.verdict import summary, verdict_line, worst_first

ROUND_PAUSE_S: Final = 1.0
"""Between two rounds of --wait."""


async def check(
    one_round: Callable[[], Awaitable[Snapshot]],
    wait_s: float | None,
    names: Sequence[str] = (),
    fail_on: str = "degraded",
) -> Snapshot:
    """Run one round and return its picture; rounds until what is asked for is well or `wait_s` seconds passed."""
    end = time.monotonic() + (wait_s or 0.0)
    while True:
        snapshot = await one_round()
        if exit_code(chosen(snapshot, names), fail_on) == 0:
            return snapshot
        if time.monotonic() + ROUND_PAUSE_S >= end:
            return snapshot
        await asyncio.sleep(ROUND_PAUSE_S)


def exit_code(statuses: Sequence[ServiceStatus], fail_on: str) -> int:
    """0 well; 1 down, degraded or starting (with `--fail-on down` only down); 3 where something is unknown."""
    states = {status.state for status in statuses if status.mute is None}
    bad = {HealthState.DOWN} if fail_on == "down" else {HealthState.DOWN, HealthState.DEGRADED, HealthState.STARTING}
    if states & bad:
        return 1
    return 3 if HealthState.UNKNOWN in states else 0


def chosen(snapshot: Snapshot, names: Sequence[str]) -> tuple[ServiceStatus, ...]:
    """Return the named services, or all of them, in the profile's order."""
    return tuple(status for status in snapshot.services if not names or status.name in names)


def write_lines(snapshot: Snapshot, names: Sequence[str], redactor: Redactor, out: TextIO, paint: Paint) -> None:
    """Print one line a service, worst first, and the verdict."""
    wanted = set(names)
    rows = [(status, depth) for status, depth in worst_first(snapshot.services) if not wanted or status.name in wanted]
    width = max((len(status.name) + 2 * depth for status, depth in rows), default=0)
    for status, depth in rows:
        glyph = MARKS[status.state][1 if paint.ascii else 0]
        name = ("  " * depth + status.name).ljust(width)
        latency = f"{status.latency_ms:.0f} ms" if status.latency_ms is not None else ""
        why = redactor.clean(status.detail)
        if status.mute is not None:
            why = f"muted: {redactor.clean(status.mute.reason)} {why}".rstrip()
        if status.stale_s is not None:
            why = f"{why} (stale, {duration(status.stale_s)})".lstrip()
        line = f"{glyph} {redactor.clean(name)}  {status.state.value.ljust(8)}  {latency.rjust(8)}  {why}".rstrip()
        out.write(paint.state(status.state, line) + "\n")
    state, sentence = verdict_line(snapshot)
    if not names:
        out.write(paint.state(state, redactor.clean(sentence)) + "\n")


def document(snapshot: Snapshot, names: Sequence[str], redactor: Redactor, platform: str | None) -> dict[str, Any]:
    """Return the JSON document of `check` (schema 1)."""
    statuses = chosen(snapshot, names)
    return {
        "schema": 1,
        "at": timestamp(datetime.now(UTC)),
        "platform": redactor.clean(platform) if platform else None,
        "project": redactor.clean(snapshot.project),
        "endpoint": redactor.clean(snapshot.engine.endpoint),
        "checked_at": timestamp(snapshot.at),
        "summary": summary(statuses),
        "services": [_service(status, redactor) for status in statuses],
        "suggestions": [
            {
                "scenario": one.scenario,
                "title": redactor.clean(one.title),
                "evidence": [redactor.clean(sentence) for sentence in one.evidence],
            }
            for one in snapshot.suggestions
        ],
    }


def _service(status: ServiceStatus, redactor: Redactor) -> dict[str, Any]:
    container = status.container
    name = container.name if container else status.service.container
    mute = status.mute
    return {
        "name": redactor.clean(status.name),
        "container": redactor.clean(name) if name else None,
        "kind": status.kind.value,
        "state": status.state.value,
        "reason": status.reason.value if status.reason else None,
        "detail": redactor.clean(status.detail) or None,
        "probe": status.probe.value,
        "stale": status.stale_s is not None,
        "since": timestamp(status.since),
        "checked_at": timestamp(status.checked_at),
        "latency_ms": round(status.latency_ms, 1) if status.latency_ms is not None else None,
        "container_state": container.state.value if container else "not-created",
        "docker_health": container.health.value if container else None,
        "exit_code": container.exit_code if container else None,
        "oom_killed": container.oom_killed if container else None,
        "restart_count": container.restart_count if container else None,
        "started_at": timestamp(container.started_at) if container else None,
        "root_cause": redactor.clean(status.root_cause) if status.root_cause else None,
        "root_causes": [redactor.clean(one) for one in status.root_causes],
        "impact": [redactor.clean(one) for one in status.impact],
        "mute": {"reason": redactor.clean(mute.reason), "until": timestamp(mute.until)} if mute else None,
    }


def write_json(value: dict[str, Any], out: TextIO) -> None:
    """Print one JSON document; control bytes only as \\u escapes."""
    out.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
