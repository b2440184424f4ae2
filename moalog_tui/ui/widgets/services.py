"""The service table: one line a service, the worst first, what it breaks below it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.strip import Strip

from moalog_tui.platform.containers import ContainerState
from moalog_tui.platform.health import HealthState
from moalog_tui.platform.metrics import format_bytes
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.ui.ink import Part, Pen
from moalog_tui.ui.messages import SelectionMoved
from moalog_tui.ui.order import SORTS, Order
from moalog_tui.ui.widgets.panel import Panel
from moalog_tui.ui.widgets.sparkline import latency_parts

WHY_LEAST = 30
WHY_GOOD = 34
"""With this many cells the usual reasons are whole; only then come the columns after latency."""
FOLD = None
"""The row that stands for the healthy services that are folded."""


@dataclass(frozen=True)
class Columns:
    """Cells of each column; 0 where it has no room. WHY takes what is left."""

    name: int
    state: int
    why: int
    spark: int
    latency: int
    up: int
    restarts: int
    cpu: int
    memory: int


def columns_for(width: int, longest_name: int) -> Columns:
    """Choose columns for a width: WHY keeps 30 cells, the others come as there is room."""
    name = max(min(longest_name, 28 if width >= 100 else 17), 7)
    state = 8
    room = width - 4 - (name + 1) - (state + 1) - WHY_LEAST
    taken = {"latency": 0, "spark": 0, "up": 0, "restarts": 0, "cpu": 0, "memory": 0}
    for column, size in (("latency", 6), ("spark", 6), ("up", 7), ("restarts", 3), ("cpu", 5), ("memory", 6)):
        spare = 0 if column in ("latency", "spark") else WHY_GOOD - WHY_LEAST
        if room >= size + spare:
            taken[column] = size
            room -= size
    if taken["spark"]:
        more = max(0, min((room - WHY_GOOD + WHY_LEAST) // 2, 14))
        taken["spark"] += more
        room -= more
    return Columns(name, state, WHY_LEAST + max(room, 0) if width > 60 else max(WHY_LEAST + room, 8), **taken)


class Services(Panel):
    """The table. The cursor follows the service, not the row."""

    HELP = "services"

    def __init__(self, pen: Pen, names: Sequence[str], now: Callable[[], datetime]) -> None:
        super().__init__(pen, id="services")
        self.order = Order(names)
        self.selected: str | None = names[0] if names else None
        self.statuses: dict[str, ServiceStatus] = {}
        self.unfolded = False
        self.monotonic: Callable[[], float] = time.monotonic
        self.acting: Mapping[str, str] = {}
        """Services with a running operation, and its verb: "restarting"."""
        self._now = now
        self._rows: list[tuple[str, int] | None] = []
        self._last: set[str] = set()
        self._why: dict[str, tuple[str, str]] = {}
        self._moved_by_hand = False
        self._arrange()

    # What it is given ------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot, busy: bool) -> None:
        """Draw a new picture; the order changes only when nobody is disturbed by it."""
        self.statuses = {status.name: status for status in snapshot.services}
        before = self.selected
        if snapshot.complete or {row[0] for row in self.order.rows} != set(self.statuses):
            # What was not asked yet is no reason to move a row, nor the cursor.
            self.order.offer(snapshot.services, self.monotonic(), busy)
        names = [name for name, _ in self.order.rows]
        if names and (self.selected not in names or not self._moved_by_hand):
            # Until the operator moves it, the cursor stands on what is worst.
            self.selected = names[0]
        self._arrange()
        self.refresh()
        if self.selected != before:
            self.post_message(SelectionMoved(self.selected))

    def apply_order(self) -> bool:
        """Put a held order into force."""
        applied = self.order.apply(self.monotonic())
        self._arrange()
        self.refresh()
        return applied

    def sort(self, reverse: bool) -> str:
        """Sort by the next column, or the other way round; return how it is sorted now."""
        if reverse:
            self.order.reverse = not self.order.reverse
        else:
            self.order.sort = SORTS[(SORTS.index(self.order.sort) + 1) % len(SORTS)]
            self.order.reverse = False
        if self.statuses:
            self.order.resort(list(self.statuses.values()), self.monotonic())
        self._arrange()
        self.refresh()
        return self.order.sort + (", reversed" if self.order.reverse else "")

    def toggle_fold(self) -> None:
        """Open or fold the healthy services."""
        self.unfolded = not self.unfolded
        self._arrange()
        self.refresh()

    def touch(self) -> None:
        """A key was pressed somewhere: rows hold still for a while."""
        self.order.touch(self.monotonic())

    def select(self, name: str) -> bool:
        """Put the cursor on a service; a folded one unfolds. Return False where there is none of that name."""
        if name not in {row[0] for row in self.order.rows}:
            return False
        self._moved_by_hand = True
        if (name, 0) not in self._rows and not any(row and row[0] == name for row in self._rows):
            self.unfolded = True
            self._arrange()
        if name != self.selected:
            self.selected = name
            self.post_message(SelectionMoved(name))
        self._keep_visible()
        self.refresh()
        return True

    # Rows ------------------------------------------------------------------------------------------------------

    def lines_needed(self) -> int:
        """Lines of the table with every service shown, title and header included."""
        return len(self.order.rows) + 2

    def lines_folded(self) -> int:
        """Lines of the table as it is folded now, title and header included."""
        return len(self._rows) + 2

    def fit_to(self, height: int) -> None:
        """Fold for a panel of `height` lines, title and header included."""
        self._height = height
        self._arrange()

    _height = 99

    def _arrange(self) -> None:
        rows: list[tuple[str, int] | None] = list(self.order.rows)
        room = self._height - 2
        if len(rows) > room and not self.unfolded and self.statuses:
            failing = [row for row in self.order.rows if self._fails(row[0])]
            rows = [*(failing or self.order.rows[: max(room - 1, 1)])]
            if len(rows) < len(self.order.rows):
                rows.append(FOLD)
            shown = {row[0] for row in rows if row}
            if self.selected is not None and self.selected not in shown:
                keep = next((row for row in self.order.rows if row[0] == self.selected), None)
                if keep is not None:
                    rows.insert(len(rows) - 1, keep)
        self._rows = rows
        self._last = self._last_children(rows)
        self._keep_visible()

    def _last_children(self, rows: Sequence[tuple[str, int] | None]) -> set[str]:
        """The rows after which no sibling comes."""
        last: set[str] = set()
        for index, row in enumerate(rows):
            below = [after[1] if after else 0 for after in rows[index + 1 :]]
            if row and row[1] and next((depth for depth in below if depth <= row[1]), 0) < row[1]:
                last.add(row[0])
        return last

    def _fails(self, name: str) -> bool:
        status = self.statuses.get(name)
        return status is not None and (status.failing or name in self.acting)

    def _index(self) -> int:
        return next((i for i, row in enumerate(self._rows) if row and row[0] == self.selected), 0)

    def line_count(self) -> int:
        """Rows of the table."""
        return len(self._rows)

    @property
    def body_height(self) -> int:
        """Rows that fit under title and header."""
        return max(self.size.height - 2, 0)

    def _keep_visible(self) -> None:
        index, room = self._index(), self.body_height or 1
        top = min(self.top, index)
        if index >= top + room:
            top = index - room + 1
        self.top = max(min(top, len(self._rows) - room), 0)

    def action_move(self, step: int) -> None:
        """Move the cursor to the next service."""
        names = [row[0] for row in self._rows if row]
        if not names:
            return
        at = names.index(self.selected) if self.selected in names else 0
        self.select(names[max(0, min(at + step, len(names) - 1))])

    def action_page(self, step: int) -> None:
        """Move the cursor by a page."""
        self.action_move(step * max(self.body_height - 1, 1))

    def action_edge(self, side: int) -> None:
        """Move the cursor to the first or last service."""
        self.action_move(side * len(self._rows))

    def find(self, text: str, step: int) -> bool:
        """Move to the next service whose name holds `text`."""
        names = [row[0] for row in self.order.rows]
        at = names.index(self.selected) if self.selected in names else 0
        for offset in range(1, len(names) + 1):
            name = names[(at + step * offset) % len(names)]
            if text.casefold() in name.casefold():
                return self.select(name)
        return False

    def on_click(self, event: events.Click) -> None:
        """Select the row under the mouse."""
        index = event.y - 2 + self.top
        if 0 <= index < len(self._rows):
            row = self._rows[index]
            if row is None:
                self.toggle_fold()
            else:
                self.select(row[0])

    # Drawing ---------------------------------------------------------------------------------------------------

    def title_parts(self) -> tuple[str, list[Part]]:
        """`Services`, how it is sorted, and that an order is held."""
        styles = self.pen.styles
        more: list[Part] = []
        if self.order.sort != SORTS[0] or self.order.reverse:
            more.append((f" · by {self.order.sort}" + (", reversed" if self.order.reverse else ""), styles.dim))
        if self.order.held is not None:
            more.append((" · order held, R applies it", styles.starting))
        return "Services", more

    def right_parts(self) -> list[Part]:
        """Which rows are shown, where not all fit."""
        if len(self._rows) <= self.body_height or not self.body_height:
            return []
        first, last = self.top + 1, min(self.top + self.body_height, len(self._rows))
        return [(f"{first}-{last} of {len(self._rows)}", self.pen.styles.dim)]

    def render_line(self, y: int) -> Strip:
        """Draw the title, the header or a row."""
        width = self.size.width
        if y == 0:
            return self._title(width)
        columns = self._columns(width)
        if y == 1:
            return self._header(columns, width)
        index = y - 2 + self.top
        if index >= len(self._rows):
            return self.blank(width)
        row = self._rows[index]
        return self._fold_line(width) if row is None else self._row(row, columns, width)

    def _columns(self, width: int) -> Columns:
        longest = max((len(name) + 2 * depth for name, depth in self.order.rows), default=10)
        return columns_for(width, longest)

    def _header(self, columns: Columns, width: int) -> Strip:
        pen, dim = self.pen, self.pen.styles.dim
        text = "   " + pen.fit("SERVICE", columns.name) + " " + pen.fit("STATE", columns.state) + " "
        text += pen.fit("WHY", columns.why)
        if columns.spark:
            text += " " + pen.fit("LATENCY", columns.spark + columns.latency - 1)
        elif columns.latency:
            text += pen.right("LAT", columns.latency)
        for head, size in (("UP", columns.up), (pen.glyphs.restarts, columns.restarts), ("CPU", columns.cpu),
                           ("MEM", columns.memory)):  # fmt: skip
            text += pen.right(head, size) if size else ""
        return pen.strip([(text, dim)], width)

    def _fold_line(self, width: int) -> Strip:
        pen, styles = self.pen, self.pen.styles
        hidden = len(self.order.rows) - sum(1 for row in self._rows if row)
        all_hidden = not any(
            row and (s := self.statuses.get(row[0])) and s.state is HealthState.HEALTHY for row in self._rows
        )
        word = f"{hidden} healthy" if all_hidden else f"{hidden} more healthy"
        return pen.strip(
            [(f" {pen.glyphs.healthy} ", styles.healthy), (word, styles.text), (" · h shows them", styles.dim)], width
        )

    def _row(self, row: tuple[str, int], columns: Columns, width: int) -> Strip:
        pen, styles = self.pen, self.pen.styles
        name, depth = row
        status = self.statuses.get(name)
        chosen = name == self.selected
        base = styles.base + styles.cursor if chosen else styles.base
        branch = "  " * (depth - 1) + (pen.glyphs.last if name in self._last else pen.glyphs.branch) if depth else ""
        label = pen.fit(branch + pen.clean(name, 64), columns.name)
        mark: Part = (pen.glyphs.cursor if chosen else " ", styles.accent)
        if status is None:
            parts = [mark, (pen.glyphs.dot + " ", styles.faint), (label + " ", styles.text), ("asking", styles.dim)]
            return pen.strip(parts, width, base)
        state_style = styles.state(status.state)
        root = status.failing and not depth and status.state is HealthState.DOWN
        plain = styles.text if status.failing else styles.dim
        # A healthy row needs no word of colour: what is not healthy is what the eye shall meet.
        parts = [mark, (pen.glyphs.state(status.state) + " ", state_style)]
        parts.append((label + " ", styles.strong if root or chosen else styles.text))
        word = self.acting.get(name) or status.state.value
        parts.append((pen.fit(word, columns.state) + " ", state_style if status.failing else styles.dim))
        parts.append((pen.fit(self._why_of(status), columns.why), plain if not status.stale_s else styles.dim))
        parts += self._figures(status, columns)
        return pen.strip(parts, width, base)

    def _why_of(self, status: ServiceStatus) -> str:
        pen = self.pen
        held = self._why.get(status.name)
        if held and held[0] == status.detail:
            text = held[1]
        else:
            text = pen.clean(status.detail, 300)
            self._why[status.name] = (status.detail, text)
        if status.mute is not None:
            text = f"muted: {pen.clean(status.mute.reason, 60)}" + (f" · {text}" if text else "")
        if status.stale_s:
            text = f"stale, {short_time(status.stale_s)} old" + (f" · {text}" if text else "")
        return text

    def _figures(self, status: ServiceStatus, columns: Columns) -> list[Part]:
        pen, styles = self.pen, self.pen.styles
        dash = pen.glyphs.dash
        parts: list[Part] = []
        if columns.spark:
            parts += [(" ", styles.dim), *latency_parts(status.history, columns.spark - 1, pen)]
        if columns.latency:
            value = short_latency(status.latency_ms) if status.latency_ms is not None else dash
            parts.append((pen.right(value, columns.latency), styles.dim))
        container = status.container
        if columns.up:
            parts.append((pen.right(self._up(status), columns.up), styles.dim))
        if columns.restarts:
            count = container.restart_count if container else 0
            count = max(count, status.starts_in_window - 1)
            style = styles.degraded if count else styles.faint
            parts.append((pen.right(str(count) if container else dash, columns.restarts), style))
        usage = status.usage if container and container.running else None
        if columns.cpu:
            cpu = f"{usage.cpu_percent:.0f}%" if usage and usage.cpu_percent is not None else dash
            parts.append((pen.right(cpu, columns.cpu), styles.dim))
        if columns.memory:
            parts.append((pen.right(format_bytes(usage.memory_bytes) if usage else dash, columns.memory), styles.dim))
        return parts

    def _up(self, status: ServiceStatus) -> str:
        container = status.container
        if container is None or container.started_at is None or container.state is not ContainerState.RUNNING:
            return self.pen.glyphs.dash
        return short_time((self._now() - container.started_at).total_seconds())


def short_latency(milliseconds: float) -> str:
    """A latency in at most five characters: `0.4ms`, `81ms`, `1.2s`."""
    if milliseconds < 9.95:
        return f"{milliseconds:.1f}ms" if milliseconds < 1 else f"{milliseconds:.0f}ms"
    return f"{milliseconds:.0f}ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.1f}s"


def short_time(seconds: float) -> str:
    """A span in at most six characters: `45s`, `12m`, `3h12m`, `2d4h`."""
    total = max(int(seconds), 0)
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    return f"{total // 86400}d{total % 86400 // 3600}h" if total < 86400 * 100 else f"{total // 86400}d"
