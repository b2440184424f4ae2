"""The program as a process of its own: a platform's folder, an engine that is absent or small, closed ports."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "moalog_tui")
COMPOSE = "name: moalog-server\nservices:\n  redis: {container_name: moalog-redis}\n  promtail: {}\n"
PASSWORD = "hunter2-hunter2-hunter2"


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Host:
    """A folder with a platform, and the environment in which the program runs."""

    folder: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=20,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test; it is ended at the end."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=5)


Ran = subprocess.CompletedProcess[str]


def make_host(folder: Path) -> Host:
    """Make a platform of two services, Redis on a closed port, and no engine."""
    for name in ("platform", "home", "state"):
        (folder / name).mkdir()
    (folder / "state").chmod(0o700)
    (folder / "platform/compose.yaml").write_text(COMPOSE, "utf-8")
    (folder / "platform/.env").write_text(f"REDIS_PORT={closed_port()}\nREDIS_PASSWORD={PASSWORD}\n", "utf-8")
    return Host(
        folder,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "MOALOG_STATE_DIR": str(folder / "state"),
            "MOALOG_HOME": str(folder / "platform"),
            "DOCKER_HOST": f"unix://{folder}/none.sock",
            "LANG": "C.UTF-8",
        },
    )


def read_until(process: subprocess.Popen[str], words: str, seconds: float = 10) -> str:
    """Return what the process printed, once it holds the words; fail where it does not in time."""
    assert process.stdout is not None
    number, end, found = process.stdout.fileno(), time.monotonic() + seconds, b""
    while words.encode() not in found:
        left = end - time.monotonic()
        assert left > 0, f"{words!r} did not come in time: {found!r}"
        if select.select([number], [], [], left)[0]:
            data = os.read(number, 65536)
            assert data, f"ended before {words!r}: {found!r}"
            found += data
    return found.decode("utf-8")
