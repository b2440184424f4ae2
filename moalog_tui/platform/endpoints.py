"""Where a service is reached from here: published ports, then the environment, the `.env`, the profile."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from moalog_tui.platform.containers import Container, PublishedPort
from moalog_tui.platform.envfile import EnvFile
from moalog_tui.platform.services import Endpoint, Service

LOOPBACK: Final = "127.0.0.1"


def resolve_endpoint(
    service: Service,
    container: Container | None,
    environment: Mapping[str, str],
    env_file: EnvFile,
    remote: bool = False,
) -> Endpoint | None:
    """Return where to probe `service`, or None where it is not reachable from here.

    A running container tells the truth: what it does not publish is not reachable, whatever the settings
    say. Without one (stopped, or the engine away) the settings tell where it would be. On a remote engine
    a published port is not ours to reach.
    """
    if service.container_port is None or remote:
        return None
    if container is not None and container.running:
        if "host" in container.networks:
            return Endpoint(LOOPBACK, service.container_port, "host network")
        published = [
            port
            for port in container.ports
            if port.container_port == service.container_port and port.protocol == "tcp" and port.host_port > 0
        ]
        if not published:
            return None
        best = min(published, key=_preference)
        return Endpoint(_reachable(best.host_ip), best.host_port, "published")
    return _configured(service, environment, env_file)


def parse_port(text: str) -> tuple[str, int] | None:
    """Parse what a port variable may hold: `6382`, or `127.0.0.1:6382` with the address to publish on; else None."""
    host, _, port = text.strip().rpartition(":")
    host = _reachable(host.removeprefix("[").removesuffix("]"))
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= 65535):
        return None
    return (host, int(port)) if _version(host) else None


def _configured(service: Service, environment: Mapping[str, str], env_file: EnvFile) -> Endpoint | None:
    variable = service.port_variable
    if variable is not None:
        held = env_file.get(variable)
        if variable in environment:
            # Set but empty, it hides the `.env` and gives compose's `${X:-default}` its default.
            given, source = environment[variable], "environment"
        else:
            given, source = (held.value, f".env:{held.line}") if held else ("", "")
        parsed = parse_port(given)
        if parsed is not None:
            return Endpoint(parsed[0], parsed[1], source)
    return Endpoint(LOOPBACK, service.port, "profile") if service.port is not None else None


def _reachable(host_ip: str) -> str:
    """The address to speak to for one that was published on: a wildcard is reached over loopback."""
    return LOOPBACK if host_ip in ("", "0.0.0.0", "::", "*") else host_ip  # noqa: S104 - compared, never bound


def _version(host: str) -> int | None:
    """4 or 6, or None for what is no address."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def _preference(port: PublishedPort) -> tuple[int, int]:
    host = _reachable(port.host_ip)
    rank = {4: 1, 6: 2, None: 3}[_version(host)]
    return (0 if host == LOOPBACK else rank), port.host_port
