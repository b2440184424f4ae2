"""The lab's own Docker Engine: a dockerd with its own socket, folders, bridges and address ranges."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.folder import Folder, LabError, search_path

BRIDGE = "mlab0"
NETWORK_BRIDGE = "mlab1"
"""The bridge of the platform's compose network (its name stands in the compose file too)."""
BRIDGE_ADDRESS = "10.213.0.1/24"
ADDRESS_POOL = "base=10.214.0.0/16,size=24"
OUR_MARKS = (f" {BRIDGE} ", f" {NETWORK_BRIDGE} ", " 10.213.0.", " 10.214.")
"""What tells a rule of ours: our bridges, our address ranges."""
CHAINS = ("DOCKER", "DOCKER-USER", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def wait_until(holds: Callable[[], bool], deadline: float, every: float = 0.1) -> bool:
    """Ask `holds` every `every` seconds until it is true or `deadline` seconds passed; return the last answer."""
    end = time.monotonic() + deadline
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return True


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket's path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def process_state(pid: int) -> str:
    """Return the kernel's letter for a process (R, S, Z, ...), empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    return process_state(pid) not in ("", "Z", "X")


def command_line(pid: int) -> list[str]:
    """Return a process's arguments, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def run(*argv: str, check: bool = True) -> str:
    """Run a program of the host and return its output; LabError with its words where it fails."""
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=30, env={**os.environ, "PATH": search_path()}, check=False
    )
    if check and done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Engine:
    """Starts, kills and removes the dockerd of one lab folder. Holds no state but what lies in the folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.data = folder.engine / "data"
        self.exec = folder.engine / "exec"
        self.pidfile = folder.engine / "dockerd.pid"
        self.log = folder.engine / "dockerd.log"
        self.before = folder.engine / "host.json"
        self.configuration = folder.engine / "daemon.json"

    def pid(self) -> int | None:
        """Return the pid of our dockerd, None while it does not run."""
        try:
            pid = int(self.pidfile.read_text())
        except (OSError, ValueError):
            return None
        arguments = command_line(pid)
        return pid if running(pid) and str(self.data) in arguments else None

    def answers(self) -> bool:
        """True where the engine answers a ping within two seconds."""
        connection = UnixConnection(self.folder.socket, 2)
        try:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def live_restore(self) -> bool:
        """Whether containers are to survive the engine's death."""
        try:
            return bool(json.loads(self.configuration.read_text())["live-restore"])
        except (OSError, ValueError, KeyError):
            return False

    def set_live_restore(self, wanted: bool) -> None:
        """Let containers survive the engine's death, or not; a running engine is told."""
        if wanted == self.live_restore() and self.configuration.exists():
            return
        self.configuration.write_text(json.dumps({"live-restore": wanted}))
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
            if not wait_until(lambda: self.ask("/info").get("LiveRestoreEnabled") is wanted, 10):
                raise LabError("The engine did not take the new live-restore setting within 10 s.")

    def ask(self, path: str) -> dict[str, object]:
        """GET a JSON document of the engine; empty where it does not answer."""
        connection = UnixConnection(self.folder.socket, 5)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        return answer if isinstance(answer, dict) else {}

    def start(self, live_restore: bool | None = None, deadline: float = 60) -> None:
        """Start dockerd on its data root, or leave it be where it runs; LabError where it does not come up.

        `live_restore` None leaves that setting as it was (off at first).
        """
        self.folder.engine.mkdir(parents=True, exist_ok=True)
        self.set_live_restore(self.live_restore() if live_restore is None else live_restore)
        if self.pid() is not None and wait_until(self.answers, 10):
            return
        self.remember_host()
        make_bridge()
        self.launch()
        if wait_until(self.answers, deadline / 2):
            return
        self.launch()
        if not wait_until(self.answers, deadline / 2):
            raise LabError(f"dockerd did not answer within {deadline:.0f} s; its last words: {self.last_words()}")

    def launch(self) -> None:
        """Start one dockerd in a session of its own, its output in the log file.

        First ends what is left of a killed one, its pid files too: dockerd would wait 15 s for a containerd that is
        a zombie, or another process under its old number, and give up. Shims stay: they hold the containers.
        """
        self.end(self.our_processes("dockerd", "containerd"), signal.SIGKILL)
        self.pidfile.unlink(missing_ok=True)
        (self.exec / "containerd" / "containerd.pid").unlink(missing_ok=True)
        argv = ["dockerd", "--config-file", str(self.configuration), "-H", self.folder.docker_host]
        argv += ["--data-root", str(self.data), "--exec-root", str(self.exec), "--pidfile", str(self.pidfile)]
        argv += ["--bridge", BRIDGE, "--default-address-pool", ADDRESS_POOL]
        # The image is nearly empty, so copies cost nothing, and no overlay mount is left behind by a kill.
        argv += ["--storage-driver", "vfs", "--shutdown-timeout", "5"]
        environment = {**os.environ, "PATH": search_path()}
        with self.log.open("ab") as log:
            # Forked away, so that it is nobody's child: it outlives the test or the command that started it.
            forked = ["setsid", "--fork", *argv]
            subprocess.run(forked, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=True)

    def last_words(self) -> str:
        """Return the end of dockerd's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(lines[-3:]) or "none"

    def kill(self) -> None:
        """Kill dockerd with SIGKILL, as a crash would: its containerd and the containers stay."""
        pid = self.pid()
        if pid is None:
            raise LabError("The lab's engine does not run; start it with: python -m tests.lab engine start")
        self.end([pid], signal.SIGKILL)

    def stop(self, deadline: float = 30) -> None:
        """End dockerd in order, then whatever of its processes is left."""
        pid = self.pid()
        if pid is not None:
            self.end([pid], signal.SIGTERM, deadline)
        self.end(self.our_processes("dockerd", "containerd"), signal.SIGKILL)

    def our_processes(self, *names: str) -> list[int]:
        """Return the pids of this folder's processes of those names, known by its paths in their arguments."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                arguments = command_line(int(entry.name))
                name = Path(arguments[0]).name if arguments else ""
                ours = any(str(self.folder.engine) in argument for argument in arguments[1:])
                if ours and name in names:
                    found.append(int(entry.name))
        return found

    def end(self, pids: list[int], how: signal.Signals, deadline: float = 10) -> None:
        """Signal the processes, wait for their end, and kill what is left."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        if not wait_until(lambda: not any(map(running, pids)), deadline, 0.05):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(map(running, pids)), 5, 0.05)

    def remember_host(self) -> None:
        """Note what the engine will change on the host, to be put back by `remove`. Written once."""
        if not self.before.exists():
            rules = run("iptables-save")
            forward = next((line.split()[1] for line in rules.splitlines() if line.startswith(":FORWARD")), "ACCEPT")
            before = {"forward": forward, "chains": ":DOCKER " in rules, "forwarding": FORWARDING.read_text().strip()}
            self.before.write_text(json.dumps(before))

    def remove(self) -> None:
        """End everything of this engine: processes, containers' remains, mounts, bridges, rules, the folder."""
        self.stop()
        self.end(self.our_processes("containerd-shim-runc-v2"), signal.SIGKILL)
        self.kill_orphans()
        for mount in sorted(mounts_below(self.folder.engine), reverse=True):
            run("umount", "-l", mount, check=False)
        # Without that file this folder never had an engine, and the bridges are another lab's.
        if self.before.exists():
            for bridge in (BRIDGE, NETWORK_BRIDGE):
                run("ip", "link", "del", bridge, check=False)
            restore_rules(json.loads(self.before.read_text()))
        shutil.rmtree(self.folder.engine, ignore_errors=True)

    def kill_orphans(self) -> None:
        """End container processes that outlived their shim, known by our container ids in their control group."""
        containers = self.data / "containers"
        ids = {entry.name for entry in containers.iterdir()} if containers.is_dir() else set()
        orphans = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    groups = (entry / "cgroup").read_text()
                except OSError:
                    continue
                if any(word in ids for line in groups.splitlines() for word in line.split("/")):
                    orphans.append(int(entry.name))
        self.end(orphans, signal.SIGKILL)


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points below a folder (network namespaces and the like)."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


