"""Colours, glyphs and the making of one line: the only place where text becomes a strip of the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from moalog_tui.platform.health import MARKS, HealthState
from moalog_tui.platform.text import Redactor

Part = tuple[str, Style]
"""A piece of a line: text that was cleaned, and its style."""

BACKGROUND: Final = "#12161c"
SURFACE: Final = "#1a2028"

_PLAIN_ASCII: Final = str.maketrans(
    {
        "…": "...", "—": "-", "–": "-", "·": "-", "≤": "<=", "≥": ">=", "→": "->", "↻": "#", "×": "x", "•": "*",
        "“": '"', "”": '"', "‘": "'", "’": "'", "✖": "X", "●": "o", "◐": "!", "◌": "~", "▲": "^", "─": "-", "│": "|",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters the screen is drawn with."""

    healthy: str
    degraded: str
    starting: str
    down: str
    unknown: str
    branch: str
    last: str
    rule: str
    bar: str
    cursor: str
    ellipsis: str
    dash: str
    dot: str
    levels: str
    fail: str
    gap: str
    corners: str
    up: str
    restarts: str
    upto: str

    def state(self, state: HealthState) -> str:
        """The glyph of a health state."""
        return str(getattr(self, state.value))


def _marks(form: int) -> tuple[str, str, str, str, str]:
    """The five states' marks, in the order of the glyphs; `form` 0 is Unicode, 1 is ASCII."""
    healthy, degraded, starting, down, unknown = (MARKS[state][form] for state in HealthState)
    return healthy, degraded, starting, down, unknown


UNICODE: Final = Glyphs(
    *_marks(0), "├ ", "└ ", "─", "│", "▌", "…", "—", "·", "▁▂▃▄▅▆▇█", "✖", "·", "╭╮╰╯", "▲", "↻", "≤"
)
ASCII: Final = Glyphs(
    *_marks(1), "|-", "`-", "-", "|", ">", "~", "-", "-", "_.:-=+*#", "X", ".", "++++", "^", "#", "<="
)


def _style(color: str | None = None, background: str | None = None, *, bold: bool = False, dim: bool = False,
           reverse: bool = False, underline: bool = False) -> Style:  # fmt: skip
    return Style(
        color=Color.parse(color) if color else None,
        bgcolor=Color.parse(background) if background else None,
        bold=bold or None,
        dim=dim or None,
        reverse=reverse or None,
        underline=underline or None,
    )


class Palette:
    """The styles by what they mean. Colour is kept for state; everything else is a shade of grey and one accent."""

    def __init__(self, no_color: bool = False) -> None:
        plain = no_color
        self.text = _style("#c9d1d9")
        self.dim = _style("#8b97a5")
        self.faint = _style("#56616e")
        self.strong = _style("#e6edf3", bold=True)
        self.accent = _style("#5cc8c2", bold=plain)
        self.title = _style("#a9b6c3")
        self.title_focused = _style("#5cc8c2", bold=True)
        self.down = _style("#ff6e6e", bold=True)
        self.degraded = _style("#e3b25f")
        self.starting = _style("#74b9ff")
        self.unknown = _style("#c3a6ff")
        self.error = _style("#ff8f86")
        self.spark = _style("#5f8a99")
        self.healthy = _style("#7fb77e")
        self.cursor = _style(None, "#26323f", bold=plain)
        self.verdict_down = _style("#ffffff", "#a8323a", bold=True, reverse=plain)
        self.verdict_degraded = _style("#1a1408", "#d9a84e", bold=True)
        self.chip = _style("#c9d1d9", "#2c3743")
        self.chip_warn = _style("#1a1408", "#d9a84e", bold=True)
        self.button = _style("#c9d1d9", "#2c3743")
        self.button_focused = _style("#0c1a1a", "#5cc8c2", bold=True, reverse=plain)
        self.match = _style("#1a1408", "#d9c86a", reverse=plain)
        self.surface = _style("#c9d1d9", SURFACE)
        self.base = _style("#c9d1d9", BACKGROUND)

    def state(self, state: HealthState) -> Style:
        """The style of a health state."""
        style = getattr(self, state.value)
        assert isinstance(style, Style)
        return style


class Pen:
    """Makes strips from parts: fits them to a width, in ASCII where asked, and cleans outside text."""

    def __init__(self, redactor: Redactor, ascii_only: bool = False, no_color: bool = False) -> None:
        self.ascii = ascii_only
        self.glyphs = ASCII if ascii_only else UNICODE
        self.styles = Palette(no_color)
        self._redactor = redactor

    def clean(self, text: str, limit: int = 1024) -> str:
        """Return outside text fit to show: sanitised, redacted, and ASCII where the screen is."""
        return self.own(self._redactor.clean(text, limit))

    def own(self, text: str) -> str:
        """Return clean text in the screen's character set."""
        if not self.ascii or text.isascii():
            return text
        return text.translate(_PLAIN_ASCII).encode("ascii", "replace").decode()

    def fit(self, text: str, width: int) -> str:
        """Return text in exactly `width` cells, cut with an ellipsis or filled with blanks."""
        if width <= 0:
            return ""
        text = self.own(text)
        size = len(text) if text.isascii() else cell_len(text)
        if size <= width:
            return text + " " * (width - size)
        if width == 1:
            return self.glyphs.ellipsis
        head = set_cell_size(text, width - 1).rstrip()
        return head + self.glyphs.ellipsis + " " * (width - 1 - cell_len(head))

    def right(self, text: str, width: int) -> str:
        """Return text at the right edge of `width` cells."""
        text = self.own(text)
        size = cell_len(text)
        return " " * (width - size) + text if size <= width else self.fit(text, width)

    def strip(self, parts: Iterable[Part], width: int, base: Style | None = None, fill: Style | None = None) -> Strip:
        """Return a strip of exactly `width` cells of the parts, over the base style."""
        base = base or self.styles.base
        segments, used = [], 0
        for text, style in parts:
            text = self.own(text)
            if not text or used >= width:
                continue
            size = len(text) if text.isascii() else cell_len(text)
            if used + size > width:
                text = self.fit(text, width - used)
                size = width - used
            segments.append(Segment(text, base + style))
            used += size
        if used < width:
            segments.append(Segment(" " * (width - used), base + fill if fill else base))
        return Strip(segments, width)

    def wrap(self, text: str, width: int) -> list[str]:
        """Return clean text in lines of at most `width` cells, broken at blanks where there are any."""
        width = max(width, 4)
        lines: list[str] = []
        line = ""
        for word in self.own(text).split(" "):
            while cell_len(word) > width:
                room = width - cell_len(line) - (1 if line else 0)
                if room < 8:
                    if line:
                        lines.append(line)
                    line, room = "", width
                head = _head(word, room)
                lines.append(f"{line} {head}" if line else head)
                word, line = word[len(head) :], ""
            if not line:
                line = word
            elif cell_len(line) + 1 + cell_len(word) <= width:
                line += " " + word
            else:
                lines.append(line)
                line = word
        return [*lines, line]


def _head(word: str, width: int) -> str:
    used = 0
    for index, character in enumerate(word):
        used += cell_len(character)
        if used > width:
            return word[: max(index, 1)]
    return word


def width_of(parts: Sequence[Part]) -> int:
    """Cells that the parts take."""
    return sum(cell_len(text) for text, _ in parts)
