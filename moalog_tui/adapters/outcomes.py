"""What a failed exchange means: one wording and one reading of it for every probe."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from moalog_tui.adapters.bounded import Bound, NameUnknown, NotAccepted
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.secret import MASK
from moalog_tui.platform.services import Endpoint, ProbeSpec, Sourced
from moalog_tui.platform.text import SECRET_LENGTH

QUOTE: Final = 120
"""Characters quoted of what another program said."""

ACCEPTS_AND_CLOSES: Final = "accepts and closes: its port is open, but nothing answers behind it"

_GONE_AT_ONCE: Final = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN, errno.EINVAL})
"""What is found where the other side accepted and had reset the connection before it could be used."""


@dataclass(frozen=True, slots=True)
class Target:
    """Everything one probe needs to know. `deadline` is in seconds."""

    spec: ProbeSpec
    endpoint: Endpoint
    deadline: float
    user: str | None = None
    password: Sourced | None = None
    database: str | None = None

    @property
    def plain_password(self) -> str:
        """The password itself, for a client's argument; empty where there is none."""
        return self.password.plain if self.password else ""


def passed(latency_ms: float, reason: Reason | None = None, detail: str = "") -> ProbeResult:
    """It answers; with a reason, it answers but is ill."""
    return ProbeResult(Outcome.PASS, datetime.now(UTC), latency_ms, reason, detail, answered=True)


def failed(reason: Reason, detail: str, *, answered: bool = False) -> ProbeResult:
    """Its probe fails."""
    return ProbeResult(Outcome.FAIL, datetime.now(UTC), None, reason, detail, answered)


def cannot_tell(reason: Reason, detail: str, *, answered: bool = False) -> ProbeResult:
    """Our own side is why we do not know."""
    return ProbeResult(Outcome.UNKNOWN, datetime.now(UTC), None, reason, detail, answered)


def credential_refused(target: Target, said: str = "") -> ProbeResult:
    """Alive, but what we know of its credential is wrong, missing, or has no right to enter."""
    name = target.spec.password_setting or "password"
    if target.password is None or not target.plain_password:
        detail = f"alive, but it asks for a credential, and {name} is not set"
    else:
        detail = f"alive, but the credential is refused: {name} from {target.password.source}"
    return cannot_tell(Reason.AUTH, f"{detail} ({quote(said)})" if said else detail, answered=True)


def seconds(value: float) -> str:
    """Return a duration as people write it: `2 s`, `0.5 s`."""
    return f"{value:g} s"


def quote(text: str | bytes) -> str:
    """Return the start of what another program said, on one line."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = re.sub(r"\s+", " ", text[: QUOTE * 8]).strip()
    return text if len(text) <= QUOTE else text[: QUOTE - 1] + "…"


def not_accepted(endpoint: Endpoint, deadline: float, cause: BaseException | None) -> ProbeResult:
    """No connection came about."""
    where = f"{endpoint.host}:{endpoint.port}"
    if isinstance(cause, ConnectionRefusedError):
        return failed(Reason.REFUSED, f"refused at {where}")
    if cause is None or isinstance(cause, TimeoutError):
        return failed(Reason.TIMEOUT, f"{where} accepts no connection within {seconds(deadline)}")
    if isinstance(cause, OSError) and cause.errno in _GONE_AT_ONCE:
        return failed(Reason.PROTOCOL, ACCEPTS_AND_CLOSES)
    return failed(Reason.REFUSED, f"no connection to {where}: {quote(str(cause))}")


def exchange_failed(target: Target, bound: Bound, error: BaseException, language: str, *, spoke: bool) -> ProbeResult:
    """Read a failed exchange from what its socket saw, whatever the client made of it.

    `language` names what was expected ("Redis"), `spoke` is whether anything of it was heard.
    """
    if isinstance(error, NameUnknown):
        return cannot_tell(Reason.DNS, str(error))
    if isinstance(error, NotAccepted):
        return not_accepted(target.endpoint, target.deadline, error.__cause__)
    return unfinished(bound, quote(str(error)), language, spoke=spoke)


def unfinished(bound: Bound, said: str, language: str, *, spoke: bool) -> ProbeResult:
    """The connection stood, but no whole answer came."""
    if bound.exceeded:
        return failed(Reason.PROTOCOL, f"sends without end where a short {language} answer is due", answered=spoke)
    if bound.expired:
        what = "no answer" if not bound.received else f"no end of its answer{_begins(bound)}"
        return failed(Reason.TIMEOUT, f"{what} within {seconds(bound.deadline)}", answered=spoke)
    if bound.closed and not bound.received:
        return failed(Reason.PROTOCOL, ACCEPTS_AND_CLOSES)
    if bound.closed and spoke:
        return failed(Reason.PROTOCOL, f"closed the connection before its {language} answer ended", answered=True)
    if spoke:
        return failed(Reason.PROTOCOL, f"its {language} answer cannot be read: {said}", answered=True)
    return failed(Reason.PROTOCOL, f"does not speak {language}{_begins(bound)}")


def _begins(bound: Bound) -> str:
    # Binary protocols are shown as Python would write the bytes, text as it is.
    head = bound.head[:24]
    text = head.decode("ascii") if head.isascii() and head.decode("ascii").isprintable() else repr(head)[2:-1]
    return f', which begins "{text}"' if head else ""


def without_secret(result: ProbeResult, password: Sourced | None) -> ProbeResult:
    """Return the result with the password masked where the other side sent it back.

    Shorter values are left alone: a password `fluxpay` is the service's own name as well.
    """
    plain = password.plain if password else ""
    if len(plain) < SECRET_LENGTH or plain not in result.detail:
        return result
    detail = result.detail.replace(plain, MASK)
    return ProbeResult(result.outcome, result.at, result.latency_ms, result.reason, detail, result.answered)
