"""Before anything changes: what will be done, to what exactly, who feels it, and a deliberate yes."""

from __future__ import annotations

import shlex
import time
from typing import Final

from textual import events

from moalog_tui.runbook.plan import Plan, Tier, Verb
from moalog_tui.ui.ink import Pen
from moalog_tui.ui.screens.dialog import Dialog, Line, paragraph
from moalog_tui.ui.terminal import WireDriver

LEAST_SIZE: Final = (50, 12)
"""Columns and rows below which target, consequences and buttons are not to be read: nothing is decided there."""
ARM_AFTER_S: Final = 0.3
QUIET_S: Final = 0.3
"""A yes counts only after this much silence: a key that repeats itself is no decision."""
SETTLE_S: Final = 0.1
"""A yes waits this long for more keys: a pasted text is no decision either."""


class Preview(Dialog[bool]):
    """Shows a plan; its result is True where the operator said yes."""

    WIDTH = 78

    def __init__(self, pen: Pen, plan: Plan) -> None:
        super().__init__(pen)
        self.plan = plan
        self.ready_at: float | None = None
        """Monotonic seconds from which keys count; None until the first frame was written."""
        self._yes = plan.tier is Tier.SAFE
        self._last_key = time.monotonic()
        self._pending: bool | None = None
        self._ignored = 0
        self.said = ""

    @property
    def ready(self) -> bool:
        """True where keys count."""
        return self.ready_at is not None and time.monotonic() >= self.ready_at

    @property
    def legible(self) -> bool:
        """True where the terminal has room for what is decided."""
        size = self.app.size
        return size.width >= LEAST_SIZE[0] and size.height >= LEAST_SIZE[1]

    def on_mount(self) -> None:
        """Draw, and arm once the terminal has shown it."""
        super().on_mount()
        self.call_after_refresh(self._frame_made)

        self.app.app_resume_signal.subscribe(self, lambda _: self._disarm())

    def on_screen_resume(self) -> None:
        """What was typed while something else had the screen is no answer."""
        self._disarm()

    def _disarm(self) -> None:
        self.ready_at, self._pending = None, None
        self._last_key = time.monotonic()
        self.draw()
        self.call_after_refresh(self._frame_made)

    def _frame_made(self) -> None:
        driver = self.app._driver
        if isinstance(driver, WireDriver) and driver.backlog:
            self.set_timer(0.02, self._frame_made)
            return
        self.ready_at = time.monotonic() + ARM_AFTER_S
        self.set_timer(ARM_AFTER_S + 0.01, self.draw)

    # Drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Fill the box."""
        pen, styles, plan, inner = self.pen, self.pen.styles, self.plan, self.inner
        lines: list[Line] = paragraph(pen, pen.clean(plan.will), inner, styles.strong)
        typed = shlex.join(plan.as_typed)
        lines += paragraph(pen, f"as you would type it: {pen.clean(typed)}", inner, styles.dim)
        lines.append(())
        for fact in plan.facts:
            lines += paragraph(pen, pen.clean(fact), inner, styles.text)
        if plan.consequences:
            lines.append(())
        for one in plan.consequences:
            for index, line in enumerate(paragraph(pen, pen.clean(one), inner - 2)):
                head = (f"{pen.glyphs.up} " if index == 0 else "  ", styles.degraded)
                lines.append((head, *line))
        for step in plan.steps:
            if step.expected_s is not None:
                window = f"expected {pen.glyphs.upto} {step.expected_s[1]:.0f} s"
                lines += paragraph(pen, f"then: {pen.clean(step.title)}, {window}", inner, styles.dim)
        name = pen.clean(plan.service.name, 40)
        target = f"{plan.verb.value} {name}, container {pen.clean(plan.container_id[:12] or 'to be made', 20)}"
        self.box.put(f"{plan.verb.value} {name} · {plan.tier.value}", lines, self._foot(target))

    def _foot(self, target: str) -> list[Line]:
        styles, verb = self.pen.styles, self.plan.verb.value
        if not self.legible:
            return [(("too small to decide: enlarge it, or n", styles.degraded),)]
        yes = styles.button_focused if self._yes else styles.button
        no = styles.button if self._yes else styles.button_focused
        if self.said:
            state = (self.said, styles.degraded)
        elif self.ready:
            state = ("ready", styles.healthy)
        else:
            state = ("not ready yet: keys do not count", styles.dim)
        left, right = ("[", "]") if self._yes else (" ", " ")
        nleft, nright = (" ", " ") if self._yes else ("[", "]")
        return [
            (),
            ((target, styles.strong),),
            ((f"{left} y  yes, {verb} {right}", yes), ("  ", styles.text), (f"{nleft} n  cancel {nright}", no),
             ("   ", styles.text), state),
            (("enter takes the marked · tab moves · c copies the command · esc cancels", styles.dim),),
        ]  # fmt: skip

    # Keys ------------------------------------------------------------------------------------------------------

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text decides nothing."""
        event.stop()
        self._drop("pasted text decides nothing")

    def on_key(self, event: events.Key) -> None:
        """Decide, once armed; keys read before that are dropped."""
        event.stop()
        event.prevent_default()
        quiet = event.time - self._last_key
        self._last_key = event.time
        key = event.key
        if self.ready_at is None or event.time < self.ready_at:
            self._ignored += 1
            return
        if self._pending is not None:
            self._drop("keys came in a burst: none of them counts")
            return
        if key in ("n", "escape", "q"):
            self.dismiss(False)
        elif key in ("tab", "shift+tab", "left", "right"):
            self._yes = not self._yes
            self.said = ""
            self.draw()
        elif key == "c":
            self.app.copy_to_clipboard(self.pen.clean(shlex.join(self.plan.as_typed)))
            self.said = "the command is copied"
            self.draw()
        elif key == "y" or (key == "enter" and self._yes):
            if not self.legible:
                return
            if quiet < QUIET_S:
                self._drop("a key that repeats itself decides nothing")
                return
            self._pending = True
            self.set_timer(SETTLE_S, self._decide)
        elif key == "enter":
            self.dismiss(False)
        else:
            self.scrolled(key)

    def _drop(self, why: str) -> None:
        self._pending = None
        self.said = why
        self.draw()

    def _decide(self) -> None:
        if self._pending:
            self.dismiss(True)


class ActMenu(Dialog[Verb | None]):
    """`x`: letters pick, arrows move, enter takes; a preview follows."""

    WIDTH = 50
    CHOICES: Final = (
        ("s", Verb.START, "start it"),
        ("t", Verb.STOP, "stop it"),
        ("r", Verb.RESTART, "restart it"),
        ("u", None, "bring it up with compose (a later version)"),
    )

    def __init__(self, pen: Pen, service: str) -> None:
        super().__init__(pen)
        self._service = service
        self._at = 2

    def draw(self) -> None:
        """Fill the box."""
        pen, styles = self.pen, self.pen.styles
        lines: list[Line] = []
        for index, (letter, verb, says) in enumerate(self.CHOICES):
            chosen = index == self._at
            mark = pen.glyphs.cursor if chosen else " "
            text = styles.strong if chosen else styles.text if verb else styles.dim
            lines.append(((mark, styles.accent), (f" {letter}  ", styles.accent), (says, text)))
        foot: list[Line] = [(), (("enter shows the preview · esc cancels", styles.dim),)]
        self.box.put(f"act on {pen.clean(self._service, 34)}", lines, foot)

    def on_key(self, event: events.Key) -> None:
        """Pick."""
        event.stop()
        event.prevent_default()
        key = event.key
        for letter, verb, _ in self.CHOICES:
            if key == letter and verb is not None:
                self.dismiss(verb)
                return
        if key in ("up", "k", "down", "j"):
            self._at = (self._at + (1 if key in ("down", "j") else -1)) % len(self.CHOICES)
            self.draw()
        elif key == "enter" and self.CHOICES[self._at][1] is not None:
            self.dismiss(self.CHOICES[self._at][1])
        elif key in ("escape", "q", "n", "x"):
            self.dismiss(None)


class Ask(Dialog[bool]):
    """A question about the program itself: `y` or `enter` says yes."""

    WIDTH = 60

    def __init__(self, pen: Pen, caption: str, text: str) -> None:
        super().__init__(pen)
        self._caption, self._text = caption, text

    def draw(self) -> None:
        """Fill the box."""
        styles = self.pen.styles
        lines = paragraph(self.pen, self.pen.clean(self._text), self.inner)
        foot: list[Line] = [
            (),
            (("y", styles.accent), (" yes   ", styles.dim), ("n", styles.accent), (" no", styles.dim)),
        ]
        self.box.put(self._caption, lines, foot)

    def on_key(self, event: events.Key) -> None:
        """Answer."""
        event.stop()
        event.prevent_default()
        if event.key in ("y", "enter"):
            self.dismiss(True)
        elif event.key in ("n", "escape"):
            self.dismiss(False)
