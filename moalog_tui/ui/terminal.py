"""What reaches the terminal: only the cells that differ from what it already shows.

Textual repaints whole widgets, with the full colour codes of every piece: 25 kB/s for a log at two lines a
second. Here every update lands in a picture of the screen first; what is written is the difference between that
picture and the one the terminal holds. A frame that the terminal has no room for is not queued: the picture
moves on and the next write carries the newest state (DESIGN, section 2).
"""

from __future__ import annotations

import os
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.cells import cell_len, get_character_cell_size
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from rich.style import Style
    from textual.app import App
    from textual.strip import Strip

JUMP: Final = 5
"""Unchanged cells up to this many are rewritten: moving the cursor over them costs as much."""

RATE_WINDOW_S: Final = 5.0

_LEAVE: Final = (
    b"\x1b[?2026l\x1b[0m\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?7h\x1b[<u"
    b"\x1b[?1049l\x1b[?25h\x1b[?1004l"
)


class Ink(NamedTuple):
    """How one cell is drawn: SGR parameters of attributes, foreground and background; empty is the default."""

    attributes: str
    foreground: str
    background: str


class Cell(NamedTuple):
    """One cell. The second half of a wide character holds no text."""

    text: str
    ink: Ink


PLAIN: Final = Ink("", "", "")
BLANK: Final = Cell(" ", PLAIN)
_ATTRIBUTES: Final = (
    ("bold", "1"),
    ("dim", "2"),
    ("italic", "3"),
    ("underline", "4"),
    ("reverse", "7"),
    ("strike", "9"),
)


class Frame:
    """The picture of the screen and the terminal's copy of it."""

    def __init__(self) -> None:
        self.width = 0
        self.height = 0
        self._wanted: list[list[Cell]] = []
        self._shown: list[list[Cell] | None] = []
        self._dirty: set[int] = set()
        self._ink: Ink | None = None
        self.no_color = False
        self.color_system = ColorSystem.TRUECOLOR

    def resize(self, width: int, height: int) -> None:
        """Start anew for a screen of another size."""
        self.width, self.height = width, height
        self._wanted = [[BLANK] * width for _ in range(height)]
        self.forget()

    def forget(self) -> None:
        """The terminal's content is not known any more: the next difference writes everything."""
        self._shown = [None] * self.height
        self._dirty = set(range(self.height))
        self._ink = None

    @property
    def pending(self) -> bool:
        """True while the terminal does not show the picture."""
        return bool(self._dirty)

    def take(self, update: object) -> None:
        """Put one of the compositor's updates into the picture.

        A whole screen of another size starts the picture anew. A part of a screen of another size was made
        before the terminal changed its size, and is passed over: the whole one is on its way.
        """
        if isinstance(update, LayoutUpdate):
            width, height = update.region.size
            if (width, height) != (self.width, self.height):
                self.resize(width, height)
            for y, strips in enumerate(update.strips, update.region.y):
                x = update.region.x
                for strip in strips:
                    x = self._put(x, y, strip)
        elif isinstance(update, ChopsUpdate):
            size = (update.chop_ends[0][-1] if update.chop_ends else 0, len(update.chops))
            if size == (self.width, self.height):
                self._take_chops(update)

    def _take_chops(self, update: ChopsUpdate) -> None:
        rows: dict[int, list[tuple[int, int]]] = {}
        for y, start, stop in update.spans:
            rows.setdefault(y, []).append((start, stop))
        for y, spans in rows.items():
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and any(x < stop and end > start for start, stop in spans):
                    self._put(x, y, strip)

    def _put(self, x: int, y: int, strip: Strip) -> int:
        if not 0 <= y < self.height:
            return x
        row, width = self._wanted[y], self.width
        self._dirty.add(y)
        for text, style, control in strip:
            if control or not text:
                continue
            ink = PLAIN if style is None else self._ink_of(style)
            if text.isascii():
                cells: Iterable[Cell] = [Cell(character, ink) for character in text]
            else:
                cells = _wide_cells(text, ink)
            for cell in cells:
                if x < width:
                    row[x] = cell
                x += 1
        return x

    def _ink_of(self, style: Style) -> Ink:
        return _ink(style, ColorSystem.STANDARD if self.no_color else self.color_system, self.no_color)

    def difference(self) -> str:
        """Return what to write so that the terminal shows the picture, and take it as written."""
        pieces: list[str] = []
        for y in sorted(self._dirty):
            wanted, shown = self._wanted[y], self._shown[y]
            if wanted != shown:
                self._row(y, wanted, shown, pieces)
                self._shown[y] = wanted.copy()
        self._dirty.clear()
        return "".join(pieces)

    def _row(self, y: int, wanted: Sequence[Cell], shown: Sequence[Cell] | None, pieces: list[str]) -> None:
        width, x, placed = self.width, 0, -1
        while x < width:
            if shown is not None and wanted[x] == shown[x]:
                x += 1
                continue
            start = x
            while start > 0 and not wanted[start].text:
                start -= 1
            if 0 <= placed < start <= placed + JUMP and all(wanted[i].text for i in range(placed, start)):
                start = placed
            elif placed != start:
                pieces.append(f"\x1b[{y + 1};{start + 1}H" if placed < 0 else f"\x1b[{start + 1}G")
            x = start
            while x < width and (shown is None or wanted[x] != shown[x] or x < start + 1 or not wanted[x].text):
                self._write(wanted[x], pieces)
                x += 1
            placed = x
            # The cursor waits behind the last column in some terminals: place it anew after a full row.
            if placed >= width:
                placed = -1

    def _write(self, cell: Cell, pieces: list[str]) -> None:
        if not cell.text:
            return
        ink, now = cell.ink, self._ink
        if ink is not now and ink != now:
            pieces.append(_transition(now, ink))
            self._ink = ink
        pieces.append(cell.text)


