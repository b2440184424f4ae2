"""The record of what operators did through this program: so that a stop is told as "stopped by alice"."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from moalog_tui.operations.folders import open_regular, own_folder, reason
from moalog_tui.platform.containers import OperatorAct

SCHEMA: Final = 1
FILE_LIMIT: Final = 256 * 1024
"""Bytes of the record; then it is moved aside, and the file moved aside before is given up."""

KEEP_ACTS: Final = 500
LINE_LIMIT: Final = 1024


def fallback_folders() -> tuple[Path, ...]:
    """Return where the record goes when the state folder cannot be written: lost with the next boot, but not now."""
    name = f"moalog-tui-{os.geteuid()}"
    return Path("/run/user") / str(os.geteuid()) / "moalog-tui", Path("/run") / name, Path("/dev/shm") / name  # noqa: S108 - checked by own_folder


class ActsRecord:
    """An append-only file of JSON lines, read by every process of every user who shares the folder."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """`folders` are tried in their order: the state folder first, then `fallback_folders`."""
        self._folders = tuple(folders)
        self._memory: list[OperatorAct] = []
        self._seen: tuple[tuple[int, int, int], ...] | None = None
        self._read: tuple[OperatorAct, ...] = ()
        self._folder: Path | None = None
        self._shared = False
        self._prepared = False
        self.caveat: str | None = None
        """A sentence where the record is kept elsewhere than in the state folder; known once it is prepared."""

    @property
    def place(self) -> str:
        """Where the record is kept: a path, or "memory"."""
        return str(self._path) if self._folder is not None else "memory"

    def prepare(self) -> None:
        """Make the folder, or fall back and say so. Looking alone leaves no folder behind."""
        if not self._prepared:
            self._prepared = True
            self._choose()

    def write(self, act: OperatorAct) -> None:
        """Append one act. Never raises: what cannot be written is remembered in memory, and `caveat` says so."""
        self.prepare()
        line = _line(act)
        while self._folder is not None:
            try:
                self._append(line)
            except OSError as error:
                self._give_up(f"{self._folder}: {reason(error)}")
            else:
                return
        self._memory = [*self._memory[-KEEP_ACTS + 1 :], act]

    def acts(self) -> tuple[OperatorAct, ...]:
        """Return the newest acts of all operators, oldest first. Cheap while nothing changed: one stat a file."""
        if not self._prepared:
            self._folder = next((folder for folder in self._folders if _readable(folder)), None)
        if self._folder is None:
            return tuple(self._memory)
        seen = tuple(_stamp(path) for path in (self._old_path, self._path))
        if seen != self._seen:
            lines = [line for path in (self._old_path, self._path) for line in _read_lines(path)]
            self._read = tuple(act for line in lines if (act := _act(line)) is not None)[-KEEP_ACTS:]
            self._seen = seen
        return (*self._read, *self._memory)

    @property
    def _path(self) -> Path:
        return (self._folder or Path()) / "acts.jsonl"

    @property
    def _old_path(self) -> Path:
        return (self._folder or Path()) / "acts.old.jsonl"

    def _choose(self) -> None:
        """Take the first folder that may be used; say so where it is not the first."""
        why = ""
        self._folder = None
        for number, folder in enumerate(self._folders):
            try:
                self._shared = own_folder(folder)
            except OSError as error:
                why = why or f"{folder}: {reason(error)}"
                continue
            self._folder = folder
            if number or self.caveat:
                self.caveat = self.caveat or f"the record of actions is kept in {folder} until the next boot ({why})"
            return
        if self.caveat is None or why:
            self.caveat = f"the record of actions is kept in memory only ({why or 'no folder is known'})"

    def _give_up(self, why: str) -> None:
        """Leave a folder that could be used and no longer can."""
        failed, self._seen = self._folder, None
        self._folders = tuple(folder for folder in self._folders if folder != failed)
        self.caveat = None
        self._choose()
        self.caveat = f"the record of actions is kept in {self._folder or 'memory only'} ({why})"

    def _append(self, line: bytes) -> None:
        mode = 0o660 if self._shared else 0o600
        descriptor = open_regular(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
        try:
            known = os.fstat(descriptor)
            if self._shared and known.st_uid == os.geteuid():
                os.fchmod(descriptor, mode)  # whatever the umask says
            if known.st_size > FILE_LIMIT and self._path.lstat().st_ino == known.st_ino:
                self._path.replace(self._old_path)  # what another process appends meanwhile is still read from there
            os.write(descriptor, line)  # one write: lines of several processes do not mix
        finally:
            os.close(descriptor)


def _line(act: OperatorAct) -> bytes:
    told = {
        "schema": SCHEMA, "at": act.at.astimezone(UTC).isoformat(), "service": act.service,
        "container_id": act.container_id, "verb": act.verb, "by": act.by,
    }  # fmt: skip
    return json.dumps(told).encode()[: LINE_LIMIT - 1] + b"\n"


def _act(line: bytes) -> OperatorAct | None:
    """Read one line; a torn one, another schema's or nonsense is None."""
    try:
        told: Any = json.loads(line)
        if not isinstance(told, dict) or told.get("schema") != SCHEMA:
            return None
        at = datetime.fromisoformat(told["at"])
        texts = [told[key] for key in ("service", "container_id", "verb", "by")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if at.tzinfo is None or not all(isinstance(text, str) for text in texts):
        return None
    service, container_id, verb, by = texts
    return OperatorAct(service, container_id, verb, at, by)


def _readable(folder: Path) -> bool:
    try:
        own_folder(folder, make=False)
    except OSError:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.lstat()
    except OSError:
        return 0, 0, 0
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _read_lines(path: Path) -> list[bytes]:
    """Return the whole lines of the last FILE_LIMIT bytes; none where the file is not ours to trust or not there."""
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError:
        return []
    try:
        start = max(os.fstat(descriptor).st_size - FILE_LIMIT, 0)
        told = os.pread(descriptor, 2 * FILE_LIMIT, start)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return told.split(b"\n")[1 if start else 0 : -1]
