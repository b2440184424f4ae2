"""The command line's language: `restart redis`, `since 15m`, with completion; the palette offers the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final


@dataclass(frozen=True)
class Spec:
    """One command: what it takes and what it does. `takes` is empty, `service`, `service?`, `span` or `time`."""

    name: str
    takes: str
    says: str


SPECS: Final[tuple[Spec, ...]] = (
    Spec("logs", "service", "follow the log of a service"),
    Spec("check", "service?", "check a service, or all of them, now"),
    Spec("restart", "service", "restart a service, after a preview"),
    Spec("start", "service", "start a service, after a preview"),
    Spec("stop", "service", "stop a service, after a preview"),
    Spec("details", "service?", "details of a service"),
    Spec("runbook", "", "show or hide the runbook"),
    Spec("since", "span", "log lines of the last 15m, 2h, 1d"),
    Spec("goto", "time", "go to a time in the log: 19:02 or 19:02:11"),
    Spec("help", "", "all keys"),
    Spec("q", "", "quit"),
)
LATER: Final = ("links", "save", "mute", "allow")
SPANS: Final = ("5m", "15m", "1h", "6h", "24h")


@dataclass(frozen=True)
class Command:
    """A command that can be carried out."""

    name: str
    argument: str


def parse(text: str, services: Sequence[str]) -> Command | str:
    """Return the command, or a sentence on what is wrong with it."""
    words = text.split()
    if not words:
        return "nothing was typed; ? shows the keys, tab the commands"
    name = {"quit": "q", "exit": "q"}.get(words[0], words[0])
    spec = next((spec for spec in SPECS if spec.name == name), None)
    if spec is None:
        if name in LATER:
            return f"{name} comes with a later version"
        near = get_close_matches(name, [spec.name for spec in SPECS], 1)
        return f'there is no command "{name}"' + (f'; did you mean "{near[0]}"?' if near else "; tab shows them")
    argument = " ".join(words[1:])
    if not spec.takes and argument:
        return f"{name} takes nothing behind it"
    if spec.takes in ("service", "span", "time") and not argument:
        return f"{name} needs a {spec.takes}"
    if spec.takes.startswith("service") and argument and argument not in services:
        found = [service for service in services if argument in service]
        if len(found) == 1:
            return Command(name, found[0])
        near = found or get_close_matches(argument, services, 1)
        return f'there is no service "{argument}"' + (f"; did you mean {' or '.join(near[:3])}?" if near else "")
    if spec.takes == "span" and seconds(argument) is None:
        return f'"{argument}" is no span of time; 15m, 2h or 1d is'
    if spec.takes == "time" and clock(argument) is None:
        return f'"{argument}" is no time; 19:02 or 19:02:11 is'
    return Command(name, argument)


def complete(text: str, services: Sequence[str]) -> list[str]:
    """Whole lines that the typed one could become."""
    name, blank, argument = text.partition(" ")
    if not blank:
        return [spec.name + (" " if spec.takes else "") for spec in SPECS if spec.name.startswith(name)]
    spec = next((spec for spec in SPECS if spec.name == name), None)
    if spec is None:
        return []
    if spec.takes.startswith("service"):
        starts = [service for service in services if service.startswith(argument)]
        inside = [service for service in services if argument in service and service not in starts]
        return [f"{name} {service}" for service in [*starts, *inside]]
    return [f"{name} {span}" for span in SPANS if span.startswith(argument)] if spec.takes == "span" else []


def seconds(text: str) -> float | None:
    """`90s`, `15m`, `2h`, `1d` as seconds."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else None


def clock(text: str) -> tuple[int, int, int] | None:
    """`19:02` or `19:02:11` (UTC) as hour, minute, second."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?Z?", text.strip())
    if not match:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    return (hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None
