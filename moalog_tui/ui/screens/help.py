"""The keys, as they are in force."""

from __future__ import annotations

from collections.abc import Mapping

from textual import events

from moalog_tui.ui.ink import Pen
from moalog_tui.ui.keys import ACT, APP, APP_KEYS, KEYS, LOG, LOOK, TYPING_KEYS, Key, shown
from moalog_tui.ui.screens.dialog import Dialog, Line


class Help(Dialog[None]):
    """Every key by what it is for."""

    WIDTH = 78

    def __init__(self, pen: Pen, table: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(pen)
        self._table = table

    def draw(self) -> None:
        """Fill the box."""
        pen, styles = self.pen, self.pen.styles
        lines: list[Line] = [
            (("Plain keys look, or open a preview; nothing changes before your yes.", styles.text),),
            (),
            (("Moving", styles.title_focused),),
            (("  j k arrows  ", styles.accent), ("move      ", styles.text), ("g G home end  ", styles.accent),
             ("first, last    ", styles.text), ("pgup pgdn  ", styles.accent),
             ("pages", styles.text)),
        ]  # fmt: skip
        for group in (LOOK, LOG, ACT, APP):
            lines += [(), ((group, styles.title_focused),)]
            for key in (*KEYS, *TYPING_KEYS, *APP_KEYS):
                if key.group == group:
                    lines.append(self._line(key))
        lines += [(), (("Marks", styles.title_focused),)]
        for word, says in (
            ("healthy", "passes, and its container is as expected"),
            ("degraded", "answers, but impaired"),
            ("starting", "within its start-up window"),
            ("down", "does not run, or failed twice"),
            ("unknown", "we cannot tell"),
        ):
            glyph, style = getattr(pen.glyphs, word), getattr(styles, word)
            lines.append(((f"  {glyph} ", style), (f"{word:<10}", styles.text), (says, styles.dim)))
        self.box.put("Keys", lines, [(), (("esc closes", styles.dim),)])

    def _line(self, key: Key) -> Line:
        pen, styles = self.pen, self.pen.styles
        names = " ".join(shown(one) for one in self._table[key.id])
        return ((f"  {pen.fit(names, 12)}", styles.accent), (pen.fit(key.says, self.inner - 16), styles.text))

    def on_key(self, event: events.Key) -> None:
        """Scroll, or close."""
        event.stop()
        event.prevent_default()
        if not self.scrolled(event.key) and event.key in ("escape", "q", "question_mark", "f1", "enter"):
            self.dismiss(None)
