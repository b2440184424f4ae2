"""The `fluxpay-engine` container: a static health, an actuator that looks at Postgres and Redis, an outbox poller."""

from __future__ import annotations

import os
import struct
import threading
import time
from urllib.parse import urlsplit

from . import jvm, process, web
from .redis_client import Redis

REDIS = Redis()
REQUESTS = web.Histogram()
POSTGRES = urlsplit(os.environ.get("SPRING_R2DBC_URL", "").removeprefix("r2dbc:"))
KAFKA = os.environ.get("KAFKA_SERVERS", "fluxpay-kafka:9092")
SSL_REQUEST = struct.pack(">ii", 8, 80877103)
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
POLL_S = 5
APPLICATION = "c.f.engine.FluxPayEngineApplication"


def postgres_answers() -> bool:
    """True where Postgres answers a request for TLS, whatever it says."""
    try:
        answer = web.exchange(POSTGRES.hostname or "", POSTGRES.port or 5432, SSL_REQUEST, 3, 1)
    except OSError as error:
        process.log_spring(
            "ERROR", "i.r.p.PostgresqlConnectionFactory", f"Cannot connect to {POSTGRES.netloc}: {error}"
        )
        return False
    return answer in (b"S", b"N")


def redis_answers() -> bool:
    """True where Redis answers PONG."""
    try:
        return REDIS.call("PING") == "PONG"
    except OSError as error:
        process.log_spring("ERROR", "c.f.engine.idempotency.IdempotencyStore", f"Redis: {error}")
        return False


def kafka_answers() -> bool:
    """True where the broker answers ApiVersions under the name it is known by."""
    host, _, port = KAFKA.partition(":")
    try:
        return bool(web.exchange(host, int(port), API_VERSIONS, 3))
    except OSError as error:
        broker = f"Bootstrap broker {KAFKA} (id: -1 rack: null) disconnected: {error}"
        process.log_spring("WARN", "o.apache.kafka.clients.NetworkClient", broker, "kafka-producer-network-thread")
        return False


def health(_: web.Request) -> web.Answer:
    """Say UP, whatever the neighbours do."""
    return web.as_json({"success": True, "data": {"status": "UP"}, "error": None})


def actuator(_: web.Request) -> web.Answer:
    """UP where Postgres and Redis answer, else 503 and DOWN; details are for those with a login, that is nobody."""
    up = postgres_answers() and redis_answers()
    return web.as_json({"status": "UP" if up else "DOWN"}, 200 if up else 503)


def pay(request: web.Request) -> web.Answer:
    """Take an order: it needs Postgres; without Redis there is no check for a repeated one."""
    watch = web.Stopwatch()
    if postgres_answers():
        redis_answers()
        answer = web.as_json({"success": True, "data": {"status": "PAID"}, "error": None})
    else:
        answer = web.as_json({"success": False, "data": None, "error": {"code": "INTERNAL_ERROR"}}, 500)
    process.log_spring("DEBUG", "c.f.engine.api.OrderController", f"POST {request.path} -> {answer.status}")
    REQUESTS.observe(jvm.labels(request, answer), watch.seconds())
    return answer


def poll_outbox() -> None:
    """Try the broker for ever, as the outbox does, and log what came of it."""
    while True:
        time.sleep(POLL_S)
        if kafka_answers():
            process.log_spring("DEBUG", "c.f.engine.outbox.OutboxPoller", "0 pending events", "scheduling-1")
        else:
            process.log_spring("ERROR", "c.f.engine.outbox.OutboxPoller", "Events not published", "scheduling-1")


def main() -> None:
    """Start as slowly as configured, then serve."""
    process.log_spring("INFO", APPLICATION, "Starting FluxPayEngineApplication", "main")
    process.start(exit_code=143)
    jvm.serve_jolokia()
    routes = {
        "/api/v1/health": health,
        "/actuator/health": actuator,
        "/actuator/prometheus": lambda _: web.Answer(jvm.prometheus(REQUESTS)),
        "/api/v1/orders": pay,
    }
    web.serve(routes, 8080)
    threading.Thread(target=poll_outbox, daemon=True).start()
    process.log_spring("INFO", APPLICATION, "Started FluxPayEngineApplication", "main")
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
