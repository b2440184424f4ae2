from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moalog_tui.adapters.programs import ask_program, find_program
from moalog_tui.cli import doctor as doctor_module
from moalog_tui.cli.doctor import run_doctor
from moalog_tui.config import Flags, Settings, load_settings
from moalog_tui.platform.containers import EngineStatus
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.secret import MASK
from moalog_tui.platform.services import Endpoint, Service

PASSWORD = "p@ss w#rd%\"'"
ENV = f'# one\nREDIS_PASSWORD="{PASSWORD.replace(chr(34), chr(92) + chr(34))}"\nGRAFANA_ADMIN_PASSWORD=admin\n'
Probed = Sequence[tuple[Service, Endpoint | None, ProbeResult]]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in ("platform/moalog-server", "home", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "platform/moalog-server/compose.yaml").write_text("services: {redis: {}, mysql: {}, promtail: {}}")
    (tmp_path / "platform/.env").write_text(ENV, "utf-8")
    for name in ("docker", "make", "ssh"):
        program(tmp_path / "bin", name, 'echo "Docker Compose version v2.99"')
    return tmp_path


def settings_of(host: Path, **environment: str) -> Settings:
    home = {"HOME": str(host / "home"), "PATH": str(host / "bin"), **environment}
    return load_settings(Flags(), home, host / "platform")


async def connected() -> EngineStatus:
    return EngineStatus("unix:///run/x.sock (default)", True, "1.41", "20.10")


def answers(settings: Settings, **results: ProbeResult) -> Any:
    async def probe_all() -> Probed:
        now = datetime.now(UTC)
        passed = ProbeResult(Outcome.PASS, now, latency_ms=3.2, answered=True)
        return [
            (service, settings.endpoint(service, None, remote=False), results.get(service.name, passed))
            for service in settings.services
        ]

    return probe_all


async def examine(
    settings: Settings, engine: Any = connected, **results: ProbeResult
) -> tuple[int, dict[str, Any], str]:
    document, text = io.StringIO(), io.StringIO()
    code = await run_doctor(settings, engine, answers(settings, **results), True, document)
    assert await run_doctor(settings, engine, answers(settings, **results), False, text) == code
    return code, json.loads(document.getvalue()), text.getvalue()


def check(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in document["checks"] if one["name"] == name]
    return dict(found)


async def test_all_well_exits_0_and_tells_each_setting_with_its_source(host: Path) -> None:
    code, document, text = await examine(settings_of(host, MYSQL_PORT="7000"))
    assert code == 0
    assert set(document) == {"schema", "at", "settings", "checks", "findings"}
    assert document["schema"] == 1
    told = {one["name"]: one for one in document["settings"]}
    assert told["REDIS_PASSWORD"] == {"name": "REDIS_PASSWORD", "value": MASK, "source": ".env:2", "secret": True}
    assert told["MYSQL_PORT"]["source"] == "your shell"
    assert told["REDIS_PORT"]["source"] == "profile default"
    assert told["OPENAI_API_KEY"]["value"] == "(empty)"
    assert told["platform"]["value"] == str(host / "platform")
    assert check(document, "endpoint redis")["detail"] == "127.0.0.1:6382 (profile) answers in 3 ms"
    assert check(document, "endpoint mysql")["detail"].startswith("127.0.0.1:7000 (environment)")
    assert check(document, "endpoint promtail")["ok"] is None
    assert check(document, "program docker compose")["detail"] == "Docker Compose version v2.99"
    assert "operations are seen by you only" in check(document, "state folder")["detail"]
    assert "20.10" in check(document, "engine")["detail"]
    assert "REDIS_PASSWORD" in text
    assert "moalog_local" not in text  # the default in force is a secret too
    assert PASSWORD not in text


async def test_weak_secrets_and_a_group_writable_runbook_are_findings(host: Path) -> None:
    runbook = host / "platform/runbook.md"
    runbook.write_text("# x")
    runbook.chmod(0o664)
    code, document, _ = await examine(settings_of(host))
    found = {(one["id"], one["where"]) for one in document["findings"]}
    assert ("weak-secret", "GRAFANA_ADMIN_PASSWORD") in found
    assert ("runbook-writable", str(runbook)) in found
    assert code == 0


async def test_a_shared_state_folder_is_told(host: Path) -> None:
    shared = host / "state"
    shared.mkdir()
    shared.chmod(0o2770)
    _, document, _ = await examine(settings_of(host, MOALOG_STATE_DIR=str(shared)))
    assert "operations are seen by all users of this host" in check(document, "state folder")["detail"]


async def test_an_engine_that_does_not_answer_exits_1_with_what_to_do(host: Path) -> None:
    async def away() -> EngineStatus:
        return EngineStatus("unix:///run/x.sock (default)", False, error="Join the group docker.", kind="permission")

    code, document, text = await examine(settings_of(host), away)
    assert code == 1
    assert check(document, "engine") == {
        "name": "engine",
        "ok": False,
        "detail": "unix:///run/x.sock (default)",
        "hint": "Join the group docker.",
    }
    assert "FAIL  engine" in text


