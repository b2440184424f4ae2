"""A panel: a title rule and lines below it, drawn line by line, with a scroll position of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from moalog_tui.ui.ink import Part, Pen, width_of

if TYPE_CHECKING:
    from textual.events import MouseScrollDown, MouseScrollUp

MOVES: tuple[Binding, ...] = (
    Binding("j,down", "move(1)", "down", id="move.down", show=False),
    Binding("k,up", "move(-1)", "up", id="move.up", show=False),
    Binding("pagedown", "page(1)", "page down", id="move.page-down", show=False),
    Binding("pageup", "page(-1)", "page up", id="move.page-up", show=False),
    Binding("g,home", "edge(-1)", "to the top", id="move.top", show=False),
    Binding("G,end", "edge(1)", "to the bottom", id="move.bottom", show=False),
)


class Panel(Widget, can_focus=True):
    """Line 0 is the title; the body scrolls below it."""

    DEFAULT_CSS = "Panel { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES]

    def __init__(self, pen: Pen, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self.pen = pen
        self.top = 0

    @property
    def body_height(self) -> int:
        """Lines below the title."""
        return max(self.size.height - 1, 0)

    def title_parts(self) -> tuple[str, list[Part]]:
        """The panel's name, and what stands behind it in the rule."""
        return "", []

    def right_parts(self) -> list[Part]:
        """What stands at the right end of the rule."""
        return []

    def body(self, y: int, width: int) -> Strip:
        """Line `y` of the visible body."""
        return self.blank(width)

    def blank(self, width: int) -> Strip:
        """An empty line."""
        return self.pen.strip([], width)

    def render_line(self, y: int) -> Strip:
        """Draw one line (Textual's line interface)."""
        width = self.size.width
        return self._title(width) if y == 0 else self.body(y - 1, width)

    def _title(self, width: int) -> Strip:
        pen, styles = self.pen, self.pen.styles
        name, more = self.title_parts()
        rule = pen.glyphs.rule
        focused = self.has_focus
        mark = pen.glyphs.cursor if focused else rule
        parts: list[Part] = [(mark, styles.accent if focused else styles.faint), (" ", styles.text)]
        parts.append((name, styles.title_focused if focused else styles.title))
        parts += more
        right = self.right_parts()
        used, tail = width_of(parts) + 1, width_of(right)
        if tail and used + tail + 4 > width:
            right, tail = [], 0
        fill = max(width - used - (tail + 3 if tail else 0), 0)
        parts += [(" ", styles.text), (rule * fill, styles.faint)]
        if tail:
            parts += [(" ", styles.text), *right, (" ", styles.text), (rule, styles.faint)]
        return pen.strip(parts, width)

    # Moving ----------------------------------------------------------------------------------------------------

    def line_count(self) -> int:
        """Lines of the body in all."""
        return 0

    def scroll_body(self, top: int) -> None:
        """Bring line `top` of the body to the top, as far as there are lines."""
        top = max(min(top, self.line_count() - self.body_height), 0)
        if top != self.top:
            self.top = top
            self.refresh()

    def action_move(self, step: int) -> None:
        """Move by one line."""
        self.scroll_body(self.top + step)

    def action_page(self, step: int) -> None:
        """Move by a page."""
        self.scroll_body(self.top + step * max(self.body_height - 1, 1))

    def action_edge(self, side: int) -> None:
        """Move to the top or the bottom."""
        self.scroll_body(0 if side < 0 else self.line_count())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Scroll with the wheel."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Scroll with the wheel."""
        event.stop()
        self.action_move(-3)
