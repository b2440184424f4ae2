"""The lab's ports: which it needs, whether they are free, and what answers behind them."""

from __future__ import annotations

import os
import re
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

PORT = re.compile(r"^(?:\$\{(?P<name>\w+):-(?P<default>\d+)\}|(?P<fixed>\d+)):\d+$")
TIMEOUT_S = 3.0
HTTP = {
    "moalog-server": ("SERVER_PORT", "/health", "healthy"),
    "rate-limiter": ("RATE_LIMITER_PORT", "/actuator/health", '"UP"'),
    "fluxpay-engine": ("FLUXPAY_PORT", "/actuator/health", '"UP"'),
    "prometheus": ("PROMETHEUS_PORT", "/-/ready", "Ready"),
    "grafana": ("GRAFANA_PORT", "/api/health", '"ok"'),
    "alertmanager": ("ALERTMANAGER_PORT", "/-/ready", "OK"),
    "loki": ("LOKI_PORT", "/ready", "ready"),
    "jaeger": ("JAEGER_UI_PORT", "/", "Jaeger"),
    "otel-collector": ("OTEL_HTTP_PORT", "/", ""),
    "redis-exporter": ("9121", "/metrics", "redis_up 1"),
    "mysqld-exporter": ("9104", "/metrics", "mysql_up 1"),
    "rjmx-exporter-rate-limiter": ("9093", "/metrics", "jvm_memory_heap_used_bytes"),
    "rjmx-exporter-fluxpay": ("9094", "/metrics", "jvm_memory_heap_used_bytes"),
}
"""By service: port or its variable, path, and what the answer holds when all is well."""
TCP = {
    "fluxpay-kafka": ("KAFKA_PORT", struct.pack(">ihhih", 10, 18, 0, 1, -1)),
    "fluxpay-zookeeper": ("ZOOKEEPER_PORT", b"srvr"),
}


def published(compose: Mapping[str, Any], settings: Mapping[str, str]) -> dict[int, str]:
    """The host ports that a compose file publishes, with their services."""
    found: dict[int, str] = {}
    for service, body in compose["services"].items():
        for entry in body.get("ports", ()):
            match = PORT.match(entry)
            if match is None:
                raise ValueError(f"{service} publishes {entry!r}: expected HOST:CONTAINER or ${{NAME:-HOST}}:CONTAINER")
            port = match["fixed"] or settings.get(match["name"]) or match["default"]
            found[int(port)] = service
    return found


def held_by(rows: Iterable[Mapping[str, Any]]) -> set[int]:
    """The host ports that listed containers publish."""
    return {port["PublicPort"] for row in rows for port in row["Ports"] if "PublicPort" in port}


def free(port: int) -> bool:
    """True where nothing listens on the port, on loopback or on all addresses."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
            except OSError:
                return False
    return True


def complaint(service: str, settings: Mapping[str, str]) -> str:
    """Ask a service through its published port; return what is wrong, empty where all is well or nothing is asked."""
    if service in HTTP:
        name, path, word = HTTP[service]
        status, body = fetch(f"http://127.0.0.1:{settings.get(name, name)}{path}")
        well = (status < 500 if service == "otel-collector" else status == 200) and word in body and status > 0
        return "" if well else f"{path} says {status or 'nothing'}: {body[:80].strip()}"
    if service in TCP:
        name, request = TCP[service]
        return ask(int(settings[name]), request)[1]
    if service == "redis":
        answer, wrong = ask(int(settings["REDIS_PORT"]), f"AUTH {settings['REDIS_PASSWORD']}\r\n".encode())
        return "" if answer.startswith(b"+OK") else wrong or answer.decode(errors="replace").strip()
    return ""


def fetch(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """GET a URL of the lab, past any proxy; status 0 and the reason where nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        url, headers={"X-Forwarded-For": f"lab-harness-{os.getpid()}"} | dict(headers or {})
    )
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read(4 << 20).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(1 << 20).decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(error)


def ask(port: int, request: bytes) -> tuple[bytes, str]:
    """Send bytes to a port; return the answer's beginning, and what is wrong where there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(request)
            answer = connection.recv(256)
    except OSError as error:
        return b"", str(error)
    return answer, "" if answer else "closes without an answer"