async def test_an_engine_that_hangs_is_told_within_its_deadline(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "ENGINE_DEADLINE_S", 0.1)

    async def hangs() -> EngineStatus:
        await asyncio.sleep(3600)
        raise AssertionError

    started = time.monotonic()
    code, document, _ = await examine(settings_of(host), hangs)
    assert time.monotonic() - started < 5
    assert code == 1
    assert "no answer within" in check(document, "engine")["detail"]


async def test_a_refused_credential_names_where_it_came_from(host: Path) -> None:
    refused = ProbeResult(Outcome.UNKNOWN, datetime.now(UTC), reason=Reason.AUTH, detail="WRONGPASS", answered=True)
    code, document, _ = await examine(settings_of(host), redis=refused)
    assert code == 1
    found = check(document, "endpoint redis")
    assert (found["ok"], found["hint"]) == (False, "REDIS_PASSWORD comes from .env:2; correct it there.")


async def test_a_failing_endpoint_is_1_and_one_that_cannot_be_told_is_not(host: Path) -> None:
    now = datetime.now(UTC)
    failed = ProbeResult(Outcome.FAIL, now, reason=Reason.REFUSED, detail="connection refused")
    unknown = ProbeResult(Outcome.UNKNOWN, now, reason=Reason.MONITOR, detail="our loop is late")
    settings = settings_of(host)
    assert (await examine(settings, redis=failed))[0] == 1
    code, document, _ = await examine(settings, redis=unknown)
    assert (code, check(document, "endpoint redis")["ok"]) == (0, None)


async def test_settings_that_cannot_mean_what_they_say_exit_2(host: Path) -> None:
    (host / "platform/.env").write_text("A=1\nB=${\n", "utf-8")
    code, document, _ = await examine(settings_of(host))
    assert code == 2
    (finding,) = [one for one in document["findings"] if one["id"] == "env-line"]
    assert (finding["where"], finding["severity"]) == (f"{host}/platform/.env:2", "error")
    (host / "platform/.env").write_text("A=1\nREDIS_PORT=many\n", "utf-8")
    code, document, _ = await examine(settings_of(host))
    assert code == 2
    (finding,) = [one for one in document["findings"] if one["id"] == "setting-port"]
    assert finding["where"] == ".env:2"


async def test_missing_programs_and_compose_version_1_are_told_and_fail_nothing(host: Path) -> None:
    for name in ("docker", "make", "ssh"):
        (host / "bin" / name).unlink()
    code, document, _ = await examine(settings_of(host))
    assert code == 0
    assert check(document, "program make")["ok"] is None
    assert check(document, "program docker compose")["ok"] is None
    program(host / "bin", "docker-compose", "exit 0")
    program(host / "bin", "docker", "exit 1")  # no compose plug-in
    _, document, _ = await examine(settings_of(host))
    assert "only version 1" in check(document, "program docker compose")["detail"]


async def test_outside_text_is_printed_without_control_bytes_or_secrets(host: Path) -> None:
    program(host / "bin", "docker", r"printf '\033]0;PWN\007v2 " + PASSWORD.replace("%", "%%").replace("'", "") + "'")
    evil = ProbeResult(
        Outcome.FAIL, datetime.now(UTC), reason=Reason.BODY, detail=f"\x1b[2Jsaid {PASSWORD}\u202e\nREDIS_PASSWORD=abc"
    )
    _, document, text = await examine(settings_of(host), redis=evil)
    for shown in (json.dumps(document, ensure_ascii=False), text):
        assert all(line.isprintable() for line in shown.splitlines())
        assert PASSWORD not in shown
        assert "abc" not in shown


async def test_a_program_that_hangs_ends_with_all_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    program(tmp_path, "hangs", f"sleep 3600 & echo $! > {marker}; wait")
    started = time.monotonic()
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    assert await ask_program((str(tmp_path / "hangs"),), environment, 2) is None
    assert time.monotonic() - started < 10
    child = int(marker.read_text())
    for _ in range(100):
        if not alive(child):
            break
        await asyncio.sleep(0.02)
    assert not alive(child)


async def test_a_program_that_floods_or_fails_is_no_answer_or_a_bounded_one(tmp_path: Path) -> None:
    program(tmp_path, "floods", "exec yes")
    program(tmp_path, "fails", "exit 3")
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    assert await ask_program((str(tmp_path / "floods"),), environment, 1) is None
    assert await ask_program((str(tmp_path / "fails"),), environment, 5) is None
    assert await ask_program((str(tmp_path / "absent"),), environment, 5) is None
    assert find_program("floods", {"PATH": str(tmp_path)}) == str(tmp_path / "floods")
    assert find_program("absent", {"PATH": str(tmp_path)}) is None
