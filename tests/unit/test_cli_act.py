"""`start`, `stop` and `restart` as a process: preview, refusals, confirmation, and JSON a line."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.engine_server import Box, EngineServer, composed, engine_server
from tests.unit.cli_program import COMMAND, Host, Ran, make_host

REFUSED = 4


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


@pytest.fixture
def box() -> Box:
    return composed("promtail", "b" * 64, name="promtail")


@pytest.fixture
def engine(host: Host, box: Box) -> Iterator[EngineServer]:
    with engine_server(box) as server:
        host.environment |= server.environment
        yield server


def posts(engine: EngineServer) -> list[str]:
    return [path.rpartition("/")[2] for method, path, _ in engine.requests if method == "POST"]


def objects(told: Ran) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_a_dry_run_prints_the_preview_and_changes_nothing(host: Host, engine: EngineServer) -> None:
    told = host.run("restart", "promtail", "--dry-run")
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0].startswith("Engine API: restart of container bbbbbbbbbbbb, stop time-out")
    assert lines[1].startswith("as you would type it: docker")
    assert posts(engine) == []


def test_nothing_is_confirmed_without_a_terminal(host: Host, engine: EngineServer) -> None:
    told = host.run("restart", "promtail", "--json")
    assert told.returncode == REFUSED
    assert "Not confirmed" in told.stderr
    preview, verdict = objects(told)
    assert (preview["event"], preview["target"], preview["tier"]) == ("preview", "promtail", "disruptive")
    assert (verdict["event"], verdict["verdict"], verdict["exit"]) == ("verdict", "refused", REFUSED)
    assert all(one["schema"] == 1 and one["at"] for one in (preview, verdict))
    assert posts(engine) == []


@pytest.mark.parametrize("option", ["before", "after", "variable"])
def test_read_only_refuses_whatever_was_confirmed(host: Host, engine: EngineServer, option: str) -> None:
    before, after = (["--read-only"] if option == place else [] for place in ("before", "after"))
    environment = {"MOALOG_READ_ONLY": "1"} if option == "variable" else {}
    told = host.run(*before, "restart", "promtail", "--yes", *after, **environment)
    assert (told.returncode, told.stdout) == (REFUSED, "")
    assert "read-only" in told.stderr.lower()
    assert posts(engine) == []


def test_what_cannot_be_done_is_refused_in_a_sentence(host: Host, engine: EngineServer) -> None:
    for arguments, words in (
        (("start", "promtail"), "already runs"),
        (("restart", "redis"), "redis has no container"),
    ):
        told = host.run(*arguments, "--yes")
        assert (told.returncode, told.stdout) == (REFUSED, "")
        assert words in told.stderr
        assert told.stderr.count("\n") == 1
    assert posts(engine) == []


def test_without_an_engine_nothing_can_be_done(host: Host) -> None:
    told = host.run("restart", "promtail", "--yes")
    assert told.returncode == REFUSED
    assert "no Docker Engine" in told.stderr


def test_a_stop_is_done_once_and_reported_line_by_line(host: Host, engine: EngineServer, box: Box) -> None:
    with host.running("stop", "promtail", "--yes", "--json") as process:
        end = time.monotonic() + 10
        while "stop" not in posts(engine):
            assert time.monotonic() < end
            select.select([], [], [], 0.02)
        box.inspect_state = {"ExitCode": 0, "FinishedAt": "2026-11-23T19:44:14.9Z"}
        engine.set_state(box, "exited", "Exited (0) 1 second ago")
        out, err = process.communicate(timeout=15)
    events = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err) == (0, "")
    assert [events[0]["event"], events[-1]["event"]] == ["preview", "verdict"]
    assert (events[-1]["verdict"], events[-1]["exit"]) == ("stopped", 0)
    assert {one["operation"] for one in events[1:]} == {events[1]["operation"]}
    assert posts(engine) == ["stop"]


def on_a_terminal(host: Host, typed: bytes, *arguments: str, output: str = "") -> tuple[int, str]:
    """Run a command on a terminal, type when it asks, and return its exit code and what it printed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(host.folder)
        if output:
            os.dup2(os.open(output, os.O_WRONLY), 1)
        os.execve(COMMAND[0], [*COMMAND, *arguments], host.environment | {"TERM": "xterm"})
    found, end, asked = b"", time.monotonic() + 15, False
    while time.monotonic() < end:
        if not asked and b"promtail? [" in found:
            asked = True
            os.write(terminal, typed)
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        found += data
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), found.decode("utf-8", "replace")


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", REFUSED), (b"\n", REFUSED), (b"x\n", REFUSED), (b"\x03", 130)])
def test_a_disruptive_action_runs_only_after_a_yes(host: Host, engine: EngineServer, typed: bytes, code: int) -> None:
    ended, text = on_a_terminal(host, typed, "restart", "promtail")
    assert ended == code, text
    assert "restart promtail? [y/N]" in text
    assert "Traceback" not in text
    assert posts(engine) == []


def test_what_was_typed_before_the_question_is_no_answer(host: Host, engine: EngineServer) -> None:
    engine.hang_on.add("/containers/json")  # time to type ahead
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(host.folder)
        os.execve(COMMAND[0], [*COMMAND, "restart", "promtail"], host.environment | {"TERM": "xterm"})
    os.write(terminal, b"y\n")
    found, end, answered = b"", time.monotonic() + 15, False
    while time.monotonic() < end:
        if engine.requests:
            engine.hang_on.clear()
            engine.hanging.set()
        if not answered and b"promtail? [" in found:
            answered = True
            os.write(terminal, b"n\n")
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            found += os.read(terminal, 65536)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == REFUSED, found
    os.close(terminal)
    assert posts(engine) == []


def test_the_end_of_input_confirms_not_even_a_start(host: Host, engine: EngineServer, box: Box) -> None:
    engine.set_state(box, "exited", "Exited (0) 1 second ago")
    ended, text = on_a_terminal(host, b"\x04", "start", "promtail")
    assert "start promtail? [Y/n]" in text
    assert (ended, posts(engine)) == (REFUSED, []), text


@pytest.mark.parametrize("output", ["nobody", "/dev/full"])
def test_an_output_that_breaks_ends_no_operation(host: Host, engine: EngineServer, box: Box, output: str) -> None:
    read, write = os.pipe() if output == "nobody" else (-1, os.open(output, os.O_WRONLY))
    if read >= 0:
        os.close(read)
    with subprocess.Popen(
        [*COMMAND, "stop", "promtail", "--yes"], env=host.environment, cwd=host.folder,
        stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(write)
        end = time.monotonic() + 10
        while "stop" not in posts(engine):
            assert time.monotonic() < end
            select.select([], [], [], 0.02)
        box.inspect_state = {"ExitCode": 0, "FinishedAt": "2026-11-23T19:44:14.9Z"}
        engine.set_state(box, "exited", "Exited (0) 1 second ago")
        _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, b"")


def test_a_preview_that_nobody_could_see_confirms_nothing(host: Host, engine: EngineServer) -> None:
    ended, text = on_a_terminal(host, b"y\n", "restart", "promtail", output="/dev/full")
    assert (ended, posts(engine)) == (REFUSED, []), text
