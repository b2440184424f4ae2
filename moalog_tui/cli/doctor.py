"""`moalog-tui doctor`: each setting and its source, and a test of every path, program and endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from moalog_tui.adapters.host import trust, writable_state
from moalog_tui.adapters.programs import ask_program, find_program
from moalog_tui.cli.output import timestamp
from moalog_tui.platform.containers import EngineStatus
from moalog_tui.platform.endpoints import parse_port
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.services import Endpoint, ProbeKind, Service, Sourced
from moalog_tui.platform.text import Redactor
from moalog_tui.settings import Settings

WELL: Final = 0
MISSING: Final = 1
"""Something that is needed is missing or does not answer."""
MISCONFIGURED: Final = 2
"""A setting cannot mean what it says."""

PROGRAM_DEADLINE_S: Final = 5.0
ENGINE_DEADLINE_S: Final = 15.0
PROBES_DEADLINE_S: Final = 30.0

Probed = Sequence[tuple[Service, Endpoint | None, ProbeResult]]


@dataclass(frozen=True, slots=True)
class Check:
    """One test. `ok` None: it cannot be told, or is not needed."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know or to correct. `severity` is error, warning or note."""

    id: str
    severity: str
    where: str
    message: str


async def run_doctor(
    settings: Settings,
    engine_status: Callable[[], Awaitable[EngineStatus]],
    probe_all: Callable[[], Awaitable[Probed]],
    as_json: bool,
    out: TextIO,
) -> int:
    """Examine everything and print it; return 0, 1 (something needed is missing) or 2 (a setting is wrong)."""
    programs, engine, endpoints = await asyncio.gather(
        _programs(settings), _engine(engine_status), _endpoints(settings, probe_all)
    )
    checks = [*_paths(settings), *programs, engine, *endpoints]
    findings = _findings(settings)
    shown = [*settings.own, *(held for name in settings.setting_names() if (held := settings.setting(name)))]
    redactor = settings.redactor()
    if as_json:
        out.write(json.dumps(_document(shown, checks, findings, redactor), ensure_ascii=False, indent=2) + "\n")
    else:
        out.writelines(f"{line}\n" for line in _text(shown, checks, findings, redactor))
    if any(finding.severity == "error" for finding in findings):
        return MISCONFIGURED
    return MISSING if any(check.ok is False for check in checks) else WELL


def _paths(settings: Settings) -> list[Check]:
    folder, compose = settings.platform, settings.compose_file
    env_path, env_problem = settings.env_path, settings.watch.problem
    count = len(settings.services)
    return [
        Check("platform folder", True, str(folder))
        if folder
        else Check("platform folder", None, "none found", "Name it with --platform DIR or MOALOG_HOME."),
        Check("compose file", True, f"{compose}, {count} services expected")
        if compose
        else Check("compose file", None, f"none; the profile's {count} services are expected"),
        _env_check(settings, env_problem)
        if env_path
        else Check(".env", None, "none; the profile's defaults are used", "Copy .env.example where there is one."),
        _state_check(settings),
        Check("runbook", True, str(settings.runbook or "built in")),
    ]


def _env_check(settings: Settings, problem: str | None) -> Check:
    if problem:
        return Check(".env", False, problem, "Its passwords are needed; make it readable for you.")
    return Check(".env", True, f"{settings.env_path}, {len(settings.env_file().values)} values")


def _state_check(settings: Settings) -> Check:
    problem = writable_state(settings.state_dir)
    seen = "by all users of this host" if settings.state_shared else "by you only"
    if problem is None:
        return Check("state folder", True, f"{settings.state_dir}; operations are seen {seen}")
    return Check("state folder", False, problem, "Name another one with MOALOG_STATE_DIR.")


async def _programs(settings: Settings) -> list[Check]:
    environment = settings.environment
    docker = find_program("docker", environment)
    v1 = find_program("docker-compose", environment)
    asked = await ask_program((docker, "compose", "version"), environment, PROGRAM_DEADLINE_S) if docker else None
    if asked is not None:
        compose = Check("program docker compose", True, asked or "docker compose")
    elif v1:
        compose = Check("program docker compose", True, f"only version 1, {v1}; it reads .env by other rules")
    else:
        compose = Check("program docker compose", None, "neither docker compose nor docker-compose answers")
    return [
        _program("docker", docker, "Needed only for the commands shown to be typed by hand."),
        compose,
        _program("make", find_program("make", environment), "Needed only for the platform's own make targets."),
        _program("ssh", find_program("ssh", environment), "Needed only for an engine over ssh."),
    ]


def _program(name: str, path: str | None, use: str) -> Check:
    return Check(f"program {name}", True, path) if path else Check(f"program {name}", None, "not found", use)


async def _engine(engine_status: Callable[[], Awaitable[EngineStatus]]) -> Check:
    try:
        async with asyncio.timeout(ENGINE_DEADLINE_S):
            status = await engine_status()
    except TimeoutError:
        return Check("engine", False, f"no answer within {ENGINE_DEADLINE_S:g} s", "Is the Docker Engine hanging?")
    if not status.connected:
        return Check("engine", False, status.endpoint, status.error or "It does not answer.")
    versions = f"version {status.server_version or 'unknown'}, API {status.api_version or 'unknown'}"
    return Check("engine", True, f"{status.endpoint}, {versions}")


