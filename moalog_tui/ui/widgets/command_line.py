"""A line to type on: commands with completion, searches, filters. No cursor blinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.messages import CommandEntered, CommandLeft

Complete = Callable[[str], Sequence[str]]
HISTORY = 50
LIMIT = 300


class CommandLine(Widget, can_focus=True):
    """Shown while it is typed on. `tab` completes, `enter` enters, `esc` leaves."""

    DEFAULT_CSS = "CommandLine { height: 1; width: 1fr; }"

    def __init__(self, pen: Pen) -> None:
        super().__init__(id="command")
        self.pen = pen
        self.prefix = ":"
        self.text = ""
        self.asking = False
        """True while it is typed on."""
        self._at = 0
        self._complete: Complete = lambda text: ()
        self._offers: Sequence[str] = ()
        self._offer = -1
        self._history: dict[str, list[str]] = {}
        self._back = 0

    def ask(self, prefix: str, complete: Complete | None = None, text: str = "") -> None:
        """Show the line, and take the keys."""
        self.prefix, self.text, self._at, self._back = prefix, text, len(text), 0
        self._complete = complete or (lambda typed: ())
        self._suggest()
        self.asking = True
        self.refresh()

    def on_blur(self) -> None:
        """Leave when something else takes the keys."""
        if self.asking:
            self.asking = False
            self.post_message(CommandLeft())

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text is typed, its first line only; nothing is entered by it."""
        event.stop()
        lines = event.text.splitlines()
        if lines:
            self._insert("".join(c for c in lines[0] if c.isprintable()))

    def on_key(self, event: events.Key) -> None:
        """Edit the line."""
        event.stop()
        event.prevent_default()
        key = event.key
        if key == "enter":
            self._enter()
        elif key in ("escape", "ctrl+c") or (key == "backspace" and not self.text):
            self.asking = False
            self.post_message(CommandLeft())
        elif key in ("tab", "shift+tab"):
            self._next_offer(1 if key == "tab" else -1)
        elif key in ("up", "down"):
            self._recall(1 if key == "up" else -1)
        elif not self._edit(key) and event.character and event.is_printable:
            self._insert(event.character)
        self.refresh()

    def _edit(self, key: str) -> bool:
        text, at = self.text, self._at
        if key == "backspace":
            self.text, self._at = text[: max(at - 1, 0)] + text[at:], max(at - 1, 0)
        elif key == "delete":
            self.text = text[:at] + text[at + 1 :]
        elif key == "ctrl+u":
            self.text, self._at = text[at:], 0
        elif key == "ctrl+w":
            head = text[:at].rstrip().rpartition(" ")
            kept = head[0] + head[1]
            self.text, self._at = kept + text[at:], len(kept)
        elif key in ("left", "right"):
            self._at = max(0, min(at + (1 if key == "right" else -1), len(text)))
            return True
        elif key in ("home", "end"):
            self._at = 0 if key == "home" else len(text)
            return True
        else:
            return False
        self._suggest()
        return True

    def _insert(self, typed: str) -> None:
        self.text = (self.text[: self._at] + typed + self.text[self._at :])[:LIMIT]
        self._at = min(self._at + len(typed), len(self.text))
        self._suggest()
        self.refresh()

    def _enter(self) -> None:
        text = self.text
        if text.strip():
            history = self._history.setdefault(self.prefix, [])
            history[:] = [*(one for one in history if one != text), text][-HISTORY:]
        self.asking = False
        self.post_message(CommandEntered(self.prefix, text))

    def _recall(self, step: int) -> None:
        history = self._history.get(self.prefix, [])
        self._back = max(0, min(self._back + step, len(history)))
        self.text = history[-self._back] if self._back else ""
        self._at = len(self.text)
        self._suggest()

    def _suggest(self) -> None:
        self._offers, self._offer = tuple(self._complete(self.text)), -1

    def _next_offer(self, step: int) -> None:
        if not self._offers:
            return
        self._offer = (self._offer + step) % len(self._offers) if self._offer >= 0 else (0 if step > 0 else -1)
        self.text = self._offers[self._offer]
        self._at = len(self.text)
        if len(self._offers) == 1:
            self._suggest()

    def render_line(self, y: int) -> Strip:
        """Draw the line with its cursor, and what could be meant."""
        pen, styles = self.pen, self.pen.styles
        under = self.text[self._at : self._at + 1] or " "
        from rich.style import Style

        parts: list[Part] = [
            (self.prefix, styles.title_focused),
            (self.text[: self._at], styles.strong),
            (under, Style(reverse=True)),
            (self.text[self._at + 1 :], styles.strong),
        ]
        offers = [offer for offer in self._offers if offer != self.text][:8]
        if offers:
            parts.append(("   " + "  ".join(offers), styles.dim))
        return pen.strip(parts, self.size.width)
