"""The Kafka probe: one ApiVersions request, by the client's own protocol classes on a socket of ours.

The client's admin object would go on to the address that the broker advertises, a name which the host of this
platform cannot resolve, would wait 10 s on a frozen broker, and leaves a thread behind whenever it fails
(FACTS C4). The question whether the broker answers needs none of that.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from kafka import errors
from kafka.protocol.metadata import ApiVersionsRequest
from kafka.protocol.parser import KafkaProtocol

from moalog_tui.adapters.bounded import Bound, BoundedSocket, open_bounded
from moalog_tui.adapters.outcomes import Target, exchange_failed, failed, passed
from moalog_tui.platform.health import ProbeResult, Reason

FRAME_LIMIT: Final = 64 * 1024
"""Bytes of one answer; a broker's list of some sixty requests takes less than 1 KiB."""
_CHUNK: Final = 4096

# It logs as an error, whole, what it cannot decode; that a stranger's bytes are not Kafka's is the probe's answer.
logging.getLogger("kafka.protocol.parser").setLevel(logging.CRITICAL)


def probe(target: Target) -> ProbeResult:
    """Probe a Kafka broker. Latency is that of connecting and of the answer.

    Version 0 of the request is used: every broker since 0.10 answers it.
    """
    bound = Bound(target.deadline)
    sock: BoundedSocket | None = None
    try:
        sock = open_bounded(target.endpoint, bound)
        response = _ask(sock)
    except Exception as error:  # the decoder raises what it likes on bytes that are not Kafka's
        return exchange_failed(target, bound, error, "Kafka", spoke=False)
    finally:
        if sock is not None:
            sock.close()
    if response.error_code:
        name = errors.for_code(response.error_code).__name__
        return failed(Reason.PROTOCOL, f"answers ApiVersions with {name}", answered=True)
    return passed(bound.elapsed_ms)


def _ask(sock: BoundedSocket) -> Any:
    protocol = KafkaProtocol(client_id="moalog-tui", receive_message_max_bytes=FRAME_LIMIT)
    protocol.send_request(ApiVersionsRequest(version=0))
    sock.sendall(protocol.send_bytes())
    while True:
        received = sock.recv(_CHUNK)
        if not received:
            raise ConnectionResetError("the connection was closed")
        answers = protocol.receive_bytes(received)
        if answers:
            return answers[0][1]
