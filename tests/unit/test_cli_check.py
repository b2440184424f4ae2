"""`check`: its exit codes, its document against the contract, its lines, and when --wait ends."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from moalog_tui.cli.check import check, chosen, document, exit_code, write_json, write_lines
from moalog_tui.cli.output import Paint
from moalog_tui.platform.containers import Container, ContainerState, DockerHealth, EngineStatus
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.services import Dependency, Service, ServiceKind
from moalog_tui.platform.snapshot import Mute, ServiceStatus, Snapshot, Suggestion
from moalog_tui.platform.text import Redactor
from tests.unit.cli_program import PASSWORD

NOW = datetime(2026, 11, 23, 19, 2, 11, 123_456, tzinfo=UTC)
REDACTOR = Redactor([("REDIS_PASSWORD", Secret(PASSWORD))])
KEYS = {
    "name", "container", "kind", "state", "reason", "detail", "probe", "stale", "since", "checked_at", "latency_ms",
    "container_state", "docker_health", "exit_code", "oom_killed", "restart_count", "started_at", "root_cause",
    "root_causes", "impact", "mute",
}  # fmt: skip
"""The keys of one service in CONTRACTS."""


def status(name: str, state: HealthState = HealthState.HEALTHY, **more: Any) -> ServiceStatus:
    needs = (Dependency("redis", "fails open"),) if name == "rate-limiter" else ()
    service = Service(name, ServiceKind.DATASTORE, container=f"moalog-{name}", needs=needs)
    held: dict[str, Any] = {"reason": None, "detail": "", "probe": Outcome.PASS, "since": NOW, "checked_at": NOW}
    return ServiceStatus(service, state, **(held | more))


def picture(*statuses: ServiceStatus, **more: Any) -> Snapshot:
    engine = EngineStatus("unix:///var/run/docker.sock (default)", True, "1.41", "20.10")
    return Snapshot(NOW, 1, "Moalog", "moalog-server", engine, statuses, complete=True, **more)


def redis_down() -> Snapshot:
    container = Container(
        "a" * 64, "moalog-redis", "redis", "moalog-server", "redis:7", ContainerState.EXITED, exit_code=137,
        oom_killed=True, restart_count=2, started_at=NOW, health=DockerHealth.UNHEALTHY,
    )  # fmt: skip
    down = status(
        "redis", HealthState.DOWN, reason=Reason.OOM_KILLED, detail="exited 137, out of memory", probe=Outcome.FAIL,
        container=container, dependants=("rate-limiter",), impact=("No request is rate limited.",),
    )  # fmt: skip
    limited = status(
        "rate-limiter", HealthState.DEGRADED, reason=Reason.DEPENDENCY, detail="redis: fails open",
        root_causes=("redis",), latency_ms=8.04,
    )  # fmt: skip
    suggestion = Suggestion("2", "Redis Down", ("the container exited 137",))
    return picture(down, limited, status("mysql", latency_ms=3.26), suggestions=(suggestion,))


H, D, S, X, U = (
    HealthState.HEALTHY, HealthState.DEGRADED, HealthState.STARTING, HealthState.DOWN, HealthState.UNKNOWN,
)  # fmt: skip


@pytest.mark.parametrize(
    ("states", "degraded", "down"),
    [
        ([], 0, 0),
        ([H], 0, 0),
        ([H, D], 1, 0),
        ([S], 1, 0),
        ([X], 1, 1),
        ([U], 3, 3),
        ([U, D], 1, 3),
        ([U, X], 1, 1),
        ([U, S, H], 1, 3),
    ],
)
def test_exit_codes(states: Sequence[HealthState], degraded: int, down: int) -> None:
    statuses = [status(f"s{index}", state) for index, state in enumerate(states)]
    assert (exit_code(statuses, "degraded"), exit_code(statuses, "down")) == (degraded, down)
    muted = [replace(one, mute=Mute(one.name, "known", None)) for one in statuses]
    assert exit_code(muted, "degraded") == 0


def test_the_document_has_the_keys_of_the_contract() -> None:
    found = json.loads(json.dumps(document(redis_down(), [], REDACTOR, "/srv/moalog")))
    assert set(found) == {
        "schema", "at", "platform", "project", "endpoint", "checked_at", "summary", "services", "suggestions",
    }  # fmt: skip
    assert (found["schema"], found["platform"], found["project"]) == (1, "/srv/moalog", "moalog-server")
    assert found["checked_at"] == "2026-11-23T19:02:11.123Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["at"])
    assert found["summary"] == {
        "healthy": 1, "degraded": 1, "starting": 0, "down": 1, "unknown": 0, "muted": 0, "stale": 0,
    }  # fmt: skip
    assert all(set(one) == KEYS for one in found["services"])
    redis, limiter, mysql = found["services"]
    assert redis | {"since": 0, "checked_at": 0, "started_at": 0} == {
        "name": "redis", "container": "moalog-redis", "kind": "datastore", "state": "down", "reason": "oom-killed",
        "detail": "exited 137, out of memory", "probe": "fail", "stale": False, "since": 0, "checked_at": 0,
        "latency_ms": None, "container_state": "exited", "docker_health": "unhealthy", "exit_code": 137,
        "oom_killed": True, "restart_count": 2, "started_at": 0, "root_cause": None, "root_causes": [],
        "impact": ["No request is rate limited."], "mute": None,
    }  # fmt: skip
    assert (limiter["root_cause"], limiter["root_causes"], limiter["latency_ms"]) == ("redis", ["redis"], 8.0)
    absent = ("container_state", "docker_health", "exit_code", "oom_killed", "restart_count", "started_at", "detail")
    assert [mysql[key] for key in absent] == ["not-created", *[None] * 6]
    assert found["suggestions"] == [{"scenario": "2", "title": "Redis Down", "evidence": ["the container exited 137"]}]


def test_only_the_chosen_services_are_told_and_counted() -> None:
    found = document(redis_down(), ["mysql"], REDACTOR, None)
    assert [one["name"] for one in found["services"]] == ["mysql"]
    assert (found["summary"]["healthy"], found["summary"]["down"], found["platform"]) == (1, 0, None)
    assert exit_code(chosen(redis_down(), ["mysql"]), "degraded") == 0


def test_outside_text_is_clean_in_both_forms() -> None:
    hostile = f"\x1b[2J\x9b1mREDIS_PASSWORD={PASSWORD} [/] \u202e"
    bad = status(
        "redis", X, reason=Reason.BODY, detail=hostile, impact=(hostile,), root_causes=(hostile,),
        mute=Mute("redis", hostile, NOW),
    )  # fmt: skip
    shown = picture(bad, suggestions=(Suggestion("2", hostile, (hostile,)),))
    out = io.StringIO()
    write_json(document(shown, [], REDACTOR, hostile), out)
    write_lines(shown, [], REDACTOR, out, Paint(colour=False, ascii=False))
    text = out.getvalue()
    assert PASSWORD not in text
    assert text.count(MASK) >= 7
    assert text.replace("\n", "").isprintable()
    assert "[/]" in text


def test_lines_are_worst_first_with_dependants_below_their_cause() -> None:
    out = io.StringIO()
    write_lines(redis_down(), [], REDACTOR, out, Paint(colour=False, ascii=True))
    lines = out.getvalue().splitlines()
    assert lines[0] == "X redis           down                exited 137, out of memory"
    assert lines[1] == "!   rate-limiter  degraded      8 ms  redis: fails open"
    assert lines[2] == "o mysql           healthy       3 ms"
    assert lines[3].startswith("redis is down")
    out = io.StringIO()
    write_lines(redis_down(), ["mysql"], REDACTOR, out, Paint(colour=True, ascii=False))
    assert out.getvalue() == "● mysql  healthy       3 ms\n"


def test_muted_and_stale_are_said() -> None:
    out = io.StringIO()
    old = status("redis", X, detail="refused", mute=Mute("redis", "migration", None), stale_s=75.0)
    write_lines(picture(old), ["redis"], REDACTOR, out, Paint(colour=False, ascii=True))
    assert out.getvalue().rstrip().endswith("muted: migration refused (stale, 1 min 15 s)")


class Rounds:
    """A monitor whose rounds are given."""

    def __init__(self, *rounds: Snapshot) -> None:
        self.rounds = list(rounds)
        self.asked = 0

    async def one_round(self) -> Snapshot:
        self.asked += 1
        return self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]


def waited(monitor: Rounds, wait_s: float | None, *names: str, fail_on: str = "degraded") -> Snapshot:
    return asyncio.run(check(monitor.one_round, wait_s, names, fail_on))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moalog_tui.cli.check.ROUND_PAUSE_S", 0.01)


@pytest.mark.usefixtures("quick")
def test_waiting_ends_with_the_first_round_that_is_well() -> None:
    monitor = Rounds(picture(status("redis", X)), picture(status("redis", S)), picture(status("redis")))
    assert waited(monitor, 5).services[0].state is H
    assert monitor.asked == 3


@pytest.mark.usefixtures("quick")
def test_waiting_looks_only_at_what_was_asked_for() -> None:
    shown = picture(status("redis", X), status("mysql", D))
    for names, fail_on, rounds in ((("mysql",), "down", 1), ((), "down", 2), (("mysql",), "degraded", 2)):
        monitor = Rounds(shown, *([picture(status("redis"), status("mysql"))] if rounds == 2 else []))
        waited(monitor, 5, *names, fail_on=fail_on)
        assert monitor.asked == rounds


@pytest.mark.usefixtures("quick")
def test_waiting_ends_with_its_time_and_without_it_after_one_round() -> None:
    monitor = Rounds(picture(status("redis", X)))
    waited(monitor, None)
    assert monitor.asked == 1
    began = time.monotonic()
    waited(monitor, 0.2)
    assert 0.1 < time.monotonic() - began < 1
    assert monitor.asked > 2
