"""What commands write: times, durations, colour, the log file, and the first picture."""

from __future__ import annotations

import io
import logging
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from moalog_tui.cli.first_paint import frame
from moalog_tui.cli.logfile import MAX_BYTES, log_path, start_log
from moalog_tui.cli.output import Paint, paint_for, timestamp
from moalog_tui.config import Flags, Settings, load_settings
from moalog_tui.platform.health import HealthState
from tests.unit.cli_program import PASSWORD, make_host


class Terminal(io.TextIOWrapper):
    """A stream that calls itself a terminal, in an encoding."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding)

    def isatty(self) -> bool:
        return True


def test_times_are_utc_with_milliseconds() -> None:
    at = datetime(2026, 11, 23, 21, 2, 1, 120_999, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(at) == "2026-11-23T19:02:01.120Z"
    assert timestamp(None) is None


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_what_the_environment_says(environment: dict[str, str], colour: bool) -> None:
    assert paint_for(Terminal(), environment, False) == Paint(colour, ascii=False)


def test_no_colour_off_a_terminal_and_ascii_where_the_encoding_has_no_more() -> None:
    assert paint_for(io.StringIO(), {}, False).colour is False
    assert paint_for(Terminal("ascii"), {}, False).ascii is True
    assert paint_for(Terminal("UTF8"), {}, True).ascii is True


def test_a_healthy_line_stays_plain() -> None:
    paint = Paint(colour=True, ascii=False)
    assert paint.state(HealthState.HEALTHY, "x") == "x"
    assert paint.state(HealthState.DOWN, "x") == "\x1b[1;31mx\x1b[0m"


HOSTILE = ["redis", "\x1b[2J\x9b]52;c;x\x07", "a\u202eb", "[/]", "x" * 500, "한국어" * 30]


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (10, 3), (1, 1), (40, 200)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_first_picture_keeps_its_bounds(size: tuple[int, int], ascii_only: bool) -> None:
    columns, rows = size
    lines = frame("Mo\x1balog", "the \x07Engine", HOSTILE * 8, columns, rows, ascii_only)
    assert 0 < len(lines) <= max(rows - 1, 1)
    for line in lines:
        assert cells(line) <= columns
        assert line.isprintable()
        assert line.isascii() or not ascii_only


def cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def test_the_first_picture_names_every_service() -> None:
    lines = frame("Moalog", "the Docker Engine", ["redis", "mysql"], 80, 24, False)
    assert lines[0] == " ◌ asking the Docker Engine and 2 services of Moalog"
    assert [line.split() for line in lines[3:]] == [["◌", "redis", "asking"], ["◌", "mysql", "asking"]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    host = make_host(tmp_path)
    return load_settings(Flags(), host.environment, tmp_path)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before, level, loud = list(logger.handlers), logger.level, logging.raiseExceptions
    yield logger
    for handler in [one for one in logger.handlers if one not in before]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)
    logging.raiseExceptions = loud


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_log_is_private_rotates_and_holds_no_secret(settings: Settings, root: logging.Logger) -> None:
    path = start_log(settings)
    assert path == settings.state_dir / "moalog-tui.log"
    assert log_path() == path
    assert mode(path) == 0o600
    log = logging.getLogger("moalog_tui.test")
    log.info("not written at the default level")
    log.warning("with %s and \x1b[2J", f"REDIS_PASSWORD={PASSWORD}")
    try:
        raise ValueError(f"value {PASSWORD}")
    except ValueError:
        log.exception("raised")
    text = path.read_text("utf-8")
    assert "not written" not in text
    assert PASSWORD not in text
    assert "\x1b" not in text
    assert "ValueError: value" in text
    for _ in range(5 * MAX_BYTES // 4000):
        log.warning("x" * 3900)
    files = sorted(settings.state_dir.glob("moalog-tui.log*"))
    assert [one.name for one in files] == ["moalog-tui.log", "moalog-tui.log.1", "moalog-tui.log.2"]
    assert {mode(one) for one in files} == {0o600}
    assert all(one.stat().st_size <= MAX_BYTES for one in files)


def test_a_log_that_is_a_symlink_is_not_written(settings: Settings, root: logging.Logger, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (settings.state_dir / "moalog-tui.log").symlink_to(target)
    assert start_log(settings) is None
    assert log_path() is None
    logging.getLogger("moalog_tui.test").error("x")
    assert not target.exists()


def test_a_state_folder_that_cannot_be_made_costs_only_the_log(root: logging.Logger, tmp_path: Path) -> None:
    host = make_host(tmp_path)
    (tmp_path / "file").write_text("")
    settings = load_settings(Flags(), host.environment | {"MOALOG_STATE_DIR": f"{tmp_path}/file/state"}, tmp_path)
    assert start_log(settings) is None


def test_times_in_utc_stand_in_the_log(settings: Settings, root: logging.Logger) -> None:
    path = start_log(settings)
    assert path is not None
    logging.getLogger("moalog_tui.test").warning("x")
    stamp = path.read_text("utf-8").split(" WARNING ")[0]
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(seconds=5)
