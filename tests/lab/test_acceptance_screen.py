"""The screen on the lab: what it shows while program, engine and services are ill-treated, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.engine import wait_until
from tests.lab.folder import LABEL
from tests.lab.harness import ONE_SHOT, Lab
from tests.lab.program import Program
from tests.lab.terminal import Footprint, Terminal

pytestmark = pytest.mark.lab

FULL_S = 20.0
STOPPED_S = 20.0
WATCHED_S = 12.0
TRUE_AGAIN_S = 5.0
"""From the engine's return until every row is true (issue: within 5 s)."""
RESTARTS = 100
GROWTH_MIB = 6.0
"""What resident memory may grow by over so many restarts; what one restart kept would be seen a hundredfold."""
QUIT_S = 1.0
"""Twice the half second that quitting may take."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a Unix socket, open to every user."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="moalog-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def idle(seconds: float) -> None:
    """Let the time pass that the test is about."""
    threading.Event().wait(seconds)


def all_well(screen: Terminal) -> str:
    return screen.wait_for("all 20 healthy", FULL_S)


def settles(pid: int, before: Footprint, deadline: float = 15) -> bool:
    """Wait until a process holds no more descriptors and threads than before."""

    def back() -> bool:
        now = Footprint(pid)
        return now.descriptors <= before.descriptors and now.threads <= before.threads

    return wait_until(back, deadline, 0.2)


def containers(lab: Lab) -> dict[str, str]:
    """The engine's word on each service."""
    with lab.client() as client:
        rows = client.api.containers(all=True, filters={"label": LABEL})
    return {row["Labels"]["com.docker.compose.service"]: row["State"] for row in rows}


def red(text: str) -> list[str]:
    """The lines that call something down: the verdict, and rows of the table. A failed probe's mark is no verdict."""
    return [line for line in text.splitlines() if re.match(r".?✖ ", line) or re.search(r"\sdown\s", line)]


def no_traceback(screen: Terminal, program: Program) -> None:
    assert b"Traceback" not in screen.written
    for log in program.folder.rglob("moalog-tui.log*"):
        assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def test_the_screen_shows_twenty_healthy_services_and_quits_at_once(program: Program) -> None:
    with program.screen() as screen:
        text = all_well(screen)
        for service in program.lab.services():
            assert "healthy" in screen.row(service), text
        code, spent = screen.leave()
    assert code == 0
    assert spent < QUIT_S
    no_traceback(screen, program)


def test_a_stopped_program_calls_nothing_down_when_it_goes_on(program: Program) -> None:
    with program.screen() as screen:
        all_well(screen)
        # Everything is being asked while the program stands still: its own time-outs pass without it.
        screen.type(b"C")
        idle(0.05)
        screen.signal(signal.SIGSTOP)
        idle(STOPPED_S)
        screen.record()
        screen.signal(signal.SIGCONT)
        idle(WATCHED_S)
        pictures = screen.recorded()
        assert len(pictures) > WATCHED_S / 2, "it does not draw any more"
        for picture in pictures:
            assert "✖" not in picture, f"a probe counted as failed:\n{picture}"
            assert not red(picture), picture
            assert not re.search(r"\s(degraded|unknown)\s", picture), picture
        all_well(screen)
        assert screen.leave()[0] == 0
    no_traceback(screen, program)


@pytest.mark.parametrize("survive", [True, False], ids=["live-restore", "plain"])
def test_the_engine_dies_and_returns_under_the_screen(lab: Lab, program: Program, survive: bool) -> None:
    lab.engine.start(live_restore=survive)
    with program.screen() as screen:
        all_well(screen)
        screen.type(b"l")
        screen.wait_for("following", 5)
        idle(6)  # a round of everything, so that what it holds is known
        before = Footprint(screen.pid)
        screen.record()
        lab.engine.kill()
        screen.wait_for(r"refuses connections.*docker away, trying again", 10)
        idle(6)  # more than one round without the engine, whose port proxies died with it
        pictures = screen.recorded()
        for picture in pictures:
            assert not red(picture), picture
        assert screen.row("promtail").split()[2] == "unknown"
        lab.engine.start()
        began = time.monotonic()
        if survive:
            all_well(screen)
        else:
            screen.wait_for(lambda _: true_rows(screen, containers(lab)), FULL_S)
            assert "exited" in screen.row("redis")
        spent = time.monotonic() - began
        assert spent < TRUE_AGAIN_S
        if not survive:
            lab.up()
            all_well(screen)
        assert settles(screen.pid, before), f"{before} became {Footprint(screen.pid)}"
        assert screen.leave()[0] == 0
    no_traceback(screen, program)
    lab.engine.start(live_restore=False)


def true_rows(screen: Terminal, states: dict[str, str]) -> bool:
    """Whether as many rows are down as containers do not run."""
    gone = sum(state != "running" for service, state in states.items() if service != ONE_SHOT)
    return sum(bool(re.search(r"\sdown\s", line)) for line in screen.text().splitlines()) == gone


def choose(screen: Terminal, service: str) -> None:
    """Move the cursor to a service, whatever the order of the rows."""
    screen.type(b"g")
    for _ in range(20):
        if screen.row(service).startswith("▌"):
            return
        screen.type(b"j")
        idle(0.2)
    raise AssertionError(f"the cursor does not reach {service}:\n{screen.text()}")


