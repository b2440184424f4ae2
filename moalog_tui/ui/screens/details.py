"""Everything known about one service, kept current while it is open."""

from __future__ import annotations

from datetime import UTC, datetime

from textual import events

from moalog_tui.platform.containers import ContainerEvent
from moalog_tui.platform.metrics import format_bytes
from moalog_tui.platform.snapshot import ServiceStatus, Snapshot
from moalog_tui.ui.ink import Pen
from moalog_tui.ui.screens.dialog import Dialog, Line, paragraph

EVENTS = 12


class Details(Dialog[None]):
    """A sheet on one service; `show` brings a newer picture."""

    WIDTH = 100

    def __init__(self, pen: Pen, name: str, snapshot: Snapshot | None) -> None:
        super().__init__(pen)
        self._service = name
        self._snapshot = snapshot

    def show(self, snapshot: Snapshot) -> None:
        """Draw a newer picture."""
        self._snapshot = snapshot
        self.draw()

    def draw(self) -> None:
        """Fill the box."""
        pen, styles = self.pen, self.pen.styles
        status = self._snapshot.status(self._service) if self._snapshot else None
        foot: list[Line] = [(), (("esc closes · j k scroll", styles.dim),)]
        caption = pen.clean(self._service, 60)
        if status is None or self._snapshot is None:
            self.box.put(caption, [(("nothing is known of it yet", styles.dim),)], foot)
            return
        lines = [
            *self._state(status),
            *self._container(status),
            *self._latency(status),
            *self._needs(status, self._snapshot),
            *self._events(status, self._snapshot),
        ]
        self.box.put(f"{caption} · {status.kind.value}", lines, foot)

    def _pair(self, name: str, text: str) -> list[Line]:
        pen, styles = self.pen, self.pen.styles
        pieces = pen.wrap(pen.clean(text, 600), self.inner - 15)
        return [
            ((pen.fit(name if i == 0 else "", 14) + " ", styles.dim), (piece, styles.text))
            for i, piece in enumerate(pieces)
        ]

    def _head(self, text: str) -> list[Line]:
        return [(), ((text, self.pen.styles.title_focused),)]

    def _state(self, status: ServiceStatus) -> list[Line]:
        pen, style = self.pen, self.pen.styles.state(status.state)
        reason = f" ({status.reason.value})" if status.reason else ""
        since = f" since {status.since:%H:%M:%S}Z"
        lines: list[Line] = [
            ((f"{pen.glyphs.state(status.state)} {status.state.value}{reason}", style), (since, pen.styles.dim))
        ]
        if status.detail:
            lines += paragraph(pen, pen.clean(status.detail, 600), self.inner)
        if status.stale_s:
            lines += self._pair("stale", f"the last answer is {status.stale_s:.0f} s old")
        if status.mute:
            until = f" until {status.mute.until:%H:%M}Z" if status.mute.until else ""
            lines += self._pair("muted", f"{status.mute.reason}{until}")
        if status.root_causes:
            lines += self._pair("root cause", ", ".join(status.root_causes))
        if status.dependants:
            lines += self._pair("impairs", ", ".join(status.dependants))
        for impact in status.impact:
            lines += self._pair("impact", impact)
        for note in status.notes:
            lines += self._pair("note", note)
        return lines

    def _container(self, status: ServiceStatus) -> list[Line]:
        lines = self._head("Container")
        container = status.container
        if status.endpoint:
            where = f"{status.endpoint.host}:{status.endpoint.port} (port from {status.endpoint.source})"
            lines += self._pair("probed at", where)
        if container is None:
            return [*lines, *self._pair("container", "there is none")]
        lines += self._pair("name", f"{container.name}  {container.short_id}")
        lines += self._pair("image", container.image)
        state = container.state.value
        if container.exit_code is not None and not container.running:
            state += f", exit {container.exit_code}" + (", out of memory" if container.oom_killed else "")
        if container.health.value != "none":
            state += f", the engine's check: {container.health.value}"
        lines += self._pair("state", state)
        if container.started_at:
            lines += self._pair(
                "started",
                f"{container.started_at:%Y-%m-%d %H:%M:%S}Z, {container.restart_count} restarts by the engine",
            )
        if container.health_output and container.health.value != "healthy":
            lines += self._pair("check said", container.health_output)
        ports = ", ".join(
            f"{p.host_ip or '*'}:{p.host_port} to {p.container_port}/{p.protocol}" for p in container.ports
        )
        lines += self._pair("ports", ports or "none published")
        if status.usage:
            limit = f" of {format_bytes(container.memory_limit)}" if container.memory_limit else ", no limit"
            cpu = f"{status.usage.cpu_percent:.1f}% of a core, " if status.usage.cpu_percent is not None else ""
            lines += self._pair("usage", f"{cpu}{format_bytes(status.usage.memory_bytes)}{limit}")
        return lines

    def _latency(self, status: ServiceStatus) -> list[Line]:
        values = sorted(p.milliseconds for p in status.history if p.milliseconds is not None)
        if not status.history:
            return []
        lines = self._head("Probe")
        failed = sum(1 for p in status.history if p.outcome.value == "fail")
        if values:
            middle, top = values[len(values) // 2], values[min(len(values) - 1, int(len(values) * 0.95))]
            text = f"least {values[0]:.0f} ms, median {middle:.0f} ms, p95 {top:.0f} ms, most {values[-1]:.0f} ms"
            lines += self._pair("latency", text)
        return [*lines, *self._pair("last probes", f"{len(status.history)}, of which {failed} failed")]

    def _needs(self, status: ServiceStatus, snapshot: Snapshot) -> list[Line]:
        pen, styles = self.pen, self.pen.styles
        lines: list[Line] = []
        if status.service.needs:
            lines += self._head("Needs")
        for need in status.service.needs:
            other = snapshot.status(need.service)
            glyph, style = (pen.glyphs.state(other.state), styles.state(other.state)) if other else ("?", styles.dim)
            wait = f" (waits {pen.clean(need.timeout, 40)})" if need.timeout else ""
            lines.append(((f"{glyph} ", style), (pen.clean(need.service, 40), styles.text), (wait, styles.dim)))
            lines += paragraph(pen, f"without it: {pen.clean(need.loses, 300)}", self.inner, styles.dim, "  ")
            if need.behaviour:
                lines += paragraph(pen, pen.clean(need.behaviour, 300), self.inner, styles.dim, "  ")
        for outside in status.service.external:
            lines.append(
                (
                    (f"{pen.glyphs.dot} ", styles.dim),
                    (pen.clean(outside.name, 40), styles.text),
                    (" (outside, no probe)", styles.dim),
                )
            )
            lines += paragraph(pen, f"without it: {pen.clean(outside.loses, 300)}", self.inner, styles.dim, "  ")
        return lines

    def _events(self, status: ServiceStatus, snapshot: Snapshot) -> list[Line]:
        found = [event for event in snapshot.events if event.service == status.name][-EVENTS:]
        if not found:
            return []
        lines = self._head("Recent events")
        for event in reversed(found):
            at = datetime.fromtimestamp(event.at_ns / 1e9, UTC)
            lines += self._pair(f"{at:%H:%M:%S}Z", _told(event))
        return lines

    def on_key(self, event: events.Key) -> None:
        """Scroll, or close."""
        event.stop()
        event.prevent_default()
        if not self.scrolled(event.key) and event.key in ("escape", "q", "d", "enter"):
            self.dismiss(None)


def _told(event: ContainerEvent) -> str:
    more = ""
    if event.exit_code is not None:
        more = f", exit {event.exit_code}"
    elif event.health is not None:
        more = f": {event.health.value}"
    elif event.signal is not None:
        more = f", signal {event.signal}"
    return f"{event.action}{more} ({event.container_id[:12]})"