def make_bridge() -> None:
    """Make the engine's own bridge, where it is not there yet."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", BRIDGE_ADDRESS, "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")


def restore_rules(before: dict[str, object]) -> None:
    """Remove the iptables rules that bear our marks; the chains too, where no other engine made or uses them."""
    for table in ("filter", "nat"):
        for rule in run("iptables-save", "-t", table).splitlines():
            if rule.startswith("-A ") and any(mark in f"{rule} " for mark in OUR_MARKS):
                run("iptables", "-t", table, "-D", *rule.split()[1:], check=False)
    # What is left of these rules is one for each bridge of another engine.
    others = any(rule.endswith("-j DOCKER") for rule in run("iptables-save", "-t", "filter").splitlines())
    if before["chains"] or others:
        return
    for table in ("filter", "nat"):
        rules = run("iptables-save", "-t", table).splitlines()
        for rule in rules:
            if rule.startswith("-A ") and rule.rpartition("-j ")[2].strip() in CHAINS:
                run("iptables", "-t", table, "-D", *rule.split()[1:], check=False)
        chains = [rule.split()[0][1:] for rule in rules if rule.startswith(":DOCKER")]
        for step in ("-F", "-X"):
            for chain in chains:
                run("iptables", "-t", table, step, chain, check=False)
    run("iptables", "-P", "FORWARD", str(before["forward"]), check=False)
    FORWARDING.write_text(str(before["forwarding"]))
