"""HTTP health pages and exporters, as they answer well and ill."""

from __future__ import annotations

import asyncio
import base64
import gzip
from dataclasses import replace

import pytest

from moalog_tui.adapters.blocking import BlockingCalls
from moalog_tui.adapters.prober import Prober
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.services import ProbeKind, ProbeSpec
from tests.adapters.fakes import http_answer, http_fake
from tests.adapters.probing import DEADLINE, PASSWORD, probe, probe_handler, service, settings, within
from tests.adapters.servers import Peer, Server, says, silent

HEALTHY = http_answer('{"isSuccess":true,"result":{"status":"healthy"}}')
MOALOG = ProbeSpec(
    ProbeKind.HTTP,
    path="/health",
    expect_json=("result.status", "healthy"),
    headers=(("X-Forwarded-For", "moalog-tui"),),
)
FLUXPAY = ProbeSpec(
    ProbeKind.HTTP, path="/api/v1/health", expect_json=("data.status", "UP"), impaired_path="/actuator/health"
)
UP = http_answer('{"data":{"status":"UP"}}')


async def _page(spec: ProbeSpec, answer: bytes) -> ProbeResult:
    return await probe_handler(spec, http_fake({spec.path: answer}))


async def test_a_healthy_page_passes_and_our_header_goes_with_the_request() -> None:
    asked: list[str] = []
    result = await probe_handler(MOALOG, http_fake({"/health": HEALTHY}, asked))
    assert (result.outcome, result.reason, result.answered, result.detail) == (Outcome.PASS, None, True, "")
    assert result.latency_ms is not None
    assert 0 < result.latency_ms < 1000 * DEADLINE
    # Without it all of the server's clients share one bucket of a hundred requests a minute.
    assert "x-forwarded-for: moalog-tui\r\n" in asked[0].lower()
    assert "authorization" not in asked[0].lower()


async def test_429_is_alive_but_limited() -> None:
    answer = http_answer('{"code":"RATE4291"}', "429 Too Many Requests", "Retry-After: 17\r\n")
    result = await _page(MOALOG, answer)
    assert (result.outcome, result.reason, result.answered) == (Outcome.PASS, Reason.LIMITED, True)
    assert result.detail == "alive, but it limits us: HTTP 429, try again after 17 s"


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (
            http_answer('{"result":{"status":"sick"}}'),
            Reason.BODY,
            "HTTP 200, but result.status is sick, expected healthy",
        ),
        (
            http_answer("[]"),
            Reason.BODY,
            "HTTP 200, but result.status is missing, expected healthy: []",
        ),
        (
            http_answer("<html>no json</html>"),
            Reason.BODY,
            "HTTP 200, but result.status is missing, expected healthy: <html>no json</html>",
        ),
        (http_answer("[" * 60000), Reason.BODY, None),
        (
            http_answer("gone  \n\n fishing", "503 Service Unavailable"),
            Reason.HTTP_STATUS,
            "HTTP 503, expected 200: gone fishing",
        ),
        (http_answer("", "500 Oops"), Reason.HTTP_STATUS, "HTTP 500, expected 200"),
        (
            http_answer("", "302 Found", "Location: http://127.0.0.1:1/login\r\n"),
            Reason.HTTP_STATUS,
            "HTTP 302, expected 200",
        ),
    ],
)
async def test_a_page_that_is_not_as_expected_fails_with_what_it_said(
    answer: bytes, reason: Reason, detail: str | None
) -> None:
    result = await _page(MOALOG, answer)
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, reason, True)
    assert len(result.detail) < 250
    if detail is not None:
        assert result.detail == detail


async def test_an_actuator_that_is_down_names_its_components() -> None:
    spec = ProbeSpec(ProbeKind.HTTP, path="/actuator/health", expect_json=("status", "UP"))
    body = '{"status":"DOWN","components":{"redis":{"status":"DOWN"},"ping":{"status":"UP"}}}'
    result = await _page(spec, http_answer(body, "503 Service Unavailable"))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.HTTP_STATUS, True)
    assert result.detail == "HTTP 503, expected 200: DOWN (redis DOWN)"


async def test_a_text_that_is_expected() -> None:
    spec = ProbeSpec(ProbeKind.HTTP, path="/ready", expect_text="ready")
    assert (await _page(spec, http_answer("ready\n"))).outcome is Outcome.PASS
    result = await _page(spec, http_answer("warming up"))
    assert (result.reason, result.detail) == (
        Reason.BODY,
        'HTTP 200, but its body does not contain "ready": warming up',
    )


async def test_a_status_that_the_profile_expects_passes() -> None:
    spec = ProbeSpec(ProbeKind.HTTP, path="/", expect_status=(404, 405))
    assert (await _page(spec, http_answer("", "404 Not Found"))).outcome is Outcome.PASS
    result = await _page(spec, http_answer("", "200 OK"))
    assert (result.reason, result.detail) == (Reason.HTTP_STATUS, "HTTP 200, expected 404 or 405")