def _wide_cells(text: str, ink: Ink) -> list[Cell]:
    cells: list[Cell] = []
    for character in text:
        size = get_character_cell_size(character)
        if size == 0 and cells:
            # A combining mark belongs to the cell before it.
            head = len(cells) - 1
            while head and not cells[head].text:
                head -= 1
            cells[head] = Cell(cells[head].text + character, ink)
            continue
        cells.append(Cell(character, ink))
        if size == 2:
            cells.append(Cell("", ink))
    return cells if len(cells) == cell_len(text) else [Cell(c if cell_len(c) == 1 else "?", ink) for c in text]


@lru_cache(2048)
def _ink(style: Style, system: ColorSystem, no_color: bool) -> Ink:
    attributes = ";".join(code for name, code in _ATTRIBUTES if getattr(style, name))
    if no_color:
        return Ink(attributes, "", "")
    color, background = style.color, style.bgcolor
    return Ink(
        attributes,
        "" if color is None or color.is_default else ";".join(color.downgrade(system).get_ansi_codes()),
        ""
        if background is None or background.is_default
        else ";".join(background.downgrade(system).get_ansi_codes(False)),
    )


@lru_cache(4096)
def _transition(now: Ink | None, ink: Ink) -> str:
    codes: list[str] = []
    if now is None or now.attributes != ink.attributes:
        # Attributes are switched off by a reset, which takes the colours along.
        if now is None or now.attributes:
            codes.append("0")
            now = PLAIN
        if ink.attributes:
            codes.append(ink.attributes)
    if now.foreground != ink.foreground:
        codes.append(ink.foreground or "39")
    if now.background != ink.background:
        codes.append(ink.background or "49")
    return f"\x1b[{';'.join(codes)}m" if codes else ""


class CountingFile:
    """The terminal as a file that knows how much it took; `write` blocks as long as the terminal does."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.taken = 0
        self.lost = False
        """True once the terminal is gone: it takes everything from then on."""

    def write(self, text: str) -> None:
        """Write through, at once: what has returned from here is with the terminal."""
        data = memoryview(text.encode("utf-8", "replace"))
        try:
            # Not through Python's buffered layers: they lose what is left of a frame when a signal (a resize)
            # comes in the middle of it.
            while data and not self.lost:
                data = data[os.write(self._number, data) :]
        except OSError:
            self.lost = True
        finally:
            self.taken += 1

    def flush(self) -> None:
        """Nothing is held back here."""

    def fileno(self) -> int:
        """The terminal's file number."""
        return self._number


class WireDriver(LinuxDriver):
    """The terminal driver, with a count of what is on its way."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._counted = CountingFile(1 if sys.__stdout__ is None else sys.__stdout__.fileno())
        self._file = self._counted  # type: ignore[assignment]
        self._given = 0
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, int]] = deque(maxlen=512)
        self.fresh = True
        """True after the terminal was entered: what it shows is unknown."""

    def _get_terminal_size(self) -> tuple[int, int]:
        # The terminal itself: COLUMNS and LINES of a shell, which come first elsewhere, stay when it is resized.
        try:
            columns, lines = os.get_terminal_size(self._counted.fileno())
        except OSError:
            return super()._get_terminal_size()
        return (columns, lines) if columns and lines else super()._get_terminal_size()

    def start_application_mode(self) -> None:
        """Enter the terminal."""
        self.fresh = True
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def write(self, data: str) -> None:
        """Queue data for the terminal."""
        with self._lock:
            self._given += 1
        self._sent.append((time.monotonic(), len(data.encode("utf-8", "replace"))))
        super().write(data)

    @property
    def backlog(self) -> int:
        """Writes that the terminal has not taken yet."""
        return self._given - self._counted.taken

    def rate(self) -> float:
        """Bytes a second over the last five seconds."""
        since = time.monotonic() - RATE_WINDOW_S
        return sum(size for at, size in self._sent if at >= since) / RATE_WINDOW_S

    def _enable_mouse_support(self) -> None:
        # Presses and the wheel only: reports of every motion would travel up the link for nothing.
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1000l\x1b[?1006l")

    def _enable_mouse_pixels(self) -> None:
        """Cells are exact enough."""

    def use_mouse(self, on: bool) -> None:
        """Take the mouse, or leave it to the terminal."""
        if on:
            self._mouse = True
            self._enable_mouse_support()
        else:
            self._disable_mouse_support()
            self._mouse = False

    def abandon(self, words: str) -> None:
        """Give the terminal back without waiting for anything; the process ends right after."""
        number = self._counted.fileno()
        with suppress(OSError, termios.error):
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with suppress(OSError):
            # A terminal that takes nothing must not hold the end up either.
            os.set_blocking(number, False)
            os.write(number, _LEAVE + (words + "\n" if words else "").encode("utf-8", "replace"))
