"""Ways to break the lab and to mend it. Each returns a sentence with what was done."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.folder import HERE, LABEL, LabError
from tests.lab.harness import Lab

OWN_PROGRAMS = (
    "moalog-server",
    "rate-limiter",
    "fluxpay-engine",
    "rjmx-exporter-rate-limiter",
    "rjmx-exporter-fluxpay",
    "grafana",
    "loki",
    "promtail",
    "jaeger",
    "otel-collector",
)
"""Services that obey control files."""
MEMORY_MIB = 64
HOSTILE_LINES = (
    # First: the engine stores it as 64 records, and `--tail` counts records.
    b"long " + b"x" * (1 << 20),
    b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]52;c;ZWNobyBvd25lZA==\x07 \x1b]8;;http://example.invalid\x1b\\link\x1b]8;;\x1b\\",
    b"[/] [bold]markup[/bold] [@click=app.quit]click[/] [link=http://example.invalid]x[/link]",
    "c1 \x9b31m \x90q\x9c bidi \u202eevil\u2066 zero\u200bwidth".encode(),
    b"carriage\rreturn backspace\b\b\b bell\a null\x00 delete\x7f tab\tend",
)


def own(service: str) -> str:
    """The service, where it is one that obeys control files."""
    if service not in OWN_PROGRAMS:
        raise LabError(f"{service} is a program of Debian's; this fault takes one of: {', '.join(OWN_PROGRAMS)}.")
    return service


def stop(lab: Lab, service: str = "redis") -> str:
    """Stop a container."""
    lab.stop(service)
    return f"{service} is stopped"


def pause(lab: Lab, service: str = "redis") -> str:
    """Freeze a container."""
    lab.pause(service)
    return f"{service} is paused"


def oom(lab: Lab, service: str = "redis", mib: str = str(MEMORY_MIB)) -> str:
    """Limit a container's memory and let its program take more: Redis, or one of the lab's own programs."""
    if service != "redis":
        own(service)
    with lab.container(service) as container:
        container.update(mem_limit=f"{mib}m", memswap_limit=f"{mib}m")
        if service == "redis":
            # Zeroes do not compress in Redis: every page of the value is written.
            size = str((int(mib) + 64) << 20)
            shell = ["redis-cli", "--no-auth-warning", "setrange", "lab:oom", size, "x"]
            container.exec_run(shell, environment={"REDISCLI_AUTH": lab.settings()["REDIS_PASSWORD"]})
        else:
            lab.control(service, "eat", str(int(mib) + 64))
    return f"{service} takes more than its {mib} MiB"


def crash_loop(lab: Lab, service: str = "rate-limiter", code: str = "1") -> str:
    """Let a program end with the code, now and at every start; its restart policy makes the loop."""
    lab.control(own(service), "crash", code)
    return f"{service} ends with {code} at every start"


def flood(lab: Lab, service: str = "promtail", rate: str = "2000") -> str:
    """Let a program log that many lines a second."""
    lab.control(own(service), "rate", rate)
    return f"{service} logs {rate} lines/s more"


def quiet(lab: Lab) -> str:
    """Switch the built-in users off, so that nothing but health checks and scrapes happens."""
    lab.control("moalog-server", "load", "0")
    return "no requests from the built-in users"


def redis_password(lab: Lab, new: str = "changed_behind_our_back") -> str:
    """Change the password of the running Redis, so that everybody's is wrong."""
    redis_cli(lab, lab.settings()["REDIS_PASSWORD"], "config", "set", "requirepass", new)
    redis_cli(lab, new, "client", "kill", "type", "normal")
    return f"Redis now wants another password; mend with: mend redis-password {new}"


def env_value(lab: Lab, name: str = "REDIS_PASSWORD", value: str = "not the password") -> str:
    """Write a wrong value into the platform's `.env`; nothing that runs changes."""
    target = lab.platform_dir / ".env"
    if name not in lab.settings():
        raise LabError(f"{name} does not stand in {target}.")
    lines = [line for line in target.read_text().splitlines() if not line.startswith(f"{name}=")]
    target.write_text("\n".join([*lines, f'{name}="{value}"']) + "\n")
    return f"{target} holds another {name}; mend with: mend all"


def hostile(lab: Lab, service: str = "promtail") -> str:
    """Let a program log escape sequences, markup, bidi marks and a line of a megabyte."""
    lab.say(own(service), b"\n".join(HOSTILE_LINES) + b"\n")
    return f"{service} logged {len(HOSTILE_LINES)} hostile lines"


def hostile_label(lab: Lab) -> str:
    """Run one more container of the project, its service label full of control bytes and markup."""
    labels = {
        "moalog.lab": "1",
        "com.docker.compose.project": "moalog-server",
        "com.docker.compose.service": "[bold]x[/]\x1b]52;c;eA==\x07\u202e",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.container-number": "1",
    }
    volumes = {"/usr": {"bind": "/usr", "mode": "ro"}, "/etc": {"bind": "/etc", "mode": "ro"}}
    with lab.client() as client:
        name = "lab-hostile"
        client.containers.run("moalog-lab", ["sleep", "86400"], name=name, labels=labels, volumes=volumes, detach=True)
    return f"{name} runs under a hostile service name"


def redis_cli(lab: Lab, password: str, *words: str) -> str:
    """Run a command in the Redis container, its password in the environment."""
    with lab.container("redis") as container:
        done = container.exec_run(
            ["redis-cli", "--no-auth-warning", "-e", *words], environment={"REDISCLI_AUTH": password}
        )
        text: str = done.output.decode(errors="replace").strip()
        if done.exit_code:
            raise LabError(f"Redis refused: {text}")
        return text


def mend_password(lab: Lab, old: str = "changed_behind_our_back") -> str:
    """Give Redis its own password back."""
    redis_cli(lab, old, "config", "set", "requirepass", lab.settings()["REDIS_PASSWORD"])
    return "Redis has its password again"


def traces(lab: Lab) -> bool:
    """Whether a fault is in force that no health tells: a control file, a changed `.env`, a limit, a container more."""
    if any(entry.suffix != ".say" for entry in lab.folder.control.iterdir()):
        return True
    if (lab.platform_dir / ".env").read_text() != (HERE / "platform" / "env").read_text():
        return True
    with lab.client() as client:
        found = client.containers.list(all=True, filters={"label": LABEL})
        return len(found) != len(lab.services()) or any(one.attrs["HostConfig"]["Memory"] for one in found)


def mend_all(lab: Lab) -> str:
    """Undo every control file, pause, stop, memory limit, extra container, and the engine's death.

    Returns when all is well.
    """
    if lab.engine.data.exists():
        lab.engine.start(live_restore=False)
    for leftover in lab.folder.control.iterdir():
        if leftover.suffix != ".say":
            leftover.unlink(missing_ok=True)
    with lab.client() as client:
        for container in client.containers.list(all=True, filters={"label": LABEL}):
            if container.name == "lab-hostile" or container.attrs["HostConfig"]["Memory"]:
                container.remove(force=True)
    lab.up()
    return "all is well again"


FAULTS: dict[str, Callable[..., str]] = {
    "stop": stop,
    "pause": pause,
    "oom": oom,
    "crash-loop": crash_loop,
    "flood": flood,
    "quiet": quiet,
    "redis-password": redis_password,
    "env-value": env_value,
    "hostile": hostile,
    "hostile-label": hostile_label,
}
MENDS: dict[str, Callable[..., str]] = {"all": mend_all, "redis-password": mend_password}
