"""Operations as the screen runs them: a preview, a background worker for each service, one at a time."""

from __future__ import annotations

import logging

from textual import on

from moalog_tui.operations.operation import EventKind, OperationEvent
from moalog_tui.platform.snapshot import Snapshot
from moalog_tui.runbook.plan import Plan
from moalog_tui.ui.desk import Desk
from moalog_tui.ui.ink import Pen
from moalog_tui.ui.messages import ActRequested, OperationLost, OperationReported
from moalog_tui.ui.widgets.footer import KEEP_VERDICT_S, SAY_S, Running, TickerLine, progress_sentence
from moalog_tui.ui.wired import WiredApp


class Operating(WiredApp):
    """Runs plans, and tells of them above the footer."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.pen = Pen(desk.redactor, desk.ascii, self.no_color)
        self.running: dict[str, Running] = {}
        self.newest: Snapshot | None = None
        self._said: tuple[str, float] | None = None

    def show_lines(self, lines: list[TickerLine], said: str) -> None:
        """Draw the lines above the footer, and what was said; the app that has a footer does."""

    def last_words(self) -> str:
        """What is under way, for whoever leaves."""
        return self.desk.redactor.clean(self.operations_sentence())

    # Saying ----------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell the operator something, for a few seconds."""
        self._said = (text, self.monotonic())
        self.tell()

    def tell(self) -> None:
        """Draw what runs, what came of it, and what was said last."""
        now = self.monotonic()
        for name in [n for n, run in self.running.items() if run.ended and now - run.ended > KEEP_VERDICT_S]:
            del self.running[name]
        lines: list[TickerLine] = []
        for run in self.running.values():
            lines.append((progress_sentence(run, now, self.pen.glyphs.upto), run.event.verdict, True))
        if self._said is not None and now - self._said[1] >= SAY_S:
            self._said = None
        self.show_lines(lines, self._said[0] if self._said else "")

    # Operations ------------------------------------------------------------------------------------------------

    @on(ActRequested)
    def _on_act(self, message: ActRequested) -> None:
        from moalog_tui.ui.screens.preview import Preview

        if any(isinstance(open_one, Preview) for open_one in self.screen_stack):
            return  # two keys in one burst: the preview that they opened is answered first, and alone
        service, snapshot = message.service, self.newest
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
        self.tell()

    async def _operate(self, plan: Plan) -> None:
        name, told = plan.service.name, False
        try:
            async for event in self.desk.run(plan):
                told = told or event.kind is EventKind.VERDICT
                self.post_message(OperationReported(event))
        except Exception as error:
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
        self.tell()

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
