"""The runbook's scenario for the selected service, read-only: what it means, what to look at, what to do."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events

from moalog_tui.platform.snapshot import ServiceStatus, Snapshot, Suggestion
from moalog_tui.runbook.scenarios import Runbook, Scenario, Section
from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.widgets.sheet import Line, Sheet, wrapped

SECTIONS = ("impact", "diagnose", "recover", "verify")
WORDS = {"impact": "Impact", "diagnose": "Diagnose", "recover": "Recover", "verify": "Verify"}


@dataclass(frozen=True)
class Choice:
    """The scenario that applies, and the suggestion that says so, where there is one."""

    scenario: Scenario | None
    suggestion: Suggestion | None
    others: tuple[Suggestion, ...] = ()


def choose(runbook: Runbook, snapshot: Snapshot | None, name: str | None) -> Choice:
    """Choose the scenario for a service: a suggestion for it or its root cause first, then its own, then any other."""
    status = snapshot.status(name) if snapshot and name else None
    suggestions = snapshot.suggestions if snapshot else ()
    own = _own_scenario(runbook, snapshot, status)
    ids = {suggestion.scenario: suggestion for suggestion in suggestions}
    if own is not None:
        suggestion = ids.get(own.id) or ids.get(own.slug)
        others = tuple(one for one in suggestions if one is not suggestion)
        return Choice(own, suggestion, others)
    if status is not None and status.failing and suggestions:
        return Choice(runbook.scenario(suggestions[0].scenario), suggestions[0], suggestions[1:])
    return Choice(None, None, suggestions)


def _own_scenario(runbook: Runbook, snapshot: Snapshot | None, status: ServiceStatus | None) -> Scenario | None:
    if status is None:
        return None
    if status.root_cause and status.root_cause != status.name and snapshot:
        cause = snapshot.status(status.root_cause)
        if cause is not None and cause.service.scenario:
            found = runbook.scenario(cause.service.scenario)
            if found is not None:
                return found
    return runbook.scenario(status.service.scenario) if status.service.scenario else None


class RunbookPanel(Sheet):
    """The column at the right of a wide screen, or over the log of a narrow one."""

    DEFAULT_CSS = "RunbookPanel { width: 1fr; }"

    def __init__(self, pen: Pen) -> None:
        super().__init__(pen, id="runbook")
        self.bar = True
        self._choice = Choice(None, None)
        self._source = ""
        self._service: str | None = None

    def show(self, runbook: Runbook, snapshot: Snapshot | None, name: str | None) -> None:
        """Draw the scenario for a service."""
        choice = choose(runbook, snapshot, name)
        if (choice, name) == (self._choice, self._service) and self.lines:
            return
        keep = choice.scenario == self._choice.scenario
        self._choice, self._service, self._source = choice, name, runbook.source
        self.put(self._lines(), keep=keep)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap anew."""
        self.put(self._lines())

    def title_parts(self) -> tuple[str, list[Part]]:
        """`Runbook · 2. Redis Down`."""
        scenario = self._choice.scenario
        if scenario is None:
            return "Runbook", []
        room = max(self.size.width - 18, 8)
        return "Runbook", [(self.pen.fit(f" · {scenario.id}. {self.pen.clean(scenario.title, 80)}", room).rstrip(),
                            self.pen.styles.text)]  # fmt: skip

    def _lines(self) -> list[Line]:
        pen, styles, width = self.pen, self.pen.styles, self.size.width - 3
        if width <= 8:
            return []
        choice = self._choice
        lines: list[Line] = []
        if choice.suggestion is not None:
            evidence = ", ".join(pen.clean(one, 200) for one in choice.suggestion.evidence)
            for index, piece in enumerate(pen.wrap(f"Suggested: {evidence}" if evidence else "Suggested", width)):
                lines.append(((piece, styles.accent if index == 0 else styles.text),))
            lines.append(())
        if choice.scenario is None:
            lines += self._without()
        else:
            for kind in SECTIONS:
                section = choice.scenario.section(kind)
                if section is not None:
                    lines += self._section(kind, section, width)
        for other in choice.others:
            lines += wrapped(pen, f"{other.scenario}. {pen.clean(other.title, 80)}", width, ("Also: ", styles.dim))
        return lines

    def _without(self) -> list[Line]:
        pen, styles = self.pen, self.pen.styles
        who = pen.clean(self._service or "this service", 40)
        return [((piece, styles.dim),) for piece in pen.wrap(f"The runbook has no scenario for {who}.",
                                                            max(self.size.width - 3, 8))]  # fmt: skip

    def _section(self, kind: str, section: Section, width: int) -> list[Line]:
        pen, styles = self.pen, self.pen.styles
        lines: list[Line] = [((WORDS[kind], styles.title_focused if kind == "recover" else styles.strong),)]
        for what, text in section.lines:
            text = pen.clean(text, 600)
            if not text.strip():
                continue
            if what == "command":
                for index, piece in enumerate(pen.wrap(text, width - 4)):
                    lines.append((("  $ " if index == 0 else "    ", styles.faint), (piece, styles.accent)))
            elif what == "comment":
                lines += [((f"  {piece}", styles.dim),) for piece in pen.wrap(text.lstrip("# "), width - 2)]
            elif what == "bullet":
                lines += wrapped(pen, text, width, (f" {pen.glyphs.dot} ", styles.dim))
            else:
                lines += wrapped(pen, text, width, (" ", styles.text))
        return [*lines, ()]
