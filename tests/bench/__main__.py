"""`make bench`: this program and lazydocker, side by side, on the lab platform, through a pseudo-terminal."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.terminal import Key, Recording, percentile, record, replay
from tests.lab import faults
from tests.lab.harness import Lab

SIZE = (160, 48)
IDLE_S = 30.0
LOG_S = 30.0
SETTLE_S = 8.0
KEY_EVERY_S = 0.5
LOGGING_SERVICE = "promtail"


@dataclass(frozen=True)
class Program:
    """One program under measurement, and what its keys and screens are."""

    name: str
    command: tuple[str, ...]
    full_table: str
    """Matches the screen once the table is filled."""
    follow: tuple[tuple[float, bytes], ...]
    """(seconds after the start, keys) that select the logging service."""
    keys: dict[str, tuple[bytes, str, bytes]]
    """What is typed, what then shows, and what is typed to go back: `dialog` and `line`."""


def programs(lab: Lab) -> list[Program]:
    """This program, and lazydocker where its wheel is installed."""
    beside = Path(sys.executable).parent
    ours = Program(
        "moalog-tui",
        (str(beside / "moalog-tui"), "--platform", str(lab.platform_dir), "--read-only"),
        full_table=r"all \d+ healthy|\d+ of \d+ (?:impaired|healthy)",
        follow=((3.0, f":logs {LOGGING_SERVICE}\r".encode()),),
        keys={
            "dialog": (b"?", "Keys", b"\x1b"),
            "line": (b":", r"logs +check|check .*restart|restart +start", b"\x1b"),
        },
    )
    found = [ours]
    lazydocker = shutil.which("lazydocker", path=str(beside))
    if lazydocker:
        found.append(
            Program(
                "lazydocker",
                (lazydocker,),
                full_table=r"(?s)moalog-server.*(?:running|healthy)|(?:running|healthy).*moalog-server",
                follow=((2.0, b"/"), (2.3, b"promtail"), (2.6, b"\r")),
                keys={
                    "dialog": (b"x", "Menu|[Kk]eybindings", b"\x1b"),
                    "line": (b"/", "[Ff]ilter", b"\x1b"),
                },
            )
        )
    return found


def measure(program: Program, environment: dict[str, str], seconds: float, keys: list[Key]) -> Recording:
    """Run a program once on the terminal."""
    with tempfile.TemporaryDirectory(prefix="moalog-bench-") as home:
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "HOME": home}
        recording = record(program.command, environment | terminal, SIZE, seconds, keys)
    return replay(recording, [program.full_table])


def idle(program: Program, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Nothing changes: paint, table, bytes and CPU."""
    recording = measure(program, environment, IDLE_S, [])
    start = IDLE_S / 2
    return [
        ("first paint", seconds(recording.first_paint)),
        ("first full table", seconds(recording.reached.get(program.full_table))),
        ("idle: to the terminal", f"{recording.rate(start, IDLE_S) / 1000:.2f} kB/s"),
        ("idle: CPU", f"{recording.cpu(start, IDLE_S):.1f} %"),
        ("idle: peak memory", f"{recording.peak_mib:.0f} MB"),
    ]


def logging(
    program: Program, environment: dict[str, str], label: str, opens: str | None = None
) -> list[tuple[str, str]]:
    """The selected service logs; with keys, their latency too."""
    keys = [Key(at, data) for at, data in program.follow]
    at = SETTLE_S
    while opens and at < LOG_S - 2 * KEY_EVERY_S:
        key, shows, back = program.keys[opens]
        keys += [Key(at, key, shows), Key(at + KEY_EVERY_S / 2, back)]
        at += KEY_EVERY_S
    recording = measure(program, environment, LOG_S, keys)
    figures = [
        (f"{label}: to the terminal", f"{recording.rate(SETTLE_S, LOG_S) / 1000:.2f} kB/s"),
        (f"{label}: CPU", f"{recording.cpu(SETTLE_S, LOG_S):.1f} %"),
        (f"{label}: peak memory", f"{recording.peak_mib:.0f} MB"),
    ]
    if opens:
        median, worst = percentile(recording.latencies, 0.5), percentile(recording.latencies, 0.99)
        figures = [
            (f"{label}: key opens a {opens}, p50", f"{median * 1000:.0f} ms"),
            (f"{label}: key opens a {opens}, p99", f"{worst * 1000:.0f} ms"),
            (f"{label}: {opens}s seen, missed", f"{len(recording.latencies)}, {recording.missed}"),
        ]
    return figures


def seconds(value: float | None) -> str:
    """A time, or that it never came."""
    return "never" if value is None else f"{value:.2f} s"


def main() -> int:
    """Run every scenario with every program and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=["idle", "slow", "flood"], action="append")
    parser.add_argument("--program", choices=["moalog-tui", "lazydocker"], action="append")
    options = parser.parse_args()
    lab = Lab()
    lab.up()
    faults.quiet(lab)
    environment = lab.environment()
    # An installed program has its bytecode beside it; an environment that forbids that would measure the compiler.
    environment["PYTHONDONTWRITEBYTECODE"] = ""

    def at(rate: str) -> Callable[[], object]:
        return lambda: faults.flood(lab, LOGGING_SERVICE, rate)

    scenarios: list[tuple[str, Callable[[], object], Callable[[Program], list[tuple[str, str]]]]] = [
        ("idle", lambda: None, lambda program: idle(program, environment)),
        ("slow", at("2"), lambda program: logging(program, environment, "2 lines/s")),
        ("flood", at("2000"), lambda program: logging(program, environment, "2,000 lines/s")),
        ("flood", at("2000"), lambda program: logging(program, environment, "2,000 lines/s", "line")),
        ("flood", at("2000"), lambda program: logging(program, environment, "2,000 lines/s", "dialog")),
    ]
    wanted = [program for program in programs(lab) if not options.program or program.name in options.program]
    print(f"{'':40}" + "".join(f"{program.name:>16}" for program in wanted), flush=True)
    try:
        for name, prepare, run in scenarios:
            if options.only and name not in options.only:
                continue
            prepare()
            columns = [run(program) for program in wanted]
            for row in zip(*columns, strict=True):
                print(f"{row[0][0]:40}" + "".join(f"{value:>16}" for _, value in row), flush=True)
    finally:
        for control in ("rate", "load"):
            lab.control(LOGGING_SERVICE if control == "rate" else "moalog-server", control, None)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
