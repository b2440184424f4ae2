"""What the pictures say of an action: reached, failed, not to be told, or wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moalog_tui.operations.verification import Outlook, Verification
from moalog_tui.platform.containers import ContainerState, DockerHealth, EngineStatus
from moalog_tui.platform.health import HealthState, Outcome, Reason
from moalog_tui.platform.services import Service
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, Verb
from moalog_tui.runbook.planning import plan_action
from tests.operations.builders import INIT, PROMTAIL, REDIS, box, later, picture, probed, status

PASS, FAIL = Outcome.PASS, Outcome.FAIL
EXITED = ContainerState.EXITED
AWAY = EngineStatus("unix:///x", connected=False, error="no daemon")


def plan(verb: Verb = Verb.RESTART, service: Service = REDIS, state: ContainerState = ContainerState.RUNNING) -> Plan:
    target = status(service, container=box(service, state))
    made = plan_action(verb, target, picture(target), compose_file=None, project="p", read_only=False)
    assert isinstance(made, Plan)
    return made


def verification(
    verb: Verb = Verb.RESTART, service: Service = REDIS, state: ContainerState = ContainerState.RUNNING
) -> Verification:
    return Verification(plan(verb, service, state), status(service, container=box(service, state)), later(5))


def anew(service: Service = REDIS, state: ContainerState = ContainerState.RUNNING, **facts: Any) -> ServiceStatus:
    """Return the status after a new start, four seconds after noon."""
    return status(service, container=box(service, state, started_at=later(4), **facts))


@pytest.mark.parametrize(
    ("found", "outlook", "says"),
    [
        (picture(probed(anew(), (6, PASS), (7, PASS))), Outlook.REACHED, "healthy"),
        (picture(probed(anew(), (6, FAIL), (7, PASS), (8, PASS))), Outlook.REACHED, "healthy"),
        (picture(probed(anew(), (1, PASS), (2, PASS), (6, PASS))), Outlook.WAITING, "1 of 2 probes passed"),
        (picture(probed(anew(), (6, PASS), (7, FAIL))), Outlook.WAITING, "healthy"),
        (picture(probed(anew(), (6, PASS), (7, FAIL), (8, PASS))), Outlook.WAITING, "1 of 2 probes passed"),
        (picture(probed(anew(), (1, PASS), (2, PASS))), Outlook.WAITING, "not probed yet since"),
        (picture(probed(status(REDIS), (6, PASS), (7, PASS))), Outlook.WAITING, "running, not started anew yet"),
        (picture(status(REDIS, container=box(REDIS, EXITED))), Outlook.WAITING, "exited, not started anew yet"),
        (
            picture(anew(id="another-0123456789")),
            Outlook.UNTELLABLE,
            "somebody recreated it meanwhile (now another-0123)",
        ),
        (picture(status(REDIS, container=None)), Outlook.FAILED, "its container is gone"),
        (picture(status(REDIS, container=None), complete=False), Outlook.WAITING, "its container is gone"),
        (
            picture(probed(anew(), (6, PASS), (7, PASS)), engine=AWAY),
            Outlook.WAITING,
            "the Docker Engine does not answer",
        ),
        (picture(status(PROMTAIL)), Outlook.WAITING, "no picture of it yet"),
        (None, Outlook.WAITING, "no picture of it yet"),
        (picture(anew(state=EXITED, restart_policy="no", exit_code=3)), Outlook.FAILED, "it ended again, exit code 3"),
        (picture(anew(state=EXITED, exit_code=3)), Outlook.WAITING, "it ended again, exit code 3"),
    ],
)
def test_a_restart_is_done_when_two_new_probes_of_the_new_start_pass(
    found: Snapshot | None, outlook: Outlook, says: str
) -> None:
    seen = verification().look(found)
    assert (seen.outlook, seen.sentence) == (outlook, says)


def test_a_refused_credential_cannot_be_waited_out() -> None:
    refused = replace(
        probed(anew(), (6, Outcome.UNKNOWN)), state=HealthState.UNKNOWN, reason=Reason.AUTH, detail="WRONGPASS (.env:3)"
    )
    seen = verification().look(picture(refused))
    assert seen.outlook is Outlook.UNTELLABLE
    assert "refuses our credential: unknown: WRONGPASS (.env:3)" in seen.sentence
    before = replace(refused, checked_at=later(1), history=())
    assert verification().look(picture(before)).outlook is Outlook.WAITING


def test_passing_but_degraded_says_so() -> None:
    limited = replace(
        probed(anew(), (6, PASS), (7, PASS)), state=HealthState.DEGRADED, reason=Reason.LIMITED, detail="429"
    )
    assert verification().look(picture(limited)).sentence == "it answers, but is degraded: 429"


@pytest.mark.parametrize(
    ("found", "outlook"),
    [
        (picture(status(REDIS, container=box(REDIS, EXITED))), Outlook.REACHED),
        (picture(status(REDIS, container=box(REDIS, ContainerState.DEAD))), Outlook.REACHED),
        (picture(status(REDIS, container=None)), Outlook.REACHED),
        (picture(status(REDIS)), Outlook.WAITING),
        (picture(status(REDIS, container=box(REDIS, ContainerState.RESTARTING))), Outlook.WAITING),
    ],
)
def test_a_stop_is_done_when_nothing_runs(found: Snapshot, outlook: Outlook) -> None:
    assert verification(Verb.STOP).look(found).outlook is outlook


def test_a_start_that_somebody_else_was_quicker_with_is_as_good() -> None:
    quicker = Verification(plan(Verb.START, state=EXITED), status(REDIS), later(5))
    assert quicker.look(picture(probed(status(REDIS), (6, PASS), (7, PASS)))).outlook is Outlook.REACHED


def test_a_one_shot_is_done_when_it_ended_well() -> None:
    def seen(**facts: Any) -> Outlook:
        return verification(Verb.START, INIT, EXITED).look(picture(anew(INIT, **facts))).outlook

    assert seen() is Outlook.WAITING
    assert seen(state=EXITED, exit_code=0) is Outlook.REACHED
    assert seen(state=EXITED, exit_code=1) is Outlook.FAILED


def test_without_a_probe_the_container_must_run_on() -> None:
    def at(second: float, **facts: Any) -> Snapshot:
        return picture(replace(anew(PROMTAIL, **facts), probe=Outcome.NONE), at=later(second))

    steady = verification(service=PROMTAIL)
    assert steady.look(at(6)).outlook is Outlook.WAITING
    assert steady.look(at(7)).outlook is Outlook.WAITING
    assert steady.look(at(8)).outlook is Outlook.REACHED
    shaky = verification(service=PROMTAIL)
    assert shaky.look(at(6)).outlook is Outlook.WAITING
    assert shaky.look(at(8, health=DockerHealth.STARTING)).sentence == "running, Docker says starting"
    assert shaky.look(at(9)).outlook is Outlook.WAITING


@pytest.mark.parametrize(
    ("found", "outlook", "says"),
    [
        (None, Outlook.UNTELLABLE, "no picture of it yet"),
        (picture(anew(), at=later(60), engine=AWAY), Outlook.UNTELLABLE, "no daemon"),
        (picture(anew(), at=later(60), self_check="our loop lagged"), Outlook.UNTELLABLE, "our loop lagged"),
        (picture(anew(), at=later(0)), Outlook.UNTELLABLE, "the last picture of it is 70 s old"),
        (picture(probed(anew(), (60, FAIL)), at=later(65)), Outlook.FAILED, "healthy"),
        (picture(status(REDIS), at=later(65)), Outlook.FAILED, "running, not started anew yet"),
    ],
)
def test_the_end_of_waiting_tells_failure_from_not_knowing(found: Snapshot | None, outlook: Outlook, says: str) -> None:
    seen = verification().at_the_end(found, later(70))
    assert (seen.outlook, seen.sentence) == (outlook, says)


def test_an_unknown_service_is_no_failure() -> None:
    unknown = replace(
        probed(anew(), (60, Outcome.UNKNOWN)), state=HealthState.UNKNOWN, reason=Reason.DNS, detail="no name"
    )
    assert verification().at_the_end(picture(unknown, at=later(65)), later(70)).outlook is Outlook.UNTELLABLE
