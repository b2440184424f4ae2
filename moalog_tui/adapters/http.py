"""The HTTP probe: one request, a bounded body, a total deadline; and the same for exporters' `/metrics`.

One client serves the process (a new one costs 16 ms of CPU), without kept connections: a probe proves that a new
client gets through, and a connection from before a restart cannot fool it.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio._backends._asyncio  # noqa: F401 - loaded with the client on its thread, not on the loop
import httpx

from moalog_tui.adapters.outcomes import (
    ACCEPTS_AND_CLOSES,
    Target,
    credential_refused,
    failed,
    not_accepted,
    passed,
    quote,
    seconds,
)
from moalog_tui.platform.health import ProbeResult, Reason

BODY_LIMIT: Final = 64 * 1024
"""Bytes read of a health page; what is asked for must stand within them."""
METRICS_LIMIT: Final = 2 * 1024 * 1024
"""Bytes read of an exporter's page. Only the first BODY_LIMIT are kept; reading on spares it a broken pipe."""
IMPAIRED_DEADLINE_S: Final = 1.0
"""Seconds the second path may take, within the probe's deadline."""

_ILL: Final = frozenset({"DOWN", "OUT_OF_SERVICE"})
_METRIC_LINE: Final = re.compile(rb"\A\s*(?:#|[A-Za-z_:][A-Za-z0-9_:]*(?:\{[^\n]*\})?[ \t]+[-+0-9NI])")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as far as it was read. `ended` is false where the body went on past its limit."""

    status: int
    headers: httpx.Headers
    body: bytes
    ended: bool
    latency_ms: float


class _Unread(Exception):
    """No whole answer came; `status` is None where not even a status line did."""

    def __init__(self, status: int | None, cause: BaseException, *, connected: bool) -> None:
        super().__init__(str(cause))
        self.status = status
        self.cause = cause
        self.connected = connected


def new_client() -> httpx.AsyncClient:
    """Return the process's one client: no proxies from the environment, no redirects, no kept connections."""
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(
            # Nothing here speaks TLS; a bare context spares loading the system's authorities.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=0),
        ),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - each request stands under one deadline as a whole, not a phase at a time
        headers={"User-Agent": "moalog-tui", "Accept-Encoding": "identity", "Connection": "close"},
    )


async def probe_http(target: Target, address: str, client: httpx.AsyncClient) -> ProbeResult:
    """Probe a health page. `address` is the endpoint's resolved address. Latency is that of the first request."""
    spec = target.spec
    ends_at = time.monotonic() + target.deadline
    try:
        answer = await _get(client, target, address, spec.path, target.deadline, BODY_LIMIT)
    except _Unread as error:
        return _unread(target, error)
    result = _judge(target, answer, _page_complaint)
    left = min(ends_at - time.monotonic(), IMPAIRED_DEADLINE_S)
    if not result.passed or result.reason is not None or spec.impaired_path is None or left <= 0:
        return result
    try:
        second = await _get(client, target, address, spec.impaired_path, left, BODY_LIMIT)
    except _Unread:
        return result  # the page may be absent or slow; the probe itself has passed
    facts = _actuator(second.body)
    if facts is None or facts[0] not in _ILL:
        return result
    return replace(result, reason=Reason.UNHEALTHY, detail=f"{spec.impaired_path} says {facts[1]}")


async def probe_metrics(target: Target, address: str, client: httpx.AsyncClient) -> ProbeResult:
    """Probe an exporter: 200, and a page in the exposition format."""
    path = target.spec.path if target.spec.path != "/" else "/metrics"
    try:
        answer = await _get(client, target, address, path, target.deadline, METRICS_LIMIT)
    except _Unread as error:
        return _unread(target, error)
    return _judge(target, answer, _metrics_complaint)


async def _get(
    client: httpx.AsyncClient, target: Target, address: str, path: str, deadline: float, limit: int
) -> Answer:
    """Ask once; raises _Unread."""
    host = f"{target.endpoint.host}:{target.endpoint.port}"
    netloc = f"[{address}]:{target.endpoint.port}" if ":" in address else f"{address}:{target.endpoint.port}"
    auth = None
    if target.user and target.plain_password:
        auth = httpx.BasicAuth(target.user.encode(), target.plain_password.encode())
    connected = False

    async def trace(event: str, _details: Mapping[str, Any]) -> None:
        # A port that accepts nothing is told from one that says nothing.
        nonlocal connected
        connected = connected or event == "connection.connect_tcp.complete"

    started = time.monotonic()
    status: int | None = None
    try:
        async with asyncio.timeout(deadline):
            request = client.build_request(
                "GET",
                f"http://{netloc}{path}",
                headers={**dict(target.spec.headers), "Host": host},
                extensions={"trace": trace},
            )
            response = await client.send(request, stream=True, auth=auth)
            try:
                status = response.status_code
                body, ended = await _body(response, limit)
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        raise _Unread(status, error, connected=connected) from error
    return Answer(status, response.headers, body, ended, (time.monotonic() - started) * 1000)


