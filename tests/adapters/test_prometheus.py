"""Readings from Prometheus: right values, honest gaps, and the same traps as for probes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prometheus import PrometheusReader
from moalog_tui.platform.metrics import MetricReading
from moalog_tui.platform.services import Endpoint, MetricSpec
from tests.adapters.fakes import http_answer
from tests.adapters.probing import within
from tests.adapters.servers import (
    Handler,
    Peer,
    Server,
    accept_and_close,
    drips,
    free_port,
    never_accepts,
    says,
    silent,
)

RATE = MetricSpec("rate", "req/s", "sum(rate(x[5m]))", "/s")
RATIO = MetricSpec("ratio", "5xx", 'a{status=~"5.."} / b', "ratio")
NO_ANSWER = "Prometheus does not answer"


def _prometheus(series: Mapping[str, list[str]], asked: list[dict[str, list[str]]] | None = None) -> Handler:
    """Return a Prometheus whose queries have these newest values, one a step, the last one at `end`."""

    def handler(peer: Peer) -> None:
        while request := peer.read().decode():
            query = parse_qs(urlsplit(request.split(" ")[1]).query)
            if asked is not None:
                asked.append(query)
            texts = series.get(query["query"][0])
            end, step = float(query["end"][0]), float(query["step"][0])
            values = [
                [end - step * back, text]
                for back, text in zip(range(99, -1, -1), _last(texts or []), strict=True)
                if text
            ]
            result = [{"metric": {}, "values": values}] if texts is not None else []
            peer.send(
                http_answer(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))
            )

    return handler


def _last(texts: list[str]) -> list[str]:
    return [""] * (100 - len(texts)) + texts


async def _read(endpoint: Endpoint, *specs: MetricSpec, deadline: float = 0.5) -> tuple[MetricReading, ...]:
    reader = PrometheusReader(BlockingCalls(), deadline)
    # The client is loaded outside the clock.
    await reader.read(Endpoint("127.0.0.1", free_port(), "test"), (), points=2)
    with within(2 * deadline):
        return await reader.read(endpoint, specs, points=5, span_s=50)


async def _reading(handler: Handler) -> MetricReading:
    with Server(handler) as server:
        (reading,) = await _read(server.endpoint, RATE)
    return reading


async def test_values_and_their_points() -> None:
    asked: list[dict[str, list[str]]] = []
    with Server(_prometheus({RATE.query: ["1", "2", "3", "4", "5.5"], RATIO.query: ["0.25"]}, asked)) as server:
        rate, ratio = await _read(server.endpoint, RATE, RATIO)
        assert server.connections == 1
    assert (rate.value, rate.why, rate.points) == (5.5, None, (1, 2, 3, 4, 5.5))
    assert (ratio.value, ratio.why, ratio.points) == (0.25, None, (None, None, None, None, 0.25))
    assert rate.sampled_at is not None
    assert 0 <= time.time() - rate.sampled_at.timestamp() < 11
    assert [query["query"][0] for query in asked] == [RATE.query, RATIO.query]
    # Aligned to the step, so that a redraw a second later shows the same points at the same places.
    assert {(query["step"][0], int(query["end"][0]) % 10) for query in asked} == {("10", 0)}


@pytest.mark.parametrize(
    ("texts", "why", "points"),
    [
        (["1", "NaN"], "no data", (None, None, None, 1, None)),
        (["1", "+Inf"], "no limit set", (None, None, None, 1, None)),
        (["-Inf"], "no limit set", (None, None, None, None, None)),
        (["1", "2", ""], "no data", (None, None, 1, 2, None)),
        (["soon"], "not a number", (None, None, None, None, None)),
        ([], "no data", (None, None, None, None, None)),
    ],
)
async def test_what_is_no_number_is_a_gap_with_its_reason(
    texts: list[str], why: str, points: tuple[float | None, ...]
) -> None:
    reading = await _reading(_prometheus({RATE.query: texts}))
    assert (reading.value, reading.why, reading.points) == (None, why, points)
    assert reading.sampled_at is None


async def test_no_series_is_no_data_and_never_zero() -> None:
    reading = await _reading(_prometheus({}))
    assert (reading.value, reading.why) == (None, "no data")


async def test_a_query_that_is_refused_says_so() -> None:
    body = '{"status":"error","errorType":"bad_data","error":"parse error"}'
    reading = await _reading(says(http_answer(body, "400 Bad Request"), after_reading=True))
    assert reading.value is None
    assert reading.why is not None
    assert reading.why.startswith("Prometheus refuses the query: ")
    assert "parse error" in reading.why


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"data":{"result":7}}',
        '{"data":{"result":[1]}}',
        '{"data":{"result":[{"values":[["a"]]}]}}',
        "<html>",
    ],
)
async def test_an_answer_that_is_not_prometheus(body: str) -> None:
    reading = await _reading(says(http_answer(body), after_reading=True))
    assert (reading.value, reading.why) in [
        (None, "the answer is not Prometheus'"),
        (None, NO_ANSWER),
    ]


@pytest.mark.parametrize(
    "handler",
    [
        accept_and_close,
        silent,
        drips(),
        drips(b"HTTP/1.1 200 OK\r\nX-"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", drips(), after_reading=True),
        says(b"\xff" * 64, silent),
        says(http_answer("", "503 Service Unavailable"), after_reading=True),
    ],
)
async def test_a_hostile_server_costs_one_deadline_for_all_queries(handler: Handler) -> None:
    with Server(handler) as server:
        readings = await _read(server.endpoint, RATE, RATIO, RATE, RATIO)
        assert [reading.value for reading in readings] == [None] * 4
        assert all(reading.why for reading in readings)


async def test_a_port_that_refuses_or_never_accepts() -> None:
    assert [one.why for one in await _read(Endpoint("127.0.0.1", free_port(), "test"), RATE)] == [NO_ANSWER]
    with never_accepts() as endpoint:
        assert [one.why for one in await _read(endpoint, RATE, RATIO)] == [NO_ANSWER] * 2


async def test_a_gigabyte_is_not_read() -> None:
    sent: list[int] = []

    def handler(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        sent.append(peer.flood())

    assert (await _reading(handler)).why == NO_ANSWER
    assert sent[0] < 32 * 1024 * 1024


async def test_an_answer_packed_to_burst_is_not_unpacked() -> None:
    answer = http_answer(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n")
    assert (await _reading(says(answer, after_reading=True))).why == NO_ANSWER


async def test_a_proxy_in_the_environment_does_not_catch_the_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(silent) as proxy, Server(_prometheus({RATE.query: ["7"]})) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.endpoint.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        (reading,) = await _read(server.endpoint, RATE)
        assert proxy.connections == 0
    assert reading.value == 7
