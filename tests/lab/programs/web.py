"""A small HTTP server for the lab's programs, and the client calls they make of each other."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What a route is given."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def basic_auth(self) -> str:
        """Return `user:password`, empty where none was sent."""
        kind, _, code = self.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return ""
        try:
            return base64.b64decode(code).decode()
        except ValueError:
            return ""


@dataclass(frozen=True)
class Answer:
    """What a route returns."""

    body: str = ""
    status: int = 200
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Answer]


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a JSON document."""
    return Answer(json.dumps(value), status, "application/json", headers or {})


def serve(routes: Mapping[str, Route], port: int, otherwise: Route | None = None) -> ThreadingHTTPServer:
    """Serve the routes on all addresses from a daemon thread; a path that is none of them goes to `otherwise`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.rfile.read(int(headers.get("content-length", "0") or 0))
            route = routes.get(parts.path, otherwise or missing)
            self.reply(route(Request(self.command, parts.path, query, headers)))

        def do_POST(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

        def reply(self, answer: Answer) -> None:
            payload = answer.body.encode()
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(len(payload)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(payload)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Access logs are the programs' own."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 5}, daemon=True, name=f"http-{port}").start()
    return server


def missing(request: Request) -> Answer:
    """Answer 404."""
    return Answer(f"no {request.path} here\n", 404)


def within(deadline: float, call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or raise TimeoutError after `deadline` seconds: name look-ups know no time-out."""
    box: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            box.append(call())
        except (OSError, ValueError, EOFError) as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(deadline)
    if failure:
        raise failure[0]
    if not box:
        raise TimeoutError(f"no answer within {deadline} s")
    return box[0]


def get(url: str, deadline: float, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """GET a URL; return status and body. OSError (TimeoutError among them) where nothing answered."""

    def call() -> tuple[int, str]:
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=deadline) as answer:
                return answer.status, answer.read(1 << 20).decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read(1 << 20).decode(errors="replace")

    status, body = within(deadline, call)
    return status, body


def exchange(host: str, port: int, request: bytes, deadline: float, size: int = 1024) -> bytes:
    """Connect, send, and return the first answer's bytes; OSError where there is none."""

    def call() -> bytes:
        with socket.create_connection((host, port), deadline) as connection:
            if request:
                connection.sendall(request)
            answer = connection.recv(size)
            if not answer:
                raise ConnectionResetError("closed without an answer")
            return answer

    answer: bytes = within(deadline, call)
    return answer


class Histogram:
    """Counts and durations of requests, by labels, in Prometheus' shape."""

    BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[str, list[float]] = {}
        """By label text: count, sum, longest, then one count a bucket."""

    def observe(self, labels: str, seconds: float) -> None:
        """Count one request."""
        with self.lock:
            row = self.rows.setdefault(labels, [0.0] * (3 + len(self.BUCKETS)))
            row[0] += 1
            row[1] += seconds
            row[2] = max(row[2], seconds)
            for index, bound in enumerate(self.BUCKETS):
                row[3 + index] += seconds <= bound

    def snapshot(self) -> dict[str, list[float]]:
        """Return a copy."""
        with self.lock:
            return {labels: list(row) for labels, row in self.rows.items()}


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.monotonic() - self.started


def sleep_for_ever() -> None:
    """Keep the main thread; signals still end the process."""
    while True:
        time.sleep(3600)
