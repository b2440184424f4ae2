"""Levels are read as each program writes them; the ring is bounded and its numbers never change."""

from __future__ import annotations

import threading
import time

import pytest

from moalog_tui.platform.logs import RAW_LINE_LIMIT, Level, LogRing, RawLine, Stream, clean_line, level_of, weight
from moalog_tui.platform.secret import MASK
from moalog_tui.platform.text import Redactor

LEVELS: tuple[tuple[str, Level], ...] = (
    ("2026-01-01 10:00:00.123 [main] INFO  c.m.r.Limiter - started", Level.INFO),
    ("2026-01-01 10:00:00.123 [nio-8080-exec-1] DEBUG com.fluxpay.Outbox - poll", Level.DEBUG),
    ("2026-01-01T10:00:00.000Z  WARN 1 --- [lettuce-1] i.l.c.Watchdog : Cannot reconnect", Level.WARN),
    ("2026-01-01 10:00:00.123 [main] INFO  c.m.r.Limiter - handled ERROR of a client", Level.INFO),
    ("2026-01-01T10:00:00.000000Z  INFO server::http: listening", Level.INFO),
    ("2026-01-01T10:00:00.000000Z ERROR server: cannot connect", Level.ERROR),
    ("2026-01-01T10:00:00.000000Z TRACE hyper: read", Level.DEBUG),
    ("1:M 01 Jan 2026 10:00:00.123 * Ready to accept connections", Level.INFO),
    ("1:M 01 Jan 2026 10:00:00.123 # WARNING overcommit_memory is set to 0", Level.WARN),
    ("1:M 01 Jan 2026 10:00:00.123 - DB 0: 1 keys", Level.INFO),
    ("1:C 01 Jan 2026 10:00:00.123 . deep", Level.DEBUG),
    ("2026-01-01 10:00:00 0 [Note] mariadbd: ready for connections.", Level.INFO),
    ("2026-01-01 10:00:00 0 [Warning] 'user' entry ignored", Level.WARN),
    ("2026-01-01 10:00:00 0 [ERROR] Aborting", Level.ERROR),
    ("2026-01-01T10:00:00.000000Z 0 [System] [MY-010931] [Server] ready", Level.INFO),
    ("2026-01-01 10:00:00.123 UTC [1] LOG:  database system is ready", Level.INFO),
    ("2026-01-01 10:00:00.123 UTC [7] ERROR:  relation missing", Level.ERROR),
    ("2026-01-01 10:00:00.123 UTC [7] FATAL:  the database system is starting up", Level.ERROR),
    ("2026-01-01 10:00:00.123 UTC [7] STATEMENT:  select 'ERROR'", Level.INFO),
    ("2026-01-01 10:00:00.123 UTC [7] WARNING:  there is no transaction", Level.WARN),
    ("2026-01-01 10:00:00.123 UTC [7] DEBUG3:  x", Level.DEBUG),
    ("ts=2026-01-01T10:00:00Z caller=main.go:1 level=warn msg=slow", Level.WARN),
    ('time="2026-01-01T10:00:00Z" level=info msg="ready: no error"', Level.INFO),
    ("time=2026-01-01T10:00:00Z level=ERROR msg=x", Level.ERROR),
    ("logger=http t=2026-01-01T10:00:00Z level=debug msg=x", Level.DEBUG),
    ('{"msg":"ERROR is only a word here","level":"info"}', Level.INFO),
    ('{"ts":1,"msg":"' + "x" * 400 + '","level":"error"}', Level.ERROR),
    ('{"severity" : "WARNING"}', Level.WARN),
    ("[2026-01-01 10:00:00,000] INFO [Controller id=1] started (kafka.Kafka)", Level.INFO),
    ("2026-01-01 10:00:00,000 [myid:] - WARN  [main:x@1] - y", Level.WARN),
    ("2026-01-01T10:00:00.000Z    info    service/telemetry.go:76    Setting up", Level.INFO),
    ("2026-01-01T10:00:00.000Z    error   exporter.go:1    failed", Level.ERROR),
    ("E0101 10:00:00.000000       1 main.go:10] failed", Level.ERROR),
    ("2026/01/01 10:00:00 [warn] 7#7: slow", Level.WARN),
    ("panic: runtime error: index out of range", Level.ERROR),
    ('Exception in thread "main" java.lang.OutOfMemoryError', Level.ERROR),
    ("Traceback (most recent call last):", Level.ERROR),
    ("connected without error, no warning, some debug info", Level.NONE),
    ("an error occurred: fatal, they said", Level.NONE),
    ("[main] [info-thread-1] note: nothing", Level.NONE),
    ("the alert level: is unknown", Level.NONE),
    ("GET /error HTTP/1.1 200", Level.NONE),
    ("INFORMATION_SCHEMA and ERROR_CODE", Level.NONE),
    ("", Level.NONE),
    ("\tat com.fluxpay.Engine.main(Engine.java:1)", Level.NONE),
)


