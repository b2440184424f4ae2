"""The screen: carries messages between the desk and the views, and leaves the terminal as it found it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from rich.color import ColorSystem
from textual import on
from textual._compositor import CompositorUpdate
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from moalog_tui.operations.operation import EventKind, OperationEvent
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.runbook.plan import Plan
from moalog_tui.ui.desk import Desk
from moalog_tui.ui.ink import Pen
from moalog_tui.ui.keys import APP_KEYS, KeyClash, bindings, key_table
from moalog_tui.ui.messages import (
    ActRequested,
    CopyRequested,
    FeedEnded,
    MouseToggled,
    OperationLost,
    OperationReported,
    PauseRequested,
    QuitRequested,
    RedrawRequested,
    Said,
    SnapshotArrived,
)
from moalog_tui.ui.screens.overview import Overview
from moalog_tui.ui.terminal import Frame, WireDriver
from moalog_tui.ui.widgets.footer import DOING, KEEP_VERDICT_S, SAY_S, Running, progress_sentence

FLUSH_S = 1.0
"""Data reaches the table at most this often."""
RATE_EVERY = 3
"""The link rate is drawn every so many ticks: a figure that flickers costs what it measures."""
SLOW_AFTER_S = 1.0
SLOW_SHOWN_S = 10.0
DRAIN_S = 0.05
LEAVE_WITHIN_S = 0.4
"""After this long the terminal is given back, whatever still hangs."""
INTERNAL = 70
COPY_LIMIT = 70_000
"""Characters; terminals refuse much longer OSC 52 sequences."""


class MoalogApp(App[int]):
    """One app, one desk."""

    CSS_PATH = "moalog.tcss"
    TITLE = "moalog"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP_KEYS, priority=True)]

    def __init__(self, desk: Desk) -> None:
        super().__init__(driver_class=WireDriver if sys.platform != "win32" else None)
        self.animation_level = "none"
        self.desk = desk
        self.keys = key_table(desk.keys)
        self.set_keymap({name: ",".join(keys) for name, keys in self.keys.items()})
        self.pen = Pen(desk.redactor, desk.ascii, self.no_color)
        self.overview = Overview(desk, self.pen)
        self.frame = Frame()
        self.frame.no_color = self.no_color
        self.monotonic: Callable[[], float] = time.monotonic
        self.running: dict[str, Running] = {}
        self.code = 0
        """The exit code: 0, or 128 and the signal's number."""
        self.failure: Exception | None = None
        self.gone = False
        """True once the terminal was given back."""
        self._newest: Snapshot | None = None
        self._shown_at = float("-inf")
        self._flush_due = False
        self._paused = False
        self._said: tuple[str, float] | None = None
        self._ticks = 0
        self._stuck_since: float | None = None
        self._slow_until = float("-inf")
        self._mouse = True
        self._feed_error = ""

    # Life ------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        """The overview is the root."""
        return self.overview

    def on_mount(self) -> None:
        """Start the feed and the clock."""
        self._on_signals()
        self.run_worker(self._watch(), group="monitor", name="monitor", exit_on_error=False)
        self.set_interval(1.0, self._tick)
        self.app_resume_signal.subscribe(self, lambda _: self._redraw())
        self.desk.watching(True)

    async def _watch(self) -> None:
        try:
            async for snapshot in self.desk.snapshots():
                self.post_message(SnapshotArrived(snapshot))
        except Exception as error:
            import logging

            logging.getLogger("moalog_tui.ui").error("the monitor ended", exc_info=error)
            self.post_message(FeedEnded(f"the monitor stopped ({type(error).__name__}); R starts it anew"))

    def _on_signals(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave, 128 + number)

    def _leave(self, code: int) -> None:
        self.code = code
        self.exit(code)

    def exit(self, *args: Any, **options: Any) -> None:
        """Leave; the terminal is given back in time even where something hangs."""
        if not self.is_headless:
            _watchdog(self)
        super().exit(*args, **options)

    def _handle_exception(self, error: Exception) -> None:
        # No traceback on the screen: the caller gets the error once the terminal is as it was.
        self.failure = self.failure or error
        if self.is_headless:
            super()._handle_exception(error)
            return
        self._return_code = INTERNAL
        self._close_messages_no_wait()

    # Drawing ---------------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        driver = self._driver
        if not isinstance(driver, WireDriver) or not isinstance(renderable, CompositorUpdate):
            super()._display(screen, renderable)
            return
        if not self._batch_count and self._running and not self._closed:
            self.frame.color_system = self.console._color_system or ColorSystem.TRUECOLOR
            self.frame.take(renderable, self.size)
            self._send(driver)
        self.post_display_hook()

    def _send(self, driver: WireDriver) -> None:
        if driver.backlog:
            # The terminal has not taken the last frame: this one waits, and is overtaken by newer ones.
            if self._stuck_since is None:
                self._stuck_since = self.monotonic()
                self.set_timer(DRAIN_S, self._drained)
            return
        if driver.fresh:
            driver.fresh = False
            self.frame.forget()
        text = self.frame.difference()
        if text:
            sync = self._sync_available and len(text) > 400
            driver.write(f"\x1b[?2026h{text}\x1b[?2026l" if sync else text)

    def _drained(self) -> None:
        driver = self._driver
        if not isinstance(driver, WireDriver) or self._stuck_since is None:
            return
        if driver.backlog:
            if self.monotonic() - self._stuck_since > SLOW_AFTER_S:
                self._slow_until = self.monotonic() + SLOW_SHOWN_S
            self.set_timer(DRAIN_S, self._drained)
            return
        self._stuck_since = None
        self._send(driver)

    def _redraw(self) -> None:
        self.frame.forget()
        self.screen.refresh(layout=True)

    # Pictures --------------------------------------------------------------------------------------------------

    @property
    def dialog_open(self) -> bool:
        """True while something stands over the overview."""
        return len(self.screen_stack) > 1

    @on(SnapshotArrived)
    def take_snapshot(self, message: SnapshotArrived) -> None:
        """Keep the newest picture; draw it at most once a second, the first one at once."""
        self._newest = message.snapshot
        if self._flush_due or self._paused:
            return
        wait = FLUSH_S - (self.monotonic() - self._shown_at)
        if wait <= 0:
            self._draw_newest()
        else:
            self._flush_due = True
            self.set_timer(wait, self._draw_newest)

    def _draw_newest(self) -> None:
        self._flush_due = False
        snapshot = self._newest
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
        self._show_ticker()

    def _tick(self) -> None:
        self._ticks += 1
        overview, driver = self.overview, self._driver
        chips = []
        if self._paused:
            chips.append("PAUSED")
        if self.monotonic() < self._slow_until:
            chips.append("SLOW LINK")
        overview.verdict.chips = tuple(chips)
        overview.verdict.refresh()
        if isinstance(driver, WireDriver) and self._ticks % RATE_EVERY == 0:
            overview.footer.show(rate=driver.rate())
        self._show_ticker()

    # Saying ----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell the operator something, for a few seconds, above the footer."""
        self._said = (text, self.monotonic())
        self._show_ticker()

    def _show_ticker(self) -> None:
        now = self.monotonic()
        for name in [n for n, run in self.running.items() if run.ended and now - run.ended > KEEP_VERDICT_S]:
            del self.running[name]
        lines: list[tuple[str, Any, bool]] = []
        if self._feed_error:
            lines.append((self._feed_error, None, False))
        for run in self.running.values():
            lines.append((progress_sentence(run, now, self.pen.glyphs.upto), run.event.verdict, True))
        if self._said is not None:
            if now - self._said[1] < SAY_S:
                lines.append((self._said[0], None, False))
            else:
                self._said = None
        before = self.overview.ticker.line_count
        self.overview.ticker.show(lines)
        if self.overview.ticker.line_count != before:
            self.overview.lay_out()

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
        self._redraw()

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

    # Operations ------------------------------------------------------------------------------------------------

    @on(ActRequested)
    def _on_act(self, message: ActRequested) -> None:
        from moalog_tui.ui.screens.preview import Preview

        service, snapshot = message.service, self._newest
        running = self.running.get(service)
        if running is not None and not running.over:
            self.say(f"{progress_sentence(running, self.monotonic(), self.pen.glyphs.upto)} · one at a time")
            return
        if snapshot is None:
            self.say("nothing is known of the containers yet")
            return
        plan = self.desk.plan(message.verb, service, snapshot)
        if isinstance(plan, str):
            self.say(plan)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.start(plan)

        self.push_screen(Preview(self.pen, plan), answered)

    def start(self, plan: Plan) -> None:
        """Run a plan in the background; a second one for the same service is told what runs."""
        name = plan.service.name
        running = self.running.get(name)
        if running is not None and not running.over:
            self.say(f"{progress_sentence(running, self.monotonic(), self.pen.glyphs.upto)} · one at a time")
            return
        first = OperationEvent(f"{plan.verb.value}-{name}", plan, EventKind.PREVIEW, self.desk.now())
        expected = next((step.expected_s for step in reversed(plan.steps) if step.expected_s), None)
        self.running[name] = Running(first, self.monotonic(), expected=expected)
        self.run_worker(self._operate(plan), group=f"operation-{name}", name=f"operation-{name}", exit_on_error=False)
        self._show_ticker()

    async def _operate(self, plan: Plan) -> None:
        name, told = plan.service.name, False
        try:
            async for event in self.desk.run(plan):
                told = told or event.kind is EventKind.VERDICT
                self.post_message(OperationReported(event))
        except Exception as error:
            import logging

            logging.getLogger("moalog_tui.ui").error("the operation failed", exc_info=error)
            self.post_message(OperationLost(name, f"failed ({type(error).__name__})"))
            return
        if not told:
            self.post_message(OperationLost(name, "ended without a verdict"))

    @on(OperationReported)
    def _on_report(self, message: OperationReported) -> None:
        event = message.event
        running = self.running.get(event.plan.service.name)
        if running is None:
            return
        running.event = event
        if event.expected_s is not None:
            running.expected = event.expected_s
        if event.text:
            running.note = event.text
        if event.kind is EventKind.VERDICT:
            running.ended = self.monotonic()
        self._show_ticker()

    @on(OperationLost)
    def _on_lost(self, message: OperationLost) -> None:
        if self.running.pop(message.service, None) is not None:
            self.say(f"the operation on {message.service} {message.sentence}; its outcome is unknown, check it")

    def operations_sentence(self) -> str:
        """What is under way, for whoever leaves; empty where nothing is."""
        going = [f"{run.event.plan.verb.value} of {name}" for name, run in self.running.items() if not run.over]
        if not going:
            return ""
        return f"Under way: {', '.join(going)}. The engine finishes what it was told, but nobody verifies it."


def _watchdog(app: MoalogApp) -> None:
    """Give the terminal back and end the process where leaving in good order takes too long."""
    import threading

    def leave() -> None:
        driver = app._driver
        if app.gone or not isinstance(driver, WireDriver):
            return
        driver.abandon()
        os._exit(app.code)

    timer = threading.Timer(LEAVE_WITHIN_S, leave)
    timer.daemon = True
    timer.start()


def run_screen(desk: Desk) -> int:
    """Run the screen until the operator leaves; return the exit code.

    0, 2 where the configured keys cannot be, 143 after SIGTERM, 129 after SIGHUP. An unhandled error is raised
    again once the terminal is as it was; the command line turns it into one sentence and exit 70.
    """
    try:
        app = MoalogApp(desk)
    except KeyClash as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        app.run()
    finally:
        app.gone = True
    if app.failure is not None:
        raise app.failure
    going = app.operations_sentence()
    if going:
        sys.stderr.write(desk.redactor.clean(going) + "\n")
    return app.code