async def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    kept, read = bytearray(), 0
    # Raw: a compressed answer, which nobody asked for, would be unpacked to any size.
    async for chunk in response.aiter_raw():
        read += len(chunk)
        kept += chunk[: BODY_LIMIT - len(kept)]
        if read >= limit:
            return bytes(kept), False
    return bytes(kept), True


def _unread(target: Target, error: _Unread) -> ProbeResult:
    status, cause = error.status, error.cause
    answered = status is not None
    if isinstance(cause, TimeoutError) and not error.connected:
        return not_accepted(target.endpoint, target.deadline, None)
    if isinstance(cause, TimeoutError):
        what = f"HTTP {status}, but its body did not end" if answered else "no answer"
        return failed(Reason.TIMEOUT, f"{what} within {seconds(target.deadline)}", answered=answered)
    if isinstance(cause, httpx.ConnectError):
        return not_accepted(target.endpoint, target.deadline, _root(cause))
    if answered:
        return failed(Reason.PROTOCOL, f"HTTP {status}, but its body broke off: {quote(str(cause))}", answered=True)
    # The two ways in which a port proxy without a program behind it ends a connection.
    if isinstance(cause, httpx.ReadError | httpx.WriteError) or "without sending a response" in str(cause):
        return failed(Reason.PROTOCOL, ACCEPTS_AND_CLOSES)
    return failed(Reason.PROTOCOL, f"does not speak HTTP: {quote(str(cause))}")


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error under the client's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def _judge(target: Target, answer: Answer, complain: Callable[[Target, bytes], str | None]) -> ProbeResult:
    spec, status = target.spec, answer.status
    if status == 429:
        wait = quote(answer.headers.get("Retry-After", ""))
        after = f", try again after {wait} s" if wait.isdigit() else ""
        return passed(answer.latency_ms, Reason.LIMITED, f"alive, but it limits us: HTTP 429{after}")
    if status in (401, 407) or (status == 403 and target.password is not None):
        return credential_refused(target, f"HTTP {status}")
    expected = status in spec.expect_status if spec.expect_status else 200 <= status < 300
    if not expected:
        wanted = " or ".join(map(str, spec.expect_status)) or "200"
        facts = _actuator(answer.body)
        said = facts[1] if facts else quote(answer.body)
        detail = f"HTTP {status}, expected {wanted}"
        return failed(Reason.HTTP_STATUS, f"{detail}: {said}" if said else detail, answered=True)
    complaint = complain(target, answer.body)
    if complaint is not None:
        return failed(Reason.BODY, f"HTTP {status}, but {complaint}", answered=True)
    return passed(answer.latency_ms)


def _page_complaint(target: Target, body: bytes) -> str | None:
    spec = target.spec
    if spec.expect_text is not None and spec.expect_text.encode() not in body:
        return f'its body does not contain "{quote(spec.expect_text)}": {quote(body)}'
    if spec.expect_json is None:
        return None
    path, wanted = spec.expect_json
    found = _dig(_parse(body), path)
    if found is None:
        return f"{path} is missing, expected {wanted}: {quote(body)}"
    if found != wanted:
        return f"{path} is {quote(found)}, expected {wanted}"
    return None


def _metrics_complaint(_target: Target, body: bytes) -> str | None:
    return None if _METRIC_LINE.match(body) else f"its body is no page of metrics: {quote(body)}"


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _dig(value: Any, path: str) -> str | None:
    """Return the scalar at a dotted path as JSON writes it, text without its quotes; None where there is none."""
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    if isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _actuator(body: bytes) -> tuple[str, str] | None:
    """Return the status of an actuator's health page, and that status with the components that are not UP."""
    page = _parse(body)
    if not isinstance(page, dict) or not isinstance(page.get("status"), str):
        return None
    components = page.get("components", page.get("details"))
    ill = [
        f"{quote(str(name))} {quote(part['status'])}"
        for name, part in (components.items() if isinstance(components, dict) else ())
        if isinstance(part, dict) and isinstance(part.get("status"), str) and part["status"] != "UP"
    ]
    status = quote(page["status"])
    return page["status"], f"{status} ({quote(', '.join(ill))})" if ill else status
