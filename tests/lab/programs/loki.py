"""The `loki` container: not ready for its first seconds, then ready; takes what is pushed."""

from __future__ import annotations

import os

from . import process, web

WARM_UP_S = float(os.environ.get("LAB_LOKI_WARM_UP_S", "5"))


def main() -> None:
    """Serve."""
    process.start(exit_code=0)
    watch = web.Stopwatch()

    def ready(_: web.Request) -> web.Answer:
        if watch.seconds() < WARM_UP_S:
            return web.Answer("Ingester not ready: waiting for 15s after being ready\n", 503)
        return web.Answer("ready\n")

    web.serve({"/ready": ready, "/loki/api/v1/push": lambda _: web.Answer("", 204)}, 3100)
    process.log_logfmt("info", "Loki started", "loki.go:505")
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
