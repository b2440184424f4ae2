"""The engine's JSON as the platform's values. Environments and command lines of containers are never kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerState,
    DockerHealth,
    PublishedPort,
    StatsSample,
)
from moalog_tui.platform.matching import Listed, parse_time

PROJECT_LABEL: Final = "com.docker.compose.project"
EVENT_ACTIONS: Final = (
    "create", "start", "die", "stop", "restart", "kill", "oom",
    "pause", "unpause", "health_status", "destroy", "rename", "update",
)  # fmt: skip
"""What is asked of the event stream. Not `exec_*`: health checks flood it with them, and they carry command lines."""

_PREFIX: Final = PROJECT_LABEL.removesuffix("project")
_HEALTH: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_UPTIME: Final = re.compile(r"^Up (?:(Less than a)|(About an?)|(\d+)) (second|minute|hour|day|week|month|year)s?")
_SECONDS: Final = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000,
}  # fmt: skip
_STILL_ALIVE: Final = (ContainerState.RUNNING, ContainerState.PAUSED)

Json = Mapping[str, Any]


def listed_of(row: Json) -> Listed:
    """Return one row of the engine's list."""
    labels: Json = row.get("Labels") or {}
    return Listed(
        id=str(row["Id"]),
        name=_own_name(row.get("Names") or ()),
        state=str(row.get("State") or ""),
        created=int(row.get("Created") or 0),
        project=labels.get(PROJECT_LABEL),
        service=labels.get(_PREFIX + "service"),
        working_dir=labels.get(_PREFIX + "project.working_dir"),
        one_off=str(labels.get(_PREFIX + "oneoff", "")).casefold() == "true",
    )


def signature_of(row: Json) -> tuple[object, ...]:
    """Return what must be equal in two lists for an inspection to hold: state, health, exit code, creation, ports."""
    status = str(row.get("Status") or "")
    health = _HEALTH.search(status)
    exited = status.partition(")")[0] if status.startswith(("Exited", "Restarting")) else ""
    ports = sorted(str(sorted(port.items())) for port in row.get("Ports") or ())
    return (
        row.get("State"),
        health and health[1],
        exited,
        row.get("Created"),
        _own_name(row.get("Names") or ()),
        *ports,
    )


def uptime_of(row: Json) -> int | None:
    """Return the seconds in "Up 3 minutes", coarse as they are; None where the container is not up.

    A smaller one than the last tells of a restart between two lists, which the state alone would hide.
    """
    match = _UPTIME.match(str(row.get("Status") or ""))
    if match is None:
        return None
    if match[1]:
        return 0
    return (int(match[3]) if match[3] else 1) * _SECONDS[match[4]]


def container_of(row: Json, told: Json) -> Container:
    """Return a container from its row in the list and its inspection, which may be empty."""
    listed = listed_of(row)
    labels: Json = row.get("Labels") or {}
    state: Json = told.get("State") or {}
    config: Json = told.get("Config") or {}
    host: Json = told.get("HostConfig") or {}
    status = _state(state.get("Status") or listed.state)
    health: Json = state.get("Health") or {}
    alive = status in _STILL_ALIVE
    return Container(
        id=listed.id,
        name=str(told.get("Name") or listed.name).removeprefix("/"),
        service=listed.service,
        project=listed.project,
        image=str(config.get("Image") or row.get("Image") or ""),
        state=status,
        # After a stop the engine goes on calling it unhealthy.
        health=_health(health.get("Status"), str(row.get("Status") or ""), bool(told)) if alive else DockerHealth.NONE,
        health_output=_last_output(health) if alive else "",
        exit_code=None if alive else _exit_code(status, state),
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        restart_count=int(told.get("RestartCount") or 0),
        restart_policy=str((host.get("RestartPolicy") or {}).get("Name") or ""),
        created_at=parse_time(told.get("Created")),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=parse_time(state.get("FinishedAt")),
        ports=_ports(told, host) if told else _listed_ports(row),
        tty=bool(config.get("Tty")),
        networks=tuple(sorted((told.get("NetworkSettings") or {}).get("Networks") or ())),
        working_dir=listed.working_dir,
        config_files=labels.get(_PREFIX + "project.config_files"),
        one_off=listed.one_off,
        memory_limit=int(host.get("Memory") or 0),
    )


