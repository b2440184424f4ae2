"""The first picture, drawn before the screen's library is loaded: the service names, at once.

Loading Textual takes longer than everything before it. An operator who sees the names of the services in
the meantime knows that the program runs, and on which platform.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final
from unicodedata import east_asian_width

from moalog_tui.platform.text import sanitise

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"


def draw(title: str, engine: str, names: Sequence[str], ascii_only: bool) -> None:
    """Enter the alternate screen and write the first picture to the terminal on stdout."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    sys.stdout.write(_ENTER + "\r\n".join(frame(title, engine, names, columns, rows, ascii_only)))
    sys.stdout.flush()


def leave() -> None:
    """Give the terminal back, where the screen could not start."""
    sys.stdout.write(_LEAVE)
    sys.stdout.flush()


def frame(title: str, engine: str, names: Sequence[str], columns: int, rows: int, ascii_only: bool) -> list[str]:
    """Return the lines of the picture, none wider than `columns` and none more than `rows`."""
    mark = "." if ascii_only else "◌"
    head = f" {mark} asking {sanitise(engine)} and {len(names)} services of {sanitise(title)}"
    lines = [head, "", f"   {'SERVICE':<28}  STATE"]
    lines += [f" {mark} {sanitise(name):<28}  asking" for name in names]
    if ascii_only:
        lines = [line.encode("ascii", "replace").decode("ascii") for line in lines]
    return [_cut(line, columns) for line in lines[: max(rows - 1, 1)]]


def _cut(line: str, columns: int) -> str:
    """Return what of the line fits; wide characters take two columns. (The screen's library is not loaded yet.)"""
    if line.isascii():
        return line[:columns]
    left = columns
    for index, character in enumerate(line):
        left -= 2 if east_asian_width(character) in "WF" else 1
        if left < 0:
            return line[:index]
    return line
