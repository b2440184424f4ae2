"""The ZooKeeper probe: the four-letter word `srvr`."""

from __future__ import annotations

from typing import Final

from moalog_tui.adapters.bounded import Bound, BoundedSocket, NameUnknown, NotAccepted, open_bounded
from moalog_tui.adapters.outcomes import Target, exchange_failed, failed, passed, unfinished
from moalog_tui.platform.health import ProbeResult, Reason

ANSWER_LIMIT: Final = 8 * 1024
"""Bytes. The answer of a real server takes some two hundred."""

_VERSION: Final = b"Zookeeper version:"
_NOT_LISTED: Final = b"is not executed because it is not in the whitelist"
_NOT_SERVING: Final = b"not currently serving requests"


def probe(target: Target) -> ProbeResult:
    """Probe a ZooKeeper server. Latency is that of connecting and of the whole answer.

    A server that does not list the word among those it executes has answered all the same.
    """
    bound = Bound(target.deadline, budget=ANSWER_LIMIT)
    sock: BoundedSocket | None = None
    try:
        sock = open_bounded(target.endpoint, bound)
        sock.sendall(b"srvr")
        answer = _read(sock)
    except (OSError, NameUnknown, NotAccepted) as error:
        return exchange_failed(target, bound, error, "ZooKeeper", spoke=_spoke(bound.head))
    finally:
        if sock is not None:
            sock.close()
    return _judge(answer, bound)


def _read(sock: BoundedSocket) -> bytes:
    answer = b""
    while received := sock.recv(ANSWER_LIMIT):
        answer += received
    return answer


def _spoke(answer: bytes) -> bool:
    return answer.startswith(_VERSION) or b"ZooKeeper instance" in answer or b"srvr is not" in answer


def _judge(answer: bytes, bound: Bound) -> ProbeResult:
    latency_ms = bound.elapsed_ms
    if _NOT_LISTED in answer:
        return passed(latency_ms, detail="alive; srvr is not among the commands it executes")
    if _NOT_SERVING in answer:
        return failed(Reason.UNHEALTHY, "runs, but is not serving requests", answered=True)
    if not answer.startswith(_VERSION):
        return unfinished(bound, "", "ZooKeeper", spoke=False)
    if b"\nMode: read-only" in answer:
        return passed(latency_ms, Reason.READ_ONLY, "it is in read-only mode: writes are refused")
    return passed(latency_ms)
