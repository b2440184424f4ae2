"""The log of the selected service: follows, holds still for a reader, and costs one line for a new line."""

from __future__ import annotations

from functools import partial
from typing import Final

from textual import events
from textual.strip import Strip

from moalog_tui.platform.logs import Level
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.platform.text import Redactor
from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.log_source import LogSource
from moalog_tui.ui.log_view import LogText, LogView
from moalog_tui.ui.widgets.log_line import STAMP, clock_of, draw_line, stamp_of
from moalog_tui.ui.widgets.panel import Panel

FLUSH_S: Final = 0.5
SETTLE_S: Final = 0.15
"""A cursor that runs over the table opens no stream before it rests."""

Row = tuple[LogText, str, bool]
"""A drawn row: its line, its piece of the text, whether it is the line's first."""


class LogPanel(Panel):
    """Shows one service's log, and lets a reader stand still in it."""

    def __init__(self, pen: Pen, redactor: Redactor, source: LogSource) -> None:
        super().__init__(pen, id="logs")
        self.source = source
        self._redactor = redactor
        self.view = LogView(source.ring, redactor)
        self.cursor: int | None = None
        """The line a reader stands on; None while following."""
        self._page_top = 0
        self._seen_end = 0
        self._why = ""
        self._told_state: str | None = None
        self.engine_error: str | None = None
        """The engine's own sentence while it is away."""
        self.timestamps = True
        self.wrap = False
        self.paused = False
        self.shift = 0
        self.search = ""
        self._rows: list[Row] = []
        self._strips: dict[tuple[int, int], Strip] = {}

    def on_mount(self) -> None:
        """Start the drain: at most two a second."""
        self.set_interval(FLUSH_S, self.drain)

    def on_unmount(self) -> None:
        """Stop the stream."""
        self.source.close()

    # Which log -------------------------------------------------------------------------------------------------

    def select(self, status: ServiceStatus | None, name: str | None) -> None:
        """Follow another service, as soon as the cursor rests on it."""
        if name == self.source.service:
            return
        self.source.choose(name)
        self._why = "waiting for the engine to tell of its container"
        self._anew()
        if status is not None:
            self.set_timer(SETTLE_S, partial(self._take, status))

    def _take(self, status: ServiceStatus) -> None:
        if status.name != self.source.service:
            return
        found = self.source.take(status)
        why = "" if found else "it has no container"
        if why != self._why:
            self._why = why
            self.refresh()

    def show(self, snapshot: Snapshot) -> None:
        """Take a new picture: mark what happened to the container, follow it across restarts and recreation."""
        away = None if snapshot.engine.connected or not snapshot.complete else snapshot.engine.error
        if away != self.engine_error:
            self.engine_error = away
            self.refresh()
        status = snapshot.status(self.source.service) if self.source.service else None
        if status is not None:
            self.source.mark(snapshot.events)
            self._take(status)

    def since(self, epoch_ns: int) -> None:
        """Show lines from a time on, asking the engine for them anew."""
        if self.source.since(epoch_ns):
            self._anew()

    def _anew(self) -> None:
        self.view = LogView(self.source.ring, self._redactor)
        self.cursor, self._page_top, self._seen_end, self.shift, self.search = None, 0, 0, 0, ""
        self._rows = []
        self._redraw()

    # Flushes ---------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Draw what arrived, if the reader follows; else only count it."""
        if self.paused:
            return
        end = self.view.ring.end
        if end == self._seen_end:
            if self.source.state != self._told_state:
                self._told_state = self.source.state
                self.refresh()
            return
        self._seen_end = end
        self.view.catch_up()
        if self.cursor is None:
            self._layout()
        self.refresh()

    def _redraw(self) -> None:
        self._strips.clear()
        self._layout()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        """Lay the page out anew; a follower's page is filled from its newest line up."""
        if self.cursor is None:
            self._page_top, self._rows = self.view.ring.first, []
        self._redraw()

    # The page --------------------------------------------------------------------------------------------------

    def _layout(self) -> None:
        """Choose the rows of the page."""
        height = self.body_height
        if height <= 0 or not self.size.width:
            self._rows = []
            return
        if self.cursor is None:
            self._rows = self._following_page(height)
        else:
            self._rows = self._page_from(self._page_top, height)
            if not any(line.number == self.cursor for line, _, _ in self._rows):
                self._page_top = self.cursor
                self._rows = self._page_from(self._page_top, height)
        if len(self._strips) > 600:
            self._strips.clear()

    def _following_page(self, height: int) -> list[Row]:
        view, total = self.view, self.view.count()
        top = view.index_of(self._page_top)
        rows = self._rows_of(view.lines(top, height + 1))
        if top + height < total or len(rows) > height:
            # Full: jump, and leave half a page free, so that the next lines cost one line each.
            free = height // 2 if self._rows and self._was_near(total, height) else 0
            keep = max(height - free, 1)
            lines = view.lines(max(total - keep, 0), keep)
            rows = self._rows_of(lines)
            while len(rows) > keep and len(lines) > 1:
                lines = lines[1:]
                rows = self._rows_of(lines)
            self._page_top = lines[0].number if lines else 0
        return rows[-height:] if len(rows) > height else rows

    def _was_near(self, total: int, height: int) -> bool:
        """False in a flood: more than a page arrived since the last flush, so that free room serves nobody."""
        last = self._rows[-1][0].number
        return total - self.view.index_of(last) <= height

    def _page_from(self, number: int, height: int) -> list[Row]:
        view = self.view
        index = min(view.index_of(number), max(view.count() - 1, 0))
        return self._rows_of(view.lines(index, height))[:height]

    def _rows_of(self, lines: list[LogText]) -> list[Row]:
        if not self.wrap:
            return [(line, line.text, True) for line in lines]
        width = self.size.width - self._stamp_width() - 2
        rows: list[Row] = []
        for line in lines:
            pieces = self.pen.wrap(line.text, width)
            rows += [(line, piece, i == 0) for i, piece in enumerate(pieces)]
        return rows

    def _stamp_width(self) -> int:
        return STAMP if self.timestamps else 0

    # Reading ---------------------------------------------------------------------------------------------------

    def _hold(self) -> int | None:
        """Leave following: the reader stands on the last line drawn, and the page stays where it is."""
        if self.cursor is None:
            if not self._rows:
                return None
            self.cursor = self._rows[-1][0].number
            self._page_top = self._rows[0][0].number
        return self.cursor

    def action_move(self, step: int) -> None:
        """Move the reader by lines."""
        cursor = self._hold()
        if cursor is None:
            return
        index = self.view.index_of(cursor) + step
        if index >= self.view.count():
            # Moving down past the newest line is how a reader says "go on".
            self.follow()
            return
        self._stand(max(index, 0))

    def _stand(self, index: int) -> None:
        view = self.view
        number = view.number_at(index)
        self.cursor = number
        shown = [line.number for line, _, _ in self._rows]
        if shown and number < shown[0]:
            self._page_top = number
        elif not shown or number > shown[-1]:
            self._page_top = view.number_at(max(index - self.body_height + 1, 0))
        self._layout()
        self.refresh()

    def action_page(self, step: int) -> None:
        """Move the reader by a page."""
        cursor = self._hold()
        if cursor is None:
            return
        size = max(self.body_height - 1, 1)
        target = self.view.index_of(cursor) + step * size
        if target >= self.view.count():
            self.follow()
            return
        self._page_top = self.view.number_at(max(self.view.index_of(self._page_top) + step * size, 0))
        self._stand(max(target, 0))

    def action_edge(self, side: int) -> None:
        """Move to the oldest line, or follow the newest."""
        if side > 0:
            self.follow()
        elif self._hold() is not None and self.view.count():
            self._stand(0)

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.cursor = None
        self._page_top = 0 if not self.view.count() else self._page_top
        self._layout()
        self.refresh()

    def toggle_follow(self) -> bool:
        """Follow, or hold still; return whether it follows now."""
        if self.cursor is None:
            self._hold()
            self.refresh()
        else:
            self.follow()
        return self.cursor is None

    def seek(self, step: int, what: str) -> bool:
        """Go to the next (1) or previous (-1) error or search hit; return False where there is none."""
        hold = self._hold()
        if hold is None:
            return False
        needle = self.search.casefold()

        def wanted(line: LogText) -> bool:
            return line.level is Level.ERROR if what == "error" else bool(needle) and needle in line.text.casefold()

        found = self.view.seek(hold, step, wanted)
        if found is not None:
            self._stand(self.view.index_of(found))
        self.refresh()
        return found is not None

    def go_to(self, epoch_ns: int) -> bool:
        """Go to the first line that is not older than a time; return False where there is none."""
        if self._hold() is None:
            return False
        found = self.view.seek(self.view.ring.first - 1, 1, lambda line: line.ts_ns >= epoch_ns)
        if found is not None:
            self._stand(self.view.index_of(found))
        self.refresh()
        return found is not None

    def set_search(self, text: str) -> bool:
        """Search; return whether there is a hit. The newest one is gone to."""
        self.search = text
        self._strips.clear()
        if not text:
            self.refresh()
            return True
        last = self.view.number_at(self.view.count() - 1) + 1 if self.view.count() else 0
        found = self.view.seek(last, -1, lambda line: text.casefold() in line.text.casefold())
        if found is not None:
            self._hold()
            self._stand(self.view.index_of(found))
        self.refresh()
        return found is not None

    def set_filter(self, typed: str) -> None:
        """Show only lines that hold the text; with `!` first, those that do not."""
        self.view.set_filter(typed)
        self.cursor, self._page_top = None, 0
        self._rows = []
        self._redraw()

    def toggle(self, what: str) -> bool:
        """Switch `timestamps`, `wrap` or `paused`; return the new state."""
        now = not getattr(self, what)
        setattr(self, what, now)
        self._redraw()
        return now

    def line_under_cursor(self) -> str | None:
        """The text of the line the reader stands on, else of the newest; cleaned."""
        rows = [line for line, _, _ in self._rows if self.cursor is None or line.number == self.cursor]
        return rows[-1].text if rows else None

    def page_text(self) -> str:
        """The lines of the page; cleaned."""
        return "\n".join(f"{clock_of(line.ts_ns)} {text}" if first else text for line, text, first in self._rows)

    def new_lines(self) -> int:
        """Lines that arrived below the page while the reader held it."""
        if not self._rows:
            return 0
        return max(self.view.count() - 1 - self.view.index_of(self._rows[-1][0].number), 0)

    @property
    def rows(self) -> tuple[str, ...]:
        """What the page shows, line by line."""
        return tuple(text for _, text, _ in self._rows)

    # Drawing ---------------------------------------------------------------------------------------------------

    def title_parts(self) -> tuple[str, list[Part]]:
        """`Logs · redis · following`, and what narrows it."""
        pen, styles = self.pen, self.pen.styles
        more: list[Part] = []
        if self.source.service:
            more.append((f" · {pen.clean(self.source.service, 60)}", styles.text))
        if self.paused:
            more.append((" · paused, p goes on", styles.starting))
        elif self.cursor is None:
            if self.source.state is not None:
                more.append((f" · {pen.clean(self.source.state, 120)}", styles.dim))
        else:
            new = self.new_lines()
            word = f" · held, {new} new line{'' if new == 1 else 's'} below, f follows" if new else " · held, f follows"
            more.append((word, styles.starting if new else styles.dim))
        if self.view.filter_text:
            more.append((f" · only {pen.clean(self.view.filter_text, 40)}", styles.accent))
        if self.search:
            more.append((f" · / {pen.clean(self.search, 40)}", styles.accent))
        return "Logs", more

    def right_parts(self) -> list[Part]:
        """How many lines fell out of the ring."""
        dropped = self.view.ring.first
        return [(f"{dropped} older dropped", self.pen.styles.dim)] if dropped else []

    def body(self, y: int, width: int) -> Strip:
        """Draw one row of the page."""
        if not self._rows:
            said = self._empty(width)
            return self.pen.strip([("   ", self.pen.styles.dim), *(said[y] if y < len(said) else ())], width)
        if y >= len(self._rows):
            return self.blank(width)
        line, text, first = self._rows[y]
        key = (line.number, y if self.wrap else -1)
        chosen = line.number == self.cursor
        if not chosen and not self.search and not self.wrap and (held := self._strips.get(key)):
            return held
        strip = self._draw(line, text, first, chosen, width)
        if not chosen and not self.search and not self.wrap:
            self._strips[key] = strip
        return strip

    def _empty(self, width: int) -> list[list[Part]]:
        """What stands where there is no line: why, and what the program does about it."""
        pen, styles = self.pen, self.pen.styles
        if self.engine_error:
            lines = pen.wrap(pen.clean(self.engine_error, 600), width - 6)
            return [*([(line, styles.text)] for line in lines), [("Trying again every few seconds.", styles.dim)]]
        if self.view.filter_text:
            text = f"no line holds {pen.clean(self.view.filter_text, 60)}; & with nothing shows all lines"
        else:
            text = self._why or "no lines yet"
        return [[(text, styles.dim)]]

    def _draw(self, line: LogText, text: str, first: bool, chosen: bool, width: int) -> Strip:
        if not self.wrap:
            text = text[self.shift :] if line.marker is None else text
        return draw_line(self.pen, line, text, width, chosen, stamp_of(line, first, self.timestamps), self.search)

    def scroll_side(self, step: int) -> None:
        """Move sideways over long lines."""
        self.shift = max(self.shift + step, 0)
        self._redraw()
