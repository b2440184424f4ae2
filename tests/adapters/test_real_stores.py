"""Probes against the real Redis, MariaDB and Postgres of Debian's packages."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest
import redis
from psycopg import connect

from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.services import Endpoint, ProbeKind, ProbeSpec
from tests.adapters.probing import PASSWORD, SPECS, probe, within
from tests.adapters.programs import mariadb_server, postgres_server, redis_server

pytestmark = pytest.mark.lab

PASSWORDS = [
    "with a blank",
    "single ' double \" both",
    "a@b:c/d",
    "#hash #comment",
    "100%s %20 %%",
    "back\\slash $HOME `id` ${X:-y}",
    "пароль-密碼-ß-🔑",
]

MYSQL = replace(SPECS[ProbeKind.MYSQL], user="op")


@pytest.fixture(scope="module")
def folder() -> Iterator[Callable[[], Path]]:
    """Folders that another user may enter, with paths short enough for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="mt-") as top:
        Path(top).chmod(0o755)
        yield lambda: Path(tempfile.mkdtemp(dir=top))


def _is(result: ProbeResult, outcome: Outcome, reason: Reason | None, detail: str = "") -> None:
    assert (result.outcome, result.reason, result.detail) == (outcome, reason, detail)


async def _until(spec: ProbeSpec | ProbeKind, endpoint: Endpoint, wanted: Outcome, password: str) -> ProbeResult:
    """Probe until the outcome is the wanted one; a port that accepts is not yet a server that serves."""
    ends_at = time.monotonic() + 30
    while (result := await probe(spec, endpoint, 2, password)).outcome is not wanted:
        assert time.monotonic() < ends_at, result
        await asyncio.sleep(0.1)
    return result


# ---------------------------------------------------------------- Redis


@pytest.mark.parametrize("password", PASSWORDS)
async def test_redis_passwords(folder: Callable[[], Path], password: str) -> None:
    written = "".join(f"\\x{byte:02x}" for byte in password.encode())
    with redis_server(folder(), f'requirepass "{written}"', 'save ""') as endpoint:
        _is(await probe(ProbeKind.REDIS, endpoint, 2, password), Outcome.PASS, None)
        with within(0.5):
            wrong = await probe(ProbeKind.REDIS, endpoint, 2, password + "x")
        detail = "alive, but the credential is refused: REDIS_PASSWORD from .env:21"
        _is(wrong, Outcome.UNKNOWN, Reason.AUTH, detail)
        with within(0.5):
            missing = await probe(ProbeKind.REDIS, endpoint, 2, None)
        detail = "alive, but it asks for a credential, and REDIS_PASSWORD is not set"
        _is(missing, Outcome.UNKNOWN, Reason.AUTH, detail)


async def test_redis_without_a_password(folder: Callable[[], Path]) -> None:
    with redis_server(folder(), 'save ""') as endpoint:
        _is(await probe(ProbeKind.REDIS, endpoint, 2, PASSWORD), Outcome.PASS, None)
        _is(await probe(ProbeKind.REDIS, endpoint, 2, None), Outcome.PASS, None)


async def test_redis_is_full_read_only_or_short_of_memory(folder: Callable[[], Path]) -> None:
    options = ("maxclients 10", "maxmemory-policy noeviction", "replica-read-only yes")
    with redis_server(folder(), 'save ""', *options) as endpoint, ExitStack() as stack:
        client = redis.Redis(endpoint.host, endpoint.port)
        stack.callback(client.close)
        client.config_set("maxmemory", "100kb")
        result = await probe(ProbeKind.REDIS, endpoint, 2, None)
        assert (result.outcome, result.reason) == (Outcome.PASS, Reason.MEMORY)
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", "1")
        _is(
            await probe(ProbeKind.REDIS, endpoint, 2, None),
            Outcome.PASS,
            Reason.READ_ONLY,
            "it is a replica of 127.0.0.1:1 (link down): writes are refused",
        )
        client.replicaof("NO", "ONE")
        others = [redis.Redis(endpoint.host, endpoint.port) for _ in range(9)]
        for other in others:
            stack.callback(other.close)
            other.ping()
        detail = "turns new clients away: maxclients is reached"
        _is(await probe(ProbeKind.REDIS, endpoint, 2, None), Outcome.FAIL, Reason.TOO_MANY_CONNECTIONS, detail)


