"""Reads a TOML document key by key, so that every mistake in it becomes one sentence with its place."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

_WORDS: Final = {
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "a table",
}


class TomlMistake(Exception):
    """A mistake in a TOML file: `sentence` names the file, line or key, what was found and what was expected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def near(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return `; did you mean "x"?` for the nearest known word, or the known ones where they are few."""
    match = _nearest(word, known)
    if match:
        return f'; did you mean "{match[0]}"?'
    return f"; expected one of {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


class Document:
    """The text of one TOML file, for finding the line of a mistake again."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self._lines = text.splitlines()
        try:
            self.values: dict[str, Any] = tomllib.loads(text)
        except ValueError as error:  # a TOMLDecodeError, or a number too long to be one
            raise TomlMistake(f"{source} is not valid TOML: {error}.") from None
        except RecursionError:
            raise TomlMistake(f"{source} is nested too deeply to be read.") from None

    def line_of(self, header: str, nth: int, key: str | None) -> int | None:
        """Return the line of `key` below the nth `[header]` or `[[header]]`, of the header, or None.

        tomllib keeps no places, so the text is searched; where the file is laid out otherwise (inline
        arrays), no line is better than a wrong one.
        """
        start = 0
        if header:
            found = [
                number
                for number, line in enumerate(self._lines)
                if re.match(rf"\s*\[{{1,2}}\s*{re.escape(header)}\s*\]", line)
            ]
            if nth >= len(found):
                return None
            start = found[nth] + 1
            if key is None:
                return start
        for number in range(start, len(self._lines)):
            if key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", self._lines[number]):
                return number + 1
            if re.match(r"\s*\[", self._lines[number]):
                break
        return start or None


class Table:
    """One table being read. Every key that is not asked for by the end (`done`) is a mistake."""

    def __init__(
        self,
        values: dict[str, Any],
        document: Document,
        path: str = "",
        header: str = "",
        nth: int = 0,
        inside: str | None = None,
    ) -> None:
        self._left = dict(values)
        self._asked: list[str] = []
        self._document = document
        self.path = path
        self._header = header
        self._nth = nth
        self._inside = inside
        """The header's key that holds this table, where it has no header of its own."""

    def mistake(self, key: str | None, sentence: str) -> TomlMistake:
        """Return a mistake at `key` of this table."""
        line = self._document.line_of(self._header, self._nth, self._inside or key)
        where = f"{self._document.source}, line {line}" if line else self._document.source
        place = ".".join(part for part in (self.path, key or "") if part)
        return TomlMistake(f"{where}: {place}: {sentence}" if place else f"{where}: {sentence}")

    def has(self, key: str) -> bool:
        """True where the key stands in the table and was not taken yet; asking makes it a known key."""
        self._asked.append(key)
        return key in self._left

    def text(self, key: str, default: str | None = None) -> str:
        """Take a text that must not be empty; without a default it is required."""
        value = self._take(key, str, default)
        if value == "" and default != "":
            raise self.mistake(key, "found an empty text, expected one that is not")
        return str(value)

    def any_text(self, key: str, default: str) -> str:
        """Take a text that may be empty."""
        return str(self._take(key, str, default))

    def maybe_text(self, key: str) -> str | None:
        """Take a text, or None where it is absent."""
        return self.text(key) if self.has(key) else None

    def choice(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Take one of the known words."""
        value = self.text(key, default)
        if value not in known:
            raise self.mistake(key, f'found "{value}"{near(value, known) or "; expected one of " + ", ".join(known)}')
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        return bool(self._take(key, bool, default))

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """Take a whole number from `low` to `high`."""
        value = int(self._take(key, int, default))
        if not low <= value <= high:
            raise self.mistake(key, f"found {value}, expected a whole number from {low} to {high}")
        return value

    def maybe_whole(self, key: str, low: int, high: int) -> int | None:
        """Take a whole number, or None where it is absent."""
        return self.whole(key, 0, low, high) if self.has(key) else None

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Take a number from `low` to `high` (never NaN)."""
        value = self._take(key, float, default)
        if not low <= value <= high:
            raise self.mistake(key, f"found {_word(value)}, expected a number from {low:g} to {high:g}")
        return float(value)

    def maybe_number(self, key: str, low: float, high: float) -> float | None:
        """Take a number, or None where it is absent."""
        return self.number(key, 0.0, low, high) if self.has(key) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """Take an array of texts."""
        values = self._take(key, list, [])
        for value in values:
            if not isinstance(value, str) or not value:
                raise self.mistake(key, f"found {_word(value)} in the array, expected texts only")
        return tuple(values)

    def wholes(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """Take an array of whole numbers."""
        values = self._take(key, list, [])
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise self.mistake(key, f"found {_word(value)}, expected whole numbers from {low} to {high}")
        return tuple(values)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Take a table of texts, as pairs in their order."""
        values = self._take(key, dict, {})
        for name, value in values.items():
            if not isinstance(value, str):
                raise self.mistake(key, f'found {_word(value)} at "{name}", expected a text')
        return tuple(values.items())

    def raw(self, key: str) -> Any:
        """Take a value as it is, or None."""
        self._asked.append(key)
        return self._left.pop(key, None)

    def table(self, key: str) -> Table:
        """Take a table inside this one; an absent one is empty."""
        values = self._take(key, dict, {})
        if self._header:
            return Table(values, self._document, self._below(key), self._header, self._nth, self._inside or key)
        return Table(values, self._document, self._below(key), key)

    def tables(self, key: str, named_by: str) -> tuple[Table, ...]:
        """Take an array of tables; `named_by` is the key whose value names one in a sentence."""
        values = self._take(key, list, [])
        found = []
        for number, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.mistake(key, f"found {_word(value)} in the array, expected tables ([[{key}]])")
            name = value.get(named_by)
            label = f'{key} "{name}"' if isinstance(name, str) else f"{key} number {number + 1}"
            path = self._below(label)
            if self._header:
                found.append(Table(value, self._document, path, self._header, self._nth, self._inside or key))
            else:
                found.append(Table(value, self._document, path, key, number))
        return tuple(found)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._left:
            raise self.mistake(key, f'unknown key "{key}"{near(key, self._asked)}')

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self._asked.append(key)
        if key not in self._left:
            if default is None:
                meant = _nearest(key, list(self._left))
                found = f' (found "{meant[0]}")' if meant else ""
                raise self.mistake(None, f'the key "{key}" is missing{found}, expected {_WORDS[kind]}')
            return default
        value = self._left.pop(key)
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise self.mistake(key, f"found {_word(value)}, expected {_WORDS[kind]}")
        return value


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value[:40]}"' if value else "an empty text"
    if isinstance(value, int | float):
        return f"the number {value}"
    return _WORDS.get(type(value), "a date or time")


def _nearest(word: str, known: list[str] | tuple[str, ...]) -> list[str]:
    # Loaded at the first mistake: every start would pay for it.
    from difflib import get_close_matches

    return get_close_matches(word, known, n=1, cutoff=0.6)
