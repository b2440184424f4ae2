"""The one door for text that comes from outside: what leaves here can move neither the cursor nor the eye.

Text is kept as it was received, and passes `clean` on its way to the screen, the clipboard, a print or
a file (DESIGN, section 5, rule 2). Every pattern here is linear: a hostile line costs time, never a hang.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from string import ascii_letters, digits
from typing import Final

from moalog_tui.platform.secret import MASK, Secret

LINE_LIMIT: Final = 4096
"""Characters kept of one line; the rest is replaced by an ellipsis."""

SECRET_LENGTH: Final = 8
"""Shorter values are not masked by value: they would hit ordinary words (`admin`, `fluxpay`)."""

MARKS_LIMIT: Final = 4
"""Combining marks kept on one character; a flood of them draws over the lines above and below."""

REPLACEMENT: Final = "\ufffd"

# --- Sanitising ---------------------------------------------------------------------------------------------------

_SEQUENCE: Final = re.compile(
    # Colour and erase-to-end-of-line: decoration that honest programs write.
    r"((?:\x1b\[|\x9b)[0-9:;]*+[mK])"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"  # any other CSI, whole or cut short
    # OSC, DCS, SOS, PM and APC with their payload. The payload stops at the next introducer, so that the scan stays
    # linear; an unterminated one loses only its introducer, so that no text hides behind it.
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9b-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[\]PX^_]"
    r"|\x1b[ -/]*+[0-OQ-WYZ\\`-~]"  # two-character sequences
)
_UNSAFE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""C0 but tab, DEL, C1, line separators, lone surrogates: the common ones, at the speed of a pattern."""

_MAYBE_MARKS: Final = re.compile(
    # Everything from U+0300 on but the blocks that hold no combining mark: Greek, Cyrillic, Armenian, Hangul, most
    # punctuation and symbols, kana and the ideographs. Only a long run of the rest is looked at one by one.
    "[^\x00-\u02ff\u0370-\u0482\u048a-\u0590\u1100-\u11ff\u2000-\u20cf\u2100-\u2cee\u3030-\u3098\u309b-\ua66e"
    f"\uac00-\ud7a3\uff00-\uffff]{{{MARKS_LIMIT + 1},}}"
)


def sanitise(text: str, limit: int = LINE_LIMIT) -> str:
    """Return one line of `text`, printable to its last character: at most `limit` characters and an ellipsis.

    Colours vanish; any other escape sequence, and each control, bidi, invisible, unassigned or lone surrogate
    character, becomes U+FFFD, so that nothing is lost without a trace. Tabs and exotic blanks become blanks, a
    carriage return that only ends the line is dropped, and a flood of combining marks is cut.
    """
    cut = len(text) > limit
    if cut:
        text = text[:limit]
    if text.isascii() and text.isprintable():
        return text + "…" if cut else text
    text = text.rstrip("\r\n")
    if not text.isprintable():
        # One pass: what it removes is not looked at again, so that no removal makes a new sequence.
        text = _UNSAFE.sub(REPLACEMENT, _SEQUENCE.sub(_drop_sequence, text)).expandtabs(4)
        if not text.isprintable():
            text = "".join(map(_printable, text))
    if not text.isascii():
        text = _MAYBE_MARKS.sub(_thin_marks, text)
    if len(text) > limit:  # tabs grew it
        cut, text = True, text[:limit]
    return text + "…" if cut and not text.endswith("…") else text


def _drop_sequence(match: re.Match[str]) -> str:
    return "" if match[1] else REPLACEMENT


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else REPLACEMENT


def _thin_marks(match: re.Match[str]) -> str:
    kept: list[str] = []
    run = 0
    for character in match[0]:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if run <= MARKS_LIMIT:
            kept.append(character)
        elif run == MARKS_LIMIT + 1:
            kept.append(REPLACEMENT)
    return "".join(kept)


# --- Redaction by context -----------------------------------------------------------------------------------------

