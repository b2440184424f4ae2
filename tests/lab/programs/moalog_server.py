"""The `moalog-server` container: every route behind one shared rate limit, one route on MySQL, one on the payments."""

from __future__ import annotations

import json
import os
import threading
import time
from urllib.parse import quote

from . import process, web
from .mysql_client import MySQL

LIMITER = os.environ.get("RATE_LIMITER_URL", "")
FLUXPAY = os.environ.get("FLUXPAY_URL", "")
LIMITED = os.environ.get("RATE_LIMITER_ENABLED", "true") == "true"
PAYS = os.environ.get("FLUXPAY_ENABLED", "true") == "true"
DATABASE = MySQL(os.environ.get("DATABASE_URL", ""))
REQUESTS = web.Histogram()
LIMITER_DEADLINE_S = 0.5
FLUXPAY_DEADLINE_S = 5.0


def envelope(status: int, code: str, message: str, result: object = None, retry_after: int = 0) -> web.Answer:
    """Answer in the server's own envelope."""
    body = {"isSuccess": status < 400, "code": code, "message": message, "result": result}
    return web.as_json(body, status, {"Retry-After": str(retry_after)} if retry_after else {})


def refusal(request: web.Request) -> web.Answer | None:
    """Ask the rate limiter; a 429 where it refuses, None where it allows or does not answer in time."""
    if not LIMITED:
        return None
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[0].strip()
    client = forwarded or request.headers.get("x-real-ip", "") or "unknown"
    key = quote(f"global_api:ip:{client}", safe="")
    try:
        url = f"{LIMITER}/api/v1/rate-limit/check?key={key}&algorithm=SLIDING_WINDOW"
        _, body = web.get(url, LIMITER_DEADLINE_S)
        verdict = json.loads(body)
        allowed, wait = bool(verdict["allowed"]), int(verdict["retryAfterSeconds"])
    except (OSError, ValueError, KeyError) as error:
        process.log_tracing("WARN", "server::middleware::rate_limit", f"Rate limiter unavailable (Fail Open): {error}")
        return None
    return None if allowed else envelope(429, "RATE4291", "Too many requests.", retry_after=max(wait, 1))


def health(_: web.Request) -> web.Answer:
    """Say healthy, whatever the neighbours do."""
    return envelope(200, "COMMON200", "Success.", {"status": "healthy"})


def retrospects(_: web.Request) -> web.Answer:
    """A route that needs MySQL."""
    try:
        DATABASE.ping()
    except OSError as error:
        process.log_tracing("ERROR", "server::domain::retrospect", f"Database error: {error}")
        return envelope(500, "COMMON500", "Internal server error.")
    return envelope(200, "COMMON200", "Success.", {"retrospects": []})


def payments(_: web.Request) -> web.Answer:
    """A route that needs fluxpay-engine."""
    try:
        if not PAYS:
            raise OSError("payments are switched off")
        status, _body = web.get(f"{FLUXPAY}/api/v1/orders", FLUXPAY_DEADLINE_S)
    except OSError as error:
        process.log_tracing("ERROR", "server::domain::payment", f"FluxPayServiceError: {error}")
        return envelope(502, "FluxPayServiceError", "The payment service does not answer.")
    if status >= 400:
        return envelope(500, "PaymentFailed", "The payment failed.")
    return envelope(200, "COMMON200", "Success.", {"status": "PAID"})


def metrics(_: web.Request) -> web.Answer:
    """Metrics in axum-prometheus' shape."""
    name = "axum_http_requests_duration_seconds"
    rows = REQUESTS.snapshot()
    lines = ["# TYPE axum_http_requests_total counter"]
    lines += [f"axum_http_requests_total{{{labels}}} {row[0]:.0f}" for labels, row in rows.items()]
    lines.append(f"# TYPE {name} histogram")
    for labels, row in rows.items():
        for bound, count in zip(web.Histogram.BUCKETS, row[3:], strict=True):
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {count:.0f}')
        lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {row[0]:.0f}')
        lines.append(f"{name}_sum{{{labels}}} {row[1]:.6f}")
        lines.append(f"{name}_count{{{labels}}} {row[0]:.0f}")
    lines += ["# TYPE axum_http_requests_pending gauge", f"axum_http_requests_pending {threading.active_count() - 4}"]
    return web.Answer("\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


def through_the_limit(route: web.Route) -> web.Route:
    """Put a route behind the rate limit, and count and log its requests."""

    def wrapper(request: web.Request) -> web.Answer:
        watch = web.Stopwatch()
        answer = refusal(request) or route(request)
        labels = f'method="{request.method}",status="{answer.status}",endpoint="{request.path}"'
        REQUESTS.observe(labels, watch.seconds())
        if request.path.startswith("/api/"):
            took = f"latency={watch.seconds() * 1000:.0f} ms status={answer.status}"
            process.log_tracing("INFO", "tower_http::trace::on_response", f"{request.path} {took}")
        return answer

    return wrapper


def load() -> None:
    """Be the users: a few requests a second from eight addresses, one in ten of them a payment."""
    count = 0
    while True:
        rate = float(process.control("load") or os.environ.get("LAB_LOAD_RPS", "2"))
        time.sleep(1 / rate if rate else 1)
        if rate:
            count += 1
            path = "payments" if count % 10 == 0 else "retrospects"
            try:
                web.get(f"http://localhost:8080/api/v1/{path}", 10, {"X-Forwarded-For": f"198.51.100.{count % 8}"})
            except OSError as error:
                process.log_tracing("WARN", "server", f"a user saw no answer: {error}")


def main() -> None:
    """End with 1 where MySQL is away at the start, as the real one does; else serve."""
    process.start(exit_code=0)
    try:
        DATABASE.ping()
    except OSError as error:
        process.write(f"Error: Conn(SqlxError(PoolTimedOut)): {error}")
        raise SystemExit(1) from None
    routes = {"/health": health, "/metrics": metrics, "/api/v1/retrospects": retrospects, "/api/v1/payments": payments}
    web.serve({path: through_the_limit(route) for path, route in routes.items()}, 8080)
    process.log_tracing("INFO", "server", "Server running on http://0.0.0.0:8080")
    threading.Thread(target=load, daemon=True, name="load").start()
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