async def test_a_redis_that_cannot_save(folder: Callable[[], Path]) -> None:
    home = folder()
    with redis_server(home, 'save ""', "dbfilename taken.rdb") as endpoint:
        client = redis.Redis(endpoint.host, endpoint.port, decode_responses=True)
        # The last step of a save, the renaming over a folder that is not empty, fails for root as well.
        (home / "taken.rdb" / "x").mkdir(parents=True)
        client.bgsave()
        while client.info("persistence")["rdb_bgsave_in_progress"]:  # noqa: ASYNC110 - Redis tells by being asked
            await asyncio.sleep(0.05)
        client.close()
        detail = "its last background save failed (rdb_last_bgsave_status: err)"
        _is(await probe(ProbeKind.REDIS, endpoint, 2, None), Outcome.PASS, Reason.UNHEALTHY, detail)


# ---------------------------------------------------------------- MariaDB


@pytest.fixture(scope="module")
def mariadb(folder: Callable[[], Path]) -> Iterator[Endpoint]:
    users = [("op", PASSWORD), *((f"user{number}", password) for number, password in enumerate(PASSWORDS))]
    with mariadb_server(folder(), users, "--max-connections=10", "--extra-max-connections=1") as endpoint:
        yield endpoint


@pytest.mark.parametrize("number", range(len(PASSWORDS)))
async def test_mysql_passwords(mariadb: Endpoint, number: int) -> None:
    spec = replace(MYSQL, user=f"user{number}")
    await _until(MYSQL, mariadb, Outcome.PASS, PASSWORD)
    _is(await probe(spec, mariadb, 2, PASSWORDS[number]), Outcome.PASS, None)
    with within(0.5):
        wrong = await probe(spec, mariadb, 2, PASSWORDS[number] + "x")
    detail = "alive, but the credential is refused: MYSQL_ROOT_PASSWORD from .env:21"
    _is(wrong, Outcome.UNKNOWN, Reason.AUTH, detail)
    assert wrong.answered


async def test_mysql_is_read_only_or_full(mariadb: Endpoint) -> None:
    await _until(MYSQL, mariadb, Outcome.PASS, PASSWORD)
    with ExitStack() as stack:
        connections = []

        def client() -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
            connection = pymysql.connect(host=mariadb.host, port=mariadb.port, user="op", password=PASSWORD)
            connections.append(connection)
            stack.callback(connection.close)
            return connection

        first = client()
        first.cursor().execute("SET GLOBAL read_only = 1")
        result = await probe(MYSQL, mariadb, 2)
        first.cursor().execute("SET GLOBAL read_only = 0")
        _is(result, Outcome.PASS, Reason.READ_ONLY, "read_only is 1: writes are refused")
        while len(connections) < 9:
            client()
        detail = "10 of 10 connections are taken"
        _is(await probe(MYSQL, mariadb, 2), Outcome.PASS, Reason.TOO_MANY_CONNECTIONS, detail)
        # One more than the maximum is let in where the user may (as root may).
        client()
        client()
        result = await probe(MYSQL, mariadb, 2)
        assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.TOO_MANY_CONNECTIONS, True)
        assert result.detail == "turns new clients away: Too many connections (1040)"
    await _until(MYSQL, mariadb, Outcome.PASS, PASSWORD)


async def test_probing_mysql_leaves_no_aborted_client(mariadb: Endpoint) -> None:
    await _until(MYSQL, mariadb, Outcome.PASS, PASSWORD)

    def aborted() -> int:
        connection = pymysql.connect(host=mariadb.host, port=mariadb.port, user="op", password=PASSWORD)
        with connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Aborted_clients'")
            row = cursor.fetchone()
            assert row is not None
            return int(row[1])

    before = aborted()
    for _ in range(10):
        assert (await probe(MYSQL, mariadb, 2)).passed
    assert aborted() == before


