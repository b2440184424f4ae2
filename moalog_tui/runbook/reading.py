"""Reading a runbook: Markdown, as operators write it, becomes scenarios with sections. Odd text never raises.

A scenario is a heading that begins with a number ("### 2. Redis Down", at any level); it ends at the next heading of
its level or above. Its sections are bold labels ("**Recovery**:") or deeper headings. Tables are references, not steps,
and are left out.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

from moalog_tui.runbook.scenarios import Runbook, Scenario, Section

SIZE_LIMIT: Final = 2**20
"""Characters of a runbook that are read."""

SCENARIO_LIMIT: Final = 200
LINE_LIMIT: Final = 4096
"""Characters kept of one line."""

LINES_LIMIT: Final = 500
"""Lines kept of one section."""

_HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_NUMBERED: Final = re.compile(r"(\d{1,6})[.):][ \t]*(.+)")
_FENCE: Final = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)")
_LABEL: Final = re.compile(
    r"(?:\*\*|__)(?P<title>[^*_]{1,80}?)(?P<inside>:?)(?:\*\*|__)[ \t]*(?P<after>:?)[ \t]*(?P<rest>.*)"
)
_BULLET: Final = re.compile(r"[ \t]*(?:[-*+]|\d{1,6}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(.*)")
_RULE: Final = re.compile(r"[ \t]*(?:-[ \t]*){3,}$|[ \t]*(?:\*[ \t]*){3,}$|[ \t]*(?:_[ \t]*){3,}$")
_LINK: Final = re.compile(r"\[([^\]\[]{1,200})\]\(([^()\s]{1,500})\)")
_SHELLS: Final = frozenset({"", "bash", "sh", "shell", "zsh", "console", "shell-session"})

_KINDS: Final = (
    # The first word found in a section's title tells its kind; "post-recovery" comes before "recovery".
    ("impact", ("impact", "effect")),
    ("verify", ("post-recovery", "post recovery", "verif", "afterwards")),
    ("symptoms", ("symptom", "signs")),
    ("diagnose", ("diagnos", "investigat")),
    ("prevention", ("prevent",)),
    ("safety", ("safety", "warning", "caution")),
    ("escalation", ("escalat",)),
    ("recover", ("recover", "fix", "resolution", "remediation")),
)


@cache
def built_in() -> Runbook:
    """Return the runbook that comes with the program."""
    text = files("moalog_tui.profiles").joinpath("runbook.md").read_text("utf-8")
    return read_runbook(text, "built in")


def read_runbook(text: str, source: str) -> Runbook:
    """Read a runbook's Markdown. `source` is the file's name for messages; at most SIZE_LIMIT characters are read."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    reader = _Reader()
    lines = text[:SIZE_LIMIT].removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    lines = [line[:LINE_LIMIT] for line in lines]
    number = 0
    while number < len(lines) and len(reader.scenarios) < SCENARIO_LIMIT:
        fence = _FENCE.match(lines[number])
        if fence:
            end = _fence_end(lines, number, fence[1])
            reader.code(lines[number + 1 : end], fence[2].lower(), number + 1)
            number = end + 1 if end < len(lines) and _closes(lines[end], fence[1]) else end
        else:
            reader.line(lines[number], number + 1)
            number += 1
    reader.end_scenario()
    return Runbook(source, digest, _with_unique_slugs(reader.scenarios))


def slug_of(title: str) -> str:
    """Return the slug of a title: "Service Down (Generic)" is "service-down-generic"."""
    return re.sub(r"[\W_]+", "-", title.casefold()).strip("-") or "scenario"