def event_of(told: Json) -> ContainerEvent | None:
    """Return one event, or None for what is not among EVENT_ACTIONS."""
    action, _, detail = str(told.get("Action") or "").partition(":")
    if told.get("Type") != "container" or action not in EVENT_ACTIONS:
        return None
    actor: Json = told.get("Actor") or {}
    attributes: Json = actor.get("Attributes") or {}
    code = attributes.get("exitCode")
    return ContainerEvent(
        at_ns=int(told.get("timeNano") or int(told.get("time") or 0) * 10**9),
        action=action,
        container_id=str(actor.get("ID") or ""),
        name=str(attributes.get("name") or ""),
        service=attributes.get(_PREFIX + "service"),
        exit_code=int(code) if isinstance(code, str) and code.lstrip("-").isdigit() else None,
        health=_health(detail.strip(), "", True) if action == "health_status" else None,
        signal=attributes.get("signal"),
    )


def stats_of(told: Json, at: float) -> StatsSample | None:
    """Return one reading of the counters, or None for a container that does not run.

    Memory is what the docker command line shows: usage without the inactive page cache, whose name differs
    between cgroup v1 and v2.
    """
    cpu: Json = told.get("cpu_stats") or {}
    memory: Json = told.get("memory_stats") or {}
    usage: Json = cpu.get("cpu_usage") or {}
    if str(told.get("read") or "0001-").startswith("0001-") or "system_cpu_usage" not in cpu or "usage" not in memory:
        return None
    used = int(memory["usage"])
    details: Json = memory.get("stats") or {}
    inactive = int(details.get("total_inactive_file", details.get("inactive_file", 0)) or 0)
    return StatsSample(
        at=at,
        cpu_total_ns=int(usage.get("total_usage") or 0),
        system_cpu_ns=int(cpu["system_cpu_usage"]),
        online_cpus=int(cpu.get("online_cpus") or len(usage.get("percpu_usage") or ()) or 1),
        memory_bytes=used - inactive if inactive < used else used,
        memory_limit=int(memory.get("limit") or 0),
    )


def _own_name(names: Any) -> str:
    # A container also goes by the aliases of old links ("/web/db"); its own name has one slash.
    own = [str(name).removeprefix("/") for name in names if str(name).count("/") <= 1]
    return own[0] if own else ""


def _state(word: object) -> ContainerState:
    try:
        return ContainerState(str(word))
    except ValueError:
        return ContainerState.DEAD


def _health(word: object, status: str, told: bool) -> DockerHealth:
    if not told:
        match = _HEALTH.search(status)
        word = match[1] if match else None
    try:
        return DockerHealth(str(word)) if word else DockerHealth.NONE
    except ValueError:
        return DockerHealth.NONE


def _last_output(health: Json) -> str:
    log = health.get("Log") or ()
    return str(log[-1].get("Output") or "") if log else ""


def _exit_code(status: ContainerState, state: Json) -> int | None:
    code = state.get("ExitCode")
    if code is None or (status is ContainerState.CREATED and code == 0):
        return None  # never ran: its zero says nothing
    return int(code)


def _ports(told: Json, host: Json) -> tuple[PublishedPort, ...]:
    """Return the published ports; those it is configured to publish where it does not run, so that it keeps them."""
    bound = (told.get("NetworkSettings") or {}).get("Ports") or host.get("PortBindings") or {}
    found: list[PublishedPort] = []
    for key, bindings in bound.items():
        port, _, protocol = str(key).partition("/")
        for binding in bindings or ():
            published = str(binding.get("HostPort") or "")
            if port.isdigit() and published.isdigit() and int(published):
                found.append(PublishedPort(int(port), binding.get("HostIp") or "", int(published), protocol or "tcp"))
    return tuple(found)


def _listed_ports(row: Json) -> tuple[PublishedPort, ...]:
    return tuple(
        PublishedPort(
            int(port["PrivatePort"]), port.get("IP") or "", int(port["PublicPort"]), port.get("Type") or "tcp"
        )
        for port in row.get("Ports") or ()
        if port.get("PublicPort")
    )
