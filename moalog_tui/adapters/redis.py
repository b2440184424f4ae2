"""The Redis probe: AUTH, PING, and a reading of INFO that never writes."""

from __future__ import annotations

from typing import Any, Final

from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from moalog_tui.adapters.bounded import Bound, open_bounded
from moalog_tui.adapters.outcomes import (
    Target,
    credential_refused,
    exchange_failed,
    failed,
    passed,
    quote,
)
from moalog_tui.platform.health import ProbeResult, Reason

NEARLY_FULL: Final = 0.95
"""Share of the permitted connections from which on clients are about to be turned away."""


class _BoundedConnection(Connection):
    """The client's connection over a bounded socket, without its retries (ten by default, 4 s for a refusal)."""

    def __init__(self, target: Target, bound: Bound) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            host=target.endpoint.host,
            port=target.endpoint.port,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )
        self._target = target
        self._bound = bound

    def _connect(self) -> Any:
        return open_bounded(self._target.endpoint, self._bound)

    def ask(self, *words: str) -> Any:
        """Send one command and return its answer; raises the client's errors."""
        self.send_command(*words)  # type: ignore[no-untyped-call]
        return self.read_response()


def probe(target: Target) -> ProbeResult:
    """Probe a Redis server. Latency is that of connecting, AUTH and PING."""
    bound = Bound(target.deadline)
    connection = _BoundedConnection(target, bound)
    try:
        connection.connect()  # type: ignore[no-untyped-call]
        _authenticate(connection, target)
        connection.ask("PING")
        return _judge(connection, bound.elapsed_ms)
    except exceptions.RedisError as error:
        return _complaint(error, target, bound)
    except Exception as error:  # the client's parser raises what it likes on bytes that are not Redis'
        return exchange_failed(target, bound, error, "Redis", spoke=_spoke(bound))
    finally:
        connection.disconnect()  # type: ignore[no-untyped-call]


def _authenticate(connection: _BoundedConnection, target: Target) -> None:
    # Done here and not by the client: a server without a password answers AUTH with an error, and is well.
    if not target.plain_password:
        return
    user = (target.user,) if target.user else ()
    try:
        connection.ask("AUTH", *user, target.plain_password)
    except exceptions.RedisError as error:
        if "without any password" not in str(error) and "no password is set" not in str(error):
            raise


def _complaint(error: exceptions.RedisError, target: Target, bound: Bound) -> ProbeResult:
    said = quote(str(error))
    code = getattr(error, "status_code", None)
    if not _spoke(bound):
        return exchange_failed(target, bound, error, "Redis", spoke=False)
    if isinstance(error, exceptions.AuthenticationError) or code in ("NOAUTH", "WRONGPASS"):
        return credential_refused(target)
    if isinstance(error, exceptions.NoPermissionError):
        return credential_refused(target, said)
    if isinstance(error, exceptions.BusyLoadingError):
        return failed(Reason.LOADING, f"loading its data set: {said}", answered=True)
    if "max number of clients" in said:
        return failed(Reason.TOO_MANY_CONNECTIONS, "turns new clients away: maxclients is reached", answered=True)
    if "MISCONF" in said:
        full = "No space left" in said
        return passed(bound.elapsed_ms, Reason.DISK_FULL if full else Reason.UNHEALTHY, f"refuses writes: {said}")
    if isinstance(error, exceptions.ResponseError) and not isinstance(error, exceptions.InvalidResponse):
        return failed(Reason.PROTOCOL, f"answers PING with an error: {said}", answered=True)
    return exchange_failed(target, bound, error, "Redis", spoke=True)


def _spoke(bound: Bound) -> bool:
    line = bound.head.partition(b"\r\n")
    return bool(line[1]) and line[0][:1] in (b"+", b"-", b":", b"$", b"*")


def _judge(connection: _BoundedConnection, latency_ms: float) -> ProbeResult:
    try:
        answer = connection.ask("INFO")
    except exceptions.RedisError as error:
        # PING was answered; a user without the right to INFO, or a slow INFO, takes nothing from that.
        return passed(latency_ms, detail=f"its state cannot be read: {quote(str(error))}")
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    reason, detail = _illness(facts)
    return passed(latency_ms, reason, detail)


def _illness(facts: dict[str, str]) -> tuple[Reason | None, str]:
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        status = facts["rdb_last_bgsave_status"]
        return Reason.UNHEALTHY, f"its last background save failed (rdb_last_bgsave_status: {quote(status)})"
    if facts.get("aof_enabled") == "1" and facts.get("aof_last_write_status", "ok") != "ok":
        status = facts["aof_last_write_status"]
        return Reason.UNHEALTHY, f"it cannot append to its file (aof_last_write_status: {quote(status)})"
    if facts.get("role") == "slave":
        master = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        link = quote(facts.get("master_link_status", "?"))
        return Reason.READ_ONLY, f"it is a replica of {quote(master)} (link {link}): writes are refused"
    used, limit = _number(facts, "used_memory"), _number(facts, "maxmemory")
    if limit and used >= limit and facts.get("maxmemory_policy") == "noeviction":
        return Reason.MEMORY, f"memory is full: {used} of {limit} bytes, policy noeviction; writes are refused"
    clients, most = _number(facts, "connected_clients"), _number(facts, "maxclients")
    if most and clients >= NEARLY_FULL * most:
        return Reason.TOO_MANY_CONNECTIONS, f"{clients} of {most} client connections are taken"
    return None, ""


def _number(facts: dict[str, str], name: str) -> int:
    try:
        return int(facts.get(name, "0"))
    except ValueError:
        return 0