_SEPARATOR: Final = r"(?:\\*+[\"'])?\s{0,4}+(?:=>|[=:])\s{0,4}+"
_QUOTED: Final = (
    r"\\++\"[^\"\\]*+(?:\\++\")?"  # JSON inside a JSON string
    r"|\"(?:[^\"\\]++|\\.)*+\"?|'(?:[^'\\]++|\\.|'')*+'?"
)
_PLAIN: Final = (
    # What stands for a secret but is none: a shell variable, and what MySQL says of a refused login.
    r"(?![\"']?\$\{?[A-Z_][A-Z0-9_]*\}?(?![^\s\"'`;|)]))(?!(?:YES|NO)\))"
)
_VALUE: Final = rf"{_PLAIN}(?:{_QUOTED}|[^\s\"',;&}}\])<>]++)"
_PROGRAM: Final = r"\b(?:mysql|mariadb|sshpass|docker\s+login)[\w-]{0,20}\b[^|;]{0,200}?\s"

_KEYS: Final = (
    # (a hint in lower case, the key that a secret follows, the same as an environment variable or None)
    ("pass", r"PASS(?:WORD|WD|PHRASE)|(?<![A-Za-z0-9])pass(?=\s?=)", "PASS(?:WORD|WD|PHRASE)"),
    ("secret", "SECRET", "SECRET"),
    ("token", "TOKEN", "TOKEN"),
    ("key", "(?:API|ACCESS|PRIVATE)[_-]?KEY", "(?:API|ACCESS|PRIVATE)_?KEY"),
    ("pwd", r"(?-i:(?<![A-Za-z])[Pp]wd(?=\s?=))", "_PWD"),
    ("auth", "REDISCLI_AUTH", "_AUTH"),
    ("credential", r"CREDENTIALS?(?=[\"'\\]|\s?=)", None),
    ("webhook", "WEBHOOK_URL", "WEBHOOK"),
)

_FORMS: Final = (
    # (hints in lower case, what stays, what is masked)
    (("--",), r"--(?:requirepass|password|passwd|pass|masterauth|token|secret|api-key)(?:=|\s++)", _VALUE),
    (("requirepass", "masterauth"), r"(?<!-)\b(?:requirepass|masterauth)\\?\"?\s{1,4}+", _VALUE),
    ((" -a ",), r"\bredis-cli\b[^|;]{0,200}?\s-a\s{1,4}+", _VALUE),
    ((" -p",), rf"{_PROGRAM}(?-i:-p)", rf"(?!\s|-){_PLAIN}(?:{_QUOTED}|\S++)"),
    (("curl",), r"\bcurl\b[^|;]{0,160}?\s(?:(?-i:-u)|--user)\s{1,4}+[\"']?[^\s:\"']{1,80}:", r"[^\s\"']++"),
    (("://",), r"(?<=[a-z0-9])://[^\s/@:\"'<>]*+:", r"[^\s/\"'<>]*(?=@)"),
    (("@(", "@tcp", "@unix"), r"\b[\w.-]{1,64}+:", r"[^\s@/:]{1,128}+(?=@(?:tcp|unix)?\()"),
    (
        ("auth",),
        r"\bAuthorization\\*+\"?\s{0,4}+[:=]\s{0,4}+\\*+\"?",
        r"(?:(?:Basic|Bearer|Digest|Token)\s++)?+[^\s\"',\\]++",
    ),
    # "Basic authentication" is prose: a credential has a digit, padding, or capitals inside.
    (
        ("bearer ", "basic "),
        r"\b(?:Bearer|Basic)\s++",
        r"(?=\S*(?-i:[a-z][A-Z]|[A-Z]{2}[a-z]|[0-9=]))[A-Za-z0-9+/._~=-]{8,}+",
    ),
    (("cookie",), r"\b(?:Set-)?Cookie\"?\s{0,4}+[:=]\s{0,4}+\"?", r"[^\s\"';]++(?:;\s?[^\s\"';=]++=[^\s\"']++)*+"),
    (
        ("identified", "pass"),
        r"\b(?:IDENTIFIED(?:\s++WITH\s++\S++)?+\s++(?:BY|AS)|PASSWORD)\s++",
        r"'(?:[^']++|'')*+'?",
    ),
    (("auth",), r"\"AUTH\"(?:\s\"[^\"\s]*+\"(?=\s\"))?\s|(?:^|>\s)(?-i:AUTH)\s++", r"\"?[^\s\"]++\"?"),
    (("</",), r"(?:PASSWORD|SECRET|TOKEN)>", r"[^<]++(?=<)"),
    # By their shape alone: JSON web tokens, API keys and chat webhooks.
    (("eyj",), "", r"\beyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?"),
    (("sk-",), "", r"\bsk-[\w-]{20,}+"),
    (("://",), r"hooks\.slack\.com/services/", r"\S++"),
)


