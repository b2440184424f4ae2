"""The program's own `config.toml` becomes values, or one sentence on what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from moalog_tui.platform.services import DEFAULT_DEADLINE_S
from moalog_tui.platform.snapshot import Mute
from moalog_tui.platform.toml_table import Document, Table

DEFAULT_INTERVAL_S: Final = 5.0
DEFAULT_KEEP_LINES: Final = 10_000
DEFAULT_KEEP_MIB: Final = 16
TIERS: Final = ("read", "safe", "disruptive", "platform-wide", "destructive")
CLOCKS: Final = ("utc", "local")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What `config.toml` says; None is "not said". Paths are as written, durations seconds."""

    platform: str | None = None
    project: str | None = None
    profile: str | None = None
    runbook: str | None = None
    read_only: bool = False
    allow: str | None = None
    keys: tuple[tuple[str, str], ...] = ()
    """(binding id, keys) pairs; the screen knows the ids."""
    keep_lines: int = DEFAULT_KEEP_LINES
    keep_mib: int = DEFAULT_KEEP_MIB
    deadline_s: float = DEFAULT_DEADLINE_S
    interval_s: float = DEFAULT_INTERVAL_S
    ascii: bool = False
    theme: str | None = None
    time: str = "utc"
    mutes: tuple[Mute, ...] = ()
    said: frozenset[str] = field(default_factory=frozenset)
    """The keys that stand in the file ("probe.deadline"), for telling a setting's source."""


def parse_config(text: str, source: str) -> ConfigFile:
    """Return what a `config.toml` says. Raises TomlMistake, whose sentence names file, line and key."""
    document = Document(text, source)
    top = Table(document.values, document)
    logs, probe, screen = top.table("logs"), top.table("probe"), top.table("ui")
    config = ConfigFile(
        platform=top.maybe_text("platform"),
        project=top.maybe_text("project"),
        profile=top.maybe_text("profile"),
        runbook=top.maybe_text("runbook"),
        read_only=top.flag("read_only", False),
        allow=top.choice("allow", TIERS) if top.has("allow") else None,
        keys=top.pairs("keys"),
        keep_lines=logs.whole("keep_lines", DEFAULT_KEEP_LINES, 100, 1_000_000),
        keep_mib=logs.whole("keep_mib", DEFAULT_KEEP_MIB, 1, 1024),
        deadline_s=probe.number("deadline", DEFAULT_DEADLINE_S, 0.1, 60),
        interval_s=probe.number("interval", DEFAULT_INTERVAL_S, 1, 3600),
        ascii=screen.flag("ascii", False),
        theme=screen.maybe_text("theme"),
        time=screen.choice("time", CLOCKS, "utc"),
        mutes=tuple(_mute(table) for table in top.tables("mute", "service")),
        said=_said(document),
    )
    for table in (logs, probe, screen, top):
        table.done()
    return config


def _mute(table: Table) -> Mute:
    service, reason, until = table.text("service"), table.any_text("reason", ""), table.raw("until")
    table.done()
    if isinstance(until, str):
        try:
            until = datetime.fromisoformat(until)
        except ValueError:
            raise table.mistake("until", f'found "{until[:40]}", expected a date and time in RFC 3339') from None
    if isinstance(until, date) and not isinstance(until, datetime):
        until = datetime(until.year, until.month, until.day, tzinfo=UTC)
    if until is not None and not isinstance(until, datetime):
        raise table.mistake("until", "expected a date and time in RFC 3339, as in 2026-05-01T12:00:00Z")
    if until is not None and until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return Mute(service, reason, until)


def _said(document: Document) -> frozenset[str]:
    said = set(document.values)
    for key, value in document.values.items():
        if isinstance(value, dict):
            said.update(f"{key}.{below}" for below in value)
    return frozenset(said)
