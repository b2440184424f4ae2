"""The record of acts: appended, read by others, bounded, never followed through a symlink, never in the way."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from moalog_tui.operations.record import FILE_LIMIT, KEEP_ACTS, ActsRecord, fallback_folders
from moalog_tui.platform.containers import OperatorAct
from tests.operations.builders import NOON, later

ACT = OperatorAct("redis", "3f2a", "stop", NOON, "alice")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "moalog-tui"


def test_what_is_written_is_read_by_another(state: Path) -> None:
    mine, others = ActsRecord([state]), ActsRecord([state])
    assert others.acts() == ()
    assert not state.exists(), "looking leaves no folder behind"
    mine.write(ACT)
    mine.write(replace(ACT, verb="start", at=later(1.5)))
    assert others.acts() == (ACT, replace(ACT, verb="start", at=later(1.5)))
    assert mine.caveat is None
    assert mine.place == str(state / "acts.jsonl")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "acts.jsonl").stat().st_mode) == 0o600


def _forbidden(*_: object) -> int:
    raise AssertionError("nothing changed, so nothing is opened")


def test_it_is_read_again_only_where_it_changed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = ActsRecord([state])
    record.write(ACT)
    assert record.acts() == (ACT,)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _forbidden)
        for _ in range(100):
            assert record.acts() == (ACT,)
    ActsRecord([state]).write(replace(ACT, by="bob"))
    assert record.acts()[-1].by == "bob"


def test_processes_write_beside_each_other(state: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.operations.test_record import ACT, ActsRecord, replace\n"
        "record = ActsRecord([Path(sys.argv[1])])\n"
        "for number in range(100): record.write(replace(ACT, by=f'{sys.argv[2]}-{number}'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(state), name]) for name in ("a", "b")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    seen = [act.by for act in ActsRecord([state]).acts()]
    assert sorted(seen) == sorted(f"{name}-{number}" for name in ("a", "b") for number in range(100))


def test_it_is_bounded_and_keeps_the_newest(state: Path) -> None:
    record = ActsRecord([state])
    for number in range(4000):
        record.write(replace(ACT, container_id=f"{number:064d}"))
    sizes = [path.stat().st_size for path in state.iterdir()]
    assert sum(sizes) <= 2 * FILE_LIMIT + 4096
    acts = record.acts()
    assert len(acts) == KEEP_ACTS
    assert acts[-1].container_id == f"{3999:064d}"
    assert [act.container_id for act in acts] == sorted(act.container_id for act in acts)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"1", b"\xff\x00", b'{"schema":2}', b'{"schema":1,"at":"x"}', b"[" * 5000,
     b'{"schema":1,"at":"2026-01-01T00:00:00","service":"a","container_id":"b","verb":"c","by":"d"}',
     b'{"schema":1,"at":"2026-01-01T00:00:00Z","service":1,"container_id":"b","verb":"c","by":"d"}'],
)  # fmt: skip
def test_lines_that_mean_nothing_are_passed_over(state: Path, line: bytes) -> None:
    record = ActsRecord([state])
    record.write(ACT)
    path = state / "acts.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes() + b'{"torn')
    assert ActsRecord([state]).acts() == (ACT,)


def test_a_symlink_is_not_followed(state: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.mkdir(parents=True, mode=0o700)
    (state / "acts.jsonl").symlink_to(victim)
    record = ActsRecord([state])
    record.write(ACT)
    assert victim.read_text() == "precious"
    assert record.acts() == (ACT,)
    assert record.place == "memory"
    assert record.caveat is not None
    assert str(state) in record.caveat


def test_a_folder_that_is_a_symlink_or_of_everybody_is_not_used(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(real)
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o777)
    for folder in (link, wide):
        record = ActsRecord([folder])
        record.prepare()
        assert record.place == "memory"
        assert record.caveat is not None
        assert str(folder) in record.caveat
    assert list(real.iterdir()) == []


def test_it_falls_back_and_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    second = tmp_path / "second"
    record = ActsRecord([blocked / "x", second])
    record.write(ACT)
    assert record.acts() == (ACT,)
    assert record.place == str(second / "acts.jsonl")
    assert (
        record.caveat == f"the record of actions is kept in {second} until the next boot ({blocked}/x: not a directory)"
    )
    memory = ActsRecord([blocked / "x"])
    for _ in range(2 * KEEP_ACTS):
        memory.write(ACT)
    assert len(memory.acts()) == KEEP_ACTS
    assert memory.caveat is not None
    assert "memory only" in memory.caveat


def test_a_folder_that_goes_away_is_left(state: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    record = ActsRecord([state, second])
    record.write(ACT)
    (state / "acts.jsonl").unlink()
    state.rmdir()
    state.write_text("a file now")
    record.write(replace(ACT, by="bob"))
    assert record.acts() == (replace(ACT, by="bob"),)
    assert record.place == str(second / "acts.jsonl")
    assert record.caveat is not None
    assert str(second) in record.caveat


def test_a_shared_folder_lets_the_group_write(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    ActsRecord([shared]).write(ACT)
    assert stat.S_IMODE((shared / "acts.jsonl").stat().st_mode) == 0o660


def test_the_fallbacks_are_of_this_user_only() -> None:
    assert all(str(os.geteuid()) in str(folder) for folder in fallback_folders())