_HINTS: Final = tuple(
    dict.fromkeys([*(hint for hint, _, _ in _KEYS), *(hint for hints, _, _ in _FORMS for hint in hints)])
)


@cache
def _patterns(hint: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns that can match only where the hint occurs; compiled at the first need."""
    found: list[str] = []
    for key_hint, key, variable in _KEYS:
        if key_hint != hint:
            continue
        # An environment entry first: its value runs to the next blank, whatever stands in it.
        if variable is not None:
            found.append(rf"((?-i:{variable})[A-Z0-9_]{{0,32}}+=){_PLAIN}(?:{_QUOTED}|[^\s\"']++)")
        found.append(rf"((?:{key})(?:[_-]?(?:KEY|VALUE|HASH|\d+))?{_SEPARATOR}){_VALUE}")
    found += [f"({keep})(?:{mask})" for hints, keep, mask in _FORMS if hint in hints]
    return tuple(re.compile(pattern, re.I) for pattern in found)


_ORDINARY: Final = frozenset(
    {"password", "postgres", "username", "changeme", "changeit", "localhost", "database", "administrator"}
)
"""Passwords that are words of every other log line: masked by context, not by value."""
_UNQUOTED: Final = frozenset(ascii_letters + digits + "_.-~")
"""What a URL holds as it is."""


class Redactor:
    """Masks secrets: by context always, by value for the values it is given that are long enough.

    Values that are words of the profile (`fluxpay` is a password and a name) are not masked by value;
    `weak` names the secrets that are not, for `doctor`.
    """

    def __init__(self, secrets: Iterable[tuple[str, Secret]] = (), words: Iterable[str] = ()) -> None:
        known = {word.casefold() for word in words} | _ORDINARY
        values: set[str] = set()
        weak: set[str] = set()
        for name, secret in secrets:
            value = secret.reveal()
            if not value:
                continue
            folded = value.casefold()
            if len(value) < SECRET_LENGTH or any(folded in word for word in known):
                weak.add(name)
            else:
                values.update(_spellings(value))
        self.weak: tuple[str, ...] = tuple(sorted(weak))
        self._values = tuple(sorted(values, key=lambda value: (-len(value), value)))
        self._margin = max(256, *map(len, self._values)) if self._values else 256

    def redact(self, text: str) -> str:
        """Return `text` with every recognised secret replaced by the mask."""
        for value in self._values:
            if value in text:
                text = text.replace(value, MASK)
        lower = text.lower()
        for hint in _HINTS:
            if hint in lower:
                for pattern in _patterns(hint):
                    text = pattern.sub(_mask, text)
        return text

    def clean(self, text: str, limit: int = LINE_LIMIT) -> str:
        """Sanitise and redact: the only way from outside text to screen, clipboard, print or file."""
        # Redaction comes after sanitising, so that a colour inside a secret cannot hide it, and before the cut,
        # so that the cut cannot leave half a secret that is no longer recognised.
        text = self.redact(sanitise(text, limit + self._margin))
        return text[:limit] + "…" if len(text) > limit and text[limit:] != "…" else text

    def __repr__(self) -> str:
        return "Redactor()"


def _spellings(value: str) -> Iterator[str]:
    """Yield the forms in which a secret may stand in text: itself, sanitised, in JSON, in a URL, line by line."""
    yield value
    in_json = value.replace("\\", "\\\\").replace('"', '\\"')
    in_url = "".join(chr(byte) if chr(byte) in _UNQUOTED else f"%{byte:02X}" for byte in value.encode(errors="replace"))
    for form in (sanitise(value), in_json, in_url, *value.splitlines()):
        if len(form) >= SECRET_LENGTH:
            yield form


def _mask(match: re.Match[str]) -> str:
    return match[1] + MASK
