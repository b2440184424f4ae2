"""Opening our own small files where other people may write too: no symlink followed, no stranger's folder trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_FOLDER: Final = 0o700


class Unusable(OSError):
    """A folder or file that we do not trust, or may not use; `args[0]` says why."""


def own_folder(folder: Path, *, make: bool = True) -> bool:
    """Make the folder where it is missing, and return whether a group shares it; OSError where it is not to be used.

    Usable are folders of our own or of root that others may not write, and folders that a group we may write with
    shares (CONTRACTS, Files).
    """
    if make:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise Unusable(f"{folder} is no folder of its own (a symlink?)")
    if seen.st_mode & stat.S_IWOTH:
        raise Unusable(f"{folder} may be written by everybody")
    shared = bool(seen.st_mode & stat.S_IWGRP)
    if seen.st_uid != os.geteuid() and not shared and os.geteuid() != 0:
        raise Unusable(f"{folder} belongs to another user")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unusable(f"{folder} may not be written by this user")
    return shared


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a regular file and return its descriptor; a symlink, a device or a pipe is an OSError, and none blocks."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unusable(f"{path} is no regular file")
    return descriptor


def reason(error: OSError) -> str:
    """Return an error of the system as a few words: "permission denied"."""
    return str(error.args[0]) if isinstance(error, Unusable) else (error.strerror or type(error).__name__).lower()