class _Reader:
    """Takes the lines in their order and gathers scenarios."""

    def __init__(self) -> None:
        self.scenarios: list[Scenario] = []
        self._level = 0
        self._id, self._title, self._line = "", "", 0
        self._sections: list[Section] = []
        self._section: tuple[str, int] | None = None
        self._lines: list[tuple[str, str]] = []
        self._joins = False

    def line(self, line: str, number: int) -> None:
        heading = _HEADING.match(line)
        if heading:
            self._heading(len(heading[1]), _plain(heading[2]), number)
            return
        if self._level == 0:
            return
        text = line.strip()
        if not text or text.startswith(("|", "<!--")) or _RULE.match(line):
            self._joins = False
            return
        label = _LABEL.match(text)
        if label and (label["inside"] or label["after"] or not label["rest"]):
            self._open(_plain(label["title"]), number)
            if label["rest"]:
                self._add("text", _plain(label["rest"]), number)
            return
        bullet = _BULLET.match(line)
        if bullet:
            self._add("bullet", _plain(bullet[1]), number)
        elif self._joins and self._lines:
            kind, before = self._lines[-1]
            self._lines[-1] = (kind, f"{before} {_plain(text)}")
        else:
            self._add("text", _plain(text.lstrip("> ")), number)
        self._joins = True

    def code(self, lines: list[str], language: str, number: int) -> None:
        """Take in a fenced block: commands and comments where it is a shell's, text where it is not."""
        if self._level == 0:
            return
        self._joins = False
        if language not in _SHELLS:
            for line in lines:
                if line.strip():
                    self._add("text", line.rstrip(), number)
            return
        for kind, text in _commands(lines):
            self._add(kind, text, number)

    def _heading(self, level: int, title: str, number: int) -> None:
        numbered = _NUMBERED.match(title)
        if numbered and (self._level == 0 or level <= self._level):
            self.end_scenario()
            self._level, self._line = level, number
            self._id, self._title = str(int(numbered[1])), numbered[2].strip()
        elif self._level and level <= self._level:
            self.end_scenario()
        elif self._level:
            self._open(title, number)

    def _open(self, title: str, number: int) -> None:
        self._close_section()
        self._section, self._joins = (title.rstrip(":").strip(), number), False

    def _add(self, kind: str, text: str, number: int) -> None:
        if self._section is None:
            self._section = ("", number)
        if len(self._lines) < LINES_LIMIT:
            self._lines.append((kind, text))

    def _close_section(self) -> None:
        if self._section is not None:
            title, line = self._section
            kind = _kind_of(title, self._lines)
            self._sections.append(
                Section(title or ("Steps" if kind == "recover" else "About"), kind, line, tuple(self._lines))
            )
        self._section, self._lines = None, []

    def end_scenario(self) -> None:
        if self._level and len(self.scenarios) < SCENARIO_LIMIT:
            self._close_section()
            one = Scenario(self._id, slug_of(self._title), self._title, self._line, tuple(self._sections))
            self.scenarios.append(one)
        self._level, self._sections, self._section, self._lines = 0, [], None, []


def _kind_of(title: str, lines: list[tuple[str, str]]) -> str:
    """Tell a section's kind by its title; commands that stand under no title at all are the recovery itself."""
    if not title:
        return "recover" if any(kind == "command" for kind, _ in lines) else "other"
    folded = title.casefold()
    return next((kind for kind, words in _KINDS if any(word in folded for word in words)), "other")


def _fence_end(lines: list[str], start: int, mark: str) -> int:
    """Return the line that ends the block begun at `start`: its closing fence, or, where none comes, a scenario."""
    fallback = len(lines)
    for number in range(start + 1, len(lines)):
        if _closes(lines[number], mark):
            return number if number < fallback else fallback
        heading = _HEADING.match(lines[number])
        # `# 1. Stop` in a block is a shell comment; two hashes and a number are a scenario behind a forgotten fence.
        if heading and len(heading[1]) > 1 and _NUMBERED.match(heading[2]):
            fallback = min(fallback, number)
    return fallback


def _closes(line: str, mark: str) -> bool:
    text = line.strip()
    return len(text) >= len(mark) and set(text) == {mark[0]}


def _commands(lines: list[str]) -> list[tuple[str, str]]:
    """Return the comments and commands of a shell block; a comment at a command's end comes before it."""
    found: list[tuple[str, str]] = []
    pending = ""
    for line in lines:
        text = (pending + line.strip()).removeprefix("$ ")
        pending = ""
        if text.endswith("\\") and not text.startswith("#"):
            pending = text[:-1].rstrip() + " "
            continue
        found += _command(text)
    return found + _command(pending.strip())


def _command(text: str) -> list[tuple[str, str]]:
    if not text:
        return []
    if text.startswith("#"):
        comment = text.lstrip("#").strip()
        return [("comment", comment)] if comment else []
    at = _comment_at(text)
    if at is None:
        return [("command", text)]
    comment, command = text[at:].lstrip("#").strip(), text[:at].rstrip()
    return [("comment", comment), ("command", command)] if comment else [("command", command)]


def _comment_at(text: str) -> int | None:
    """Return where a shell comment begins in a command: a hash after a blank, outside quotes."""
    quote = ""
    for number, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and number and text[number - 1] in " \t":
            return number
    return None


def _plain(text: str) -> str:
    """Return running text without emphasis, and with a link's address after its words."""
    return _LINK.sub(r"\1 (\2)", text.strip()).replace("**", "").replace("__", "")


def _with_unique_slugs(scenarios: list[Scenario]) -> tuple[Scenario, ...]:
    taken: set[str] = set()
    found: list[Scenario] = []
    for one in scenarios:
        slug, count = one.slug, 2
        while slug in taken:
            slug, count = f"{one.slug}-{count}", count + 1
        taken.add(slug)
        found.append(one if slug == one.slug else Scenario(one.id, slug, one.title, one.line, one.sections))
    return tuple(found)
