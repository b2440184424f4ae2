"""A `.env` file, read as Compose v2 reads it, with the line of every value.

The rules are those of Compose v2 (godotenv): single quotes keep everything, double quotes know escapes,
variables and line breaks, a comment begins at ` #` outside quotes, a name without `=` is taken from the
environment, the last of several lines with one name wins, and the shell's variables win inside `${X}`.
docker-compose v1 differs: it replaces `${X}` but neither `$X` nor `$$`, drops names without `=`, and where
the compose file lies in a folder below, it does not look for the `.env` above at all.

Compose refuses the whole file for one bad line; here a bad line is reported and all others still count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from moalog_tui.platform.interpolation import BadInterpolation, expand

PROBLEM_LIMIT: Final = 50
"""Problems kept of one file."""

TOTAL_LIMIT: Final = 4 * 1024 * 1024
"""Characters kept of all values of one file."""

_EXPORT: Final = re.compile(r"export[ \t]+")
_KEY: Final = re.compile(r"[\w.\-\[\]]+")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,40}")
_ESCAPED: Final = re.compile(r"\\(?:[abfnrtv\"\\$]|0[0-7]{3})")
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_BLANK: Final = " \t\v\f\r\x85\xa0"


@dataclass(frozen=True, slots=True)
class EnvValue:
    """One value and the line it stands on. The value may be a secret, so no repr shows it."""

    name: str
    value: str = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True)
class EnvProblem:
    """A line that is not what its writer meant. The sentence names no value.

    `fatal` where Compose v2 refuses the whole file for it.
    """

    line: int
    sentence: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a `.env` file says. `values` is by name, in the order of first appearance."""

    values: Mapping[str, EnvValue] = field(default_factory=dict)
    problems: tuple[EnvProblem, ...] = ()

    def get(self, name: str) -> EnvValue | None:
        """Return the value of that name, or None."""
        return self.values.get(name)


def parse_env(content: str | bytes, environment: Mapping[str, str] | None = None) -> EnvFile:
    """Parse a `.env` file; `environment` is the shell's, for `${X}` and for names without `=`.

    Never raises: what cannot be read is a problem with its line, and the other lines count.
    """
    reader = _Reader(content, environment or {})
    reader.read()
    return EnvFile(reader.values, tuple(reader.problems[:PROBLEM_LIMIT]))


