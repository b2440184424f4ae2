"""The overview's panels: verdict, services, metrics, the log of the selected service, the runbook beside them."""

from __future__ import annotations

from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.ui.commands import complete
from moalog_tui.ui.desk import Desk
from moalog_tui.ui.ink import Pen
from moalog_tui.ui.layout import WIDE, Wish, places, table_room
from moalog_tui.ui.log_source import LogSource
from moalog_tui.ui.messages import CommandLeft, SelectionMoved
from moalog_tui.ui.widgets.command_line import CommandLine
from moalog_tui.ui.widgets.footer import Footer, Ticker
from moalog_tui.ui.widgets.log_panel import LogPanel
from moalog_tui.ui.widgets.metrics_strip import MetricsStrip
from moalog_tui.ui.widgets.panel import Panel
from moalog_tui.ui.widgets.runbook_panel import RunbookPanel
from moalog_tui.ui.widgets.services import Services
from moalog_tui.ui.widgets.verdict import Verdict

HINTS: dict[str, tuple[tuple[str, str], ...]] = {
    "services": (("r", "restart"), ("x", "act"), ("c", "check"), ("d", "details"), ("l", "logs"), ("b", "runbook"),
                 (":", "command"), ("?", "keys")),
    "logs": (("f", "follow"), ("/", "search"), ("&", "filter"), ("e", "next error"), ("w", "wrap"), ("y", "copy"),
             ("tab", "next panel"), ("?", "keys")),
    "runbook": (("j k", "scroll"), ("b", "close"), ("tab", "next panel"), ("?", "keys")),
}  # fmt: skip


class Panels(Screen[None]):
    """Lays the panels out for the terminal's size, and hands each what is its own."""

    AUTO_FOCUS = "#services"

    def __init__(self, desk: Desk, pen: Pen) -> None:
        super().__init__()
        self.desk = desk
        self.pen = pen
        self.verdict = Verdict(pen, desk.title, desk.engine_label, desk.read_only, desk.now)
        self.services = Services(pen, desk.service_names, desk.now)
        self.metrics = MetricsStrip(pen)
        self.logs = LogPanel(pen, desk.redactor, LogSource(desk.follow, desk.now))
        self.runbook = RunbookPanel(pen)
        self.ticker = Ticker(pen)
        self.command = CommandLine(pen)
        self.footer = Footer(pen, desk.engine_label, desk.read_only)
        self.snapshot: Snapshot | None = None
        self.runbook_open: bool | None = None
        """None: as the width has it."""
        self.zoomed: str | None = None
        self._watched = False

    def compose(self) -> ComposeResult:
        """The panels, from the top down."""
        yield from (self.verdict, self.services, self.metrics, self.logs, self.runbook)
        yield from (self.ticker, self.command, self.footer)

    def on_mount(self) -> None:
        """Draw what is known before the first picture."""
        self.lay_out()
        self.footer.show(keys=HINTS["services"])

    def on_resize(self, event: events.Resize) -> None:
        """Lay out anew."""
        self.lay_out()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Show the keys of the panel that has the focus."""
        widget = event.widget
        self.footer.show(keys=HINTS.get(widget.id or "", self.footer_keys))
        if isinstance(widget, Panel):
            widget.refresh()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Draw the title of the panel that lost the focus anew."""
        event.widget.refresh()

    footer_keys: tuple[tuple[str, str], ...] = (("enter", "go"), ("tab", "complete"), ("esc", "leave"))

    # What it is given ------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot, busy: bool) -> None:
        """Hand a new picture to every panel; `busy` while a dialog is open."""
        self.snapshot = snapshot
        self.verdict.show(snapshot)
        self.services.show(snapshot, busy)
        self.metrics.show(snapshot.metrics)
        self.logs.show(snapshot)
        self._pick()
        self.lay_out()

    def on_selection_moved(self, message: SelectionMoved) -> None:
        """Another service: its log and its scenario."""
        message.stop()
        self._pick()

    def _pick(self) -> None:
        name = self.services.selected
        status = self.snapshot.status(name) if self.snapshot and name else None
        self.logs.select(status, name)
        self.runbook.show(self.desk.runbook(), self.snapshot, name)

    # Layout ----------------------------------------------------------------------------------------------------

    @property
    def runbook_shown(self) -> bool:
        """True where the runbook is on the screen."""
        return self.app.size.width >= WIDE if self.runbook_open is None else self.runbook_open

    def lay_out(self) -> None:
        """Give each panel its place for the size, the zoom and what is open."""
        width, height = self.app.size
        if not width or not height:
            return
        ticker = self.ticker.line_count
        self.services.fit_to(table_room(width, height, ticker) if self.zoomed is None else height - 2 - ticker)
        wish = Wish(
            table_lines=self.services.lines_needed(),
            folded_lines=self.services.lines_folded(),
            ticker_lines=ticker,
            runbook=self.runbook_shown,
            zoom=self.zoomed,
            command=self.command.asking,
        )
        found = places(width, height, wish)
        self.runbook.bar = "logs" in found and "runbook" in found
        if ("services" in found) != self._watched:
            self._watched = "services" in found
            self.desk.watching(self._watched)
        for widget in self.children:
            place = found.get(widget.id or "")
            widget.display = place is not None
            if place is not None:
                styles = widget.styles
                styles.offset = (place.x, place.y)
                styles.width, styles.height = place.width, place.height

    def toggle_runbook(self) -> None:
        """Open or close the runbook."""
        self.runbook_open = not self.runbook_shown
        self.lay_out()
        if self.runbook_open:
            self.runbook.focus()
        elif self.focused is self.runbook:
            self.services.focus()

    def toggle_zoom(self) -> None:
        """Give the whole screen to the focused panel, or back."""
        name = self.focused.id if self.focused is not None else None
        self.zoomed = None if self.zoomed else (name if name in HINTS else "services")
        self.lay_out()

    def panels(self) -> list[Panel]:
        """The panels that can be gone to."""
        return [panel for panel in (self.services, self.logs, self.runbook) if panel.display]

    # The command line ------------------------------------------------------------------------------------------

    def open_command(self, prefix: str, text: str = "") -> None:
        """Show the command line in the footer's place."""
        self._came_from = self.focused
        names = [name for name, _ in self.services.order.rows]
        self.command.ask(prefix, partial(complete, services=names) if prefix == ":" else None, text)
        self.lay_out()
        # At once, not by Widget.focus, which waits its turn: the next key may be read already.
        self.set_focus(self.command)

    _came_from: Widget | None = None

    def close_command(self) -> None:
        """Bring the footer back, and the focus to where it was."""
        self.lay_out()
        back = self._came_from
        if back is not None and back.display:
            back.focus()

    def on_command_left(self, message: CommandLeft) -> None:
        """The command line was left."""
        message.stop()
        self.close_command()
