"""The palette: the commands by name. Names come from outside, so they are shown as text, never as markup."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider


class Palette(CommandPalette):
    """Textual's palette, which survives a small terminal and a held key."""

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close, once: a second escape of the same burst would close what lies below."""
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        # Before it is laid out, and where there is no room for it, Textual's list does not know its own lines.
        if action == "select" or self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


class NamedCommands(Provider):
    """The app's commands. (Textual's own provider reads their names as markup: `[/]` in one would end the program.)"""

    async def discover(self) -> Hits:
        """Yield all of them, by name."""
        for name, says, command, _ in sorted(self.app.get_system_commands(self.screen), key=lambda one: one.title):
            yield DiscoveryHit(Text(name), command, text=name, help=says)

    async def search(self, query: str) -> Hits:
        """Yield those that match, with what was typed in bold where it stands in one piece."""
        matcher = self.matcher(query)
        for name, says, command, _ in self.app.get_system_commands(self.screen):
            score = matcher.match(name)
            if score > 0:
                shown = Text(name)
                at = name.casefold().find(query.casefold())
                if at >= 0:
                    shown.stylize("bold", at, at + len(query))
                yield Hit(score, shown, command, text=name, help=says)
