"""The two rJMX exporters: their JVM's heap and threads, read from its Jolokia agent at each scrape."""

from __future__ import annotations

import json
import os

from . import process, web

JOLOKIA = os.environ.get("JOLOKIA_URL", "")
ERRORS = [0]


def read(bean: str) -> dict[str, object]:
    """Return a bean's value; OSError or ValueError where the agent does not answer with one."""
    _, body = web.get(f"{JOLOKIA}/read/java.lang:type={bean}", 1.5)
    value = json.loads(body).get("value")
    if not isinstance(value, dict):
        raise ValueError(f"no value for {bean}")
    return value


def metrics(_: web.Request) -> web.Answer:
    """Answer 200 even where the JVM is away: only the exporter's own counters tell then."""
    watch = web.Stopwatch()
    lines = []
    try:
        for area, name in (("HeapMemoryUsage", "heap"), ("NonHeapMemoryUsage", "nonheap")):
            usage = read("Memory")[area]
            if isinstance(usage, dict):
                lines += [f"jvm_memory_{name}_{key}_bytes {value}" for key, value in usage.items()]
        lines.append(f"jvm_threads_threadcount {read('Threading')['ThreadCount']}")
    except (OSError, ValueError, KeyError) as error:
        ERRORS[0] += 1
        process.write(f'{{"level":"WARN","message":"scrape of {JOLOKIA} failed: {error}"}}')
    scraped = len(lines)
    lines += [
        'rjmx_exporter_info{version="0.1.0"} 1',
        f"rjmx_exporter_scrape_duration_seconds {watch.seconds():.6f}",
        f"rjmx_exporter_scrape_errors {0 if scraped else 1}",
        f"rjmx_exporter_scrape_errors_total {ERRORS[0]}",
        f"rjmx_exporter_metrics_scraped {scraped}",
    ]
    return web.Answer("\n".join(lines) + "\n", kind="text/plain; version=0.0.4")


def main() -> None:
    """Serve."""
    process.start(exit_code=0)
    web.serve({"/metrics": metrics, "/health": lambda _: web.Answer("OK\n")}, 9090)
    process.write('{"level":"INFO","message":"rJMX-Exporter listening on 0.0.0.0:9090"}')
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
