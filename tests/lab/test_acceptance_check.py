"""What `check` says while the platform is well, and while each part of it is broken."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from moalog_tui.config import Flags, load_settings
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.wiring import wire
from tests.lab import faults
from tests.lab.harness import Lab
from tests.lab.program import Program

pytestmark = [
    pytest.mark.lab,
    # kafka-python reads its schemas in a way that Python calls outdated.
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning"),
]

DEPENDANTS = {
    "moalog-server": (),
    "rate-limiter": ("moalog-server", "rjmx-exporter-rate-limiter"),
    "fluxpay-engine": ("moalog-server", "rjmx-exporter-fluxpay"),
    "redis": ("rate-limiter", "fluxpay-engine", "redis-exporter"),
    "mysql": ("moalog-server", "mysqld-exporter"),
    "fluxpay-postgres": ("fluxpay-engine",),
    "fluxpay-kafka": ("fluxpay-engine",),
    "prometheus": ("grafana",),
    "grafana": (),
    "alertmanager": ("prometheus",),
    "loki": ("promtail",),
    "jaeger": ("otel-collector",),
}
"""The services of the runbook's health table, with those that need each directly (DESIGN, section 3)."""
SLOW_TO_START = ("rate-limiter", "fluxpay-engine", "loki")
"""They take longer than a probe's round, so that somebody must see them start."""
SETTLE_S = 40.0


class Watch:
    """A monitor of the program's own, in this process: every picture it makes."""

    def __init__(self) -> None:
        self.pictures: list[Snapshot] = []

    def states(self, service: str, since: int = 0) -> list[str]:
        """The service's states in their order, each once, from a picture of that number on."""
        found: list[str] = []
        for picture in self.pictures[since:]:
            status = picture.status(service)
            assert status is not None
            if found[-1:] != [status.state.value]:
                found.append(status.state.value)
        return found

    async def until(self, service: str, state: str, deadline: float = SETTLE_S) -> None:
        """Wait until the newest picture shows the service in that state."""
        end = time.monotonic() + deadline
        while not self.pictures or self.states(service)[-1] != state:
            seen = self.states(service)
            assert time.monotonic() < end, f"{service} is not {state} after {deadline:.0f} s, but went {seen}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def watching(program: Program) -> AsyncIterator[Watch]:
    """Run the program's monitor while the block runs."""
    settings = load_settings(Flags(), program.environment, program.folder)
    wired = wire(settings)
    watch = Watch()

    async def read() -> None:
        async for picture in wired.snapshots():
            watch.pictures.append(picture)

    reading = asyncio.create_task(read())
    try:
        yield watch
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


def test_a_healthy_platform_is_twenty_healthy_and_exit_0(program: Program) -> None:
    began = time.monotonic()
    seen = program.check()
    spent = time.monotonic() - began
    assert seen.states() == {}
    assert seen.document["summary"]["healthy"] == len(seen.services) == 20
    assert seen.code == 0
    assert spent < 11, "twice what two deadlines and a second and a half allow"
    lines = program.run("check")
    assert lines.stdout.splitlines()[-1] == "all 20 healthy"
    assert lines.returncode == 0


