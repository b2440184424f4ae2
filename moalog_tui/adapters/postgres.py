"""The Postgres probe: log in, one query, and from it a reading of read-only and connections."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import termios
from typing import Final

from psycopg import Error, pq
from psycopg.conninfo import make_conninfo

from moalog_tui.adapters.bounded import BUDGET, Bound, NameUnknown, resolve
from moalog_tui.adapters.outcomes import (
    ACCEPTS_AND_CLOSES,
    Target,
    cannot_tell,
    credential_refused,
    failed,
    not_accepted,
    passed,
    quote,
    seconds,
)
from moalog_tui.platform.health import ProbeResult, Reason

NEARLY_FULL: Final = 0.95
"""Share of max_connections from which on clients are about to be turned away."""

# One round trip. The count is of clients: background processes have slots of their own.
_QUERY: Final = b"""\
SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'), current_setting('max_connections'),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"""

_RECEIVE_BUFFER: Final = 4096
"""Bytes. libpq reads for as long as there is something to read; a small window hands control back often."""

_HEARD: Final = frozenset(
    {pq.ConnStatus.OK, pq.ConnStatus.AUTH_OK, pq.ConnStatus.AUTHENTICATING, pq.ConnStatus.CONSUME}
)
"""States that a connection reaches only by an answer in Postgres' own protocol."""

_FULL: Final = ("too many clients", "remaining connection slots", "too many connections")
_STARTING: Final = ("starting up", "in recovery mode", "not yet accepting connections")
_REFUSED_CREDENTIAL: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "authentication failed",
    "is not permitted to log in",
)

_STATEMENT_REASONS: Final = {
    b"53100": Reason.DISK_FULL,
    b"53200": Reason.MEMORY,
    b"53300": Reason.TOO_MANY_CONNECTIONS,
    b"57014": Reason.TIMEOUT,
    b"57P01": Reason.UNHEALTHY,
    b"57P03": Reason.STARTING_UP,
}


class _Unfinished(Exception):
    """The connection or its query came to no end; the message is libpq's, empty past the deadline."""


class _Exchange:
    """One libpq connection driven by hand, as psycopg's own waiting outlasts a deadline of less than 2 s."""

    def __init__(self, target: Target, bound: Bound) -> None:
        self._target = target
        self._bound = bound
        self._read = 0
        self.spoke = False
        self.exceeded = False
        self.accepted = False
        self._connection: pq.abc.PGconn | None = None

    def connect(self) -> None:
        """Connect and log in; raises NameUnknown, or _Unfinished."""
        addresses = resolve(self._target.endpoint)
        connection = self._connection = pq.PGconn.connect_start(self._conninfo(addresses).encode())
        if connection.status == pq.ConnStatus.BAD:
            raise _Unfinished(self._message())
        state = pq.PollingStatus.WRITING
        while state != pq.PollingStatus.OK:
            if state == pq.PollingStatus.FAILED:
                self.spoke = self.spoke or "FATAL:" in self._message()
                raise _Unfinished(self._message())
            self._shrink(connection.socket)
            self._wait(select.POLLOUT if state == pq.PollingStatus.WRITING else select.POLLIN)
            self.accepted = True  # a socket that turned writable or readable is connected, or failed below
            state = pq.PollingStatus(connection.connect_poll())
            self.spoke = self.spoke or connection.status in _HEARD

    def query(self, statement: bytes) -> pq.abc.PGresult:
        """Run one statement and return its first result; raises _Unfinished."""
        connection = self._connection
        assert connection is not None
        connection.send_query(statement)
        while connection.is_busy():
            self._wait(select.POLLIN)
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            raise _Unfinished(self._message())
        return result

    def close(self) -> None:
        """End the connection and free it."""
        if self._connection is not None:
            self._connection.finish()

    def _conninfo(self, addresses: tuple[str, ...]) -> str:
        spec = self._target
        # Each key that the environment (PGSSLMODE, PGPASSFILE, PGTARGETSESSIONATTRS…) could bend is set.
        return make_conninfo(
            host=",".join(spec.endpoint.host for _ in addresses),
            hostaddr=",".join(addresses),
            port=spec.endpoint.port,
            user=spec.user or "postgres",
            password=spec.plain_password,
            # A path that is no file: an empty password would otherwise be looked up in the user's own.
            passfile=f"{os.devnull}/none",
            dbname=spec.database or spec.user or "postgres",
            application_name="moalog-tui",
            client_encoding="utf8",
            options=f"-c statement_timeout={max(int(spec.deadline * 1000), 1)}",
            sslmode="prefer",
            gssencmode="disable",
            target_session_attrs="any",
        )

    @staticmethod
    def _shrink(descriptor: int) -> None:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)

    def _wait(self, event: int) -> None:
        connection = self._connection
        assert connection is not None
        poll = select.poll()
        poll.register(connection.socket, event)
        if not poll.poll(self._bound.left * 1000):
            self._bound.expired = True
            raise _Unfinished("")
        if event == select.POLLIN:
            self._count(connection.socket)

    def _count(self, descriptor: int) -> None:
        waiting = array.array("i", [0])
        fcntl.ioctl(descriptor, termios.FIONREAD, waiting)
        self._read += waiting[0]
        if self._read > BUDGET:
            self.exceeded = True
            raise _Unfinished("")

    def _message(self) -> str:
        assert self._connection is not None
        return self._connection.error_message.decode("utf-8", "replace")


