"""The `otel-collector` container: listens for spans, hands them on to Jaeger, publishes its own metrics inside."""

from __future__ import annotations

import threading
import time

from . import process, web

FAILED = [0]
EXPORT_S = 5


def export() -> None:
    """Hand on to Jaeger for ever; count and log what fails."""
    while True:
        time.sleep(EXPORT_S)
        try:
            web.get("http://jaeger:4317/", 3)
        except OSError as error:
            FAILED[0] += 1
            process.log_zap("error", f"Exporting failed. Will retry: {error}", "exporterhelper/retry_sender.go:118")


def metrics(_: web.Request) -> web.Answer:
    """The collector's own counters."""
    return web.Answer(
        "# TYPE otelcol_exporter_send_failed_spans counter\n"
        f'otelcol_exporter_send_failed_spans{{exporter="otlp/jaeger"}} {FAILED[0]}\n'
        "# TYPE otelcol_process_uptime counter\n"
        f"otelcol_process_uptime {time.monotonic():.1f}\n"
    )


def main() -> None:
    """Serve."""
    process.start(exit_code=0)
    for port in (4317, 4318):
        web.serve({}, port, lambda _: web.as_json({}))
    web.serve({"/metrics": metrics}, 8889)
    web.serve({"/": lambda _: web.as_json({"status": "Server available"})}, 13133)
    process.log_zap("info", "Everything is ready. Begin running and processing data.")
    threading.Thread(target=export, daemon=True).start()
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
