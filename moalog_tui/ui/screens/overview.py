"""What the keys and commands of the overview do; what changes anything is only asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType

from moalog_tui.runbook.plan import Verb
from moalog_tui.ui.commands import Command, clock, parse, seconds
from moalog_tui.ui.keys import KEYS, bindings, key_table
from moalog_tui.ui.messages import (
    ActRequested,
    CommandEntered,
    CopyRequested,
    MouseToggled,
    PauseRequested,
    QuitRequested,
    RedrawRequested,
    Said,
)
from moalog_tui.ui.screens.panels import Panels


class Overview(Panels):
    """The first view."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(KEYS)]

    _search_services = ""

    def on_key(self, event: events.Key) -> None:
        """Every key keeps the rows still for a while."""
        self.services.touch()

    # Looking ---------------------------------------------------------------------------------------------------

    def action_view(self, number: int) -> None:
        """Views other than the overview come later."""
        if number == 1:
            self.zoomed = None
            self.lay_out()
        else:
            self.post_message(Said("logs, metrics, alerts, runbook and incident views come with a later version"))

    def action_focus_panel(self, name: str) -> None:
        """Go to a panel."""
        if name == "logs" and not self.logs.display:
            self.runbook_open = None if self.app.size.width >= 120 else False
            self.zoomed = None
            self.lay_out()
        self.query_one(f"#{name}").focus()

    def action_next_panel(self, step: int) -> None:
        """Go to the next panel on the screen."""
        panels = self.panels()
        at = next((i for i, panel in enumerate(panels) if panel is self.focused), -step)
        if panels:
            panels[(at + step) % len(panels)].focus()

    def action_details(self) -> None:
        """Open the details of the selected service."""
        from moalog_tui.ui.screens.details import Details

        if self.services.selected:
            self.app.push_screen(Details(self.pen, self.services.selected, self.snapshot))

    def action_runbook(self) -> None:
        """Show or hide the runbook."""
        self.toggle_runbook()

    def action_zoom(self) -> None:
        """Zoom the focused panel, or back."""
        self.toggle_zoom()

    def action_fold(self) -> None:
        """Show or fold the healthy services."""
        self.services.toggle_fold()
        self.lay_out()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.post_message(Said(f"sorted: {self.services.sort(False)}"))

    def action_sort_reverse(self) -> None:
        """Sort the other way round."""
        self.post_message(Said(f"sorted: {self.services.sort(True)}"))

    def action_pause(self) -> None:
        """Hold the screen still."""
        self.post_message(PauseRequested())

    def action_refresh_now(self) -> None:
        """Apply a held order, check everything, draw anew."""
        self.services.apply_order()
        self.desk.check_now(None)
        self.post_message(RedrawRequested())

    def action_help(self) -> None:
        """Show the keys."""
        from moalog_tui.ui.screens.help import Help

        self.app.push_screen(Help(self.pen, key_table(self.desk.keys)))

    def action_back(self) -> None:
        """Leave what is open; at the root, ask to quit."""
        if self.zoomed is not None:
            self.toggle_zoom()
        elif self.logs.search or self.logs.view.filter_text:
            self.logs.set_search("")
            self.logs.set_filter("")
        elif self.runbook_open and "logs" not in [panel.id for panel in self.panels()]:
            self.toggle_runbook()
        elif self.focused is not self.services:
            self.services.focus()
        else:
            self.post_message(QuitRequested(ask=True))

    def action_mouse(self) -> None:
        """Give the mouse to the terminal, or take it back."""
        self.post_message(MouseToggled())

    # The log ---------------------------------------------------------------------------------------------------

    def action_search_next(self, step: int) -> None:
        """Next or previous hit."""
        if self.focused is self.services and self._search_services:
            self.services.find(self._search_services, step)
        elif not self.logs.search:
            self.post_message(Said("nothing was searched for yet; / searches"))
        elif not self.logs.seek(step, "hit"):
            where = "below" if step > 0 else "above"
            self.post_message(Said(f'"{self.logs.search}" is nowhere {where}'))

    def action_error(self, step: int) -> None:
        """Next or previous error."""
        if not self.logs.seek(step, "error"):
            self.post_message(Said("no further error below" if step > 0 else "no further error above"))

    def action_follow(self) -> None:
        """Follow, or hold still."""
        self.logs.toggle_follow()

    def action_toggle_log(self, what: str) -> None:
        """Timestamps, wrap."""
        state = "on" if self.logs.toggle(what) else "off"
        self.post_message(Said(f"{what} {state}"))

    def action_side(self, step: int) -> None:
        """Sideways over long lines."""
        self.logs.scroll_side(step)

    def action_copy_line(self) -> None:
        """Copy the line under the cursor."""
        text = self._service_line() if self.focused is self.services else self.logs.line_under_cursor()
        self.post_message(CopyRequested("the line", text) if text else Said("there is no line to copy"))

    def action_copy_panel(self) -> None:
        """Copy the panel."""
        if self.focused is self.runbook:
            text = "\n".join("".join(part for part, _ in line) for line in self.runbook.lines)
        else:
            text = self.logs.page_text()
        self.post_message(CopyRequested("the panel", text) if text else Said("there is nothing to copy"))

    def _service_line(self) -> str | None:
        name = self.services.selected
        status = self.snapshot.status(name) if self.snapshot and name else None
        return self.pen.clean(f"{status.name} {status.state.value} {status.detail}".strip()) if status else name

    # Acting ----------------------------------------------------------------------------------------------------

    def action_check(self) -> None:
        """Check the selected service now."""
        name = self.services.selected
        if name:
            self.desk.check_now(name)
            self.post_message(Said(f"checking {name} now"))

    def action_check_all(self) -> None:
        """Check everything now."""
        self.desk.check_now(None)
        self.post_message(Said("checking everything now"))

    def action_act(self, verb: str) -> None:
        """Ask for an action on the selected service."""
        if self.services.selected:
            self.post_message(ActRequested(Verb(verb), self.services.selected))

    def action_act_menu(self) -> None:
        """Choose an action for the selected service."""
        from moalog_tui.ui.screens.preview import ActMenu

        name = self.services.selected
        if name is None:
            return

        def chosen(verb: Verb | None) -> None:
            if verb is not None:
                self.post_message(ActRequested(verb, name))

        self.app.push_screen(ActMenu(self.pen, name), chosen)

    def action_act_platform(self) -> None:
        """Acts on the whole platform come later."""
        self.post_message(Said("acting on the whole platform comes with a later version"))

    # Commands --------------------------------------------------------------------------------------------------

    @on(CommandEntered)
    def entered(self, message: CommandEntered) -> None:
        """Carry out what was typed."""
        message.stop()
        came_from = self._came_from
        self.close_command()
        if message.prefix == "/":
            self._search(message.text, on_services=came_from is self.services)
        elif message.prefix == "&":
            self.logs.set_filter(message.text)
            self.logs.focus()
        else:
            command = parse(message.text, [name for name, _ in self.services.order.rows])
            if isinstance(command, str):
                self.post_message(Said(command))
            else:
                self.carry_out(command)

    def _search(self, text: str, on_services: bool) -> None:
        if on_services:
            self._search_services = text
            if text and not self.services.find(text, 1):
                self.post_message(Said(f'no service has "{text}" in its name'))
        elif not self.logs.set_search(text):
            self.post_message(Said(f'"{text}" is in no line that is held'))

    def carry_out(self, command: Command) -> None:
        """Do what a command of the command line or the palette says."""
        name, argument = command.name, command.argument
        if name in ("restart", "start", "stop"):
            self.services.select(argument)
            self.post_message(ActRequested(Verb(name), argument))
        elif name in ("logs", "details"):
            if argument:
                self.services.select(argument)
            if name == "logs":
                self.action_focus_panel("logs")
            else:
                self.action_details()
        elif name == "check":
            self.desk.check_now(argument or None)
            self.post_message(Said(f"checking {argument or 'everything'} now"))
        elif name in ("since", "goto"):
            self._to_time(name, argument)
        elif name == "runbook":
            self.toggle_runbook()
        elif name == "help":
            self.action_help()
        else:
            self.post_message(QuitRequested(ask=False))

    def _to_time(self, name: str, argument: str) -> None:
        now = self.desk.now()
        if name == "since":
            at = now - timedelta(seconds=seconds(argument) or 0.0)
            self.logs.since(int(at.timestamp() * 1e9))
            self.post_message(Said(f"log lines of the last {argument}"))
            return
        hour, minute, second = clock(argument) or (0, 0, 0)
        at = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        if at > now:
            at -= timedelta(days=1)
        if not self.logs.go_to(int(at.timestamp() * 1e9)):
            self.post_message(Said(f"no line that is held is as new as {at:%H:%M:%S}Z"))
        self.logs.focus()