@pytest.mark.parametrize("service", DEPENDANTS)
async def test_a_stopped_service_is_down_its_dependants_degraded_and_its_return_seen(
    lab: Lab, program: Program, service: str
) -> None:
    async with watching(program) as watch:
        await watch.until(service, "healthy")
        await asyncio.to_thread(lab.stop, service)
        code = (await asyncio.to_thread(lab.state, service))["ExitCode"]
        await watch.until(service, "down")
        seen = await asyncio.to_thread(program.check)

        expected: dict[str, tuple[str, str | None]] = {service: ("down", "exited")}
        expected |= dict.fromkeys(DEPENDANTS[service], ("degraded", "dependency"))
        assert seen.states() == expected
        root = seen.services[service]
        assert (root["exit_code"], root["container_state"], root["root_causes"]) == (code, "exited", [])
        assert re.match(rf"exited {code}\b", root["detail"])
        assert "memory" not in root["detail"] or code == 137
        assert root["impact"]
        for name in DEPENDANTS[service]:
            assert seen.services[name]["root_causes"] == [service], name
            assert seen.services[name]["detail"].startswith(service), name
        assert seen.code == 1
        assert seen.document["suggestions"]

        before = len(watch.pictures)
        await asyncio.to_thread(lab.start, service)
        await watch.until(service, "healthy")
        path = [state for state in watch.states(service, before) if state != "down"]
        assert path == ["starting", "healthy"] or (path == ["healthy"] and service not in SLOW_TO_START)
        assert watch.states(service, before) in (["down", *path], path), "it was called down again while it started"
        for name in DEPENDANTS[service]:
            await watch.until(name, "healthy")
            assert "down" not in watch.states(name), name
    well = await asyncio.to_thread(program.check, "--wait", "60")
    assert (well.code, well.states()) == (0, {})
    await asyncio.to_thread(lab.wait_well, 30)


def test_a_crash_loop_is_down_restarting_with_its_count_and_last_exit(lab: Lab, program: Program) -> None:
    faults.crash_loop(lab, "rate-limiter", "3")
    assert lab.wait_until(lambda: restarts(lab, "rate-limiter") >= 3, 30, 0.3)
    # A run that just began hides the code of the last one from whoever looks once.
    told = re.compile(r"restarted \d+ times, last exit (3|unknown) \(history since ")
    endings = set()
    for _ in range(4):
        seen = program.check().services["rate-limiter"]
        assert (seen["state"], seen["reason"]) == ("down", "restarting")
        match = told.match(seen["detail"])
        assert match is not None, seen["detail"]
        endings.add(match[1])
        assert seen["restart_count"] >= 3
    assert "3" in endings


async def test_a_crash_loop_that_is_watched_is_never_healthy(lab: Lab, program: Program) -> None:
    async with watching(program) as watch:
        await watch.until("rate-limiter", "healthy")
        await asyncio.to_thread(faults.crash_loop, lab, "rate-limiter", "7")
        assert await asyncio.to_thread(lab.wait_until, lambda: restarts(lab, "rate-limiter") >= 2, 20)
        await watch.until("rate-limiter", "down")
        before = len(watch.pictures)
        # The engine restarts it after ever longer pauses; between two of them it must not turn well.
        assert await asyncio.to_thread(lab.wait_until, lambda: restarts(lab, "rate-limiter") >= 6, 20)
        assert watch.states("rate-limiter", before) == ["down"]
        last = watch.pictures[-1].status("rate-limiter")
        assert last is not None
        assert re.fullmatch(r"restarted \d+ times in (1 min|90 s|10 min), last exit 7", last.detail), last.detail
        assert watch.states("moalog-server")[-1] == "degraded"


@pytest.mark.parametrize("service", ["redis", "fluxpay-engine"])
def test_an_oom_kill_is_told_from_a_kill(lab: Lab, program: Program, service: str) -> None:
    if service != "redis":
        # Its policy would start it again before anybody looks.
        with lab.container(service) as container:
            container.update(restart_policy={"Name": "no"})
    faults.oom(lab, service)
    assert lab.wait_until(lambda: not lab.state(service)["Running"], 30)
    seen = program.check()
    assert seen.states()[service] == ("down", "oom-killed")
    one = seen.services[service]
    assert (one["exit_code"], one["oom_killed"]) == (137, True)
    assert one["detail"] == "exited 137, out of memory"
    assert seen.code == 1


def test_a_kill_without_oom_says_who_may_have_done_it(lab: Lab, program: Program) -> None:
    with lab.container("redis") as container:
        container.kill()
    seen = program.check().services["redis"]
    assert (seen["state"], seen["reason"]) == ("down", "exited")
    assert seen["detail"] == "exited 137, killed: host out of memory, docker kill, or its stop time-out"


