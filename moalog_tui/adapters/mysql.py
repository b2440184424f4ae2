"""The MySQL probe: log in, ping, and a reading of read-only and connections that never writes."""

from __future__ import annotations

import ssl
from typing import Any, Final

import pymysql
from pymysql import err
from pymysql.connections import Connection

from moalog_tui.adapters.bounded import Bound, open_bounded, unchecked_tls
from moalog_tui.adapters.outcomes import (
    Target,
    cannot_tell,
    credential_refused,
    exchange_failed,
    failed,
    passed,
    quote,
)
from moalog_tui.platform.health import ProbeResult, Reason

NEARLY_FULL: Final = 0.95
"""Share of max_connections from which on clients are about to be turned away."""

_REFUSED_CREDENTIAL: Final = frozenset({1044, 1045, 1130, 1251, 1698, 1820, 1862, 3118})
_TOO_MANY: Final = frozenset({1040, 1203, 1226})
_SHUTTING_DOWN: Final = frozenset({1053, 1077, 1079})
_TLS: Final = frozenset({2026, 3159})
_CLIENT_ERRORS: Final = range(2000, 3000)
_PROTOCOL_VERSION: Final = 10

_TLS_CONTEXT: Final = unchecked_tls()


def probe(target: Target) -> ProbeResult:
    """Probe a MySQL or MariaDB server. Latency is that of connecting, logging in and the ping.

    A connection is made anew each time: it is what the platform's programs need to succeed, and it meets a full
    server, a changed password and a blocked host at once.
    """
    bound = Bound(target.deadline)
    try:
        sock = open_bounded(target.endpoint, bound)
    except Exception as error:
        return exchange_failed(target, bound, error, "MySQL", spoke=False)
    connection = _connection(target)
    try:
        connection.connect(sock)
        connection.ping(reconnect=False)
        return _judge(connection, bound.elapsed_ms)
    except err.MySQLError as error:
        return _complaint(error, target, bound)
    except Exception as error:  # the client's packet reader raises what it likes on bytes that are not MySQL's
        return exchange_failed(target, bound, error, "MySQL", spoke=_spoke(bound))
    finally:
        _close(connection, bound)
        sock.close()


def _connection(target: Target) -> Connection[Any]:
    connection: Connection[Any] = pymysql.connect(
        host=target.endpoint.host,
        port=target.endpoint.port,
        user=target.user or "root",
        # As bytes: the client would encode text as Latin-1, which not every password is.
        password=target.plain_password.encode(),
        charset="utf8mb4",
        # None: one round trip less. Nothing here needs a transaction to end.
        autocommit=None,
        program_name="moalog-tui",
        # The client's own context would load the system's authorities, 10 ms of CPU a probe. With TLS "disabled"
        # and a context given below it takes TLS where the server offers it, which REQUIRE SSL accounts need.
        ssl_disabled=True,
        defer_connect=True,
    )
    connection.ssl = True
    connection.ctx = _TLS_CONTEXT  # type: ignore[attr-defined] # missing in its stubs
    return connection


def _close(connection: Connection[Any], bound: Bound) -> None:
    # COM_QUIT keeps the server from counting an aborted client; the socket is closed by the caller in any case.
    if connection.open and not (bound.expired or bound.closed or bound.exceeded):
        connection.close()


def _spoke(bound: Bound) -> bool:
    # A packet header (length, number 0), then the greeting's protocol version, or an error packet.
    return len(bound.head) > 4 and bound.head[3] == 0 and bound.head[4] in (_PROTOCOL_VERSION, 0xFF)


def _complaint(error: err.MySQLError, target: Target, bound: Bound) -> ProbeResult:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = quote(str(error.args[1])) if len(error.args) > 1 else quote(str(error))
    if not _spoke(bound):
        return exchange_failed(target, bound, error, "MySQL", spoke=False)
    if code in _TLS or isinstance(getattr(error, "original_exception", None), ssl.SSLError):
        return failed(Reason.TLS, f"TLS fails: {said}", answered=True)
    if code in _REFUSED_CREDENTIAL:
        return credential_refused(target)
    if code in _TOO_MANY:
        return failed(Reason.TOO_MANY_CONNECTIONS, f"turns new clients away: {said} ({code})", answered=True)
    if code == 1129:
        return cannot_tell(Reason.AUTH, f"alive, but it has blocked this host: {said} ({code})", answered=True)
    if code in _SHUTTING_DOWN:
        return failed(Reason.UNHEALTHY, f"is shutting down: {said} ({code})", answered=True)
    if code and code not in _CLIENT_ERRORS:
        return failed(Reason.PROTOCOL, f"answers with error {code}: {said}", answered=True)
    return exchange_failed(target, bound, error, "MySQL", spoke=True)


def _judge(connection: Connection[Any], latency_ms: float) -> ProbeResult:
    # super_read_only is not asked for: MariaDB has no such variable, and where it is on, so is read_only.
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@global.read_only, @@global.max_connections")
            read_only, most = _row(cursor.fetchone(), 2)
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
            _, taken = _row(cursor.fetchone(), 2)
    except err.MySQLError as error:
        # The ping was answered; a user without the right to look takes nothing from that.
        return passed(latency_ms, detail=f"its state cannot be read: {quote(str(error))}")
    if str(read_only).upper() not in ("0", "OFF"):
        return passed(latency_ms, Reason.READ_ONLY, f"read_only is {quote(str(read_only))}: writes are refused")
    if int(taken) >= NEARLY_FULL * int(most):
        return passed(latency_ms, Reason.TOO_MANY_CONNECTIONS, f"{taken} of {most} connections are taken")
    return passed(latency_ms)


def _row(row: Any, width: int) -> tuple[Any, ...]:
    if not isinstance(row, tuple) or len(row) != width:
        raise err.DataError(0, "not the answer that was asked for")
    return row
