"""Every probe against every hostile server: bounded in time and memory, told right, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prober import Prober
from moalog_tui.platform.health import Outcome, Reason
from moalog_tui.platform.services import Endpoint, ProbeKind
from tests.adapters.fakes import PG_WELCOME, http_answer, pg_startup
from tests.adapters.probing import DEADLINE, KINDS, probe, probe_all, probe_handler, service, settings, warm, within
from tests.adapters.servers import (
    Handler,
    Peer,
    Server,
    accept_and_close,
    accept_and_reset,
    drips,
    free_port,
    never_accepts,
    says,
    silent,
)

MEBIBYTE = 1024 * 1024

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
async def test_a_refused_port(kind: ProbeKind) -> None:
    port = free_port()
    with within(DEADLINE):
        result = await probe(kind, Endpoint("127.0.0.1", port, "test"))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.REFUSED, False)
    assert result.detail == f"refused at 127.0.0.1:{port}"


@each_kind
@pytest.mark.parametrize("handler", [accept_and_close, accept_and_reset])
async def test_a_port_that_accepts_and_closes(kind: ProbeKind, handler: Handler) -> None:
    result = await probe_handler(kind, handler)
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.PROTOCOL, False)
    assert result.detail.startswith("accepts and closes")


async def test_a_port_that_never_answers() -> None:
    for kind, result in await probe_all([(kind, silent) for kind in KINDS]):
        assert (kind, result.outcome, result.reason) == (kind, Outcome.FAIL, Reason.TIMEOUT)
        assert not result.answered
        assert result.detail == "no answer within 0.5 s"


async def test_a_port_that_never_accepts() -> None:
    with never_accepts() as endpoint, within(2 * DEADLINE):
        results = await asyncio.gather(*(probe(kind, endpoint) for kind in KINDS))
    for kind, result in zip(KINDS, results, strict=True):
        assert (kind, result.outcome, result.reason) == (kind, Outcome.FAIL, Reason.TIMEOUT)
        assert not result.answered
        assert result.detail == f"127.0.0.1:{endpoint.port} accepts no connection within 0.5 s"


def _answer_begun(kind: ProbeKind) -> Handler:
    """Return a handler that begins a right answer and drips the rest of it."""
    beginnings = {
        ProbeKind.HTTP: b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{",
        ProbeKind.METRICS: b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n# HELP",
        ProbeKind.REDIS: b"+OK\r\n$9000\r\n",
        ProbeKind.MYSQL: b"\x50\0\0\0\x0a8.0.",
        ProbeKind.KAFKA: b"\0\0\x10\0\0\0\0\1",
        ProbeKind.ZOOKEEPER: b"Zookeeper version: ",
    }
    if kind is ProbeKind.POSTGRES:

        def postgres(peer: Peer) -> None:
            pg_startup(peer)
            peer.send(PG_WELCOME + b"T\0\1\0\0\0\1")
            peer.drip()

        return postgres
    return says(beginnings[kind], drips(), after_reading=kind is not ProbeKind.MYSQL)


async def test_an_endless_drip_of_an_answer() -> None:
    for kind, result in await probe_all([(kind, _answer_begun(kind)) for kind in KINDS]):
        assert (kind, result.outcome, result.reason) == (kind, Outcome.FAIL, Reason.TIMEOUT)
        assert result.detail.endswith("within 0.5 s")


@each_kind
async def test_an_endless_drip_of_bytes(kind: ProbeKind) -> None:
    beginnings = [b"", b"H", b"HTTP/1.1 200 OK\r\nX-", b"+PO", b"-", b"R\0\0\0", b"N", b"\0\0\0"]
    for _, result in await probe_all([(kind, drips(first)) for first in beginnings]):
        assert result.outcome is Outcome.FAIL
        assert result.reason in (Reason.TIMEOUT, Reason.PROTOCOL)


_RANDOM = random.Random(2)
GARBAGE = [
    b"\0" * 64,
    b"\xff" * 64,
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    b"220 mail.example ESMTP\r\n",
    b"N\0\0",
    b"\x1b]0;title\x07\x9b31m\r\n",
    b"0" * 4096,
    b"\r\n" * 64,
    *(_RANDOM.randbytes(200) for _ in range(4)),
]


def _says(kind: ProbeKind, data: bytes, then: Handler = accept_and_close) -> Handler:
    # A MySQL client waits to be spoken to.
    return says(data, then, after_reading=kind is not ProbeKind.MYSQL)


@each_kind
async def test_garbage_then_the_end(kind: ProbeKind) -> None:
    for _, result in await probe_all([(kind, _says(kind, garbage)) for garbage in GARBAGE]):
        assert (result.outcome, result.answered) == (Outcome.FAIL, False)
        assert result.reason is Reason.PROTOCOL


@each_kind
async def test_garbage_then_silence(kind: ProbeKind) -> None:
    for _, result in await probe_all([(kind, _says(kind, garbage, silent)) for garbage in GARBAGE]):
        assert (result.outcome, result.answered) == (Outcome.FAIL, False)
        assert result.reason in (Reason.PROTOCOL, Reason.TIMEOUT)


def _gigabyte(kind: ProbeKind, sent: list[int]) -> Handler:
    """Return a handler that announces a gigabyte, in the protocol's own way, and sends what is taken of it."""
    heads = {
        ProbeKind.HTTP: b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        ProbeKind.METRICS: b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n# HELP x y\n",
        ProbeKind.REDIS: b"$1073741824\r\n",
        ProbeKind.MYSQL: b"",
        ProbeKind.KAFKA: b"\x40\0\0\0",
        ProbeKind.ZOOKEEPER: b"Zookeeper version: ",
        ProbeKind.POSTGRES: PG_WELCOME + b"T\x40\0\0\0",
    }

    def handler(peer: Peer) -> None:
        if kind is ProbeKind.POSTGRES:
            pg_startup(peer)
        elif kind is not ProbeKind.MYSQL:
            peer.read()
        peer.send(heads[kind])
        # MySQL's largest packet, one after another: its client joins them into one.
        chunk = b"\xff\xff\xff\0" + b"\x0a" * 0xFFFFFF if kind is ProbeKind.MYSQL else b"x" * 65536
        sent.append(peer.flood(chunk))

    return handler


