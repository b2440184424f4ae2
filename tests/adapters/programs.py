"""Real servers from Debian's packages, each in a folder and on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pymysql

from moalog_tui.platform.services import Endpoint
from tests.adapters.servers import free_port

START_S = 60


@contextmanager
def running(
    command: Sequence[str], folder: Path, port: int, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; enters the block when its port accepts."""
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, user=_as(user))
    try:
        _wait_for(port, process, log)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT if user else signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _as(user: str | None) -> str | None:
    return user if user and os.geteuid() == 0 else None


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended: {log.read_text('utf-8', 'replace')[-2000:]}")
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)  # a port has no event to wait for
    raise RuntimeError(f"{process.args!r} does not listen")


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Endpoint]:
    """A Redis; the password goes into its configuration file, never on its command line."""
    port = free_port()
    with running(["redis-server", *_redis_config(folder, port, options)], folder, port):
        yield Endpoint("127.0.0.1", port, "test")


def _redis_config(folder: Path, port: int, options: Sequence[str]) -> list[str]:
    path = folder / "redis.conf"
    path.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *options, ""]), "utf-8")
    return [str(path)]


@contextmanager
def mariadb_server(folder: Path, users: Sequence[tuple[str, str]], *options: str) -> Iterator[Endpoint]:
    """A MariaDB with these users and passwords, each with every right."""
    port, store = free_port(), folder / "store"
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={store}", "--auth-root-authentication-method=normal",
         "--skip-test-db", f"--user={_owner()}"],
        check=True, capture_output=True,
    )  # fmt: skip
    command = [
        "mariadbd", "--no-defaults", f"--datadir={store}", f"--port={port}", "--bind-address=127.0.0.1",
        f"--socket={folder / 's'}", f"--user={_owner()}", "--skip-name-resolve",
        "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=16M", *options,
    ]  # fmt: skip
    with running([_find("mariadbd", "/usr/sbin"), *command[1:]], folder, port):
        _create_users(str(folder / "s"), users)
        yield Endpoint("127.0.0.1", port, "test")


def _create_users(path: str, users: Sequence[tuple[str, str]]) -> None:
    with pymysql.connect(unix_socket=path, user="root", charset="utf8mb4") as connection, connection.cursor() as cursor:
        for user, password in users:
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (user, password))
            cursor.execute("GRANT ALL ON *.* TO %s@'%%' WITH GRANT OPTION", (user,))


def _owner() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


@contextmanager
def postgres_server(folder: Path, password: str, *options: str) -> Iterator[Endpoint]:
    """A Postgres with the superuser and database `fluxpay`, run by its own user where we are root."""
    port, store = free_port(), folder / "store"
    user = "postgres" if os.geteuid() == 0 else None
    secret = folder / "password"
    secret.write_text(password + "\n", "utf-8")
    if user:
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    subprocess.run(
        [str(programs / "initdb"), "-D", str(store), "-U", "fluxpay", "-A", "scram-sha-256", f"--pwfile={secret}",
         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    command = [
        str(programs / "postgres"), "-D", str(store), "-p", str(port), "-k", str(folder), "-c", "fsync=off",
        "-c", "listen_addresses=127.0.0.1", *options,
    ]  # fmt: skip
    with running(command, folder, port, user):
        yield Endpoint("127.0.0.1", port, "test")


def _find(program: str, *folders: str) -> str:
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    if found is None:
        raise RuntimeError(f"{program} is not installed")
    return found