@pytest.mark.parametrize(("text", "level"), LEVELS, ids=[text[:48] for text, _ in LEVELS])
def test_levels_are_read_as_they_are_written(text: str, level: Level) -> None:
    assert level_of(text) is level


@pytest.mark.parametrize(
    "text", ["[" * 2**20, "1:" * 2**19, '{"level' * 2**17, "00:00:00" + " " * 2**20, "level=" * 2**18]
)
def test_reading_a_level_is_linear(text: str) -> None:
    before = time.process_time()
    level_of(text)
    assert time.process_time() - before < 1.0


def test_a_line_is_cleaned_and_levelled() -> None:
    line = RawLine(1, Stream.STDERR, "\x1b[31mERROR\x1b[0m login with password=hunter2 \x1b]0;x\x07")
    assert clean_line(line, Redactor()) == (f"ERROR login with password={MASK} �", Level.ERROR)


def test_a_marker_has_no_level() -> None:
    assert clean_line(RawLine(1, Stream.MARKER, "ERROR", "stop"), Redactor())[1] is Level.NONE


def lines(count: int, start: int = 0, text: str = "line") -> list[RawLine]:
    return [RawLine(start + number, Stream.STDOUT, text) for number in range(count)]


def test_the_ring_keeps_the_newest_lines_under_their_numbers() -> None:
    ring = LogRing(keep_lines=100)
    ring.extend(lines(250))
    assert (ring.first, ring.end) == (150, 250)
    assert [number for number, _ in ring.slice(0, 10**9)] == list(range(150, 250))
    assert all(number == line.ts_ns for number, line in ring.slice(200, 210))
    assert ring.slice(0, 150) == []
    assert ring.slice(250, 300) == []


def test_the_ring_is_bounded_in_bytes_of_any_script() -> None:
    for text in ("x" * 1000, "결" * 1000):
        ring = LogRing(keep_bytes=100_000)
        ring.extend(lines(1000, text=text))
        held = ring.slice(0, 10**9)
        assert sum(len(line.text.encode()) for _, line in held) <= ring.size <= 100_000
        assert ring.size == sum(weight(line) for _, line in held)
        assert ring.end == 1000


def test_one_endless_line_is_cut_and_one_too_big_leaves_the_ring_empty() -> None:
    ring = LogRing()
    ring.extend(lines(1, text="x" * 2**20))
    assert len(ring.slice(0, 1)[0][1].text) == RAW_LINE_LIMIT
    small = LogRing(keep_bytes=1000)
    small.extend(lines(1, text="x" * 5000))
    assert (small.first, small.end, small.size) == (1, 1, 0)


def test_a_reader_beside_a_writer_sees_each_line_under_its_own_number() -> None:
    ring = LogRing(keep_lines=500)
    total = 40_000

    def write() -> None:
        for start in range(0, total, 50):
            ring.extend(lines(50, start))

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        alive = writer.is_alive()
        page = ring.slice(max(ring.end - 100, 0), ring.end)
        assert all(number == line.ts_ns for number, line in page)
        assert [number for number, _ in page] == sorted({number for number, _ in page})
        seen += len(page)
        if not alive:
            break
    writer.join(5)
    assert ring.end == total
    assert seen
