"""The lab as tests and people drive it: `Lab` brings the platform up, breaks it, mends it, and takes it down."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import yaml

from tests.lab import ports
from tests.lab.engine import Engine, wait_until
from tests.lab.folder import HERE, LABEL, REPOSITORY, Folder, LabError, check_host, search_path, tansu_program

PROJECT = "moalog-server"
ONE_SHOT = "otel-agent-init"
COMPOSE_FILE = "moalog-server/docker-compose.yaml"
CHECKED_BY_ENGINE = ("redis", "mysql", "fluxpay-postgres", "rate-limiter", "fluxpay-engine", "moalog-server")
FOREIGN_SETTINGS = ("COMPOSE_", "DOCKER_", "PYTHON", "LAB_", "MOALOG_")


class Lab:
    """One lab folder. Holds nothing but the folder: two objects of one folder see the same lab."""

    def __init__(self, folder: Folder | None = None) -> None:
        self.folder = folder or Folder.find()
        self.engine = Engine(self.folder)

    @property
    def platform_dir(self) -> Path:
        """The folder for `moalog-tui --platform`."""
        return self.folder.platform

    @property
    def docker_host(self) -> str:
        """The value for DOCKER_HOST."""
        return self.folder.docker_host

    @property
    def compose_file(self) -> Path:
        """The platform's compose file."""
        return self.platform_dir / COMPOSE_FILE

    def settings(self) -> dict[str, str]:
        """The `.env` of the lab's platform."""
        lines = (HERE / "platform" / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def services(self) -> list[str]:
        """The twenty services of the compose file, in its order."""
        return list(yaml.safe_load(self.compose_file.read_text())["services"])

    def environment(self, **more: str) -> dict[str, str]:
        """The environment to run `moalog-tui` with: this one, without settings that could lead it elsewhere."""
        names = self.settings()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COMPOSE_", "DOCKER_", "MOALOG_")) and name not in names
        }
        return kept | {"DOCKER_HOST": self.docker_host, "MOALOG_HOME": str(self.platform_dir)} | more

    @contextmanager
    def client(self, timeout: float = 20) -> Iterator[docker.DockerClient]:
        """A docker client of the lab's engine, closed at the end. LabError where the engine does not answer."""
        try:
            client = docker.DockerClient(base_url=self.docker_host, timeout=int(timeout))
            client.ping()
        except docker.errors.DockerException as error:
            raise LabError(f"The lab's engine does not answer at {self.docker_host}: {error}") from error
        try:
            yield client
        finally:
            client.close()

    # Up and down

    def up(self, live_restore: bool | None = None, report: Callable[[str], None] = lambda _: None) -> None:
        """Bring everything up, or what is missing of it; returns when every service answers. LabError otherwise."""
        check_host()
        with self.alone():
            self.write_platform()
            if self.engine.pid() is None:
                self.refuse_taken_ports()
                report("starting the engine")
            self.engine.start(live_restore)
            self.refuse_taken_ports()
            self.import_image()
            report("starting the services")
            self.start_services()
            report("waiting for every service to answer")
            self.wait_well(90)

    def down(self) -> None:
        """Take everything down and leave nothing but an empty folder.

        LabError, with nothing removed, where the engine holds something that does not carry the lab's label.
        """
        check_host()
        with self.alone():
            if self.engine.data.exists():
                # A killed engine is started once more, to see what it holds; one that cannot start holds nothing known.
                with contextlib.suppress(LabError):
                    self.engine.start(deadline=30)
            if self.engine.answers():
                with self.client(60) as client:
                    refuse_foreign(client)
                    remove_labelled(client)
            self.engine.remove()
            shutil.rmtree(self.folder.platform, ignore_errors=True)
            shutil.rmtree(self.folder.control, ignore_errors=True)

    def is_up(self) -> bool:
        """True where the engine runs and every service is as it should be."""
        return self.engine.pid() is not None and self.engine.answers() and not self.ill()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one process at a time bring the lab up or down."""
        self.folder.root.mkdir(parents=True, exist_ok=True)
        with (self.folder.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write_platform(self) -> None:
        """Write the platform's folder from the templates, leaving alone what is already as it should be."""
        folder = self.platform_dir
        self.folder.control.mkdir(parents=True, exist_ok=True)
        places = {
            "@FOLDER@": str(self.folder.root),
            "@PROGRAMS@": str(HERE / "programs"),
            "@TANSU@": str(tansu_program()),
        }
        for source in sorted((HERE / "platform").rglob("*")):
            if source.is_file():
                name = source.relative_to(HERE / "platform")
                target = folder / (".env" if name == Path("env") else name)
                text = source.read_text()
                for mark, place in places.items():
                    text = text.replace(mark, place)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists() or target.read_text() != text:
                    target.write_text(text)

    def refuse_taken_ports(self) -> None:
        """Raise LabError where a port of the platform is held by something that is not this lab."""
        compose = yaml.safe_load(self.compose_file.read_text())
        wanted = ports.published(compose, self.settings())
        ours: set[int] = set()
        if self.engine.answers():
            with self.client() as client:
                ours = ports.held_by(client.api.containers(filters={"label": LABEL}))
        taken = {port: service for port, service in wanted.items() if port not in ours and not ports.free(port)}
        if taken:
            words = ", ".join(f"{port} ({service})" for port, service in sorted(taken.items()))
            raise LabError(f"The lab needs ports that something else holds: {words}; end that, then run lab-up again.")

    def import_image(self) -> None:
        """Make the one image, nearly empty, and give it the names of the platform's images."""
        names = {service["image"] for service in yaml.safe_load(self.compose_file.read_text())["services"].values()}
        with self.client() as client:
            present = {tag for image in client.images.list(filters={"label": LABEL}) for tag in image.tags}
            missing = sorted(name for name in names if (name if ":" in name else f"{name}:latest") not in present)
            if not missing:
                return
            changes = [f"LABEL {LABEL}", "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
            client.api.import_image_from_data(empty_tree(), repository="moalog-lab", tag="latest", changes=changes)
            image = client.images.get("moalog-lab:latest")
            for name in missing:
                image.tag(*name.rsplit(":", 1))

    def start_services(self) -> None:
        """Let compose start what is missing; once more where a service fell ill on the way."""
        self.stop_ill()
        try:
            self.compose("up", "-d", "--no-color", deadline=240)
        except LabError:
            self.stop_ill()
            self.compose("up", "-d", "--no-color", deadline=240)

    def stop_ill(self) -> None:
        """Stop what compose leaves or refuses to build upon: paused, unhealthy, restarting, with another password."""
        password_changed = bool(ports.complaint("redis", self.settings()))
        with self.client() as client:
            for row in labelled(client):
                service = row["Labels"].get("com.docker.compose.service", "")
                if row["State"] == "paused":
                    client.api.unpause(row["Id"])
                ill = row["State"] in ("paused", "restarting") or "(unhealthy)" in row["Status"]
                if ill or (service == "redis" and row["State"] == "running" and password_changed):
                    client.api.stop(row["Id"], timeout=3)

    def wait_well(self, deadline: float) -> None:
        """Wait until nothing is ill; LabError with what still is after `deadline` seconds."""
        if not wait_until(lambda: not self.ill(), deadline, 1):
            raise LabError(f"Not up after {deadline:.0f} s: " + "; ".join(f"{k}: {v}" for k, v in self.ill().items()))

    def ill(self) -> dict[str, str]:
        """What is not as it should be, by service: its container's state or what its port says."""
        found: dict[str, str] = {}
        with self.client() as client:
            rows = {row["Labels"].get("com.docker.compose.service", ""): row for row in labelled(client)}
        for service in self.services():
            row = rows.get(service)
            if row is None:
                found[service] = "has no container"
            elif service == ONE_SHOT:
                if not row["Status"].startswith("Exited (0)"):
                    found[service] = row["Status"]
            elif row["State"] != "running" or (service in CHECKED_BY_ENGINE and "(healthy)" not in row["Status"]):
                found[service] = row["Status"]
            else:
                word = ports.complaint(service, self.settings())
                if word:
                    found[service] = word
        return found

    # Driving it

    def compose(self, *arguments: str, deadline: float = 120) -> str:
        """Run Debian's docker-compose on the platform; LabError with its last words where it fails."""
        files = ["-f", str(self.compose_file), "--env-file", str(self.platform_dir / ".env")]
        done = self.run("/usr/bin/docker-compose", *files, "-p", PROJECT, *arguments, deadline=deadline)
        if done.returncode:
            words = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise LabError(f"docker-compose {arguments[0]} failed: {' | '.join(words[-4:])}")
        return done.stdout

    def docker(self, *arguments: str, deadline: float = 60) -> str:
        """Run Debian's docker client on the lab's engine; LabError with its words where it fails."""
        done = self.run("/usr/bin/docker", *arguments, deadline=deadline)
        if done.returncode:
            raise LabError(f"docker {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def run(self, *argv: str, deadline: float) -> subprocess.CompletedProcess[str]:
        """Run a client of the engine; LabError where it does not end in time."""
        names = self.settings()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in names and (name.startswith("LAB_") or not name.startswith(FOREIGN_SETTINGS))
        }
        environment = kept | {"DOCKER_HOST": self.docker_host, "PATH": search_path(), "DOCKER_CONFIG": "/nonexistent"}
        try:
            return subprocess.run(
                argv,
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
                timeout=deadline,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"`{' '.join(argv[:1] + argv[-2:])}` did not end within {deadline:.0f} s.") from error

    @contextmanager
    def container(self, service: str) -> Iterator[Any]:
        """The container of a service, as the docker SDK gives it."""
        with self.client() as client:
            labels = [LABEL, f"com.docker.compose.service={service}"]
            found = client.containers.list(all=True, filters={"label": labels})
            if not found:
                raise LabError(f"The lab has no container of {service}; bring it up with: python -m tests.lab up")
            yield found[0]

    def stop(self, service: str) -> None:
        """Stop a service's container, as `docker stop` does."""
        with self.container(service) as container:
            container.stop(timeout=3)

    def start(self, service: str) -> None:
        """Start a service's container."""
        with self.container(service) as container:
            container.start()

    def pause(self, service: str) -> None:
        """Freeze a service's container."""
        with self.container(service) as container:
            container.pause()

    def unpause(self, service: str) -> None:
        """Let it go on."""
        with self.container(service) as container:
            container.unpause()

    def state(self, service: str) -> dict[str, Any]:
        """The engine's State of a service's container."""
        with self.container(service) as container:
            return dict(container.attrs["State"])

    def control(self, service: str, name: str, text: str | None) -> None:
        """Tell a program of the lab to misbehave (programs/process.py lists the names), or with None to stop it."""
        target = self.folder.control / f"{service}.{name}"
        if text is None:
            target.unlink(missing_ok=True)
        else:
            replace(target, text.encode())

    def say(self, service: str, payload: bytes) -> None:
        """Let a program of the lab write these bytes to its log, as they are, once."""
        with (self.folder.control / f"{service}.say").open("ab") as target:
            target.write(payload)

    @staticmethod
    def wait_until(holds: Callable[[], bool], deadline: float, every: float = 0.1) -> bool:
        """Ask until true or the deadline (seconds) passed; return the last answer."""
        return wait_until(holds, deadline, every)


def replace(target: Path, payload: bytes) -> None:
    """Write a file in one step: a reader sees the old text or the new."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as new:
        new.write(payload)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(target)


def labelled(client: docker.DockerClient) -> list[dict[str, Any]]:
    """Rows of the lab's containers."""
    return list(client.api.containers(all=True, filters={"label": LABEL}))


def refuse_foreign(client: docker.DockerClient) -> None:
    """Raise LabError where the engine holds containers or volumes that are not the lab's."""
    kept = {row["Id"] for row in labelled(client)}
    names = [row["Names"][0].lstrip("/") for row in client.api.containers(all=True) if row["Id"] not in kept]
    volumes = {volume.name for volume in client.volumes.list()}
    volumes -= {volume.name for volume in client.volumes.list(filters={"label": LABEL})}
    if names or volumes:
        raise LabError(
            f"The lab's engine holds what is not the lab's: {', '.join([*names, *sorted(volumes)])}; remove it "
            "yourself (python -m tests.lab docker rm -f NAME, or docker volume rm NAME), then run lab-down again."
        )


def remove_labelled(client: docker.DockerClient) -> None:
    """Remove containers, networks and volumes that carry the lab's label, and nothing else."""
    for row in labelled(client):
        client.api.remove_container(row["Id"], force=True, v=True)
    for network in client.networks.list(filters={"label": LABEL}):
        network.remove()
    for volume in client.volumes.list(filters={"label": LABEL}):
        volume.remove(force=True)


def empty_tree() -> bytes:
    """A tar of the folders that the host's are mounted on, and the links of a merged /usr."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tree:
        for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "var/lib", "root", "lab"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755, int(time.time())
            tree.addfile(entry)
        for name in ("bin", "sbin", "lib", "lib32", "lib64"):
            if Path("/", name).is_symlink():
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tree.addfile(entry)
        entry = tarfile.TarInfo("var/run")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/run"
        tree.addfile(entry)
    return buffer.getvalue()
