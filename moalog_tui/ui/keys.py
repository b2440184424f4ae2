"""Every key of the screen: its id, what it does, and the check that no two share one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from textual.binding import Binding

from moalog_tui.ui.widgets.panel import MOVES


class KeyClash(ValueError):
    """The configured keys cannot be: the sentence names both bindings, or the unknown id."""


@dataclass(frozen=True)
class Key:
    """One binding, and where help lists it."""

    id: str
    keys: str
    action: str
    says: str
    group: str


LOOK, LOG, ACT, APP = "Looking", "Log", "Acting", "Program"

KEYS: tuple[Key, ...] = (
    Key("view.logs", "l", "focus_panel('logs')", "log of the selected service", LOOK),
    Key("view.details", "d", "details", "details of the selected service", LOOK),
    Key("view.runbook", "b", "runbook", "runbook: column, or over the log", LOOK),
    Key("view.zoom", "z", "zoom", "zoom the focused panel", LOOK),
    Key("table.fold", "h", "fold", "show or fold the healthy rows", LOOK),
    Key("table.sort", "s", "sort", "sort by the next column", LOOK),
    Key("table.reverse", "S", "sort_reverse", "sort the other way round", LOOK),
    Key("panel.next", "tab", "next_panel(1)", "next panel", LOOK),
    Key("panel.previous", "shift+tab", "next_panel(-1)", "previous panel", LOOK),
    Key("view.1", "1", "view(1)", "overview", LOOK),
    Key("view.later", "2,3,4,5,6", "view(2)", "views of later versions", LOOK),
    Key("search.next", "n", "search_next(1)", "next hit", LOG),
    Key("search.previous", "N", "search_next(-1)", "previous hit", LOG),
    Key("log.next-error", "e", "error(1)", "next error", LOG),
    Key("log.previous-error", "E", "error(-1)", "previous error", LOG),
    Key("log.follow", "f", "follow", "follow, or hold still", LOG),
    Key("log.timestamps", "t", "toggle_log('timestamps')", "timestamps", LOG),
    Key("log.wrap", "w", "toggle_log('wrap')", "wrap long lines", LOG),
    Key("log.left", "left", "side(-16)", "to the left of long lines", LOG),
    Key("log.right", "right", "side(16)", "to the right of long lines", LOG),
    Key("screen.pause", "p", "pause", "pause the screen", LOOK),
    Key("copy.line", "y", "copy_line", "copy the line", LOG),
    Key("copy.panel", "Y", "copy_panel", "copy the panel", LOG),
    Key("service.check", "c", "check", "check the selected service now", ACT),
    Key("platform.check", "C", "check_all", "check everything now", ACT),
    Key("service.restart", "r", "act('restart')", "restart the selected service (shows a preview)", ACT),
    Key("service.act", "x", "act_menu", "act on the selected service: start, stop, restart", ACT),
    Key("platform.act", "X", "act_platform", "act on the platform (a later version)", ACT),
    Key("screen.refresh", "R,f5", "refresh_now", "apply a held order and draw everything anew", APP),
    Key("mouse.toggle", "m", "mouse", "mouse on, off (off lets the terminal select)", APP),
    Key("help.open", "question_mark,f1", "help", "these keys", APP),
    Key("app.back", "q,escape", "back", "back; at the root it asks to quit", APP),
)

APP_KEYS: tuple[Key, ...] = (
    Key("app.quit", "ctrl+q", "quit", "quit at once", APP),
    Key("palette.open", "ctrl+p", "command_palette", "palette: every command by name", APP),
    Key("copy.selection", "ctrl+c", "copy_or_hint", "copy the selection; never ends anything", APP),
    Key("app.suspend", "ctrl+z", "suspend_process", "to the shell and back (fg)", APP),
)

TYPING_KEYS: tuple[Key, ...] = (
    Key("search.open", "slash", "open_line('/')", "search: log lines, or services", LOG),
    Key("log.filter", "ampersand", "open_line('&')", "keep lines that hold a text (! first: drop them)", LOG),
    Key("command.open", "colon", "open_line(':')", "command line", APP),
)
"""These open a line to type on. The app itself handles them, before the next key is looked at: the letters typed
right after one, in the same burst, belong to the line, and must never act."""

FORBIDDEN = frozenset(
    {"ctrl+a", "ctrl+b", "ctrl+d", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+left_square_bracket"}
)
"""Keys that terminals, screen and tmux use themselves."""


def bindings(keys: tuple[Key, ...], priority: bool = False) -> list[Binding]:
    """Textual's bindings for a table of keys."""
    return [Binding(k.keys, k.action, k.says, show=False, id=k.id, priority=priority) for k in keys]


def key_table(changed: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return each binding's keys after the changes; raises KeyClash for an unknown id or a key used twice."""
    table = {key.id: tuple(key.keys.split(",")) for key in (*KEYS, *TYPING_KEYS, *APP_KEYS)}
    table |= {str(move.id): tuple(move.key.split(",")) for move in MOVES}
    for name, keys in changed.items():
        if name not in table:
            near = get_close_matches(name, table, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise KeyClash(f'[keys]: there is no binding "{name}"{hint}')
        table[name] = tuple(_normal(key) for key in keys.split(",") if key.strip())
    used: dict[str, str] = {}
    for name, own in table.items():
        for key in own:
            if key in FORBIDDEN or key.startswith("alt+"):
                raise KeyClash(f'[keys]: "{name}" cannot be {key}: terminals use it themselves')
            if key in used:
                raise KeyClash(f'[keys]: {key} is both "{used[key]}" and "{name}"; change one of them')
            used[key] = name
    return table


_NAMES = {"?": "question_mark", "/": "slash", ":": "colon", "&": "ampersand", "!": "exclamation_mark", "esc": "escape"}


def _normal(key: str) -> str:
    key = key.strip()
    return _NAMES.get(key, key)


def shown(key: str) -> str:
    """A key as an operator calls it."""
    back = {name: sign for sign, name in _NAMES.items()}
    return back.get(key, key)
