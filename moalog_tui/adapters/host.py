"""The host's files: finding the platform's folder, bounded reads, the watched `.env`, who may write."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moalog_tui.platform.envfile import EnvFile, parse_env

FILE_LIMIT: Final = 1024 * 1024
"""Bytes of a compose file, a `.env`, a profile or a runbook; a larger one is refused."""

COMPOSE_NAMES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""Compose's own names for its file, in its order of preference."""

COMPOSE_FOLDER: Final = "moalog-server"
"""The folder of the platform's repository that holds its compose file."""

SHARED_STATE: Final = Path("/var/lib/moalog-tui")


class HostError(Exception):
    """A file cannot be used: `sentence` says which and why."""

    def __init__(self, sentence: str, too_large: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.too_large = too_large


def compose_file_in(folder: Path) -> Path | None:
    """Return the compose file of a platform's folder: in it, or in its `moalog-server/`."""
    for place in (folder, folder / COMPOSE_FOLDER):
        for name in COMPOSE_NAMES:
            if is_file(place / name):
                return place / name
    return None


def platform_folder(folder: Path) -> Path:
    """Return the platform's folder for one that holds a compose file.

    Where the folder is the repository's `moalog-server/` and only the folder above has the `.env`, that is
    the one above: its passwords are the platform's.
    """
    above = folder.parent
    if folder.name == COMPOSE_FOLDER and not is_file(folder / ".env") and is_file(above / ".env"):
        return above
    return folder


def find_platform(start: Path) -> Path | None:
    """Return the platform's folder, found upwards from `start`, or None."""
    for folder in (start, *start.parents):
        if compose_file_in(folder) is not None:
            return platform_folder(folder)
    return None


def env_file_of(folder: Path | None, compose_file: Path | None) -> Path | None:
    """Return the platform's `.env`: in its folder, else beside the compose file, else None."""
    places = [folder] if folder else []
    if compose_file is not None:
        places.append(compose_file.parent)
    return next((place / ".env" for place in places if is_file(place / ".env")), None)


def is_file(path: Path) -> bool:
    """True for a file that we can see."""
    try:
        return path.is_file()
    except OSError:
        return False  # a folder that we may not enter holds nothing for us


def read_bounded(path: Path, limit: int = FILE_LIMIT) -> bytes:
    """Return a regular file's bytes; raise HostError where it is absent, no file, unreadable or over `limit`."""
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {_why(error)}.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # a folder cannot even be wrapped
        raise HostError(f"{path} is no regular file.")
    with os.fdopen(descriptor, "rb") as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise HostError(f"{path} cannot be read: {_why(error)}.") from None
    if len(content) > limit:
        raise HostError(f"{path} is larger than {limit // 1024} KiB and was not read.", too_large=True)
    return content


def read_text(path: Path, limit: int = FILE_LIMIT) -> str:
    """Return a file's text in UTF-8 (a byte order mark is dropped); raise HostError."""
    try:
        return read_bounded(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HostError(f"{path} is not UTF-8 text.") from None


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


class EnvWatch:
    """A `.env` that is read again when it changed: `current` costs one stat a second at most.

    A file that vanishes or turns unreadable keeps its last values, since the containers keep theirs;
    `problem` then says so.
    """

    def __init__(
        self,
        path: Path | None,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = 1.0,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self.too_large = False
        self._environment = environment
        self._clock = clock
        self._interval = interval_s
        self._held = EnvFile()
        self._stamp: tuple[int, ...] | None = None
        self._next = float("-inf")

    def current(self) -> EnvFile:
        """Return what the file says now (at most `interval_s` late). Never raises."""
        now = self._clock()
        if self.path is None or now < self._next:
            return self._held
        self._next = now + self._interval
        stamp = self._stamp_of(self.path)
        if stamp is None:
            self.problem = f"{self.path} is gone; its last values are used."
            self._stamp = None
        elif stamp != self._stamp:
            self._read(self.path, stamp)
        return self._held

    def _read(self, path: Path, stamp: tuple[int, ...]) -> None:
        try:
            content = read_bounded(path)
        except HostError as error:
            self.problem, self.too_large = error.sentence, error.too_large
            return
        self.problem, self.too_large = None, False
        # The stamp is the one from before reading: a write in between shows as a change at the next look.
        self._stamp = stamp
        self._held = parse_env(content, self._environment)

    @staticmethod
    def _stamp_of(path: Path) -> tuple[int, ...] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev, found.st_size


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether a runbook or script may be used. `refused` is a sentence; `finding` one that only warns."""

    refused: str | None = None
    finding: str | None = None


def trust(path: Path) -> Trust:
    """Judge who may write a file: everybody, or an owner that is neither root nor us, is refused."""
    try:
        found = path.stat()
    except OSError as error:
        return Trust(refused=f"{path} cannot be read: {_why(error)}.")
    if not stat.S_ISREG(found.st_mode):
        return Trust(refused=f"{path} is no regular file.")
    if found.st_mode & stat.S_IWOTH:
        return Trust(
            refused=f"{path} can be written by everybody, so it is not used; take that right away (chmod o-w)."
        )
    if found.st_uid not in (0, os.geteuid()):
        return Trust(refused=f"{path} belongs to user {found.st_uid}, neither root nor you, so it is not used.")
    if found.st_mode & stat.S_IWGRP:
        return Trust(finding=f"{path} can be written by its group ({found.st_gid}).")
    return Trust()


def state_folder(environment: Mapping[str, str], home: Path, shared: Path = SHARED_STATE) -> tuple[Path, str, bool]:
    """Return the state folder, which rule chose it, and whether all operators of this host share it."""
    named = environment.get("MOALOG_STATE_DIR")
    if named:
        return Path(named), "MOALOG_STATE_DIR", _group_writable(Path(named))
    if _group_writable(shared) and os.access(shared, os.W_OK | os.X_OK):
        return shared, "shared by this host's operators", True
    base = environment.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored, says the XDG specification.
    folder = Path(base) if base.startswith("/") else home / ".local" / "state"
    return folder / "moalog-tui", "XDG_STATE_HOME" if base.startswith("/") else "default", False


def _group_writable(folder: Path) -> bool:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and bool(mode & stat.S_IWGRP)


def writable_state(folder: Path) -> str | None:
    """Return why nothing can be written to the state folder, or None where it can (or can be made)."""
    for place in (folder, *folder.parents):
        try:
            found = place.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{place} cannot be entered: {_why(error)}."
        if not stat.S_ISDIR(found.st_mode):
            return f"{place} is no folder."
        return None if os.access(place, os.W_OK | os.X_OK) else f"{place} is not writable for you."
    return f"{folder} cannot be made."
