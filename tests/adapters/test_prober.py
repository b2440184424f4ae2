"""The prober itself: what it does about threads that hang, settings that fail, and its own end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prober import Prober
from moalog_tui.platform.health import Outcome, Reason
from moalog_tui.platform.services import Endpoint, ProbeKind, ProbeSpec, Sourced
from tests.adapters.fakes import redis_fake
from tests.adapters.probing import PASSWORD, SPECS, probe_handler, service, settings, warm, within
from tests.adapters.servers import Handler, Peer, Server, free_port

ELSEWHERE = Endpoint("127.0.0.1", 1, "test")


async def test_a_service_without_a_probe_has_no_outcome() -> None:
    prober = Prober(BlockingCalls(), settings())
    result = await prober.probe(service(ProbeSpec(ProbeKind.NONE)), ELSEWHERE)
    assert (result.outcome, result.reason, result.answered) == (Outcome.NONE, None, False)


async def test_a_service_whose_thread_hangs_is_unknown() -> None:
    calls = BlockingCalls()
    prober = Prober(calls, settings())
    await warm(prober, ProbeKind.REDIS)
    hangs = threading.Event()
    held = asyncio.create_task(calls.run("probe test-redis", hangs.wait, 0.05))
    with pytest.raises(TimeoutError):
        await held
    result = await prober.probe(service(ProbeKind.REDIS), ELSEWHERE)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.MONITOR)
    assert result.detail == "previous call has not returned"
    hangs.set()
    while calls.held:  # noqa: ASYNC110 - a thread's end has no event of the loop's
        await asyncio.sleep(0.01)
    assert (await prober.probe(service(ProbeKind.REDIS), ELSEWHERE)).reason is Reason.REFUSED


async def test_without_a_free_thread_we_cannot_tell() -> None:
    calls = BlockingCalls(slots=1)
    prober = Prober(calls, settings())
    await warm(prober, ProbeKind.ZOOKEEPER)
    hangs = threading.Event()
    with pytest.raises(TimeoutError):
        await calls.run("something else", hangs.wait, 0.01)
    result = await prober.probe(service(ProbeKind.ZOOKEEPER), ELSEWHERE)
    hangs.set()
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.MONITOR)
    assert result.detail == "all threads for outside calls are busy"


async def test_settings_that_cannot_be_read_are_our_own_side() -> None:
    def broken(name: str) -> Sourced | None:
        raise OSError(f"{name} is {PASSWORD}")

    result = await Prober(BlockingCalls(), broken).probe(service(ProbeKind.REDIS), ELSEWHERE)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.MONITOR)
    assert result.detail == "our own probe failed: OSError"


async def test_no_detail_shows_a_password_that_was_sent_back() -> None:
    echo = f"-ERR you said {PASSWORD}\r\n".encode()
    result = await probe_handler(ProbeKind.REDIS, redis_fake({"AUTH": b"+OK\r\n", "PING": echo}))
    assert result.detail == "answers PING with an error: you said ••••••"


async def test_cancelling_a_probe_cancels_it() -> None:
    prober = Prober(BlockingCalls(), settings())
    await warm(prober, ProbeKind.ZOOKEEPER)
    with Server(lambda peer: peer.hold()) as server:
        task = asyncio.create_task(prober.probe(service(ProbeKind.ZOOKEEPER), server.endpoint, 0.3))
        await asyncio.sleep(0.05)
        with within(0.2):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await prober.aclose()


async def test_a_closed_prober_answers_all_the_same() -> None:
    prober = Prober(BlockingCalls(), settings())
    await warm(prober, ProbeKind.HTTP)
    await prober.aclose()
    await prober.aclose()
    result = await prober.probe(service(ProbeKind.HTTP), Endpoint("127.0.0.1", free_port(), "test"))
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.MONITOR)


def quick_page(together: list[int], delay: float = 0.004) -> Handler:
    """Answer a healthy page after `delay` seconds, noting how many requests were under way."""
    lock, under_way = threading.Lock(), [0]

    def answer(peer: Peer) -> None:
        with lock:
            under_way[0] += 1
            together.append(under_way[0])
        try:
            if not peer.read():
                return
            threading.Event().wait(delay)
            body = b'{"result": {"status": "healthy"}}'
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        finally:
            with lock:
                under_way[0] -= 1

    return answer


async def test_http_probes_that_answer_quickly_are_timed_apart() -> None:
    together: list[int] = []
    prober = Prober(BlockingCalls(), settings(), {ProbeKind.HTTP})
    with Server(quick_page(together, delay=0.001)) as server:
        await prober.load()
        await prober.probe(service(ProbeKind.HTTP), server.endpoint)  # the first request loads more
        together.clear()
        results = await asyncio.gather(*(prober.probe(service(ProbeKind.HTTP), server.endpoint) for _ in range(12)))
    await prober.aclose()
    assert [one.outcome for one in results] == [Outcome.PASS] * 12
    # Not all at once, as without turns; a turn may run out on a busy machine.
    assert sum(together) / len(together) < 3


async def test_http_probes_that_hang_hold_nobody_up() -> None:
    prober = Prober(BlockingCalls(), settings(), {ProbeKind.HTTP})
    with Server(lambda peer: peer.hold()) as sick, Server(quick_page([])) as well:
        await prober.load()
        with within(1.0):
            *hung, healthy = await asyncio.gather(
                *(prober.probe(service(ProbeKind.HTTP), sick.endpoint, 0.5) for _ in range(30)),
                prober.probe(service(ProbeKind.HTTP), well.endpoint, 0.5),
            )
    await prober.aclose()
    assert healthy.outcome is Outcome.PASS
    assert {one.reason for one in hung} == {Reason.TIMEOUT}


async def test_the_first_probe_waits_until_every_client_is_loaded() -> None:
    prober = Prober(BlockingCalls(), settings(), set(SPECS))
    with Server(quick_page([])) as server:
        result = await prober.probe(service(ProbeKind.HTTP), server.endpoint)
    assert all(task.done() for task in prober._loading.values())
    assert len(prober._loading) == len(SPECS) - 1  # pages and metrics share a client
    assert result.outcome is Outcome.PASS
    await prober.aclose()


async def test_every_kind_has_its_probe() -> None:
    assert set(SPECS) == set(ProbeKind) - {ProbeKind.NONE}


def test_importing_the_prober_loads_no_client() -> None:
    code = (
        "import sys, moalog_tui.adapters.prober, moalog_tui.adapters.prometheus, moalog_tui.adapters.loopback\n"
        "print([name for name in ('httpx', 'redis', 'pymysql', 'psycopg', 'kafka', 'requests') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_quitting_waits_for_no_probe() -> None:
    """A process whose probes all hang is gone as soon as its loop ends."""
    code = """
import asyncio, socket
from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prober import Prober
from moalog_tui.platform.services import *
listener = socket.create_server(("127.0.0.1", 0))
async def main():
    prober = Prober(BlockingCalls(), lambda name: None)
    endpoint = Endpoint("127.0.0.1", listener.getsockname()[1], "test")
    kinds = [kind for kind in ProbeKind if kind is not ProbeKind.NONE]
    await asyncio.gather(*(prober._load(kind) for kind in kinds))
    for kind in kinds:
        service = Service(kind, ServiceKind.DATASTORE, probe=ProbeSpec(kind))
        asyncio.create_task(prober.probe(service, endpoint, 30))
    await asyncio.sleep(0.2)
    print("quit", flush=True)
    await prober.aclose()
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "quit\n"
    with within(1):
        _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")
