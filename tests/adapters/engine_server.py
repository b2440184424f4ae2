"""A small engine on a real Unix socket: the few API routes that the program uses, answered as the real one does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.docker import DockerEngine

ZERO_TIME = "0001-01-01T00:00:00Z"
RAW = "application/vnd.docker.raw-stream"


def stamp(ts_ns: int) -> str:
    """Return the engine's time stamp of nine digits."""
    moment = datetime.fromtimestamp(ts_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ts_ns % 10**9:09d}Z"


@dataclass
class Box:
    """One container of the server: its list row and its inspection are made from this."""

    id: str
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    status: str = "Up 3 minutes"
    created: int = 1_790_000_000
    tty: bool = False
    inspect_state: dict[str, Any] = field(default_factory=dict)
    inspect: dict[str, Any] = field(default_factory=dict)
    inspect_answer: int = 200
    stats: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(time in nanoseconds, stream, message as the engine stored it, with its newline unless a part)"""
    logs_answer: tuple[int, str] = (200, "")
    cut_after: int | None = None
    """Close the connection after this many log messages, once."""

    def row(self) -> dict[str, Any]:
        """Return its row in the list."""
        return {
            "Id": self.id, "Names": [f"/other/{self.name}", f"/{self.name}"], "Image": "img", "Created": self.created,
            "Labels": self.labels, "State": self.state, "Status": self.status,
            "Ports": [{"IP": "127.0.0.1", "PrivatePort": 6379, "PublicPort": 6382, "Type": "tcp"}],
        }  # fmt: skip

    def inspection(self) -> dict[str, Any]:
        """Return its inspection."""
        state = {
            "Status": self.state, "Running": self.state == "running", "OOMKilled": False, "ExitCode": 0, "Error": "",
            "StartedAt": "2026-11-23T18:44:14.961851512Z", "FinishedAt": ZERO_TIME,
        }  # fmt: skip
        return {
            "Id": self.id, "Name": f"/{self.name}", "Created": "2026-11-23T18:44:13.5Z", "RestartCount": 0,
            "State": state | self.inspect_state,
            "Config": {"Image": "redis:7-alpine", "Tty": self.tty, "Env": ["REDIS_PASSWORD=s3cret-value"]},
            "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "Memory": 1 << 20, "PortBindings": {
                "6379/tcp": [{"HostIp": "", "HostPort": "6382"}]}},
            "NetworkSettings": {"Networks": {"b": {}, "a": {}}, "Ports": {
                "6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6382"}], "9999/tcp": None}},
        } | self.inspect  # fmt: skip


def composed(service: str, ident: str, project: str = "moalog-server", **fields: Any) -> Box:
    """Return a container as compose would have made it."""
    labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.working_dir": f"/srv/{project}",
    }
    return Box(ident, fields.pop("name", f"moalog-{service}"), labels, **fields)


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    engine: EngineServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class EngineServer:
    """The server with its state. Everything may be changed while it runs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="engine"))
        self.socket = self.folder / "e.sock"
        self.boxes: list[Box] = []
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.api_version = "1.41"
        self.min_api_version = "1.12"
        self.any_version = False
        """Answer every API version, as an engine that still serves older ones."""
        self.hanging = threading.Event()
        self.hang_on: set[str] = set()
        """Path parts at which the server accepts a request and never answers."""
        self.drop_on: dict[str, int] = {}
        """Path parts at which it closes the connection without an answer, and how often."""
        self.act_answer: tuple[int, str] = (204, "")
        self.changed = threading.Condition()
        self.connections: set[socket.socket] = set()
        self.content_type: str | None = None
        self._listener: _Listener | None = None
        self._gone = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find it."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def start(self) -> None:
        """Listen."""
        self._gone.clear()
        self.socket.unlink(missing_ok=True)
        self._listener = _Listener(str(self.socket), Handler)
        self._listener.engine = self
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True, name="engine-server").start()

    def vanish(self) -> None:
        """Die as after kill -9: no listener, every connection cut; the socket's file stays."""
        if self._listener is not None:
            self.end(self._listener)
            self._listener = None

    def end(self, listener: socketserver.BaseServer) -> None:
        """End a listener and every connection."""
        self._gone.set()
        listener.shutdown()
        listener.server_close()
        with self.changed:
            for connection in list(self.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.changed.notify_all()

    @property
    def gone(self) -> bool:
        """True after `vanish`, until started again."""
        return self._gone.is_set()

    def emit(self, action: str, box: Box, at_ns: int, **attributes: str) -> None:
        """Add an event to the history and send it to who listens."""
        told = {
            "Type": "container", "Action": action, "scope": "local", "time": at_ns // 10**9, "timeNano": at_ns,
            "Actor": {"ID": box.id, "Attributes": {"name": box.name, "image": "img", **box.labels, **attributes}},
        }  # fmt: skip
        with self.changed:
            self.events.append(told)
            self.changed.notify_all()

    def write(self, box: Box, *messages: tuple[int, int, bytes]) -> None:
        """Add log messages."""
        with self.changed:
            box.log += messages
            self.changed.notify_all()

    def set_state(self, box: Box, state: str, status: str) -> None:
        """Change a container's state; a follower of a container that stops reaches its end."""
        with self.changed:
            box.state, box.status = state, status
            self.changed.notify_all()

    def asked(self, part: str) -> list[dict[str, str]]:
        """Return the parameters of every request whose path holds `part`."""
        return [params for _, path, params in self.requests if part in path]


@contextlib.contextmanager
def engine_server(*boxes: Box) -> Iterator[EngineServer]:
    """Run a server with these containers."""
    server = EngineServer()
    server.boxes = list(boxes)
    server.start()
    try:
        yield server
    finally:
        server.hanging.set()
        server.vanish()
        shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def engine_on(server: EngineServer, timeout: float = 2.0) -> AsyncIterator[DockerEngine]:
    """Run the adapter against a server."""
    engine = DockerEngine(BlockingCalls(), server.environment, timeout)
    try:
        yield engine
    finally:
        engine.close()


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for a condition; fail where it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        await asyncio.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        with self.server.engine.changed:
            self.server.engine.connections.add(self.connection)

    def finish(self) -> None:
        with self.server.engine.changed:
            self.server.engine.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        engine = self.server.engine
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        split = urlsplit(self.path)
        path = unquote(split.path)
        params = {key: values[0] for key, values in parse_qs(split.query).items()}
        engine.requests.append((method, path, params))
        if any(part in path for part in engine.hang_on):
            engine.hanging.wait(30)
            self.close_connection = True
            return
        for part, times in engine.drop_on.items():
            if part in path and times:
                engine.drop_on[part] = times - 1
                self.close_connection = True
                return
        parts = [part for part in path.split("/") if part]
        if parts and parts[0].startswith("v1."):
            if parts[0][1:] != engine.api_version and not engine.any_version:
                self._json(400, {"message": f"client version {parts[0][1:]} is too new"})
                return
            parts = parts[1:]
        self._route(method, parts, params)

    def _route(self, method: str, parts: list[str], params: dict[str, str]) -> None:
        engine = self.server.engine
        if parts == ["version"]:
            self._json(
                200, {"Version": "20.10.24", "ApiVersion": engine.api_version, "MinAPIVersion": engine.min_api_version}
            )
        elif parts == ["_ping"]:
            self._send(200, b"OK", "text/plain")
        elif parts == ["events"]:
            self._events(json.loads(params["filters"]), _since(params))
        elif parts == ["containers", "json"]:
            self._list(json.loads(params.get("filters", "{}")), int(params.get("limit", "-1")))
        elif len(parts) == 3 and parts[0] == "containers":
            box = next((one for one in engine.boxes if one.id == parts[1]), None)
            if box is None:
                self._json(404, {"message": f"No such container: {parts[1]}"})
            elif method == "POST":
                status, message = engine.act_answer
                self._json(status, {"message": message}) if message else self._send(status, b"", "text/plain")
            elif parts[2] == "json":
                refusal = {"message": "cannot be inspected"}
                self._json(box.inspect_answer, box.inspection() if box.inspect_answer == 200 else refusal)
            elif parts[2] == "stats":
                self._json(200, box.stats)
            else:
                self._logs(box, params)
        else:
            self._json(404, {"message": "page not found"})

    def _list(self, filters: dict[str, Any], limit: int) -> None:
        rows = [box.row() for box in self.server.engine.boxes if _has_labels(box.labels, filters.get("label", ()))]
        self._json(200, rows[:limit] if limit > 0 else rows)

    def _events(self, filters: dict[str, list[str]], since: int | None) -> None:
        engine = self.server.engine
        sent = 0 if since is not None else len(engine.events)
        self._head("application/json")
        while True:
            with engine.changed:
                while len(engine.events) <= sent and not engine.gone:
                    engine.changed.wait(30)
                fresh, sent = engine.events[sent:], len(engine.events)
            if engine.gone:
                self.close_connection = True
                return
            for told in fresh:
                if told["timeNano"] >= (since or 0) and _passes(told, filters):
                    self._chunk(json.dumps(told).encode() + b"\n")

    def _logs(self, box: Box, params: dict[str, str]) -> None:
        engine = self.server.engine
        if box.logs_answer[0] != 200:
            self._json(box.logs_answer[0], {"message": box.logs_answer[1]})
            return
        since = _since(params) or 0
        wanted = [message for message in box.log if message[0] >= since]
        tail = int(params["tail"])
        sent = len(box.log) - min(len(wanted), tail)
        self._head(engine.content_type)
        while True:
            with engine.changed:
                follows = box.state == "running" and params.get("follow") != "0"
                while len(box.log) <= sent and not engine.gone and follows and box.state == "running":
                    engine.changed.wait(30)
                fresh, sent = box.log[sent:], len(box.log)
            if engine.gone:
                self.close_connection = True
                return
            for index, (ts_ns, stream, message) in enumerate(fresh):
                if box.cut_after == index:
                    box.cut_after = None
                    self.close_connection = True
                    return
                self._chunk(log_message(ts_ns, stream, message, box.tty))
            if (box.state != "running" or params.get("follow") == "0") and len(box.log) == sent:
                self.wfile.write(b"0\r\n\r\n")
                return

    def _head(self, content_type: str | None) -> None:
        self.send_response(200)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, body: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))

    def _json(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 204 else b"")


def log_message(ts_ns: int, stream: int, message: bytes, tty: bool) -> bytes:
    """Return one stored message as the engine sends it with time stamps: framed, or raw for a terminal."""
    payload = stamp(ts_ns).encode() + b" " + message
    return payload if tty else bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def _since(params: dict[str, str]) -> int | None:
    if "since" not in params:
        return None
    seconds, _, fraction = params["since"].partition(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)


def _has_labels(labels: dict[str, str], wanted: Any) -> bool:
    return all(labels.get(pair.partition("=")[0]) == pair.partition("=")[2] for pair in wanted)


def _passes(told: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    attributes = told["Actor"]["Attributes"]
    return (
        told["Type"] in filters["type"]
        and any(told["Action"] == one or told["Action"].startswith(one + ":") for one in filters["event"])
        and _has_labels(attributes, filters.get("label", ()))
        and ("container" not in filters or attributes["name"] in filters["container"])
    )
