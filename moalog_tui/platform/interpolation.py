"""Compose's `$X` and `${X:-y}`, as the compose file and its `.env` use them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

VALUE_LIMIT: Final = 64 * 1024
"""Characters of one expanded value: values that double each other would otherwise fill the memory."""

DEPTH_LIMIT: Final = 16
"""How deep `${A:-${B:-…}}` may nest."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Lookup = Callable[[str], str | None]
"""Name to value; None where it is not set (an empty value is set)."""


class BadInterpolation(Exception):
    """A value that compose refuses too: `sentence` says why and never holds the value."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def expand(text: str, lookup: Lookup, unset: Callable[[str], None] | None = None, depth: int = 0) -> str:
    """Return `text` with its variables replaced as compose v2 does; raise BadInterpolation.

    `$X` and `${X}` that are not set become empty, and `unset` is told their name; `$$` is a dollar sign.
    """
    if depth > DEPTH_LIMIT:
        raise BadInterpolation(f"variables nest more than {DEPTH_LIMIT} deep")
    pieces: list[str] = []
    length = place = 0
    while place < len(text):
        dollar = text.find("$", place)
        if dollar < 0:
            dollar = len(text)
        piece = text[place:dollar]
        place = dollar
        if dollar < len(text):
            replacement, place = _variable(text, dollar, lookup, unset, depth)
            piece += replacement
        pieces.append(piece)
        length += len(piece)
        if length > VALUE_LIMIT:
            raise BadInterpolation(
                f"the value is longer than {VALUE_LIMIT // 1024} KiB once its variables are replaced"
            )
    return "".join(pieces)


def _variable(
    text: str, dollar: int, lookup: Lookup, unset: Callable[[str], None] | None, depth: int
) -> tuple[str, int]:
    """Return the replacement of what stands at `dollar`, and the place behind it."""
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following == "{":
        end = _closing(text, dollar + 2)
        return _braced(text[dollar + 2 : end], lookup, unset, depth), end + 1
    name = _NAME.match(text, dollar + 1)
    if name is None:
        raise BadInterpolation("a $ stands before no name; write $$ for a dollar sign, or put the value in '…'")
    return _plain(name.group(), lookup, unset), name.end()


def _plain(name: str, lookup: Lookup, unset: Callable[[str], None] | None) -> str:
    value = lookup(name)
    if value is None and unset is not None:
        unset(name)
    return value or ""


def _closing(text: str, start: int) -> int:
    depth = 1
    for place in range(start, len(text)):
        if text.startswith("${", place):
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return place
    raise BadInterpolation("a ${ is not closed by }; write $$ for a dollar sign, or put the value in '…'")


def _braced(inside: str, lookup: Lookup, unset: Callable[[str], None] | None, depth: int) -> str:
    match = _NAME.match(inside)
    if match is None:
        raise BadInterpolation("a ${ is followed by no name; write $$ for a dollar sign, or put the value in '…'")
    name, rest = match.group(), inside[match.end() :]
    if not rest:
        return _plain(name, lookup, unset)
    value = lookup(name)
    also_empty = rest.startswith(":")
    operator, word = (rest[1:2], rest[2:]) if also_empty else (rest[:1], rest[1:])
    given = bool(value) if also_empty else value is not None
    if operator == "-":
        return (value or "") if given else expand(word, lookup, unset, depth + 1)
    if operator == "+":
        return expand(word, lookup, unset, depth + 1) if given else ""
    if operator == "?":
        if given:
            return value or ""
        raise BadInterpolation(f"{name} is required here (${{{name}{':' if also_empty else ''}?…}}) and is not set")
    raise BadInterpolation(f"${{{name}…}} has an operator that is none of :- - :? ? :+ +")
