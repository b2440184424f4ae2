"""One operation at a time for each service: inside this process by a table, between processes by flock."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from moalog_tui.operations.folders import open_regular, own_folder, reason

HOST_FOLDER: Final = Path("/run/lock")
"""Where the locks lie when no state folder is shared: every user of a host sees it."""

NOTE_LIMIT: Final = 1024


@dataclass
class Ticket:
    """The right to operate on one service, until `release`. `caveat` says where it holds for less than all users."""

    target: str
    note: str
    caveat: str | None = None
    _flight: SingleFlight | None = None
    _path: Path | None = None
    _descriptors: list[int] = field(default_factory=list)

    def release(self) -> None:
        """Give it back; again is no error."""
        if self._flight is not None:
            self._flight.forget(self.target)
            self._flight = None
        if self._path is not None:
            _write_note(self._path, None)
            self._path = None
        self.unlock()

    def unlock(self) -> None:
        """Close the lock files, which gives the flocks back."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def hold(self, descriptor: int) -> None:
        """Keep a locked file open."""
        self._descriptors.append(descriptor)

    def noted(self, path: Path) -> None:
        """Tell others in the lock file what runs."""
        self._path = path
        _write_note(path, self.note)


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else operates on it. `note` tells what and who: "restart of redis by alice since 19:02:01Z"."""

    note: str


class SingleFlight:
    """Hands out tickets. A lock that cannot be made never stops an operation: it then holds in this process only."""

    def __init__(self, folders: Sequence[Path], platform: str) -> None:
        """`folders` are tried in their order; `platform` names the locks (a project) where `take` is told no other."""
        self._folders = tuple(folders)
        self._platform = _safe(platform)
        self._held: dict[str, Ticket] = {}

    def take(self, target: str, note: str, platform: str | None = None) -> Ticket | Taken:
        """Return a ticket for a service, or who holds it. `note` is what others are told of us.

        `platform` is the project that the containers carry: two operators may have named the same one differently.
        """
        held = self._held.get(target)
        if held is not None:
            return Taken(held.note)
        ticket = Ticket(target, note, _flight=self)
        why = "no folder for locks is known"
        for folder in self._folders:
            try:
                taken = self._lock(folder, ticket, _safe(platform) if platform else self._platform)
            except OSError as error:
                ticket.unlock()
                why = f"{folder}: {reason(error)}"
                continue
            if taken is not None:
                return taken
            if folder != self._folders[0]:
                ticket.caveat = f"the lock lies in {folder}, where not everybody may see it ({why})"
            break
        else:
            ticket.caveat = f"locked inside this program only, other users are not kept out ({why})"
        self._held[target] = ticket
        return ticket

    def forget(self, target: str) -> None:
        """Drop a ticket from the table of this process."""
        self._held.pop(target, None)

    def _lock(self, folder: Path, ticket: Ticket, platform: str) -> Taken | None:
        """Lock the platform (shared) and the target (exclusive); return who holds one, or None. Raises OSError."""
        # Only where the sticky bit keeps others from renaming our files may everybody write beside us.
        everybody = _sticky(folder)
        shared = everybody or own_folder(folder)
        # In a folder of all users the file must be readable by all, so that each can lock it; it holds no secret.
        mode = 0o644 if everybody else 0o660 if shared else 0o600
        prefix = "moalog-tui." if everybody else ""
        whole = folder / f"{prefix}{platform}.lock"
        single = folder / f"{prefix}{platform}.{_safe(ticket.target)}.lock"
        for path, kind in ((whole, fcntl.LOCK_SH), (single, fcntl.LOCK_EX)):
            descriptor = _open_lock(path, mode)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                note = _read_note(descriptor)
                os.close(descriptor)
                ticket.unlock()
                return Taken(
                    note or f"another operation on {ticket.target if path == single else 'the whole platform'}"
                )
            except OSError:
                os.close(descriptor)
                raise
            ticket.hold(descriptor)
        ticket.noted(single)
        return None


def lock_folders(state: Path) -> tuple[Path, ...]:
    """Return where locks are tried: a state folder that a group shares, else the host's, then a private one."""
    try:
        shared = bool(state.stat().st_mode & stat.S_IWGRP)
    except OSError:
        shared = False
    return (state, HOST_FOLDER) if shared else (HOST_FOLDER, state)


def _sticky(folder: Path) -> bool:
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return False
    return bool(mode & stat.S_IWOTH) and bool(mode & stat.S_ISVTX)


def _open_lock(path: Path, mode: int) -> int:
    """Open a lock file: read-only first, created only if absent.

    Linux refuses O_CREAT on another user's file in a sticky folder such as /run/lock, even where it may be read.
    """
    try:
        return open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        pass
    try:
        descriptor = open_regular(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:  # somebody else was quicker
        return open_regular(path, os.O_RDONLY)
    os.fchmod(descriptor, mode)  # whatever the umask says
    return descriptor


def _write_note(path: Path, note: str | None) -> None:
    """Write what runs (None: nothing) into the lock file, for others to read; another user's file is left alone."""
    told = json.dumps({"schema": 1, "note": note, "pid": os.getpid()}).encode() if note is not None else b""
    try:
        descriptor = open_regular(path, os.O_WRONLY)
    except OSError:
        return  # the lock holds all the same; others read "another operation"
    try:
        if os.fstat(descriptor).st_nlink == 1:  # a second name may be somebody's trap: a file of ours to be emptied
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, told[:NOTE_LIMIT], 0)
    finally:
        os.close(descriptor)


def _read_note(descriptor: int) -> str | None:
    """Return what the holder wrote, or None: it could not write, and what stands there is an older one's."""
    try:
        told = json.loads(os.pread(descriptor, NOTE_LIMIT, 0))
        note, pid = told["note"], told["pid"]
        os.kill(pid, 0)
    except PermissionError:
        return str(note)  # another user's process: alive
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return str(note)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "_"
