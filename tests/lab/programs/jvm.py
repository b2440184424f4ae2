"""What the two Spring applications share: their heap, their metrics and their Jolokia agent."""

from __future__ import annotations

import os
import threading
import time

from .process import SERVICE
from .web import Answer, Histogram, Request, as_json, serve

HEAP_MAX = 512 << 20
STARTED = time.monotonic()


def heap_used() -> int:
    """Bytes of heap in use: a saw-tooth of a minute over what the process really holds."""
    pages = int(open("/proc/self/statm").read().split()[1])  # noqa: SIM115, PTH123 - a kernel file, read whole
    phase = (time.monotonic() - STARTED) % 60 / 60
    return pages * os.sysconf("SC_PAGE_SIZE") + int((80 + 120 * phase) * (1 << 20))


def prometheus(requests: Histogram) -> str:
    """Metrics in Micrometer's shape: counts, sums and longest of requests, and the heap; no buckets."""
    tags = f'application="{SERVICE}",environment="local"'
    lines = ["# TYPE http_server_requests_seconds summary"]
    for labels, row in requests.snapshot().items():
        lines.append(f"http_server_requests_seconds_count{{{tags},{labels}}} {row[0]}")
        lines.append(f"http_server_requests_seconds_sum{{{tags},{labels}}} {row[1]:.6f}")
        lines.append(f"http_server_requests_seconds_max{{{tags},{labels}}} {row[2]:.6f}")
    used = heap_used()
    lines += [
        "# TYPE jvm_memory_used_bytes gauge",
        f'jvm_memory_used_bytes{{{tags},area="heap",id="G1 Old Gen"}} {used * 2 // 3}',
        f'jvm_memory_used_bytes{{{tags},area="heap",id="G1 Eden Space"}} {used // 3}',
        "# TYPE jvm_memory_max_bytes gauge",
        f'jvm_memory_max_bytes{{{tags},area="heap",id="G1 Old Gen"}} {HEAP_MAX}',
        f'jvm_memory_max_bytes{{{tags},area="heap",id="G1 Eden Space"}} -1',
        "# TYPE process_uptime_seconds gauge",
        f"process_uptime_seconds{{{tags}}} {time.monotonic() - STARTED:.3f}",
    ]
    return "\n".join(lines) + "\n"


def labels(request: Request, answer: Answer) -> str:
    """The labels Micrometer gives a request."""
    outcome = {2: "SUCCESS", 4: "CLIENT_ERROR", 5: "SERVER_ERROR"}.get(answer.status // 100, "UNKNOWN")
    return (
        f'exception="none",method="{request.method}",outcome="{outcome}",status="{answer.status}",uri="{request.path}"'
    )


def serve_jolokia() -> None:
    """Serve what the rJMX exporter reads, on the agent's port."""

    def memory(_: Request) -> Answer:
        heap = {"init": 64 << 20, "committed": 256 << 20, "max": HEAP_MAX, "used": heap_used()}
        outside = {"init": 8 << 20, "committed": 96 << 20, "max": -1, "used": 88 << 20}
        return as_json({"value": {"HeapMemoryUsage": heap, "NonHeapMemoryUsage": outside}, "status": 200})

    def threads(_: Request) -> Answer:
        return as_json({"value": {"ThreadCount": 24 + threading.active_count()}, "status": 200})

    routes = {"/jolokia/read/java.lang:type=Memory": memory, "/jolokia/read/java.lang:type=Threading": threads}
    serve(routes, 8778)
