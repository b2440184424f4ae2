"""The `rate-limiter` container: a sliding count in Redis, open where Redis is away, its health DOWN then."""

from __future__ import annotations

import os
from collections.abc import Callable

from . import jvm, process, web
from .redis_client import Redis

LIMIT = 100
WINDOW_S = 60
LOGGER = "c.m.ratelimiter.service.RateLimitService"
REDIS = Redis()
REQUESTS = web.Histogram()
CREDENTIALS = f"{os.environ.get('ACTUATOR_USER', '')}:{os.environ.get('ACTUATOR_PASSWORD', '')}"


def measured(route: web.Route) -> web.Route:
    """Count the route's requests."""

    def wrapper(request: web.Request) -> web.Answer:
        watch = web.Stopwatch()
        answer = route(request)
        REQUESTS.observe(jvm.labels(request, answer), watch.seconds())
        return answer

    return wrapper


def guarded(route: Callable[[], str]) -> web.Route:
    """Ask for the actuator's credentials."""

    def wrapper(request: web.Request) -> web.Answer:
        if request.basic_auth() != CREDENTIALS:
            return web.Answer("", 401, headers={"WWW-Authenticate": 'Basic realm="Realm"'})
        return web.Answer(route(), kind="text/plain; version=0.0.4; charset=utf-8")

    return wrapper


def health(request: web.Request) -> web.Answer:
    """UP where Redis answers PONG, else 503 and DOWN; details only for those who may."""
    try:
        up = REDIS.call("PING") == "PONG"
    except OSError as error:
        up = False
        process.log_spring("WARN", "c.m.ratelimiter.health.RedisHealthIndicator", f"Redis health check failed: {error}")
    status = "UP" if up else "DOWN"
    body: dict[str, object] = {"status": status}
    if request.basic_auth() == CREDENTIALS:
        body["components"] = {"redis": {"status": status}, "ping": {"status": "UP"}}
    return web.as_json(body, 200 if up else 503)


def check(request: web.Request) -> web.Answer:
    """Take one permit of the key, allowed without one where Redis is away."""
    key = request.query.get("key", "")
    try:
        count = int(REDIS.call("INCR", f"rate_limit:{key}"))
        if count == 1:
            REDIS.call("EXPIRE", f"rate_limit:{key}", str(WINDOW_S))
    except (OSError, ValueError) as error:
        process.log_spring("WARN", LOGGER, f"Redis unavailable, applying fail-open policy for key {key}: {error}")
        return web.as_json({"allowed": True, "remaining": LIMIT, "retryAfterSeconds": 0})
    if count <= LIMIT:
        return web.as_json({"allowed": True, "remaining": LIMIT - count, "retryAfterSeconds": 0})
    process.log_spring("INFO", LOGGER, f"Rate limit exceeded for key {key}")
    return web.as_json({"allowed": False, "remaining": 0, "retryAfterSeconds": WINDOW_S}, 429)


def main() -> None:
    """Start as slowly as configured, then serve."""
    process.log_spring("INFO", "c.m.ratelimiter.RateLimiterApplication", "Starting RateLimiterApplication", "main")
    process.start(exit_code=143)
    jvm.serve_jolokia()
    routes = {
        "/actuator/health": measured(health),
        "/actuator/prometheus": guarded(lambda: jvm.prometheus(REQUESTS)),
        "/api/v1/rate-limit/check": measured(check),
    }
    web.serve(routes, 8080)
    process.log_spring("INFO", "c.m.ratelimiter.RateLimiterApplication", "Started RateLimiterApplication", "main")
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