@each_kind
async def test_a_gigabyte_grows_no_memory(kind: ProbeKind) -> None:
    sent: list[int] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await probe_handler(kind, _gigabyte(kind, sent), deadline=1.0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    # Of a page of metrics the start is judged, and the rest is not waited for.
    assert result.outcome is (Outcome.PASS if kind is ProbeKind.METRICS else Outcome.FAIL)
    # What the kernel's socket buffers took is counted in, the test's own chunk of 16 MiB too.
    assert sent
    assert sent[0] < 48 * MEBIBYTE
    assert grown < 48 * MEBIBYTE


@each_kind
@pytest.mark.parametrize("handler", [accept_and_close, silent, says(b"\xff" * 64), None])
async def test_nothing_is_left_after_fifty_failures(kind: ProbeKind, handler: Handler | None) -> None:
    prober = Prober(BlockingCalls(), settings())
    await warm(prober, kind)
    with Server(handler or accept_and_close) as server:
        endpoint = server.endpoint if handler else Endpoint("127.0.0.1", free_port(), "test")
        services = [replace(service(kind), name=f"service-{number}") for number in range(10)]
        await prober.probe(services[0], endpoint, 0.1)
        before = _left()
        for _ in range(5):
            results = await asyncio.gather(*(prober.probe(one, endpoint, 0.1) for one in services))
            assert not any(result.passed for result in results)
            assert {result.reason for result in results} <= {Reason.REFUSED, Reason.TIMEOUT, Reason.PROTOCOL}
        await prober.aclose()
    await asyncio.sleep(0)
    gc.collect()
    threads, descriptors = _left()
    assert threads <= before[0]
    # The server's own ends of the connections are closed with it; the first count saw some of them open.
    assert descriptors <= before[1]


def _left() -> tuple[int, int]:
    calls = [thread for thread in threading.enumerate() if thread.name != "test-server"]
    descriptors = Path("/proc/self/fd")
    return len(calls), len(list(descriptors.iterdir())) if descriptors.is_dir() else 0


@each_kind
async def test_a_proxy_in_the_environment_catches_no_probe(kind: ProbeKind, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(says(http_answer("from the proxy", "502 Bad Gateway"))) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.endpoint.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.endpoint.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        port = free_port()
        result = await probe(kind, Endpoint("127.0.0.1", port, "test"))
        assert proxy.connections == 0
    assert result.reason is Reason.REFUSED


@each_kind
async def test_a_name_that_does_not_resolve_is_our_own_side(kind: ProbeKind) -> None:
    # `.invalid` never resolves (RFC 2606); an over-long label is refused before any resolver is asked.
    result = await probe(kind, Endpoint("x" * 64 + ".invalid", 1, "test"), deadline=2)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.DNS)