async def test_a_mysql_account_that_requires_tls(folder: Callable[[], Path]) -> None:
    home = folder()
    key, certificate = home / "key.pem", home / "cert.pem"
    _self_sign(key, certificate)
    options = (f"--ssl-key={key}", f"--ssl-cert={certificate}", "--require-secure-transport=on")
    with mariadb_server(home, [("op", PASSWORD)], *options) as endpoint:
        _is(await probe(MYSQL, endpoint, 2), Outcome.PASS, None)
        with pytest.raises(pymysql.OperationalError, match=r"Access denied|insecure transport"):
            pymysql.connect(host=endpoint.host, port=endpoint.port, user="op", password=PASSWORD, ssl_disabled=True)


def _self_sign(key: Path, certificate: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)


# ---------------------------------------------------------------- Postgres


@pytest.fixture(scope="module")
def postgres(folder: Callable[[], Path]) -> Iterator[Endpoint]:
    options = ("-c", "max_connections=10", "-c", "superuser_reserved_connections=1")
    with postgres_server(folder(), PASSWORD, *options) as endpoint:
        yield endpoint


def _execute(endpoint: Endpoint, *statements: str) -> None:
    with connect(
        host=endpoint.host, port=endpoint.port, user="fluxpay", password=PASSWORD, dbname="postgres", autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize("number", range(len(PASSWORDS)))
async def test_postgres_passwords(postgres: Endpoint, number: int) -> None:
    spec = replace(SPECS[ProbeKind.POSTGRES], user=f"user{number}", database="postgres")
    await _until(replace(spec, user="fluxpay"), postgres, Outcome.PASS, PASSWORD)
    quoted = PASSWORDS[number].replace("'", "''")
    _execute(postgres, f"CREATE ROLE user{number} LOGIN PASSWORD '{quoted}'")
    _is(await probe(spec, postgres, 2, PASSWORDS[number]), Outcome.PASS, None)
    detail = "alive, but the credential is refused: FLUXPAY_DB_PASSWORD from .env:21"
    with within(0.5):
        _is(await probe(spec, postgres, 2, PASSWORDS[number] + "x"), Outcome.UNKNOWN, Reason.AUTH, detail)
    detail = "alive, but it asks for a credential, and FLUXPAY_DB_PASSWORD is not set"
    _is(await probe(spec, postgres, 2, None), Outcome.UNKNOWN, Reason.AUTH, detail)


async def test_postgres_is_read_only_full_or_lacks_the_database(postgres: Endpoint) -> None:
    spec = replace(SPECS[ProbeKind.POSTGRES], database="postgres")
    await _until(spec, postgres, Outcome.PASS, PASSWORD)
    result = await probe(replace(spec, database="nowhere"), postgres, 2)
    _is(result, Outcome.UNKNOWN, Reason.AUTH, 'alive, but database "nowhere" does not exist')
    _execute(postgres, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    result = await _until_reason(spec, postgres, Reason.READ_ONLY)
    _is(result, Outcome.PASS, Reason.READ_ONLY, "default_transaction_read_only is on: writes are refused")
    _execute(postgres, "SET default_transaction_read_only = off", "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
    await _until_reason(spec, postgres, None)
    with ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(
                connect(host=postgres.host, port=postgres.port, user="fluxpay", password=PASSWORD, dbname="postgres")
            )
        detail = "10 of 10 connections are taken"
        _is(await probe(spec, postgres, 2), Outcome.PASS, Reason.TOO_MANY_CONNECTIONS, detail)
        stack.enter_context(
            connect(host=postgres.host, port=postgres.port, user="fluxpay", password=PASSWORD, dbname="postgres")
        )
        detail = "turns new clients away: sorry, too many clients already"
        _is(await probe(spec, postgres, 2), Outcome.FAIL, Reason.TOO_MANY_CONNECTIONS, detail)


async def _until_reason(spec: ProbeSpec, endpoint: Endpoint, reason: Reason | None) -> ProbeResult:
    ends_at = time.monotonic() + 10
    while (result := await probe(spec, endpoint, 2)).reason is not reason:
        assert time.monotonic() < ends_at, result
        await asyncio.sleep(0.1)
    return result


# ---------------------------------------------------------------- all of them


async def test_no_secret_is_on_a_command_line(postgres: Endpoint, mariadb: Endpoint) -> None:
    await asyncio.gather(probe(MYSQL, mariadb, 2), probe(SPECS[ProbeKind.POSTGRES], postgres, 2))
    assert PASSWORD not in "".join(sys.orig_argv)
    assert PASSWORD not in "".join(os.environ.values())
