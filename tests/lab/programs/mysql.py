"""The `mysql` container: Debian's MariaDB, its database made on the first start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DATA = Path("/var/lib/mysql")


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def main() -> None:
    """Make the data where there is none, set accounts, and become mariadbd."""
    if not (DATA / "mysql").is_dir():
        small = ["--innodb-log-file-size=8M", "--skip-test-db", "--auth-root-authentication-method=normal"]
        subprocess.run(["mariadb-install-db", "--user=root", f"--datadir={DATA}", *small], check=True, stdout=2)
    password = quoted(os.environ["MYSQL_ROOT_PASSWORD"])
    database = os.environ["MYSQL_DATABASE"]
    statements = [
        f"CREATE DATABASE IF NOT EXISTS `{database}`;",
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY {password};",
        f"CREATE OR REPLACE USER 'root'@'%' IDENTIFIED BY {password};",
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;",
        "CREATE OR REPLACE USER 'exporter'@'%' IDENTIFIED BY 'exporter_password' WITH MAX_USER_CONNECTIONS 3;",
        "GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR, SELECT ON *.* TO 'exporter'@'%';",
    ]
    script = Path("/run/accounts.sql")
    script.touch(0o600)
    script.write_text("\n".join(statements) + "\n")
    Path("/run/mysqld").mkdir(exist_ok=True)
    os.execvp(
        "mariadbd",
        [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={DATA}",
            f"--init-file={script}",
            "--socket=/run/mysqld/mysqld.sock",
            "--bind-address=0.0.0.0",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=32M",
            "--skip-name-resolve",
            # Probes that only look at the greeting must not get their address blocked.
            "--max-connect-errors=1000000000",
            "--max-connections=60",
            # The health check has no password, as the platform's; MySQL 8 does not log each refusal, MariaDB would.
            "--log-warnings=1",
        ],
    )


if __name__ == "__main__":
    main()
