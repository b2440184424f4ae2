"""The one door for text that comes from outside: what leaves here can move neither the cursor nor the eye.

Text is kept as it was received, and passes `clean` on its way to the screen, the clipboard, a print or
a file (DESIGN, section 5, rule 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from moalog_tui.platform.secret import MASK, Secret

LINE_LIMIT: Final = 4096
"""Characters kept of one line; the rest is replaced by an ellipsis."""

SECRET_LENGTH: Final = 8
"""Shorter values are not masked by value: they would hit ordinary words (`admin`, `fluxpay`)."""

_ESCAPE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI
    # OSC, DCS, SOS, PM, APC with their payload; unterminated ones lose only their introducer,
    # so that no text hides behind them
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # two-character sequences
    r"|\x9b[0-?]*[ -/]*[@-~]?"  # the same in C1
    r"|[\x90\x98\x9d-\x9f][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)",
)
_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f"  # C0 but tab, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # bidi, zero width, separators
    "\ud800-\udfff\U000e0000-\U000e0fff]"  # lone surrogates, tag characters
)

_KEY: Final = (
    r"[A-Za-z0-9_.-]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?)[A-Za-z0-9_]*"
)
_VALUE: Final = r"(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&}\]]+)"
_CONTEXTS: Final = re.compile(
    rf"(?P<kv>\b{_KEY}\"?\s*[=:]\s*){_VALUE}"
    rf"|(?P<flag>--(?:requirepass|password|pass|masterauth|token)[= ]\s*){_VALUE}"
    rf"|(?P<directive>\b(?:requirepass|masterauth)\s+){_VALUE}"
    rf"|(?P<cli>\bredis-cli\b[^|;\n]*?\s-a\s+){_VALUE}"
    r"|(?P<dash_p>\b(?:mysql\w*|mariadb\w*|mysqladmin|mysqldump)\b[^|;\n]*?\s-p)[^\s-]\S*"
    r"|(?P<url>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*:)[^\s/]*(?=@)"
    r"|(?P<auth>\bAuthorization\"?\s*[:=]\s*\"?(?:Basic|Bearer|Digest|Token)?\s*)[^\s\"',]+"
    r"|(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/._~=-]{8,}",
    re.I,
)
# A cheap necessary condition for _CONTEXTS: most log lines hold none of these and skip the long pattern.
_CONTEXT_HINT: Final = re.compile(
    r"passw|passwd|secret|token|key|credential|requirepass|masterauth|redis-cli|--pass|mysql|mariadb|://|authorization|bearer|basic",
    re.I,
)


def sanitise(text: str, limit: int = LINE_LIMIT) -> str:
    """Return one line of `text` without escape sequences, control, bidi or invisible characters.

    Unsafe characters become U+FFFD, so that nothing is lost without a trace; tabs become blanks; a line
    over `limit` characters ends in an ellipsis.
    """
    cut = len(text) > limit
    if cut:
        text = text[:limit]
    if not text.isprintable():
        text = _UNSAFE.sub("\ufffd", _ESCAPE.sub("", text)).expandtabs(4)
    return text + "…" if cut else text


class Redactor:
    """Masks secrets: by context always, by value for the values it is given that are long enough.

    Values that are words of the profile (`fluxpay` is a password and a name) are not masked by value;
    `weak` names the secrets that are not, for `doctor`.
    """

    def __init__(self, secrets: Iterable[tuple[str, Secret]] = (), words: Iterable[str] = ()) -> None:
        known = {word.casefold() for word in words}
        values: set[str] = set()
        weak: set[str] = set()
        for name, secret in secrets:
            value = secret.reveal()
            if not value:
                continue
            if len(value) < SECRET_LENGTH or value.casefold() in known:
                weak.add(name)
            else:
                values.add(value)
        self.weak: tuple[str, ...] = tuple(sorted(weak))
        self._by_value = (
            re.compile("|".join(re.escape(value) for value in sorted(values, key=len, reverse=True)))
            if values
            else None
        )

    def redact(self, text: str) -> str:
        """Return `text` with every recognised secret replaced by the mask."""
        if self._by_value is not None:
            text = self._by_value.sub(MASK, text)
        if _CONTEXT_HINT.search(text):
            text = _CONTEXTS.sub(_mask_context, text)
        return text

    def clean(self, text: str, limit: int = LINE_LIMIT) -> str:
        """Sanitise and redact: the only way from outside text to screen, clipboard, print or file."""
        # Redaction comes after sanitising, so that an escape sequence inside a secret cannot hide it.
        return self.redact(sanitise(text, limit))

    def __repr__(self) -> str:
        return "Redactor()"


def _mask_context(match: re.Match[str]) -> str:
    return (match.group(match.lastgroup) if match.lastgroup else "") + MASK