def test_a_paused_container_is_down_paused(lab: Lab, program: Program) -> None:
    lab.pause("fluxpay-postgres")
    seen = program.check()
    assert seen.states() == {
        "fluxpay-postgres": ("down", "paused"),
        "fluxpay-engine": ("degraded", "dependency"),
    }
    assert seen.services["fluxpay-engine"]["root_causes"] == ["fluxpay-postgres"]
    lab.unpause("fluxpay-postgres")
    assert program.check("--wait", "30").code == 0


def test_four_stopped_at_once_are_four_roots(lab: Lab, program: Program) -> None:
    stopped = ("redis", "mysql", "prometheus", "jaeger")
    for service in stopped:
        lab.stop(service)
    seen = program.check()
    down = dict.fromkeys(stopped, ("down", "exited"))
    below = ("rate-limiter", "fluxpay-engine", "moalog-server", "redis-exporter", "mysqld-exporter", "grafana")
    degraded = dict.fromkeys((*below, "otel-collector"), ("degraded", "dependency"))
    assert seen.states() == down | degraded
    roots = {name: one["root_causes"] for name, one in seen.services.items() if one["root_causes"]}
    assert roots == {
        "rate-limiter": ["redis"],
        "fluxpay-engine": ["redis"],
        "redis-exporter": ["redis"],
        "moalog-server": ["mysql"],
        "mysqld-exporter": ["mysql"],
        "grafana": ["prometheus"],
        "otel-collector": ["jaeger"],
    }
    verdict = program.run("check").stdout.splitlines()[-1]
    assert verdict.startswith("4 roots: redis, mysql +2 · ")
    assert "5 of 20 impaired, 6 more in observability" in verdict


@pytest.mark.parametrize(
    ("variable", "service"),
    [("REDIS_PASSWORD", "redis"), ("MYSQL_ROOT_PASSWORD", "mysql"), ("FLUXPAY_DB_PASSWORD", "fluxpay-postgres")],
)
def test_a_wrong_password_is_unknown_and_names_its_source(
    lab: Lab, program: Program, variable: str, service: str
) -> None:
    wrong = "wr0ng @#%' \"password"
    seen = program.check(**{variable: wrong})
    assert seen.states() == {service: ("unknown", "auth")}
    assert seen.code == 3
    detail = seen.services[service]["detail"]
    assert variable in detail
    assert "your shell" in detail
    assert wrong not in str(seen.document)
    faults.env_value(lab, variable, "another-wrong-one")
    detail = program.check().services[service]["detail"]
    assert re.search(rf"{variable}.*\.env:\d+", detail), detail
    assert "another-wrong-one" not in detail


def test_a_stop_of_our_own_is_told_as_such_and_a_start_mends_it(lab: Lab, program: Program) -> None:
    done = program.run("stop", "redis", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = program.check()
    one = seen.services["redis"]
    assert (one["state"], one["reason"]) == ("down", "stopped")
    assert re.fullmatch(r"stopped by \S+, \d+ s ago", one["detail"]), one["detail"]
    assert seen.services["rate-limiter"]["root_causes"] == ["redis"]
    done = program.run("start", "redis", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert program.check("redis").code == 0
    lab.stop("redis")
    assert program.check().services["redis"]["reason"] == "exited", "this stop is nobody's of ours"


def restarts(lab: Lab, service: str) -> int:
    """How often the engine restarted it."""
    with lab.container(service) as container:
        return int(container.attrs["RestartCount"])


def test_secrets_stand_in_no_output(lab: Lab, program: Program) -> None:
    lab.stop("redis")
    password = lab.settings()["REDIS_PASSWORD"]
    for command in (("check",), ("check", "--json"), ("start", "redis", "--dry-run")):
        done = program.run(*command)
        assert password not in done.stdout + done.stderr
    assert os.environ.get("REDIS_PASSWORD") != password
