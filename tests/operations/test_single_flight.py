"""One operation at a time for each service, between real processes too; a lock that fails stops nothing."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moalog_tui.operations.single_flight import HOST_FOLDER, SingleFlight, Taken, Ticket, lock_folders

NOTE = "restart of redis by alice since 19:02:01Z"
HOLD = """
import sys
from pathlib import Path
from moalog_tui.operations.single_flight import SingleFlight, Ticket
ticket = SingleFlight([Path(sys.argv[1])], "moalog-server").take("redis", sys.argv[2])
print(type(ticket).__name__, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock of redis in a process of its own."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), NOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "Ticket\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate(timeout=10)


def flight(*folders: Path) -> SingleFlight:
    return SingleFlight(folders, "moalog-server")


def ticket(found: Ticket | Taken) -> Ticket:
    assert isinstance(found, Ticket), found
    return found


def test_a_second_one_in_this_process_is_told_what_runs(state: Path) -> None:
    one = flight(state)
    first = ticket(one.take("redis", NOTE))
    assert first.caveat is None
    assert one.take("redis", "stop of redis by bob since 19:03:00Z") == Taken(NOTE)
    other = ticket(one.take("mysql", "x"))
    first.release()
    first.release()
    ticket(one.take("redis", "y")).release()
    other.release()


def test_another_process_is_told_what_runs(state: Path) -> None:
    with another_process(state) as holder:
        assert flight(state).take("redis", "x") == Taken(NOTE)
        ticket(flight(state).take("mysql", "x")).release()
        holder.kill()
        holder.wait(10)
        ticket(flight(state).take("redis", "x")).release()


def test_a_note_of_who_was_killed_is_not_told_of_another(state: Path) -> None:
    with another_process(state):
        pass
    path = state / "moalog-server.redis.lock"
    assert json.loads(path.read_text())["note"] == NOTE
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert flight(state).take("redis", "x") == Taken("another operation on redis")
    os.close(descriptor)


def test_a_platform_wide_operation_keeps_all_out(state: Path) -> None:
    ticket(flight(state).take("redis", "x")).release()
    descriptor = os.open(state / "moalog-server.lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert flight(state).take("redis", "x") == Taken("another operation on the whole platform")
    assert flight(state).take("mysql", "x") == Taken("another operation on the whole platform")
    os.close(descriptor)
    held = ticket(flight(state).take("redis", "x"))
    descriptor = os.open(state / "moalog-server.lock", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    held.release()


def test_platforms_do_not_lock_each_other(state: Path) -> None:
    first = ticket(SingleFlight([state], "one").take("redis", "x"))
    ticket(SingleFlight([state], "two").take("redis", "x")).release()
    first.release()


def test_folders_and_files_are_private(state: Path) -> None:
    held = ticket(flight(state).take("redis", "x"))
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
    held.release()


def test_in_a_folder_of_all_users_every_one_can_read_the_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    held = ticket(flight(tmp_path).take("redis", "x"))
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert names == {"moalog-tui.moalog-server.lock": 0o644, "moalog-tui.moalog-server.redis.lock": 0o644}
    held.release()


def test_a_lock_that_cannot_be_made_stops_nothing_and_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folders in ((blocked / "x",), ()):
        one = flight(*folders)
        held = ticket(one.take("redis", NOTE))
        assert held.caveat is not None
        assert "inside this program only" in held.caveat
        assert one.take("redis", "x") == Taken(NOTE)
        held.release()
    second = ticket(flight(blocked / "x", tmp_path / "good").take("redis", NOTE))
    assert second.caveat is not None
    assert "where not everybody may see it" in second.caveat
    second.release()


def test_a_symlink_in_place_of_the_lock_is_not_followed(state: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.mkdir(mode=0o700)
    (state / "moalog-server.redis.lock").symlink_to(victim)
    held = ticket(flight(state).take("redis", NOTE))
    assert held.caveat is not None
    held.release()
    assert victim.read_text() == "precious"


def test_a_second_name_of_a_file_is_not_written(state: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.mkdir(mode=0o700)
    (state / "moalog-server.redis.lock").hardlink_to(victim)
    ticket(flight(state).take("redis", NOTE)).release()
    assert victim.read_text() == "precious"


def test_a_pipe_in_place_of_the_lock_does_not_block(state: Path) -> None:
    state.mkdir(mode=0o700)
    os.mkfifo(state / "moalog-server.redis.lock")
    assert ticket(flight(state).take("redis", NOTE)).caveat is not None


def test_no_descriptor_is_left_over(state: Path) -> None:
    one = flight(state)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        held = ticket(one.take("redis", NOTE))
        assert isinstance(flight(state).take("redis", NOTE), Taken)
        held.release()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_hostile_names_stay_in_the_folder(state: Path) -> None:
    ticket(SingleFlight([state], "../../x").take("../etc/passwd", NOTE)).release()
    assert {path.name for path in state.iterdir()} == {"______x.lock", "______x.___etc_passwd.lock"}


def test_a_shared_state_folder_comes_before_the_hosts(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    assert lock_folders(tmp_path) == (tmp_path, HOST_FOLDER)
    tmp_path.chmod(0o700)
    assert lock_folders(tmp_path) == (HOST_FOLDER, tmp_path)
    assert lock_folders(tmp_path / "absent") == (HOST_FOLDER, tmp_path / "absent")


def test_who_names_the_project_otherwise_meets_the_same_lock(state: Path) -> None:
    held = ticket(SingleFlight([state], "moalog-server").take("redis", NOTE, "prod"))
    assert SingleFlight([state], "prod").take("redis", "x") == Taken(NOTE)
    held.release()
