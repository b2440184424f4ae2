"""The engine's status, its containers, its stats and its actions, over a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine
from moalog_tui.platform.containers import (
    ContainerListing,
    ContainerState,
    DockerHealth,
    EngineError,
    ProjectHint,
    PublishedPort,
)
from moalog_tui.platform.logs import LogRing
from tests.adapters.engine_server import ZERO_TIME, Box, composed, engine_on, engine_server, until

HINT = ProjectHint(None, None, "moalog-server", (("moalog-redis", "redis"), ("moalog-mysql", "mysql")))


def one(listing: ContainerListing) -> ContainerListing:
    assert len(listing.containers) == 1
    return listing


async def test_status_negotiates_and_tells_the_endpoint() -> None:
    with engine_server() as server:
        async with engine_on(server) as engine:
            status = await engine.status()
    assert (status.connected, status.error, status.kind, status.remote) == (True, None, None, False)
    assert status.endpoint == f"unix://{server.socket} (DOCKER_HOST)"
    assert (status.api_version, status.server_version) == ("1.41", "20.10.24")
    assert status.last_seen is not None
    assert abs((datetime.now(UTC) - status.last_seen).total_seconds()) < 5


@pytest.mark.parametrize(("newest", "oldest", "spoken"), [("1.52", "1.44", "1.45"), ("1.60", "1.50", "1.50")])
async def test_an_api_version_both_sides_know(newest: str, oldest: str, spoken: str) -> None:
    with engine_server() as server:
        server.api_version, server.min_api_version = newest, oldest
        server.any_version = True
        async with engine_on(server) as engine:
            assert (await engine.status()).api_version == spoken


async def test_the_constructor_does_not_connect() -> None:
    with engine_server() as server:
        async with engine_on(server):
            assert server.requests == []


async def test_containers_by_label_with_everything_that_inspect_tells() -> None:
    redis = composed(
        "redis",
        "a" * 64,
        status="Up 3 minutes (unhealthy)",
        inspect_state={"Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "NOAUTH \x1b[1m"}]}},
    )
    other = composed("redis", "b" * 64, project="elsewhere", name="other-redis")
    with engine_server(redis, other) as server:
        async with engine_on(server) as engine:
            listing = one(await engine.containers(HINT))
    assert (listing.project, listing.by_label, listing.containers[0][0]) == ("moalog-server", True, "redis")
    container = listing.containers[0][1]
    assert (container.id, container.name, container.service) == ("a" * 64, "moalog-redis", "redis")
    assert (container.state, container.health) == (ContainerState.RUNNING, DockerHealth.UNHEALTHY)
    assert container.health_output == "NOAUTH \x1b[1m"
    assert container.ports == (PublishedPort(6379, "127.0.0.1", 6382),)
    assert container.networks == ("a", "b")
    assert (container.image, container.restart_policy, container.memory_limit) == (
        "redis:7-alpine",
        "unless-stopped",
        1 << 20,
    )
    assert container.started_at == datetime(2026, 11, 23, 18, 44, 14, 961851, UTC)
    assert (container.finished_at, container.exit_code) == (None, None)
    assert "s3cret-value" not in repr(listing)


async def test_containers_by_name_where_no_label_is() -> None:
    with engine_server(Box("a" * 64, "moalog-redis"), Box("b" * 64, "unrelated")) as server:
        async with engine_on(server) as engine:
            listing = one(await engine.containers(HINT))
    assert (listing.by_label, listing.containers[0][0]) == (False, "redis")


async def test_the_project_of_this_folder_wins_over_the_profiles() -> None:
    boxes = composed("redis", "a" * 64), composed("redis", "b" * 64, project="mine")
    with engine_server(*boxes) as server:
        async with engine_on(server) as engine:
            listing = one(await engine.containers(ProjectHint(None, "/srv/mine", "moalog-server", ())))
    assert (listing.project, listing.containers[0][1].id) == ("mine", "b" * 64)


async def test_only_what_changed_is_inspected_again() -> None:
    redis, mysql = composed("redis", "a" * 64), composed("mysql", "b" * 64)
    with engine_server(redis, mysql) as server:
        async with engine_on(server) as engine:

            async def inspections() -> list[str]:
                before = len(server.requests)
                await engine.containers(HINT)
                paths = [path for _, path, _ in server.requests[before:]]
                assert sum(path.endswith("/containers/json") for path in paths) == 1
                return sorted(path.split("/")[3][0] for path in paths if not path.endswith("/containers/json"))

            await engine.status()
            assert await inspections() == ["a", "b"]
            redis.status = "Up 4 minutes"
            assert await inspections() == []
            redis.status = "Up 2 seconds"  # restarted between two lists
            assert await inspections() == ["a"]
            redis.status = "Up 3 seconds (health: starting)"
            assert await inspections() == ["a"]
            engine.forget(mysql.id)
            assert await inspections() == ["b"]
            mysql.state, mysql.status = "exited", "Exited (137) 2 seconds ago"
            assert await inspections() == ["b"]
            mysql.status = "Exited (137) 3 seconds ago"
            assert await inspections() == []


async def test_what_was_inspected_while_an_event_told_of_a_change_is_not_kept() -> None:
    class Changing(Box):
        def inspection(self) -> dict[str, Any]:
            told = super().inspection()
            engine.forget(self.id)
            return told

    plain = composed("redis", "a" * 64)
    with engine_server(Changing(plain.id, plain.name, plain.labels)) as server:
        async with engine_on(server) as engine:
            await engine.containers(HINT)
            server.boxes = [plain]
            await engine.containers(HINT)
            await engine.containers(HINT)
            assert len(server.asked("a" * 64)) == 2


async def test_twenty_inspections_share_one_connection() -> None:
    with engine_server(*(composed(f"s{number}", f"{number:064x}") for number in range(20))) as server:
        async with engine_on(server) as engine:
            assert len((await engine.containers(HINT)).containers) == 20
            assert len(server.connections) == 1


async def test_a_recreated_container_is_found_under_its_new_id() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            assert (await engine.containers(HINT)).containers[0][1].id == "a" * 64
            server.boxes = [composed("redis", "c" * 64, created=1_790_000_900)]
            assert (await engine.containers(HINT)).containers[0][1].id == "c" * 64


async def test_a_container_removed_after_the_list_is_left_out_and_an_ill_one_hides_no_other() -> None:
    gone, ill = composed("redis", "a" * 64, inspect_answer=404), composed("mysql", "b" * 64, inspect_answer=500)
    with engine_server(gone, ill, composed("kafka", "c" * 64)) as server:
        async with engine_on(server) as engine:
            listing = await engine.containers(HINT)
    assert [(service, container.state) for service, container in listing.containers] == [
        ("kafka", ContainerState.RUNNING),
        ("mysql", ContainerState.RUNNING),
    ]
    assert listing.containers[1][1].ports == (PublishedPort(6379, "127.0.0.1", 6382),)


async def test_an_exited_container() -> None:
    state = {
        "Status": "exited", "Running": False, "ExitCode": 137, "OOMKilled": True, "StartedAt": "2026-11-23T18:44:14Z",
        "FinishedAt": "2026-11-23T18:45:00.1Z", "Health": {"Status": "unhealthy", "Log": [{"Output": "x"}]},
    }  # fmt: skip
    box = composed("redis", "a" * 64, state="exited", status="Exited (137) 3 hours ago", inspect_state=state)
    box.inspect = {"RestartCount": 4, "NetworkSettings": {"Networks": {}, "Ports": {}}}
    with engine_server(box) as server:
        async with engine_on(server) as engine:
            container = (await engine.containers(HINT)).containers[0][1]
    assert (container.exit_code, container.oom_killed, container.restart_count) == (137, True, 4)
    assert container.health is DockerHealth.NONE, "after a stop the engine's health is stale"
    assert container.ports == (PublishedPort(6379, "", 6382),), "a stopped container keeps the ports it will publish"
    assert container.finished_at == datetime(2026, 11, 23, 18, 45, 0, 100000, UTC)


async def test_a_created_container_has_no_exit_code_and_no_times() -> None:
    state = {"Status": "created", "Running": False, "StartedAt": ZERO_TIME}
    with engine_server(composed("redis", "a" * 64, state="created", status="Created", inspect_state=state)) as server:
        async with engine_on(server) as engine:
            container = (await engine.containers(HINT)).containers[0][1]
    assert (container.exit_code, container.started_at, container.finished_at) == (None, None, None)


async def test_a_stale_connection_makes_no_false_error() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            await engine.containers(HINT)
            server.drop_on = {"/containers/json": 1}
            assert len((await engine.containers(HINT)).containers) == 1
            server.drop_on = {"/containers/json": 2}
            with pytest.raises(EngineError, match="closed the connection"):
                await engine.containers(HINT)
            assert len((await engine.containers(HINT)).containers) == 1


async def test_the_engine_goes_away_and_comes_back() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            seen = (await engine.status()).last_seen
            server.vanish()
            began = time.monotonic()
            status = await engine.status()
            assert (status.connected, status.kind, status.last_seen) == (False, "refused", seen)
            with pytest.raises(EngineError, match="not running"):
                await engine.containers(HINT)
            assert time.monotonic() - began < 1, "an absent engine is told at once"
            server.api_version = "1.40"  # another engine than before
            server.start()
            assert len((await engine.containers(HINT)).containers) == 1
            status = await engine.status()
            assert (status.connected, status.api_version) == (True, "1.40")


async def test_an_engine_exchanged_behind_a_live_connection_is_negotiated_with_anew() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            await engine.containers(HINT)
            server.api_version = "1.40"
            assert len((await engine.containers(HINT)).containers) == 1


async def test_no_engine_says_how_to_start_one(tmp_path: Path) -> None:
    engine = DockerEngine(BlockingCalls(), {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    status = await engine.status()
    assert (status.connected, status.kind) == (False, "absent")
    assert status.error is not None
    assert status.error.startswith(f"no Docker Engine at {tmp_path}/no.sock; start it")
    engine.close()


async def test_no_right_to_the_socket_names_the_group_to_join() -> None:
    with engine_server() as server:
        async with engine_on(server) as engine:
            assert (await engine.status()).connected
            engine.close()
        server.folder.chmod(0o755)
        server.socket.chmod(0o660)
        group = server.socket.group()
        user = os.geteuid()
        if user == 0:
            os.chown(server.socket, 0, 1)
            group = server.socket.group()
            os.seteuid(65534)
        else:
            server.socket.chmod(0o020)  # the owner has no right, though the group has
        try:
            async with engine_on(server) as engine:
                status = await engine.status()
        finally:
            os.seteuid(user)
    assert status.kind == "permission"
    assert status.error is not None
    assert f"group {group}" in status.error
    assert f"sudo usermod -aG {group} " in status.error or "log in again" in status.error


async def test_a_hung_engine_is_told_within_the_time_out() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server, 0.4) as engine:
            assert (await engine.status()).connected
            server.hang_on = {"/"}
            began = time.monotonic()
            status = await engine.status()
            assert (status.connected, status.kind) == (False, "timeout")
            with pytest.raises(EngineError) as caught:
                await engine.containers(HINT)
            assert caught.value.kind == "timeout"
            assert time.monotonic() - began < 2 * (0.4 + 0.25) + 0.5
            server.hang_on = set()
            server.hanging.set()
            await until(lambda: not any("docker" in thread.name for thread in threading.enumerate()))
            assert (await engine.status()).connected


async def test_a_listener_that_never_accepts_is_told_within_the_time_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        engine = DockerEngine(BlockingCalls(), {"DOCKER_HOST": f"unix://{tmp_path}/s"}, 0.3)
        began = time.monotonic()
        assert (await engine.status()).kind == "timeout"
        assert time.monotonic() - began < 1
        engine.close()
        await until(lambda: not any("docker" in thread.name for thread in threading.enumerate()))


async def test_closing_with_everything_hung_takes_no_time_and_calls_fail_after_it() -> None:
    box = composed("redis", "a" * 64)
    with engine_server(box) as server:
        async with engine_on(server, 1.0) as engine:
            container = (await engine.containers(HINT)).containers[0][1]
            follower = engine.follow(container, LogRing(), None)
            events = engine.events("moalog-server", (), None)
            reading = asyncio.ensure_future(anext(events))
            await until(lambda: server.asked("/logs") and server.asked("/events"))
            server.hang_on = {"/"}
            asking = asyncio.ensure_future(engine.containers(HINT))
            late = engine.follow(container, LogRing(), None)
            await until(lambda: len(server.asked("version")) > 1)
            began = time.monotonic()
            engine.close()
            assert time.monotonic() - began < 0.1
            with pytest.raises(EngineError, match="closed"):
                await reading
            assert follower.join(0.5)
            assert time.monotonic() - began < 0.5
            with pytest.raises(EngineError):
                await asking
            assert not (await engine.status()).connected
            assert late.join(0.5)
            await until(lambda: not any("docker" in thread.name for thread in threading.enumerate()), 0.5)


async def test_calls_to_an_engine_that_comes_and_goes_leave_no_descriptor() -> None:
    with engine_server(composed("redis", "a" * 64)) as server:
        async with engine_on(server) as engine:
            await engine.containers(HINT)
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts descriptors
            for _ in range(30):
                await engine.status()
                await engine.start("a" * 64)
            server.vanish()
            for _ in range(30):
                await engine.status()
            server.start()
            for _ in range(30):
                await engine.status()
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)  # noqa: PTH208


async def test_two_who_ask_for_the_status_at_once_both_get_it() -> None:
    with engine_server() as server:
        async with engine_on(server) as engine:
            first, second = await asyncio.gather(engine.status(), engine.status())
    assert first.connected, first.error
    assert second.connected, second.error
