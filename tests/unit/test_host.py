from __future__ import annotations

import os
from pathlib import Path

import pytest

from moalog_tui.adapters.host import (
    EnvWatch,
    compose_file_in,
    env_file_of,
    find_platform,
    platform_folder,
    state_folder,
    trust,
    writable_state,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"])
@pytest.mark.parametrize("below", ["", "moalog-server/"])
def test_the_platform_is_found_upwards_by_each_of_composes_names(tmp_path: Path, name: str, below: str) -> None:
    root = tmp_path / "platform"
    file = touch(root / f"{below}{name}")
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    assert find_platform(deep) == find_platform(root) == root
    assert compose_file_in(root) == file


def test_composes_own_order_of_names_decides(tmp_path: Path) -> None:
    touch(tmp_path / "docker-compose.yml")
    touch(tmp_path / "compose.yml")
    assert compose_file_in(tmp_path) == tmp_path / "compose.yml"
    touch(tmp_path / "compose.yaml")
    assert compose_file_in(tmp_path) == tmp_path / "compose.yaml"


def test_no_platform_is_none(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").mkdir()
    assert find_platform(tmp_path) is None


def test_from_inside_the_compose_folder_the_env_above_counts(tmp_path: Path) -> None:
    file = touch(tmp_path / "moalog-server" / "docker-compose.yaml")
    assert find_platform(file.parent) == file.parent
    above = touch(tmp_path / ".env")
    assert find_platform(file.parent) == tmp_path
    assert env_file_of(tmp_path, file) == above
    beside = touch(file.parent / ".env")
    assert platform_folder(file.parent) == file.parent
    assert env_file_of(tmp_path, file) == above
    above.unlink()
    assert env_file_of(tmp_path, file) == beside
    beside.unlink()
    assert env_file_of(tmp_path, file) is None


def test_a_changed_env_is_read_again_within_a_second_and_costs_one_stat(tmp_path: Path) -> None:
    clock = Clock()
    path = touch(tmp_path / ".env", "A=1")
    watch = EnvWatch(path, {}, clock)
    first = watch.current()
    assert first.values["A"].value == "1"
    clock.now += 1
    assert watch.current() is first
    path.write_text("A=2", "utf-8")  # same size: the time of the change tells
    assert watch.current() is first
    clock.now += 1
    assert watch.current().values["A"].value == "2"
    replaced = touch(tmp_path / "new", "A=3")
    replaced.replace(path)
    clock.now += 1
    assert watch.current().values["A"].value == "3"


def test_a_rewrite_that_keeps_size_and_time_is_seen_by_its_inode(tmp_path: Path) -> None:
    clock = Clock()
    path = touch(tmp_path / ".env", "A=1")
    watch = EnvWatch(path, {}, clock)
    watch.current()
    times = path.stat()
    other = touch(tmp_path / "new", "A=2")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    clock.now += 1
    assert watch.current().values["A"].value == "2"


def test_a_vanished_env_keeps_its_values_and_says_so_until_it_is_back(tmp_path: Path) -> None:
    clock = Clock()
    path = touch(tmp_path / ".env", "A=1")
    watch = EnvWatch(path, {}, clock)
    watch.current()
    path.unlink()
    clock.now += 1
    assert watch.current().values["A"].value == "1"
    assert watch.problem is not None
    assert "gone" in watch.problem
    touch(path, "A=2")
    clock.now += 1
    assert watch.current().values["A"].value == "2"
    assert watch.problem is None


def test_an_env_that_grew_too_large_or_is_no_file_keeps_the_last_values(tmp_path: Path) -> None:
    clock = Clock()
    path = touch(tmp_path / ".env", "A=1")
    watch = EnvWatch(path, {}, clock)
    watch.current()
    path.write_text("A=2\n" + "#" * 1024 * 1024, "utf-8")
    clock.now += 1
    assert watch.current().values["A"].value == "1"
    assert watch.too_large
    path.unlink()
    os.mkfifo(path)
    clock.now += 1
    assert watch.current().values["A"].value == "1"
    assert watch.problem is not None
    assert "regular" in watch.problem


def test_who_may_write_a_runbook_decides_whether_it_is_used(tmp_path: Path) -> None:
    path = touch(tmp_path / "runbook.md")
    path.chmod(0o644)
    assert (trust(path).refused, trust(path).finding) == (None, None)
    path.chmod(0o664)
    assert "group" in (trust(path).finding or "")
    path.chmod(0o646)
    assert "everybody" in (trust(path).refused or "")
    assert "no such file" in (trust(tmp_path / "absent").refused or "")


def test_a_file_of_a_third_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = touch(tmp_path / "runbook.md")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 4242, 4242)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert "neither root nor you" in (trust(path).refused or "")


def test_the_state_folder_is_named_shared_or_the_users_own(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    assert state_folder({}, tmp_path, shared)[0] == tmp_path / ".local/state/moalog-tui"
    shared.mkdir()
    shared.chmod(0o755)
    assert state_folder({"XDG_STATE_HOME": "/x"}, tmp_path, shared) == (Path("/x/moalog-tui"), "XDG_STATE_HOME", False)
    assert state_folder({"XDG_STATE_HOME": "x"}, tmp_path, shared)[0] == tmp_path / ".local/state/moalog-tui"
    shared.chmod(0o2770)
    assert state_folder({}, tmp_path, shared)[0::2] == (shared, True)
    assert state_folder({"MOALOG_STATE_DIR": "/y"}, tmp_path, shared) == (Path("/y"), "MOALOG_STATE_DIR", False)


def test_where_state_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert writable_state(tmp_path / "a" / "b") is None
    file = touch(tmp_path / "file")
    assert "cannot be entered" in (writable_state(file / "b") or "")
    assert "no folder" in (writable_state(file) or "")
