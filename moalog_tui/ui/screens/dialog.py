"""A box in the middle of the screen, drawn line by line; what every dialog stands on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from moalog_tui.ui.ink import Part, Pen, width_of

Result = TypeVar("Result")
Line = tuple[Part, ...]


class Box(Widget):
    """A frame with a title, and lines in it that scroll where they do not fit; the last ones stay put."""

    DEFAULT_CSS = "Box { width: 76; height: 10; }"

    def __init__(self, pen: Pen) -> None:
        super().__init__(id="box")
        self.pen = pen
        self.caption = ""
        self.lines: Sequence[Line] = ()
        self.foot: Sequence[Line] = ()
        self.top = 0

    def put(self, caption: str, lines: Sequence[Line], foot: Sequence[Line] = ()) -> None:
        """Show other lines; `foot` stays at the bottom, whatever the height."""
        self.caption, self.lines, self.foot = caption, tuple(lines), tuple(foot)
        self.fit()
        self.refresh()

    def fit(self) -> None:
        """Take the height that the lines need and the screen has."""
        self.styles.height = min(len(self.lines) + len(self.foot) + 2, max(self.app.size.height - 2, 5))
        self.scroll_lines(0)

    @property
    def room(self) -> int:
        """Lines between the frame and the foot."""
        height = self.styles.height
        cells = int(height.value) if height is not None else self.size.height
        return max(cells - 2 - len(self.foot), 1)

    def scroll_lines(self, step: int) -> None:
        """Scroll the lines above the foot."""
        self.top = max(min(self.top + step, len(self.lines) - self.room), 0)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the frame or a line."""
        pen, styles, (width, height) = self.pen, self.pen.styles, self.size
        glyphs = pen.glyphs
        corners, rule, bar = glyphs.corners, glyphs.rule, glyphs.bar
        edge = styles.accent
        if y == 0:
            caption = pen.fit(self.caption, min(width_of([(self.caption, edge)]), width - 6))
            fill = rule * (width - 5 - width_of([(caption, edge)]))
            parts: list[Part] = [(corners[0] + rule + " ", edge), (caption, styles.title_focused), (f" {fill}", edge)]
            return pen.strip([*parts, (corners[1], edge)], width, styles.surface)
        if y == height - 1:
            more = len(self.lines) - self.top - self.room
            note = f" {more} more lines, j k scroll " if more > 0 else ""
            fill = rule * (width - 2 - len(note))
            return pen.strip([(corners[2], edge), (note, styles.dim), (fill + corners[3], edge)], width, styles.surface)
        inner = height - 2
        at_foot = y - 1 - (inner - len(self.foot))
        index = y - 1 + self.top
        line: Line = ()
        if at_foot >= 0:
            line = self.foot[at_foot]
        elif index < len(self.lines):
            line = self.lines[index]
        body = pen.strip([(" ", styles.text), *line], width - 2, styles.surface)
        left = pen.strip([(bar, edge)], 1, styles.surface)
        return Strip.join([left, body, left])


class Dialog(ModalScreen[Result], Generic[Result]):
    """A modal screen with one box. Keys go to `on_key` of the dialog itself."""

    DEFAULT_CSS = "Dialog { align: center middle; background: transparent; }"
    BINDINGS: ClassVar = []
    WIDTH = 76

    def __init__(self, pen: Pen) -> None:
        super().__init__()
        self.pen = pen
        self.box = Box(pen)
        self._answered = False

    def compose(self) -> ComposeResult:
        """The box alone."""
        yield self.box

    def on_mount(self) -> None:
        """Draw when there is a size."""
        self.box.styles.width = self.width
        self.draw()

    def on_resize(self) -> None:
        """Draw for another size."""
        self.box.styles.width = self.width
        self.draw()

    @property
    def width(self) -> int:
        """Cells of the box."""
        return min(self.WIDTH, self.app.size.width - 2)

    @property
    def inner(self) -> int:
        """Cells for text in the box."""
        return self.width - 4

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Close, once: a second key of the same burst would close what lies below."""
        if self._answered:
            return AwaitComplete()
        self._answered = True
        return super().dismiss(result)

    def draw(self) -> None:
        """Fill the box."""

    def scrolled(self, key: str) -> bool:
        """Scroll for a key; False where it is none of scrolling."""
        steps = {"j": 1, "down": 1, "k": -1, "up": -1, "pagedown": 10, "pageup": -10, "space": 10,
                 "home": -9999, "g": -9999, "end": 9999, "G": 9999}  # fmt: skip
        if key not in steps:
            return False
        self.box.scroll_lines(steps[key])
        return True


def paragraph(pen: Pen, text: str, width: int, style: object = None, indent: str = "") -> list[Line]:
    """Wrap clean text into lines of one style."""
    from rich.style import Style

    used = style if isinstance(style, Style) else pen.styles.text
    return [((indent + piece, used),) for piece in pen.wrap(text, width - len(indent))]