class _Reader:
    def __init__(self, content: str | bytes, environment: Mapping[str, str]) -> None:
        self.values: dict[str, EnvValue] = {}
        self.problems: list[EnvProblem] = []
        self._environment = environment
        if isinstance(content, bytes):
            text = content.decode("utf-8", "replace")
            if "\ufffd" in text and "\ufffd".encode() not in content:
                line = text.count("\n", 0, text.index("\ufffd")) + 1
                self._problem(line, "the line is not UTF-8; its foreign bytes are replaced", fatal=False)
        else:
            text = content
        self._text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        self._place = 0
        self._line = 1
        self._total = 0

    def read(self) -> None:
        """Read statement after statement to the end."""
        while self._skip_to_statement():
            self._statement()

    def _problem(self, line: int, sentence: str, fatal: bool = True) -> None:
        if len(self.problems) < PROBLEM_LIMIT:
            self.problems.append(EnvProblem(line, sentence, fatal))

    def _skip_to_statement(self) -> bool:
        text = self._text
        while self._place < len(text):
            char = text[self._place]
            if char == "\n" or char == "#":
                self._next_line()
            elif char in _BLANK:
                self._place += 1
            else:
                return True
        return False

    def _next_line(self) -> str:
        """Return what is left of the line and go to the next."""
        end = self._text.find("\n", self._place)
        end = len(self._text) if end < 0 else end
        rest = self._text[self._place : end]
        self._place = end + 1
        self._line += 1
        return rest

    def _statement(self) -> None:
        line = self._line
        export = _EXPORT.match(self._text, self._place)
        if export:
            self._place = export.end()
        key = _KEY.match(self._text, self._place)
        if key is None:
            found = self._text[self._place : self._place + 1]
            self._next_line()
            shown = f'"{found}"' if found.isprintable() and found else "a control character"
            self._problem(line, f"found {shown} where a name was expected")
            return
        name = key.group()
        self._place = self._over_blanks(key.end())
        following = self._text[self._place : self._place + 1]
        if following in ("", "\n"):
            self._next_line()
            self._inherit(name, line)
        elif following in ("=", ":"):
            self._place = self._over_blanks(self._place + 1)
            self._value(name, line)
        else:
            self._next_line()
            # The lines of a secret whose quote is broken look like names; only what can be no secret is shown.
            shown = f'the name "{name}"' if _VARIABLE.fullmatch(name) else "a name"
            self._problem(line, f'after {shown} something else than "=" follows')

    def _over_blanks(self, place: int) -> int:
        while place < len(self._text) and self._text[place] in _BLANK:
            place += 1
        return place

    def _inherit(self, name: str, line: int) -> None:
        value = self._environment.get(name)
        if value is not None:
            self._keep(name, value, line)

    def _value(self, name: str, line: int) -> None:
        quote = self._text[self._place : self._place + 1]
        if quote not in ("'", '"') or not quote:
            after_blank = self._text[self._place - 1] in _BLANK
            value = self._next_line()
            if value.startswith("#") and after_blank:
                self._problem(line, f"{name} is empty here, but newer Compose takes the comment for its value", False)
                value = ""
            cut = value.find(" #")
            value = (value if cut < 0 else value[:cut]).rstrip(_BLANK)
            self._expand(name, value, line)
            return
        inside = self._quoted(name, quote, line)
        if inside is None:
            return
        self._after_quote(name)
        if quote == "'":
            self._keep(name, inside, line)
        else:
            self._expand(name, _ESCAPED.sub(_unescape, inside), line)

    def _quoted(self, name: str, quote: str, line: int) -> str | None:
        """Return what stands between the quotes, the quote's own escape removed; None where they never close."""
        text, place = self._text, self._place + 1
        pieces: list[str] = []
        while place < len(text):
            char = text[place]
            if char == quote:
                self._place = place + 1
                self._line += sum(piece.count("\n") for piece in pieces)
                return "".join(pieces)
            if char == "\\":
                pair = text[place : place + 2]
                pieces.append(quote if pair == "\\" + quote and quote == "'" else pair)
                place += 2
                continue
            pieces.append(char)
            place += 1
        self._next_line()
        self._problem(line, f"the quote that opens the value of {name} is never closed")
        return None

    def _after_quote(self, name: str) -> None:
        line = self._line
        rest = self._next_line().strip(_BLANK)
        if rest and not rest.startswith("#"):
            self._problem(line, f"text follows the closing quote of {name} and is ignored", fatal=False)

    def _expand(self, name: str, value: str, line: int) -> None:
        unset: list[str] = []
        try:
            expanded = expand(value, self._lookup, unset.append)
        except BadInterpolation as bad:
            self._problem(line, f"{name}: {bad.sentence}")
            return
        for variable in dict.fromkeys(unset):
            self._problem(
                line, f"{name} uses ${variable}, which is not set and so is empty; quote the value in '…'", fatal=False
            )
        self._keep(name, expanded, line)

    def _lookup(self, name: str) -> str | None:
        if name in self._environment:
            return self._environment[name]
        held = self.values.get(name)
        return held.value if held else None

    def _keep(self, name: str, value: str, line: int) -> None:
        if "\0" in value:
            self._problem(line, f"the value of {name} holds a NUL character, which no environment can")
            return
        self._total += len(value)
        if self._total > TOTAL_LIMIT:
            self._problem(line, f"{name} is left out: the file's values are too long together")
            return
        self.values[name] = EnvValue(name, value, line)


def _unescape(match: re.Match[str]) -> str:
    escape = match.group()[1:]
    if escape == "$":
        return "$$"  # the expansion that follows turns it into the one dollar sign that was meant
    if escape.startswith("0"):
        number = int(escape, 8)
        return chr(number) if number < 256 else match.group()
    return _ESCAPES[escape]
