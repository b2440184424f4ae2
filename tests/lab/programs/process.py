"""What every program of the lab does: ends on SIGTERM, logs, and misbehaves when a control file says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

SERVICE = os.environ.get("LAB_SERVICE", "")
CONTROL = Path("/lab/control")
"""`SERVICE.rate`: lines to log a second; `SERVICE.say`: bytes to log as they are, whenever the file grows;
`SERVICE.eat`: MiB of memory to take; `SERVICE.crash`: the exit code to end with at once, and at every start."""

_output = threading.Lock()


def write(line: str) -> None:
    """Write one line to stdout, whole."""
    write_bytes(line.encode() + b"\n")


def write_bytes(payload: bytes) -> None:
    """Write bytes to stdout as they are."""
    with _output:
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()


def stamp(separator: str = " ", end: str = "") -> str:
    """The time in UTC with milliseconds."""
    return datetime.now(UTC).strftime(f"%Y-%m-%d{separator}%H:%M:%S.%f")[:-3] + end


def log_spring(level: str, logger: str, message: str, thread: str = "reactor-http-epoll-1") -> None:
    """Log in the pattern of the two Spring applications."""
    write(f"{stamp()} [{thread}] {level:<5} {logger} - {message}")


def log_tracing(level: str, target: str, message: str) -> None:
    """Log in the format of Rust's tracing crate, without colour."""
    write(f"{datetime.now(UTC).isoformat().replace('+00:00', 'Z')} {level:>5} {target}: {message}")


def log_logfmt(level: str, message: str, caller: str = "main.go:112") -> None:
    """Log in the logfmt of Grafana's family."""
    write(f'level={level} ts={stamp("T", "Z")} caller={caller} msg="{message}"')


def log_zap(level: str, message: str, caller: str = "service/service.go:145") -> None:
    """Log in the tab-separated format of the OpenTelemetry collector."""
    write(f"{stamp('T', 'Z')}\t{level}\t{caller}\t{message}")


def start(exit_code: int = 143) -> None:
    """Prepare the process: SIGTERM ends it with `exit_code`, control files are watched, the start takes its time."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(exit_code))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    obey_crash()
    if SERVICE:
        threading.Thread(target=obey, daemon=True, name="control").start()
        threading.Thread(target=flood, daemon=True, name="flood").start()
    time.sleep(float(os.environ.get("LAB_START_S", "0")))


def control(name: str) -> str:
    """Return a control file's text, empty where there is none."""
    try:
        return (CONTROL / f"{SERVICE}.{name}").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def obey_crash() -> None:
    """End at once where the control file says so."""
    code = control("crash")
    if code:
        write(f"{stamp()} FATAL told to end with exit code {code}")
        os._exit(int(code))


def obey() -> None:
    """Watch the control files for ever: crash, eat memory, say bytes."""
    eaten: list[bytearray] = []
    say = CONTROL / f"{SERVICE}.say"
    said = say.stat().st_size if say.exists() else 0
    while True:
        time.sleep(0.25)
        obey_crash()
        wanted = int(control("eat") or 0)
        while len(eaten) < wanted:
            eaten.append(bytearray(os.urandom(4096)) * 256)
        if say.exists():
            size = say.stat().st_size
            if size > said:
                with say.open("rb") as source:
                    source.seek(said)
                    write_bytes(source.read())
            said = size


def flood() -> None:
    """Log as many lines a second as the control file says, in slices of a twentieth of a second."""
    count = 0
    owed = 0.0
    rate = 0.0
    asked = 0.0
    last = time.monotonic()
    while True:
        time.sleep(0.05)
        now = time.monotonic()
        if now - asked > 0.5:
            asked = now
            rate = float(control("rate") or 0)
        owed = min(owed + rate * (now - last), rate) if rate else 0.0
        last = now
        lines = []
        while owed >= 1:
            count += 1
            owed -= 1
            level = "ERROR" if count % 50 == 0 else "WARN" if count % 10 == 0 else "INFO"
            lines.append(f"{stamp()} [flood] {level:<5} lab.Flood - line {count} of the flood, request id={count:08x}")
        if lines:
            write("\n".join(lines))
