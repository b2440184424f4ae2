"""What reaches a real terminal: only differences, no control byte of others, and all of it given back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from moalog_tui.ui.terminal import Frame

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0


@dataclass
class Terminal:
    """A program on a pseudo-terminal."""

    pid: int
    fd: int
    seen: bytearray = field(default_factory=bytearray)
    status: int | None = None

    def read_until(self, pattern: bytes) -> None:
        """Read until the output holds the pattern."""
        end = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.seen, re.S):
            assert time.monotonic() < end, f"never saw {pattern!r} in {bytes(self.seen[-400:])!r}"
            assert self.read(0.2) or self.status is None, f"ended before {pattern!r}: {bytes(self.seen[-400:])!r}"

    def read(self, wait: float) -> bool:
        """Read what there is."""
        if select.select([self.fd], [], [], wait)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            self.seen += data
            return bool(data)
        return False

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self.fd, keys)

    def shown(self, columns: int, rows: int) -> list[str]:
        """What a terminal shows after all that was written."""
        screen = pyte.Screen(columns, rows)
        pyte.ByteStream(screen).feed(
            re.sub(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$[a-z]", b"", bytes(self.seen))
        )
        return [str(line) for line in screen.display]

    def leave(self, *, reading: bool = True) -> tuple[int, float]:
        """Wait for the end; return the exit code and the seconds it took."""
        start = time.monotonic()
        while time.monotonic() - start < DEADLINE_S:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                spent = time.monotonic() - start
                self.status = status
                while reading and self.read(0.05):
                    continue
                return os.waitstatus_to_exitcode(status), spent
            if reading:
                self.read(0.02)
            else:
                select.select([], [], [], 0.02)
        raise AssertionError("it did not end")


@contextmanager
def program(case: str, size: tuple[int, int] = (120, 36)) -> Iterator[Terminal]:
    """Run a case on a pseudo-terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        # Stale sizes of a shell: the terminal's own are what counts.
        variables = {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "COLUMNS": "70",
            "LINES": "20",
        }
        os.execve(sys.executable, [sys.executable, "-m", "tests.ui.program", case], {**os.environ, **variables})
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    terminal = Terminal(pid, fd)
    try:
        yield terminal
    finally:
        if terminal.status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(fd)


@pytest.mark.parametrize("case", ["plain", "hung"])
def test_quitting_takes_half_a_second_and_gives_the_terminal_back(case: str) -> None:
    with program(case) as terminal:
        terminal.read_until(b"exited 137")
        terminal.type(b"\x11")
        code, spent = terminal.leave()
        assert code == 0
        assert spent < 1.0
        assert terminal.seen.rfind(b"\x1b[?1049l") > terminal.seen.rfind(b"exited 137")
        assert b"\x1b[?25h" in terminal.seen


def test_quitting_does_not_wait_for_a_terminal_that_takes_nothing() -> None:
    with program("plain", size=(300, 100)) as terminal:
        terminal.read_until(b"exited 137")
        for _ in range(40):
            terminal.type(b"z")
            select.select([], [], [], 0.02)
        terminal.type(b"\x11")
        code, spent = terminal.leave(reading=False)
        assert code == 0
        assert spent < 2.0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_give_the_terminal_back(number: signal.Signals, code: int) -> None:
    with program("plain") as terminal:
        terminal.read_until(b"exited 137")
        os.kill(terminal.pid, number)
        assert terminal.leave()[0] == code
        assert b"\x1b[?1049l" in terminal.seen


def test_a_terminal_that_takes_nothing_is_told_once_it_takes_again() -> None:
    with program("plain", size=(200, 60)) as terminal:
        terminal.read_until(b"exited 137")
        for _ in range(60):
            terminal.type(b"z")
            select.select([], [], [], 0.05)
        # Nothing was read for three seconds, and the loop went on: the newest picture comes, not sixty old ones.
        before = len(terminal.seen)
        terminal.read_until(b"SLOW LINK")
        assert len(terminal.seen) - before < 100_000
        terminal.type(b"\x11")
        assert terminal.leave()[0] == 0


def test_suspending_gives_the_terminal_back_and_resuming_draws_everything() -> None:
    with program("plain") as terminal:
        terminal.read_until(b"exited 137")
        terminal.type(b"\x1a")
        end = time.monotonic() + DEADLINE_S
        while not os.waitpid(terminal.pid, os.WNOHANG | os.WUNTRACED)[0]:
            terminal.read(0.05)
            assert time.monotonic() < end
        assert b"\x1b[?1049l" in terminal.seen
        terminal.seen.clear()
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.read_until(b"exited 137.*following")
        terminal.type(b"\x11")
        assert terminal.leave()[0] == 0