async def _endpoints(settings: Settings, probe_all: Callable[[], Awaitable[Probed]]) -> list[Check]:
    try:
        async with asyncio.timeout(PROBES_DEADLINE_S):
            probed = await probe_all()
    except TimeoutError:
        return [Check("endpoints", None, f"no answer within {PROBES_DEADLINE_S:g} s", "Our own probes hang.")]
    return [_endpoint(settings, *one) for one in probed]


def _endpoint(settings: Settings, service: Service, endpoint: Endpoint | None, result: ProbeResult) -> Check:
    name = f"endpoint {service.name}"
    if service.probe.kind is ProbeKind.NONE:
        return Check(name, None, "has no probe; its container tells")
    if endpoint is None:
        return Check(name, None, result.detail or "not reachable from here")
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    where = f"{host}:{endpoint.port} ({endpoint.source})"
    if result.outcome is Outcome.PASS:
        latency = f" in {result.latency_ms:.0f} ms" if result.latency_ms is not None else ""
        impaired = f", but {result.detail or result.reason}" if result.reason else ""
        return Check(name, True, f"{where} answers{latency}{impaired}")
    detail = f"{where}: {result.detail or (result.reason.value if result.reason else 'no answer')}"
    if result.reason is Reason.AUTH:
        return Check(name, False, detail, _credential_hint(settings, service))
    return Check(name, False if result.outcome is Outcome.FAIL else None, detail)


def _credential_hint(settings: Settings, service: Service) -> str:
    setting = service.probe.password_setting
    held = settings.setting(setting) if setting else None
    if held is None:
        return "The credential is refused."
    return f"{held.name} comes from {held.source}; correct it there."


def _findings(settings: Settings) -> list[Finding]:
    env = str(settings.env_path or ".env")
    found = [
        Finding("env-line", "error" if one.fatal else "warning", f"{env}:{one.line}", _sentence(one.sentence))
        for one in settings.env_file().problems
    ]
    found += [Finding("setting-port", "error", held.source, message) for held, message in _bad_ports(settings)]
    found += [
        Finding("weak-secret", "note", name, "Too short or too ordinary a word to be masked wherever it stands.")
        for name in settings.weak_secrets()
    ]
    if settings.runbook is not None:
        judged = trust(settings.runbook)
        if judged.finding or judged.refused:
            message = judged.refused or judged.finding or ""
            found.append(Finding("runbook-writable", "warning", str(settings.runbook), message))
    return found + [Finding("note", "note", "settings", note) for note in settings.notes]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _bad_ports(settings: Settings) -> list[tuple[Sourced, str]]:
    bad = []
    for service in settings.services:
        held = settings.setting(service.port_variable) if service.port_variable else None
        if held is not None and parse_port(held.plain) is None:
            bad.append((held, f'{held.name} is "{held.plain}", which is no port; {service.port} is used.'))
    return bad


def _value(held: Sourced) -> str:
    if isinstance(held.value, Secret):
        return MASK if held.value else "(empty)"
    return held.value or "(empty)"


def _document(
    shown: Sequence[Sourced], checks: Sequence[Check], findings: Sequence[Finding], redactor: Redactor
) -> dict[str, Any]:
    clean = redactor.clean
    return {
        "schema": 1,
        "at": timestamp(datetime.now(UTC)),
        "settings": [
            {
                "name": clean(held.name),
                "value": clean(_value(held)),
                "source": clean(held.source),
                "secret": isinstance(held.value, Secret),
            }
            for held in shown
        ],
        "checks": [
            {"name": clean(one.name), "ok": one.ok, "detail": clean(one.detail), "hint": clean(one.hint) or None}
            for one in checks
        ],
        "findings": [
            {"id": one.id, "severity": one.severity, "where": clean(one.where), "message": clean(one.message)}
            for one in findings
        ],
    }


def _text(
    shown: Sequence[Sourced], checks: Sequence[Check], findings: Sequence[Finding], redactor: Redactor
) -> list[str]:
    clean = redactor.clean
    names = max(len(clean(held.name)) for held in shown)
    lines = ["Settings"]
    lines += [f"  {clean(held.name).ljust(names)}  {clean(_value(held))}  ({clean(held.source)})" for held in shown]
    width = max(len(clean(one.name)) for one in checks)
    words = {True: "ok  ", False: "FAIL", None: "-   "}
    lines += ["", "Checks"]
    for one in checks:
        hint = f"  {clean(one.hint)}" if one.hint else ""
        lines.append(f"  {words[one.ok]}  {clean(one.name).ljust(width)}  {clean(one.detail)}{hint}")
    if findings:
        lines += ["", "Findings"]
        lines += [f"  {one.severity.ljust(7)}  {clean(one.where)}: {clean(one.message)}" for one in findings]
    return lines
