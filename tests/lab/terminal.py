"""The screen on a pseudo-terminal, read by a thread of its own while the test breaks things."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import pyte

CONTROL_Q: Final = b"\x11"

# The emulator does not know these private sequences and would print them.
_UNKNOWN: Final = re.compile(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$[a-z]")


class Terminal:
    """A program on a terminal of (columns, rows); ended at the end of the block at the latest."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (160, 48)) -> None:
        columns, rows = size
        self._end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self._closed = False
        self._frames: list[str] | None = None
        self.written = bytearray()
        """Everything the program wrote."""
        self._process = subprocess.Popen(
            list(argv), env=dict(environment), preexec_fn=lambda: os.login_tty(other), pass_fds=(other,)
        )
        os.close(other)
        self._reader = threading.Thread(target=self._read, daemon=True, name="terminal")
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        os.close(self._end)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Signal the program."""
        self._process.send_signal(number)

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self._end, keys)

    def text(self) -> str:
        """What the terminal shows now."""
        with self._changed:
            return self._text()

    def row(self, service: str) -> str:
        """The first line that tells of a service, empty where it is not on the screen."""
        return _row(self.text(), service)

    def wait_for(self, holds: str | Callable[[str], object], deadline: float) -> str:
        """Wait until the screen holds a pattern, or satisfies a question; return the screen then."""
        question = holds if callable(holds) else re.compile(holds, re.S).search
        end = time.monotonic() + deadline
        with self._changed:
            while not question(text := self._text()):
                left = end - time.monotonic()
                assert left > 0, f"not on the screen within {deadline:g} s: {holds}\n{text}"
                assert not self._closed, f"it ended before it showed {holds}\n{text}"
                self._changed.wait(left)
        return text

    def wait_row(self, service: str, pattern: str, deadline: float) -> str:
        """Wait until a service's line holds a pattern."""
        return self.wait_for(lambda text: re.search(pattern, _row(text, service)), deadline)

    def record(self) -> None:
        """Keep every picture from now on."""
        with self._changed:
            self._frames = [self._text()]

    def recorded(self) -> list[str]:
        """The pictures since `record`."""
        with self._changed:
            frames, self._frames = self._frames or [], None
        return frames

    def leave(self, keys: bytes = CONTROL_Q, deadline: float = 20) -> tuple[int, float]:
        """Type the keys that quit; return the exit code and the seconds until the process was gone."""
        began = time.monotonic()
        self.type(keys)
        code = self._process.wait(deadline)
        return code, time.monotonic() - began

    def _text(self) -> str:
        return "\n".join(self._screen.display)

    def _read(self) -> None:
        while True:
            select.select([self._end], [], [], 1.0)
            try:
                data = os.read(self._end, 65536)
            except OSError:
                data = b""
            with self._changed:
                self.written += data
                self._stream.feed(_UNKNOWN.sub(b"", data))
                if self._frames is not None:
                    self._frames.append(self._text())
                self._closed = not data
                self._changed.notify_all()
            if not data:
                return


def _row(text: str, service: str) -> str:
    pattern = re.compile(rf"(?:^|[\s│├└]){re.escape(service)}(?:…|\s)")
    return next((line for line in text.splitlines()[1:] if pattern.search(line)), "")


class Footprint:
    """What a process holds: descriptors, threads, resident memory."""

    def __init__(self, pid: int) -> None:
        self.descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        self.threads = sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
        status = Path(f"/proc/{pid}/status").read_text()
        self.resident_mib = int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def __repr__(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.resident_mib:.0f} MiB"


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
