"""A program on a pseudo-terminal, measured from outside.

What it writes is recorded with the time of each read, and replayed into an emulator afterwards, so that the
emulator's own cost never falls into the measurement.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyte

PAINTED_CELLS: Final = 200
"""A first paint is the first screen with this many cells that are not blank."""

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ANSWERS: Final = (
    (b"\x1b[6n", b"\x1b[1;1R"),
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[0c", b"\x1b[?62;22c"),
    (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
    (b"\x1b[?2048$p", b"\x1b[?2048;0$y"),
)
"""What a real terminal answers when it is asked for its position, kind and modes."""

# The emulator does not know these private sequences and would print them.
_UNKNOWN: Final = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$[a-z]")


@dataclass(frozen=True)
class Key:
    """Bytes typed at a time (seconds after the start), and the screen that shows their effect."""

    at: float
    data: bytes
    shows: str | None = None


@dataclass
class Recording:
    """What was seen of one run."""

    size: tuple[int, int]
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    usage: list[tuple[float, float, float]] = field(default_factory=list)
    """(seconds, CPU seconds of the process tree, resident MiB of the process tree)."""
    typed: list[tuple[float, Key]] = field(default_factory=list)
    first_paint: float | None = None
    reached: dict[str, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    missed: int = 0
    last_screen: str = ""

    def rate(self, start: float, end: float) -> float:
        """Bytes a second written to the terminal between two times."""
        return sum(len(data) for at, data in self.chunks if start <= at < end) / (end - start)

    def cpu(self, start: float, end: float) -> float:
        """Per cent of one core used between two times."""
        inside = [sample for sample in self.usage if start <= sample[0] <= end]
        if len(inside) < 2:
            return float("nan")
        return 100 * (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    @property
    def peak_mib(self) -> float:
        """The largest resident set of the process tree that was seen."""
        return max(sample[2] for sample in self.usage)


def processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def _usage(pid: int) -> tuple[float, float]:
    cpu = resident = 0.0
    for one in processes(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        cpu += sum(int(value) for value in fields[11:15]) / _TICK
        resident += int(fields[21]) * _PAGE / 2**20
    return cpu, resident


def record(
    command: Sequence[str],
    environment: Mapping[str, str],
    size: tuple[int, int],
    seconds: float,
    keys: Sequence[Key] = (),
) -> Recording:
    """Run a command on a terminal of (columns, rows) for some seconds, typing keys at their times."""
    columns, rows = size
    pid, terminal = pty.fork()
    size_bytes = struct.pack("HHHH", rows, columns, 0, 0)
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, size_bytes)
        os.execvpe(command[0], list(command), dict(environment))
    recording = Recording(size)
    waiting = sorted(keys, key=lambda key: key.at)
    start, next_sample = time.monotonic(), 0.0
    while (now := time.monotonic() - start) < seconds:
        if waiting and now >= waiting[0].at:
            key = waiting.pop(0)
            os.write(terminal, key.data)
            recording.typed.append((time.monotonic() - start, key))
        if now >= next_sample:
            recording.usage.append((now, *_usage(pid)))
            next_sample = now + 0.2
        pause = min(seconds - now, next_sample - now, waiting[0].at - now if waiting else seconds)
        if select.select([terminal], [], [], max(pause, 0))[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            recording.chunks.append((time.monotonic() - start, data))
            for question, answer in _ANSWERS:
                if question in data:
                    os.write(terminal, answer)
    recording.usage.append((time.monotonic() - start, *_usage(pid)))
    _end(pid)
    os.close(terminal)
    return recording


def _end(pid: int) -> None:
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            select.select([], [], [], 0.02)


def replay(recording: Recording, until: Sequence[str] = ()) -> Recording:
    """Feed the recording to an emulator: find the first paint, the screens waited for, and key latencies."""
    columns, rows = recording.size
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    open_keys = [(at, key) for at, key in recording.typed if key.shows]
    for at, data in recording.chunks:
        stream.feed(_UNKNOWN.sub(b"", data))
        due = [pair for pair in open_keys if pair[0] <= at]
        wanted = [pattern for pattern in until if pattern not in recording.reached]
        if recording.first_paint is not None and not due and not wanted:
            continue
        text = "\n".join(screen.display)
        if recording.first_paint is None and sum(not char.isspace() for char in text) >= PAINTED_CELLS:
            recording.first_paint = at
        for pattern in wanted:
            if re.search(pattern, text):
                recording.reached[pattern] = at
        for typed_at, key in due:
            if re.search(key.shows or "", text):
                recording.latencies.append(at - typed_at)
                open_keys.remove((typed_at, key))
    recording.missed = len(open_keys)
    recording.last_screen = "\n".join(screen.display)
    return recording


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies; NaN where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