def test_a_hundred_restarts_leave_nothing_behind(lab: Lab, program: Program) -> None:
    with program.screen() as screen, lab.container("jaeger") as container:
        all_well(screen)
        for _ in range(10):
            container.restart(timeout=0)
        idle(5)
        before = Footprint(screen.pid)
        for _ in range(RESTARTS):
            container.restart(timeout=0)
        screen.wait_for(lambda _: "down" not in screen.row("jaeger").split(), 20)
        assert settles(screen.pid, before), f"{before} became {Footprint(screen.pid)}"
        after = Footprint(screen.pid)
        print(f"{RESTARTS} restarts: {before} became {after}")
        assert after.resident_mib - before.resident_mib < GROWTH_MIB, f"{before} became {after}"
        assert screen.leave()[0] == 0
    no_traceback(screen, program)


@contextlib.contextmanager
def hung(*listeners: socket.socket) -> Iterator[None]:
    """Accept on each listener and never answer."""
    kept: list[socket.socket] = []

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                kept.append(listener.accept()[0])

    for listener in listeners:
        listener.listen(256)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    try:
        yield
    finally:
        for one in (*listeners, *kept):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.mark.parametrize("keys", [b"\x11", b"qy"], ids=["ctrl-q", "q-and-yes"])
def test_quitting_is_quick_with_every_backend_hung(program: Program, folder: Path, keys: bytes) -> None:
    engine, port = socket.socket(socket.AF_UNIX), socket.socket()
    engine.bind(str(folder / "docker.sock"))
    port.bind(("127.0.0.1", 0))
    number = str(port.getsockname()[1])
    ports = {name: number for name in program.lab.settings() if name.endswith("_PORT")}
    with (
        hung(engine, port),
        program.screen(environment={"DOCKER_HOST": f"unix://{folder}/docker.sock", **ports}) as screen,
    ):
        screen.wait_for("redis", FULL_S)
        idle(3)
        for key in keys[:-1]:
            screen.type(bytes([key]))
            screen.wait_for("Leave moalog-tui", 5)
        code, spent = screen.leave(keys[-1:])
    print(f"quit in {spent:.2f} s")
    assert code == 0
    assert spent < QUIT_S
    no_traceback(screen, program)


def test_without_an_engine_the_screen_says_so_and_fills_in_when_it_comes(program: Program, folder: Path) -> None:
    where = folder / "docker.sock"
    with program.screen(environment={"DOCKER_HOST": f"unix://{where}"}) as screen:
        text = screen.wait_for(f"no Docker Engine at {where}", FULL_S)
        assert not red(text)
        assert "redis" in text
        assert "DOCKER_HOST" in text
        idle(3)
        assert not red(screen.text())
        where.symlink_to(program.lab.folder.socket)
        began = time.monotonic()
        all_well(screen)
        assert time.monotonic() - began < TRUE_AGAIN_S
        assert screen.leave()[0] == 0
    no_traceback(screen, program)


def test_without_the_right_to_the_socket_the_screen_names_the_group(program: Program, folder: Path) -> None:
    where, gid = folder / "docker.sock", program.lab.folder.socket.stat().st_gid
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(where))
        engine.listen()
        # Another's socket, and a user without root's right to enter all the same.
        os.chown(where, 65534, gid)
        where.chmod(0o660)
        powerless = ["setpriv", "--clear-groups", "--bounding-set=-dac_override,-dac_read_search"]
        place = {"DOCKER_HOST": f"unix://{where}"}
        with program.screen(before=powerless, environment=place, size=(200, 48)) as screen:
            text = screen.wait_for(f"belongs to group {where.group()}", FULL_S)
            assert f"sudo usermod -aG {where.group()} root" in text
            assert not red(text)
            # What can be asked without the engine is asked: the ports stand in the platform's .env.
            screen.wait_row("redis", "healthy", 10)
            assert screen.leave()[0] == 0
        done = program.run("check", before=powerless, environment=place)
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"belongs to group {where.group()}" in done.stdout
    no_traceback(screen, program)


def started_at(lab: Lab, service: str) -> str:
    return str(lab.state(service)["StartedAt"])


def test_a_restart_from_the_keyboard_is_seen_through(lab: Lab, program: Program) -> None:
    before = started_at(lab, "redis")
    with program.screen() as screen:
        all_well(screen)
        choose(screen, "redis")
        screen.type(b"r")
        text = screen.wait_for(r"restart redis · disruptive.*\bready\b", 5)
        assert "Engine API: restart of container" in text
        assert "as you would type it" in text
        idle(0.4)  # a yes counts only after a silence
        screen.type(b"y")
        screen.wait_for(r"restart.*redis.*recovered", 45)
        assert started_at(lab, "redis") > before
        all_well(screen)
        assert screen.leave()[0] == 0
    no_traceback(screen, program)


def test_a_read_only_screen_refuses(lab: Lab, program: Program) -> None:
    before = started_at(lab, "redis")
    with program.screen("--read-only") as screen:
        assert "read-only" in all_well(screen)
        screen.type(b"r")
        screen.wait_for("(?i)read-only.*(refus|nothing|chang)", 5)
        screen.type(b"y")
        idle(2)
        assert "recovered" not in screen.text()
        assert screen.leave()[0] == 0
    assert started_at(lab, "redis") == before
    assert program.run("restart", "redis", "--yes", "--read-only").returncode == 4
    assert started_at(lab, "redis") == before


def test_without_a_terminal_there_is_a_sentence(program: Program) -> None:
    done = program.run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
