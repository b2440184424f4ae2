"""The screen: carries messages between the desk and the views, and leaves the terminal as it found it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.timer import Timer

from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.ui.desk import Desk
from moalog_tui.ui.keys import APP_KEYS, TYPING_KEYS, KeyClash, bindings, key_table
from moalog_tui.ui.messages import (
    CopyRequested,
    FeedEnded,
    MouseToggled,
    PauseRequested,
    QuitRequested,
    RedrawRequested,
    Said,
    SnapshotArrived,
)
from moalog_tui.ui.operating import Operating
from moalog_tui.ui.screens.overview import Overview
from moalog_tui.ui.terminal import WireDriver
from moalog_tui.ui.widgets.footer import DOING, TickerLine

if TYPE_CHECKING:
    from textual.command import Provider

FLUSH_S = 1.0
"""Data reaches the table at most this often."""
CALM_S = 2.5
"""Figures alone (latency, CPU, memory) reach it at most this often: drawing them is most of what the screen costs."""
RATE_EVERY = 3
"""The link rate is drawn every so many ticks: a figure that flickers costs what it measures."""
LOAD_AFTER_S = 2.0
COPY_LIMIT = 70_000
"""Characters; terminals refuse much longer OSC 52 sequences."""


def _load_dialogs() -> None:
    """Load what the first key would wait for; on a thread, so that no key waits for this either."""

    def load() -> None:
        for name in ("help", "preview", "details"):
            import_module(f"moalog_tui.ui.screens.{name}")

    threading.Thread(target=load, daemon=True, name="load-dialogs").start()


def _palette() -> type[Provider]:
    from moalog_tui.ui.palette import NamedCommands  # with Textual's own palette: loaded when it is opened

    return NamedCommands


class MoalogApp(Operating):
    """One app, one desk."""

    CSS_PATH = "moalog.tcss"
    TITLE = "moalog"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {_palette}
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*bindings((*APP_KEYS, *TYPING_KEYS), priority=True)]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.keys = key_table(desk.keys)
        self.set_keymap({name: ",".join(keys) for name, keys in self.keys.items()})
        self.overview = Overview(desk, self.pen)
        self._shown_at = float("-inf")
        self._draw_timer: Timer | None = None
        self._draw_at = 0.0
        self._paused = False
        self._ticks = 0
        self._mouse = True
        self._feed_error = ""

    # Life ------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        """The overview is the root."""
        return self.overview

    def on_mount(self) -> None:
        """Start the feed and the clock."""
        self.leave_on_signals()
        self.run_worker(self._watch(), group="monitor", name="monitor", exit_on_error=False)
        self.set_interval(1.0, self._tick)
        self.app_resume_signal.subscribe(self, lambda _: self.redraw())
        self.set_timer(LOAD_AFTER_S, _load_dialogs)

    async def _watch(self) -> None:
        try:
            async for snapshot in self.desk.snapshots():
                self.post_message(SnapshotArrived(snapshot))
        except Exception as error:
            import logging

            logging.getLogger("moalog_tui.ui").error("the monitor ended", exc_info=error)
            self.post_message(FeedEnded(f"the monitor stopped ({type(error).__name__}); R starts it anew"))

    # Pictures --------------------------------------------------------------------------------------------------

    @property
    def dialog_open(self) -> bool:
        """True while something stands over the overview."""
        return len(self.screen_stack) > 1

    @on(SnapshotArrived)
    def take_snapshot(self, message: SnapshotArrived) -> None:
        """Keep the newest picture; draw it at most once a second, the first one at once, mere figures later."""
        self.newest = message.snapshot
        if self._paused:
            return
        at = self._shown_at + (FLUSH_S if tells_more(self.overview.snapshot, message.snapshot) else CALM_S)
        if self._draw_timer is not None:
            if at >= self._draw_at:
                return
            self._draw_timer.stop()
            self._draw_timer = None
        wait = at - self.monotonic()
        if wait <= 0:
            self._draw_newest()
        else:
            self._draw_at = at
            self._draw_timer = self.set_timer(wait, self._draw_newest)

    def _draw_newest(self) -> None:
        if self._draw_timer is not None:
            self._draw_timer.stop()
            self._draw_timer = None
        snapshot = self.newest
        if snapshot is None or self._paused or snapshot is self.overview.snapshot:
            return
        self._shown_at = self.monotonic()
        self.overview.services.acting = {
            name: DOING.get(run.event.plan.verb, "acting") for name, run in self.running.items() if not run.over
        }
        self.overview.show(snapshot, self.dialog_open)
        if not snapshot.engine.connected and snapshot.complete:
            self.overview.footer.show(engine=f"{self.desk.engine_label} away, trying again")
        else:
            self.overview.footer.show(engine=self.desk.engine_label)
        from moalog_tui.ui.screens.details import Details

        if isinstance(self.screen, Details):
            self.screen.show(snapshot)

    @on(FeedEnded)
    def feed_ended(self, message: FeedEnded) -> None:
        """Say that the pictures end here."""
        self._feed_error = message.sentence
        self.tell()

    def _tick(self) -> None:
        self._ticks += 1
        overview, driver = self.overview, self._driver
        chips = []
        if self._paused:
            chips.append("PAUSED")
        if self.slow_link:
            chips.append("SLOW LINK")
        overview.verdict.chips = tuple(chips)
        overview.verdict.refresh()
        if isinstance(driver, WireDriver) and self._ticks % RATE_EVERY == 0:
            overview.footer.show(rate=driver.rate())
        self.tell()

    def show_lines(self, lines: list[TickerLine], said: str) -> None:
        """Draw what runs above the footer, and what was said in it, where it fits there."""
        overview = self.overview
        if self._feed_error:
            lines.insert(0, (self._feed_error, None, False))
        said = self.pen.clean(said, 400)
        if cell_len(said) > self.size.width - 4:
            lines.append((said, None, False))
            said = ""
        overview.footer.show(said=said)
        before = overview.ticker.line_count
        overview.ticker.show(lines)
        if overview.ticker.line_count != before:
            overview.lay_out()

    # Intents ---------------------------------------------------------------------------------------------------

    @on(Said)
    def _on_said(self, message: Said) -> None:
        self.say(message.text)

    @on(CopyRequested)
    def _on_copy(self, message: CopyRequested) -> None:
        self.copy_to_clipboard(message.text[:COPY_LIMIT])
        self.say(f"{message.what} is copied, where the terminal allows it (OSC 52)")

    @on(PauseRequested)
    def _on_pause(self) -> None:
        self._paused = not self._paused
        self.overview.logs.toggle("paused")
        self.say("the screen holds still; p goes on" if self._paused else "the screen goes on")
        if not self._paused:
            self._draw_newest()

    @on(RedrawRequested)
    def _on_redraw(self) -> None:
        if self._feed_error:
            self._feed_error = ""
            self.run_worker(self._watch(), group="monitor", name="monitor", exit_on_error=False, exclusive=True)
        self.redraw()

    @on(MouseToggled)
    def _on_mouse(self) -> None:
        driver = self._driver
        if isinstance(driver, WireDriver):
            self._mouse = not self._mouse
            driver.use_mouse(self._mouse)
            self.say("the mouse is ours" if self._mouse else "the mouse is the terminal's: it selects text")

    @on(QuitRequested)
    def _on_quit(self, message: QuitRequested) -> None:
        from moalog_tui.ui.screens.preview import Ask

        if not message.ask:
            self.exit(0)
            return
        going = self.operations_sentence()
        text = f"Leave moalog-tui?{' ' + going if going else ''}"
        self.push_screen(Ask(self.pen, "quit", text), lambda yes: self.exit(0) if yes else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys that open a line are letters of it once it is open, and nothing in a dialog; so is the palette's."""
        if action == "open_line":
            return not self.dialog_open and not self.overview.command.asking
        if action == "command_palette":
            return not self.dialog_open
        return super().check_action(action, parameters)

    def action_command_palette(self) -> None:
        """Open the palette."""
        from moalog_tui.ui.palette import Palette

        self.push_screen(Palette(id="--command-palette"))

    def action_open_line(self, prefix: str) -> None:
        """Open the line to type on: a command, a search or a filter."""
        self.overview.open_command(prefix, self.overview.logs.view.filter_text if prefix == "&" else "")

    def action_copy_or_hint(self) -> None:
        """Copy the selection; ctrl+c never ends anything."""
        text = self.screen.get_selected_text()
        if text:
            self.copy_to_clipboard(text[:COPY_LIMIT])
            self.say("the selection is copied")
        else:
            self.say("ctrl+c copies a selection and ends nothing; ctrl+q quits")

    async def action_quit(self) -> None:
        """Leave at once."""
        self.exit(0)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette offers what the command line does."""
        from moalog_tui.ui.commands import SPECS, Command

        names = [name for name, _ in self.overview.services.order.rows]
        for spec in SPECS:
            if spec.takes.startswith("service"):
                for name in map(self.pen.clean, names):
                    command = Command(spec.name, name)
                    yield SystemCommand(f"{spec.name} {name}", spec.says, partial(self.overview.carry_out, command))
            elif not spec.takes:
                yield SystemCommand(spec.name, spec.says, partial(self.overview.carry_out, Command(spec.name, "")))


def tells_more(shown: Snapshot | None, new: Snapshot) -> bool:
    """Return whether a picture tells more than other figures: a state, a reason, a container, the engine."""
    if shown is None or shown.complete != new.complete or shown.engine.connected != new.engine.connected:
        return True
    return _said(shown) != _said(new)


def _said(snapshot: Snapshot) -> list[object]:
    return [
        (
            status.state,
            status.reason,
            status.detail,
            status.root_causes,
            status.mute,
            status.stale_s is None,
            status.probe,
            status.container and (status.container.id, status.container.state, status.container.restart_count),
        )
        for status in snapshot.services
    ]


def run_screen(desk: Desk, give_back: Callable[[], None] = lambda: None) -> int:
    """Run the screen until the operator leaves; return the exit code.

    `give_back` is called where the screen cannot be made: whoever drew on the terminal before undoes it there.

    0, 2 where the configured keys cannot be, 143 after SIGTERM, 129 after SIGHUP. An unhandled error is raised
    again once the terminal is as it was; the command line turns it into one sentence and exit 70.
    """
    try:
        app = MoalogApp(desk)
    except KeyClash as error:
        give_back()
        sys.stderr.write(f"{error}\n")
        return 2
    except BaseException:
        give_back()
        raise
    # What was loaded so far stays for good: the collector need not look at it again and again, for 20 ms a time.
    gc.freeze()
    try:
        app.run()
    finally:
        app.gone = True
    if app.failure is not None:
        raise app.failure
    words = app.last_words()
    if words:
        sys.stderr.write(words + "\n")
    return app.code