async def test_the_second_page_tells_an_illness_that_the_first_does_not_see() -> None:
    ill = '{"status":"DOWN","components":{"r2dbc":{"status":"UP"},"redis":{"status":"DOWN"}}}'
    pages = {"/api/v1/health": UP, "/actuator/health": http_answer(ill, "503 Service Unavailable")}
    result = await probe_handler(FLUXPAY, http_fake(pages))
    assert (result.outcome, result.reason, result.answered) == (Outcome.PASS, Reason.UNHEALTHY, True)
    assert result.detail == "/actuator/health says DOWN (redis DOWN)"


@pytest.mark.parametrize(
    "second",
    [
        http_answer('{"status":"UP"}'),
        http_answer("no such page", "404 Not Found"),
        http_answer("", "401 Unauthorized"),
        http_answer("[1", "200 OK"),
        b"garbage\r\n\r\n",
        b"",
    ],
)
async def test_a_second_page_that_says_nothing_takes_nothing_away(second: bytes) -> None:
    result = await probe_handler(FLUXPAY, http_fake({"/api/v1/health": UP, "/actuator/health": second}))
    assert (result.outcome, result.reason, result.detail) == (Outcome.PASS, None, "")


async def test_a_second_page_that_never_answers_stays_within_the_deadline() -> None:
    first: list[bool] = []

    def handler(peer: Peer) -> None:
        if first:
            silent(peer)
        else:
            first.append(True)
            peer.read()
            peer.send(UP)

    result = await probe_handler(FLUXPAY, handler)
    assert (result.outcome, result.reason) == (Outcome.PASS, None)


async def test_a_body_that_does_not_end() -> None:
    result = await probe_handler(MOALOG, says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", silent))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.TIMEOUT, True)
    assert result.detail == "HTTP 200, but its body did not end within 0.5 s"


async def test_a_body_that_breaks_off() -> None:
    result = await probe_handler(MOALOG, says(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", after_reading=True))
    assert (result.outcome, result.reason, result.answered) == (Outcome.FAIL, Reason.PROTOCOL, True)


async def test_a_refused_credential_names_its_source_and_not_itself() -> None:
    spec = ProbeSpec(ProbeKind.HTTP, path="/", user="actuator", password_setting="ACTUATOR_PASSWORD")
    asked: list[str] = []
    result = await probe_handler(spec, http_fake({"/": http_answer(PASSWORD, "401 Unauthorized")}, asked))
    assert (result.outcome, result.reason, result.answered) == (Outcome.UNKNOWN, Reason.AUTH, True)
    assert result.detail == "alive, but the credential is refused: ACTUATOR_PASSWORD from .env:21 (HTTP 401)"
    encoded = base64.b64encode(f"actuator:{PASSWORD}".encode()).decode()
    assert f"authorization: basic {encoded}".lower() in asked[0].lower()


async def test_a_page_that_sends_our_password_back_does_not_put_it_on_the_screen() -> None:
    spec = ProbeSpec(ProbeKind.HTTP, path="/", user="actuator", password_setting="ACTUATOR_PASSWORD")
    result = await _page(spec, http_answer(f"you said {PASSWORD}", "500 Oops"))
    assert result.detail == "HTTP 500, expected 200: you said ••••••"


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        ("# HELP up x\n# TYPE up gauge\nup 1\n", True),
        ("redis_up 1\n", True),
        ('jvm_threads{job="a b"} 3.5e+1\n', True),
        ("\n\n# HELP", True),
        ("", False),
        ("<html><body>Exporter</body></html>", False),
        ("all is well\n", False),
    ],
)
async def test_an_exporter_must_answer_with_a_page_of_metrics(body: str, passes: bool) -> None:
    result = await probe_handler(ProbeKind.METRICS, http_fake({"/metrics": http_answer(body)}))
    assert result.passed is passes
    if not passes:
        assert (result.reason, result.answered) == (Reason.BODY, True)


async def test_a_large_page_of_metrics_is_read_to_its_end() -> None:
    page = "# HELP x y\n" + "x 1\n" * 100_000
    result = await probe_handler(ProbeKind.METRICS, http_fake({"/metrics": http_answer(page)}), deadline=2)
    assert result.outcome is Outcome.PASS


async def test_an_answer_packed_to_burst_is_not_unpacked() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    result = await _page(MOALOG, http_answer(bomb, headers="Content-Encoding: gzip\r\n"))
    assert (result.outcome, result.reason) == (Outcome.FAIL, Reason.BODY)


async def test_closing_with_probes_under_way_takes_no_time() -> None:
    with Server(silent) as server:
        prober = Prober(BlockingCalls(), settings())
        await prober._load(ProbeKind.HTTP)
        running = asyncio.create_task(prober.probe(service(MOALOG), server.endpoint, 5))
        await asyncio.sleep(0.05)
        with within(0.5):
            await prober.aclose()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_name_is_sent_as_the_host() -> None:
    asked: list[str] = []
    with Server(http_fake({"/health": HEALTHY}, asked)) as server:
        endpoint = replace(server.endpoint, host="localhost")
        result = await probe(MOALOG, endpoint)
    assert result.outcome is Outcome.PASS
    assert f"host: localhost:{endpoint.port}" in asked[0].lower()
