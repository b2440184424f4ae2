"""Lengths of time as an operator says them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a length of time in two units at most: "42 s", "3 min 5 s", "3 h 12 min", "4 d 2 h"."""
    whole = max(int(seconds), 0)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def ago(seconds: float) -> str:
    """Return an age as an operator says it: `12 s`, `4 min`, `3 h`, `2 d`."""
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 86400 else f"{int(seconds // 86400)} d"