def test_another_size_is_drawn_whole() -> None:
    with program("plain", size=(160, 48)) as terminal:
        terminal.read_until(b"exited 137")
        terminal.seen.clear()
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.kill(terminal.pid, signal.SIGWINCH)
        terminal.read_until(b"16 healthy")
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            terminal.read(0.1)
        lines = terminal.shown(80, 24)
        assert lines[3].startswith("▌✖ redis")
        assert "restart" in lines[23]
        assert all(line.strip() for line in lines)


def test_an_error_of_our_own_is_one_sentence_and_exit_70() -> None:
    with program("broken") as terminal:
        assert terminal.leave()[0] == 70
        tail = bytes(terminal.seen).rpartition(b"\x1b[?1049l")[2]
        assert b"failed (RuntimeError)" in tail
        assert b"Traceback" not in terminal.seen
        assert b"secret-in-a-traceback" not in terminal.seen


def test_a_clash_of_keys_is_told_before_the_screen_starts() -> None:
    with program("clash") as terminal:
        assert terminal.leave()[0] == 2
        assert b"service.restart" in terminal.seen
        assert b"\x1b[?1049h" not in terminal.seen


OURS = re.compile(
    rb"\x1b\[[0-9;]*[HGm]"
    rb"|\x1b\[\?(?:1049|25|1004|1000|1003|1015|1006|1016|2004|2026|2048|7)[hl]|\x1b\[\?(?:2026|2048)\$p"
    rb"|\x1b\[[<>][0-9]*u"
)


def test_no_control_byte_of_others_reaches_the_terminal() -> None:
    with program("hostile", size=(200, 60)) as terminal:
        terminal.read_until(b"Logs")
        for keys in (b"d", b"\x1b", b"w", b"w", b"l", b"g", b"G", b"b", b"b", b"l", b"z"):
            terminal.type(keys)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                terminal.read(0.1)
        shown = "".join(terminal.shown(200, 60))
        terminal.type(b"\x11")
        assert terminal.leave()[0] == 0
        left = OURS.sub(b"", bytes(terminal.seen)).decode()
        assert "PWN" not in left.replace("0;PWN", "").replace("]2;PWN", "")
        assert not sorted({c for c in left if ord(c) < 32 or 0x7F <= ord(c) < 0xA0} - {"\r", "\n"})
        assert not re.search("[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", left)
        assert "[@click=app.quit]" in shown
        assert "한 국 어" in shown or "한국어" in shown


COLORS = ("red", "#5cc8c2", None)
PIECES = st.lists(
    st.tuples(st.text(alphabet="abc 한글─✖x́", max_size=6), st.sampled_from(COLORS), st.booleans()), max_size=4
)


def strip_of(pieces: list[tuple[str, str | None, bool]], width: int) -> Strip:
    """A strip of exactly `width` cells."""
    segments = [Segment(text, Style(color=color, bold=bold)) for text, color, bold in pieces if text]
    return Strip(segments).adjust_cell_length(width)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(PIECES, min_size=4, max_size=4), min_size=1, max_size=5))
def test_the_difference_makes_the_terminal_show_the_picture(
    frames: list[list[list[tuple[str, str | None, bool]]]],
) -> None:
    width = 20
    terminal = pyte.Screen(width, 4)
    stream = pyte.Stream(terminal)
    frame = Frame()
    for lines in frames:
        strips = [strip_of(pieces, width) for pieces in lines]
        # pyte wraps a mark on the last column to the next line; terminals put it on the character.
        assume(not any(strip.text.endswith("\u0301") for strip in strips))
        frame.take(LayoutUpdate([[strip] for strip in strips], Region(0, 0, width, 4)))
        stream.feed(frame.difference())
        fresh = pyte.Screen(width, 4)
        whole = Frame()
        whole.take(LayoutUpdate([[strip] for strip in strips], Region(0, 0, width, 4)))
        pyte.Stream(fresh).feed(whole.difference())
        assert terminal.display == fresh.display
        for y in range(4):
            for x in range(width):
                one, other = terminal.buffer[y][x], fresh.buffer[y][x]
                if one.data.strip():
                    assert (one.data, one.fg, one.bold) == (other.data, other.fg, other.bold)


def test_a_changed_cell_costs_its_own_bytes() -> None:
    frame = Frame()

    def put(text: str) -> str:
        frame.take(LayoutUpdate([[Strip([Segment(text)])]], Region(0, 0, 40, 1)))
        return frame.difference()

    put("12:00:00 and a long text that stays  here")
    assert put("12:00:01 and a long text that stays  here") == "\x1b[1;8H1"
    assert put("12:00:01 and a long text that stays  here") == ""
