"""The `promtail` container: pushes to Loki, publishes no port, and says so where Loki is away."""

from __future__ import annotations

import time

from . import process, web

PUSH_S = 5


def main() -> None:
    """Push for ever."""
    process.start(exit_code=0)
    process.log_logfmt("info", "Starting Promtail", "promtail.go:133")
    well = True
    while True:
        time.sleep(PUSH_S)
        try:
            web.get("http://loki:3100/loki/api/v1/push", 3)
        except OSError as error:
            process.log_logfmt("warn", f"error sending batch, will retry: {error}", "client.go:419")
            well = False
            continue
        if not well:
            process.log_logfmt("info", "batches are taken again", "client.go:430")
            well = True


if __name__ == "__main__":
    main()