def probe(target: Target) -> ProbeResult:
    """Probe a Postgres server. Latency is that of connecting, logging in and the query."""
    bound = Bound(target.deadline)
    exchange = _Exchange(target, bound)
    try:
        exchange.connect()
        return _judge(exchange.query(_QUERY), bound.elapsed_ms)
    except NameUnknown as error:
        return cannot_tell(Reason.DNS, str(error))
    except (_Unfinished, Error) as error:
        return _complaint(str(error), exchange, target, bound)
    finally:
        exchange.close()


def _complaint(message: str, exchange: _Exchange, target: Target, bound: Bound) -> ProbeResult:
    """Read libpq's message: before the login it carries no SQLSTATE (FACTS C3)."""
    said = quote(message.partition("FATAL:")[2] or message)
    spoke = exchange.spoke
    if exchange.exceeded:
        return failed(Reason.PROTOCOL, "sends without end where a short Postgres answer is due", answered=spoke)
    if bound.expired:
        if not exchange.accepted:
            return not_accepted(target.endpoint, target.deadline, None)
        return failed(Reason.TIMEOUT, f"no answer within {seconds(target.deadline)}", answered=spoke)
    if "FATAL:" in message:
        return _fatal(said, target)
    if "Connection refused" in message:
        return not_accepted(target.endpoint, target.deadline, ConnectionRefusedError())
    if "no password supplied" in message:
        return credential_refused(target)
    if not spoke and ("closed the connection" in message or "reset by peer" in message or "SSL SYSCALL" in message):
        return failed(Reason.PROTOCOL, ACCEPTS_AND_CLOSES)
    if spoke:
        return failed(Reason.PROTOCOL, f"its Postgres answer cannot be read: {said}", answered=True)
    return failed(Reason.PROTOCOL, f"does not speak Postgres: {said}")


def _fatal(said: str, target: Target) -> ProbeResult:
    if any(phrase in said for phrase in _FULL):
        return failed(Reason.TOO_MANY_CONNECTIONS, f"turns new clients away: {said}", answered=True)
    if any(phrase in said for phrase in _STARTING):
        return failed(Reason.STARTING_UP, said, answered=True)
    if any(phrase in said for phrase in _REFUSED_CREDENTIAL):
        return credential_refused(target)
    if "shutting down" in said:
        return failed(Reason.UNHEALTHY, said, answered=True)
    if "does not exist" in said:
        # The database or role of our settings: the server is well, what we were told of it is not.
        return cannot_tell(Reason.AUTH, f"alive, but {said}", answered=True)
    return failed(Reason.PROTOCOL, f"turns the connection away: {said}", answered=True)


def _judge(result: pq.abc.PGresult, latency_ms: float) -> ProbeResult:
    if result.status != pq.ExecStatus.TUPLES_OK or result.nfields != 4 or result.ntuples != 1:
        said = quote(result.error_message)
        code = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        reason = _STATEMENT_REASONS.get(code[:5], Reason.PROTOCOL)
        return failed(reason, f"answers its query with: {said}", answered=True)
    recovery, read_only, most, taken = ((result.get_value(0, column) or b"").decode() for column in range(4))
    if recovery == "t":
        return passed(latency_ms, Reason.READ_ONLY, "it is in recovery, a standby: writes are refused")
    if read_only == "on":
        return passed(latency_ms, Reason.READ_ONLY, "default_transaction_read_only is on: writes are refused")
    if taken.isdigit() and most.isdigit() and int(taken) >= NEARLY_FULL * int(most):
        return passed(latency_ms, Reason.TOO_MANY_CONNECTIONS, f"{taken} of {most} connections are taken")
    return passed(latency_ms)
