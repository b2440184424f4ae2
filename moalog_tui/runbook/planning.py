"""From "restart redis" to a plan: what the engine will be asked, how dangerous that is, and what it does to others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Final

from moalog_tui.platform.containers import Container, ContainerState
from moalog_tui.platform.durations import duration
from moalog_tui.platform.health import HealthState
from moalog_tui.platform.services import Service, ServiceKind
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.runbook.plan import Plan, Step, StepType, Tier, Verb
from moalog_tui.runbook.scenarios import Runbook

READ_ONLY: Final = "Read-only: nothing starts, stops or restarts. `doctor` tells what set it."
ENGINE_STOP_S: Final = 10.0
"""The engine's own stop time-out; another one is named on the command line."""

_STOPPED: Final = frozenset({ContainerState.CREATED, ContainerState.EXITED, ContainerState.DEAD})
_GOING: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
_WINDOW: Final = re.compile(r"\b(\d{1,4}) ?[-–] ?(\d{1,4}) ?(s|sec\w*|m|min\w*)\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan: one sentence, with what to do instead."""

    sentence: str


def plan_action(
    verb: Verb,
    status: ServiceStatus,
    snapshot: Snapshot,
    *,
    compose_file: str | None,
    project: str,
    read_only: bool,
    windows: Mapping[str, tuple[float, float]] | None = None,
) -> Plan | Refusal:
    """Plan one verb on one service, bound to the container it has in `snapshot`.

    `compose_file` is the platform's compose file as the operator would name it, None where there is none. `windows`
    holds the documented seconds (shortest, longest) until a service is well again, where the runbook tells them
    (`documented_windows`); else the profile's start-up window is the longest.
    """
    container = status.container
    refusal = _refusal(verb, status, snapshot, compose_file, project, read_only)
    if refusal is not None or container is None:
        return Refusal(refusal or READ_ONLY)
    service = status.service
    disruptive = verb is Verb.STOP or (verb is Verb.RESTART and container.state in _GOING)
    tier = Tier.DISRUPTIVE if disruptive else Tier.SAFE
    window = (windows or {}).get(service.name, (0.0, service.startup_s))
    return Plan(
        verb=verb,
        service=service,
        container_id=container.id,
        container_name=container.name,
        tier=tier,
        steps=_steps(verb, service, window),
        will=_will(verb, container, service),
        as_typed=_as_typed(verb, container, service, compose_file, project),
        facts=_facts(status, container, snapshot.at),
        consequences=_consequences(verb, status, container, snapshot),
    )


def documented_windows(runbook: Runbook, services: tuple[Service, ...]) -> dict[str, tuple[float, float]]:
    """Return the windows that a runbook tells, in seconds: "Wait 60-90s" in the recovery of a service's scenario."""
    found: dict[str, tuple[float, float]] = {}
    for service in services:
        scenario = runbook.scenario(service.scenario) if service.scenario else None
        section = scenario.section("recover") if scenario else None
        if section is None:
            continue
        match = next(
            (match for kind, text in section.lines if kind != "command" and (match := _WINDOW.search(text))), None
        )
        if match is not None:
            unit = 60.0 if match[3].startswith("m") else 1.0
            low, high = float(match[1]) * unit, float(match[2]) * unit
            if low <= high:
                found[service.name] = (low, high)
    return found


def _refusal(
    verb: Verb, status: ServiceStatus, snapshot: Snapshot, compose_file: str | None, project: str, read_only: bool
) -> str | None:
    """Return the sentence that says why nothing can be done, or None."""
    name, container = status.name, status.container
    if read_only:
        return READ_ONLY
    if not snapshot.engine.connected:
        why = snapshot.engine.error or f"the engine at {snapshot.engine.endpoint} does not answer"
        return f"{verb.value} of {name} needs the Docker Engine, and we cannot reach it: {why}"
    if container is None:
        if not snapshot.complete:
            return f"The containers are not listed yet; try again in a moment to {verb.value} {name}."
        create = _up(name, compose_file, project)
        return f"{name} has no container, so there is nothing to {verb.value}. Create it with `{create}`."
    if container.state is ContainerState.REMOVING:
        return f"The container of {name} is being removed; look again in a moment."
    if verb is Verb.START:
        if container.state is ContainerState.PAUSED:
            unpause = f"docker unpause {container.name}"
            return f"{name} is paused, and what is paused cannot be started: restart it, or type `{unpause}`."
        if container.state is ContainerState.RUNNING:
            return f"{name} already runs; restart it instead."
        if container.state is ContainerState.RESTARTING:
            return f"The engine is already restarting {name}: restart it to try at once, or stop it."
    if verb is Verb.STOP and container.state in _STOPPED:
        code = f" (exited {container.exit_code})" if container.exit_code is not None else ""
        return f"{name} does not run{code}; there is nothing to stop."
    return None


def _up(name: str, compose_file: str | None, project: str) -> str:
    where = f"-f {compose_file}" if compose_file else f"-p {project}"
    return f"docker compose {where} up -d {name}"


def _steps(verb: Verb, service: Service, window: tuple[float, float]) -> tuple[Step, ...]:
    act = Step("1", StepType.ENGINE, f"{verb.value} {service.name}")
    if verb is Verb.STOP:
        return act, Step("2", StepType.WAIT, f"{service.name} does not run", (0.0, service.stop_timeout_s))
    if service.completes:
        return act, Step("2", StepType.WAIT, f"{service.name} ends with exit code 0", window)
    return act, Step("2", StepType.WAIT, f"{service.name} is well: two probes pass", window)


def _will(verb: Verb, container: Container, service: Service) -> str:
    target = f"Engine API: {verb.value} of container {container.short_id}"
    if verb is Verb.START:
        return target
    if container.state in _STOPPED:
        return f"{target}, which does not run: it is started"
    return f"{target}, stop time-out {service.stop_timeout_s:g} s"


def _as_typed(
    verb: Verb, container: Container, service: Service, compose_file: str | None, project: str
) -> tuple[str, ...]:
    """Return the command that an operator would type; compose only knows containers that carry its labels."""
    patience = (
        ("-t", f"{service.stop_timeout_s:g}")
        if verb is not Verb.START and service.stop_timeout_s != ENGINE_STOP_S
        else ()
    )
    if compose_file is None or container.service is None:
        return ("docker", verb.value, *patience, container.name)
    owner = container.project or project
    named = () if owner == _default_project(compose_file) else ("-p", owner)
    return ("docker", "compose", "-f", compose_file, *named, verb.value, *patience, container.service)


def _default_project(compose_file: str) -> str:
    """Return the project that compose takes from a file's folder; empty where the path does not tell."""
    return re.sub(r"[^a-z0-9_-]", "", PurePath(compose_file).parent.name.lower()).lstrip("_-")


def _facts(status: ServiceStatus, container: Container, now: datetime) -> tuple[str, ...]:
    """Return the target's id, age and health, a sentence each."""
    born = container.started_at if container.state in _GOING else container.finished_at
    age = f" for {duration((now - born).total_seconds())}" if born is not None else ""
    code = (
        f", exit code {container.exit_code}" if container.exit_code is not None and container.state in _STOPPED else ""
    )
    health = f"{status.state.value}: {status.detail}" if status.detail else status.state.value
    if status.stale_s is not None:
        health += f" (as of {duration(status.stale_s)} ago)"
    return (
        f"container {container.name}, id {container.short_id}, image {container.image}",
        f"{container.state.value}{age}{code}, restarted {container.restart_count} times by the engine",
        f"health: {health}",
    )


def _consequences(verb: Verb, status: ServiceStatus, container: Container, snapshot: Snapshot) -> tuple[str, ...]:
    service = status.service
    told: list[str] = []
    if verb is not Verb.START and container.state not in _STOPPED:
        told += _who_blips(verb, status, snapshot)
    if verb is Verb.STOP:
        told += service.impact
        if container.restart_policy == "always":
            told.append("Its restart policy is `always`: it comes back when the Docker daemon restarts.")
        return tuple(told)
    told += [
        f"{need.service}, which it needs, is {found.state.value}: {service.name} may not become well."
        for need in service.needs
        if (found := snapshot.status(need.service)) is not None and found.state is HealthState.DOWN
    ]
    if service.completes:
        told.append(f"{service.name} does its work once and ends; exit code 0 is success.")
    if verb is Verb.RESTART:
        told.append("The same container runs on: changes in the compose file or .env do not reach it this way.")
    if service.kind is ServiceKind.BROKER and verb is Verb.RESTART:
        told.append(
            "What it keeps in no volume (Kafka's topics) lives with the container: "
            "a restart keeps it, a new container would not."
        )
    return tuple(told)


def _who_blips(verb: Verb, status: ServiceStatus, snapshot: Snapshot) -> list[str]:
    """Return what each direct dependant that runs loses meanwhile, a sentence each."""
    if status.state is HealthState.DOWN:
        return [f"{status.name} is down already: nobody loses more by this."]
    until = "while it restarts" if verb is Verb.RESTART else "until it is started again"
    told = []
    for other in snapshot.services:
        need = next((need for need in other.service.needs if need.service == status.name), None)
        runs = other.container is not None and other.container.running
        if need is None or not runs:
            continue
        behaviour = f" {need.behaviour}" if need.behaviour else ""
        told.append(f"{other.name}, {until}: {need.loses}.{behaviour}")
    return told or [f"No running service needs {status.name} directly."]
