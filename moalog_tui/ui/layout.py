"""Where each panel of the overview stands, for every size of the terminal: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

WIDE: Final = 120
"""From this many columns on the runbook has a column of its own."""

BARE_BELOW: Final = 30
"""Under this many rows the metrics strip does without its title."""


class Place(NamedTuple):
    """A rectangle of the screen, in cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Wish:
    """What the layout depends on besides the size."""

    table_lines: int
    """Lines the table needs with every service shown, title and header included."""
    folded_lines: int
    """The same with the healthy services folded."""
    ticker_lines: int = 0
    runbook: bool = False
    zoom: str | None = None
    command: bool = False


def table_room(width: int, height: int, ticker: int) -> int:
    """Lines that the table can have at most; the log keeps three tenths of the room, and six lines."""
    room = max(height - 2 - ticker, 4)
    return max(room - (1 if height < BARE_BELOW else 2) - max(6, room * 3 // 10), 5)


def places(width: int, height: int, wish: Wish) -> dict[str, Place]:
    """Return the place of each panel that is shown, by its id."""
    bottom = height - 1
    found = {
        "verdict": Place(0, 0, width, 1),
        "command" if wish.command else "footer": Place(0, bottom, width, 1),
    }
    if wish.ticker_lines:
        found["ticker"] = Place(0, bottom - wish.ticker_lines, width, wish.ticker_lines)
    room = max(bottom - 1 - wish.ticker_lines, 1)
    if wish.zoom:
        return found | {wish.zoom: Place(0, 1, width, room)}
    left = width
    if wish.runbook and width >= WIDE:
        column = max(min(width * 3 // 10, 56), 38)
        left = width - column
        found["runbook"] = Place(left, 1, column, room)
    most = table_room(width, height, wish.ticker_lines)
    table = wish.table_lines if wish.table_lines <= most else max(min(wish.folded_lines, most), min(5, most))
    metrics = 1 if height < BARE_BELOW else 2
    found["services"] = Place(0, 1, left, table)
    found["metrics"] = Place(0, 1 + table, left, metrics)
    below = "runbook" if wish.runbook and width < WIDE else "logs"
    found[below] = Place(0, 1 + table + metrics, left, max(room - table - metrics, 1))
    return found
