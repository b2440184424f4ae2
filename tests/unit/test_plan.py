"""Plans by effect, not by verb; the command as typed; what the operator must know; and refusals with a way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moalog_tui.platform.containers import ContainerState, EngineStatus
from moalog_tui.platform.durations import duration
from moalog_tui.platform.health import HealthState, Reason
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, StepType, Tier, Verb
from moalog_tui.runbook.planning import Refusal, documented_windows, plan_action
from moalog_tui.runbook.reading import built_in
from tests.operations.builders import INIT, KAFKA, LIMITER, NOON, PROMTAIL, REDIS, box, later, picture, status

COMPOSE = "moalog-server/docker-compose.yaml"
STOPPED = ContainerState.EXITED
CREATED = ContainerState.CREATED
PAUSED = ContainerState.PAUSED
RESTARTING = ContainerState.RESTARTING
RUNNING = ContainerState.RUNNING


def planned(
    verb: Verb,
    target: ServiceStatus,
    *others: ServiceStatus,
    compose_file: str | None = COMPOSE,
    read_only: bool = False,
    snapshot: Snapshot | None = None,
) -> Plan | Refusal:
    return plan_action(
        verb,
        target,
        snapshot or picture(target, *others),
        compose_file=compose_file,
        project="moalog-server",
        read_only=read_only,
    )


def plan(verb: Verb, target: ServiceStatus, *others: ServiceStatus, compose_file: str | None = COMPOSE) -> Plan:
    found = planned(verb, target, *others, compose_file=compose_file)
    assert isinstance(found, Plan), found
    return found


def refused(found: Plan | Refusal) -> str:
    assert isinstance(found, Refusal), found
    return found.sentence


def redis(state: ContainerState) -> ServiceStatus:
    health = HealthState.HEALTHY if state is RUNNING else HealthState.DOWN
    return status(REDIS, health, container=box(REDIS, state))


@pytest.mark.parametrize(
    ("verb", "state", "tier"),
    [
        (Verb.START, STOPPED, Tier.SAFE),
        (Verb.START, CREATED, Tier.SAFE),
        (Verb.RESTART, STOPPED, Tier.SAFE),
        (Verb.RESTART, CREATED, Tier.SAFE),
        (Verb.RESTART, RESTARTING, Tier.SAFE),
        (Verb.RESTART, RUNNING, Tier.DISRUPTIVE),
        (Verb.RESTART, PAUSED, Tier.DISRUPTIVE),
        (Verb.STOP, RUNNING, Tier.DISRUPTIVE),
        (Verb.STOP, RESTARTING, Tier.DISRUPTIVE),
    ],
)
def test_the_tier_is_by_effect(verb: Verb, state: ContainerState, tier: Tier) -> None:
    assert plan(verb, redis(state)).tier is tier


def test_a_restart_says_what_will_be_done() -> None:
    found = plan(Verb.RESTART, status(REDIS), status(LIMITER))
    assert found.will == "Engine API: restart of container redis-012345, stop time-out 10 s"
    assert found.as_typed == ("docker", "compose", "-f", COMPOSE, "restart", "redis")
    assert found.facts == (
        "container moalog-redis, id redis-012345, image redis:1",
        "running for 1 h, restarted 0 times by the engine",
        "health: healthy",
    )
    assert found.container_id == box(REDIS).id
    assert found.consequences[0] == "rate-limiter, while it restarts: fails open. It lets every request pass."
    assert any("changes in the compose file" in one for one in found.consequences)
    act, wait = found.steps
    assert (act.type, wait.type) == (StepType.ENGINE, StepType.WAIT)
    assert wait.expected_s == (0.0, 15)


def test_a_restart_of_what_does_not_run_is_a_start() -> None:
    found = plan(Verb.RESTART, redis(STOPPED), status(LIMITER))
    assert found.will == "Engine API: restart of container redis-012345, which does not run: it is started"
    assert found.facts[1] == "exited for 1 min, exit code 137, restarted 0 times by the engine"
    assert not any("while it restarts" in one for one in found.consequences)


@pytest.mark.parametrize(
    ("compose_file", "facts", "typed"),
    [
        (None, {}, "docker restart moalog-redis"),
        (COMPOSE, {"service": None, "project": None}, "docker restart moalog-redis"),
        (COMPOSE, {"project": "other"}, f"docker compose -f {COMPOSE} -p other restart redis"),
        ("/srv/moalog-server/compose.yml", {}, "docker compose -f /srv/moalog-server/compose.yml restart redis"),
        ("compose.yml", {}, "docker compose -f compose.yml -p moalog-server restart redis"),
    ],
)
def test_the_command_as_typed_reaches_the_same_container(
    compose_file: str | None, facts: dict[str, Any], typed: str
) -> None:
    target = status(REDIS, container=box(REDIS, **facts))
    assert " ".join(plan(Verb.RESTART, target, compose_file=compose_file).as_typed) == typed


def test_another_stop_time_out_is_typed_too() -> None:
    patient = replace(REDIS, stop_timeout_s=45.0)
    target = status(patient)
    assert plan(Verb.STOP, target, compose_file=None).as_typed == ("docker", "stop", "-t", "45", "moalog-redis")
    assert plan(Verb.STOP, target).will.endswith("stop time-out 45 s")
    assert "-t" not in plan(Verb.START, status(patient, container=box(patient, STOPPED))).as_typed


def test_a_stop_tells_what_the_platform_loses() -> None:
    found = plan(Verb.STOP, status(REDIS, container=box(REDIS, restart_policy="always")), status(LIMITER))
    assert found.consequences == (
        "rate-limiter, until it is started again: fails open. It lets every request pass.",
        "Nothing is rate limited.",
        "Its restart policy is `always`: it comes back when the Docker daemon restarts.",
    )


def test_who_does_not_run_does_not_blip_and_what_is_down_costs_nothing_more() -> None:
    stopped = status(LIMITER, HealthState.DOWN, container=box(LIMITER, STOPPED))
    assert plan(Verb.RESTART, status(REDIS), stopped).consequences[0] == "No running service needs redis directly."
    hung = status(REDIS, HealthState.DOWN, Reason.TIMEOUT)
    assert plan(Verb.RESTART, hung, status(LIMITER)).consequences[0].startswith("redis is down already")


def test_a_dependency_that_is_down_is_told_before() -> None:
    limiter = status(LIMITER, HealthState.DEGRADED, Reason.DEPENDENCY, detail="redis: fails open")
    found = plan(Verb.RESTART, limiter, redis(STOPPED))
    assert "redis, which it needs, is down: rate-limiter may not become well." in found.consequences
    assert found.facts[2] == "health: degraded: redis: fails open"


def test_kafkas_topics_live_with_the_container() -> None:
    assert any("no volume" in one for one in plan(Verb.RESTART, status(KAFKA)).consequences)
    assert not any("no volume" in one for one in plan(Verb.RESTART, status(REDIS)).consequences)


def test_a_one_shot_is_run_again() -> None:
    done = status(INIT, container=box(INIT, STOPPED, exit_code=0))
    found = plan(Verb.START, done)
    assert found.steps[1].title == "otel-agent-init ends with exit code 0"
    assert any("does its work once" in one for one in found.consequences)


def test_read_only_refuses_everything() -> None:
    for verb in Verb:
        assert "Read-only" in refused(planned(verb, status(REDIS), read_only=True))


def test_without_an_engine_nothing_is_planned() -> None:
    away = EngineStatus("unix:///x (default)", connected=False, error="no daemon at /x; start it", kind="absent")
    target = status(REDIS, HealthState.UNKNOWN, Reason.MONITOR)
    assert "no daemon at /x; start it" in refused(planned(Verb.RESTART, target, snapshot=picture(target, engine=away)))
    mute = replace(away, error=None)
    assert "does not answer" in refused(planned(Verb.RESTART, target, snapshot=picture(target, engine=mute)))


def test_what_was_never_created_is_told_how() -> None:
    target = status(REDIS, HealthState.DOWN, Reason.NOT_CREATED, container=None)
    for verb in Verb:
        assert f"docker compose -f {COMPOSE} up -d redis" in refused(planned(verb, target))
    assert "docker compose -p moalog-server up -d redis" in refused(planned(Verb.START, target, compose_file=None))
    early = picture(target, complete=False)
    assert "not listed yet" in refused(planned(Verb.START, target, snapshot=early))


@pytest.mark.parametrize(
    ("verb", "state", "says"),
    [
        (Verb.START, RUNNING, "already runs; restart it instead"),
        (Verb.START, PAUSED, "docker unpause moalog-redis"),
        (Verb.START, RESTARTING, "already restarting"),
        (Verb.STOP, STOPPED, "does not run (exited 137)"),
        (Verb.STOP, CREATED, "does not run;"),
        (Verb.RESTART, ContainerState.REMOVING, "being removed"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_out(verb: Verb, state: ContainerState, says: str) -> None:
    assert says in refused(planned(verb, redis(state)))


def test_the_runbook_tells_the_windows() -> None:
    mysql, fluxpay = (
        replace(REDIS, name="mysql", scenario="mysql-down"),
        replace(LIMITER, scenario="fluxpay-engine-down"),
    )
    windows = documented_windows(built_in(), (REDIS, mysql, fluxpay, PROMTAIL))
    assert windows == {"mysql": (30.0, 60.0), "rate-limiter": (90.0, 120.0)}
    found = plan_action(
        Verb.RESTART,
        status(LIMITER),
        picture(status(LIMITER)),
        compose_file=None,
        project="p",
        read_only=False,
        windows=windows,
    )
    assert isinstance(found, Plan)
    assert found.steps[1].expected_s == (90.0, 120.0)


def test_stale_health_is_told_as_such() -> None:
    found = plan(Verb.RESTART, status(REDIS, detail="x", stale_s=75))
    assert found.facts[2] == "health: healthy: x (as of 1 min 15 s ago)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (11520, "3 h 12 min"),
        (3600, "1 h"),
        (352800, "4 d 2 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_no_age_without_a_time() -> None:
    target = status(REDIS, container=box(REDIS, CREATED, started_at=None))
    assert plan(Verb.START, target).facts[1] == "created, restarted 0 times by the engine"
    assert later(0) == NOON
