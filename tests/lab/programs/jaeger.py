"""The `jaeger` container: its page, its API's list of services, and its two OTLP ports."""

from __future__ import annotations

import json

from . import process, web


def main() -> None:
    """Serve."""
    process.start(exit_code=0)
    page = web.Answer(
        "<!doctype html><html><head><title>Jaeger UI</title></head><body></body></html>\n", kind="text/html"
    )
    services = web.as_json({"data": ["rate-limiter", "fluxpay-engine"], "total": 2, "errors": None})
    web.serve({"/api/services": lambda _: services}, 16686, lambda _: page)
    web.serve({}, 4317, lambda _: web.Answer(""))
    entry = {
        "level": "info",
        "ts": process.stamp("T", "Z"),
        "caller": "app/server.go:277",
        "msg": "Starting HTTP server",
    }
    process.write(json.dumps(entry | {"port": 16686}, separators=(",", ":")))
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
