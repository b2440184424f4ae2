"""The `fluxpay-postgres` container: Debian's PostgreSQL, its database made on the first start."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

DATA = Path("/var/lib/postgresql/data")
SCHEMA = """
CREATE TABLE outbox_events (id bigserial PRIMARY KEY, aggregate_type text NOT NULL, payload text NOT NULL,
  status text NOT NULL DEFAULT 'PENDING', retry_count int NOT NULL DEFAULT 0, error_message text,
  created_at timestamptz NOT NULL DEFAULT now(), published_at timestamptz);
"""


def main() -> None:
    """Make the cluster where there is none, then become postgres, as the user postgres."""
    account = pwd.getpwnam("postgres")
    for folder in (DATA, Path("/run/postgresql")):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(folder, "postgres")
    DATA.chmod(0o700)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ.update(HOME="/tmp", LC_ALL="C.UTF-8")
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    user, database = os.environ["POSTGRES_USER"], os.environ["POSTGRES_DB"]
    if not (DATA / "PG_VERSION").exists():
        secret = Path("/tmp/password")
        secret.touch(0o600)
        secret.write_text(os.environ["POSTGRES_PASSWORD"])
        login = ["-A", "scram-sha-256", f"--pwfile={secret}", "-U", user]
        subprocess.run([str(programs / "initdb"), "-D", str(DATA), "--no-sync", *login], check=True, stdout=2)
        secret.unlink()
        for target, statement in (("postgres", f'CREATE DATABASE "{database}";'), (database, SCHEMA)):
            single = [str(programs / "postgres"), "--single", "-D", str(DATA), "-F", "-j", target]
            subprocess.run(single, input=statement.encode() + b"\n\n", check=True, stdout=subprocess.DEVNULL)
        with (DATA / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
    (DATA / "postmaster.pid").unlink(missing_ok=True)
    server = str(programs / "postgres")
    options = ["-c", "listen_addresses=*", "-c", "fsync=off", "-c", "unix_socket_directories=/run/postgresql"]
    options += ["-c", "max_connections=60", "-c", "shared_buffers=16MB"]
    os.execv(server, [server, "-D", str(DATA), *options])


if __name__ == "__main__":
    main()
