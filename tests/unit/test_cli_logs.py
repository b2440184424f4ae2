"""`logs`: what is printed of a line, and the command against a small engine on a real socket."""

from __future__ import annotations

import io
import json
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from moalog_tui.cli.log_follow import WINDOW_S, Merge
from moalog_tui.cli.log_lines import LogFilter, LogPrinter, Source, nanoseconds
from moalog_tui.cli.logs import PATTERN_LIMIT, compile_pattern
from moalog_tui.cli.output import Paint
from moalog_tui.platform.logs import Level, RawLine, Stream
from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.text import Redactor
from tests.adapters.engine_server import Box, EngineServer, composed, engine_server
from tests.unit.cli_program import PASSWORD, Host, make_host, read_until

T0 = 1_790_000_000_123_456_789
REDIS = Source("redis", "moalog-redis")
MYSQL = Source("mysql", "moalog-mysql")
REDACTOR = Redactor([("REDIS_PASSWORD", Secret(PASSWORD))])


def line(text: str, offset: int = 0, stream: Stream = Stream.STDOUT, marker: str | None = None) -> RawLine:
    return RawLine(T0 + offset, stream, text, marker)


def printed(
    *lines: RawLine, wanted: LogFilter | None = None, as_json: bool = False, width: int = 0, colour: bool = False
) -> list[str]:
    out = io.StringIO()
    paint = Paint(colour, ascii=False)
    printer = LogPrinter(out, REDACTOR, paint, wanted or LogFilter(), as_json=as_json, width=width)
    for one in lines:
        printer.write(REDIS, one)
    return out.getvalue().splitlines()


def parsed(*lines: RawLine, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(one) for one in printed(*lines, as_json=True, **options)]


def test_a_line_is_its_time_its_service_and_its_text() -> None:
    at = nanoseconds(T0)
    assert re.fullmatch(r"2026-09-\d\dT\d\d:\d\d:20\.123456789Z", at)
    assert printed(line("hello")) == [f"{at[:23]}Z  hello"]
    assert printed(line("hello"), width=7) == [f"{at[:23]}Z redis    hello"]
    assert printed(line("container stopped", marker="stop", stream=Stream.MARKER)) == [
        f"{at[:23]}Z  ── container stopped ──"
    ]
    assert printed(line("ERROR x"), colour=True) == [f"{at[:23]}Z  \x1b[31mERROR x\x1b[0m"]


def test_an_object_has_the_keys_of_the_contract() -> None:
    (told,) = parsed(line('{"level":"error","msg":"no route","user":{"id":7},"trace_id":"abc"}', stream=Stream.STDERR))
    assert told | {"at": 0, "raw": 0} == {
        "schema": 1, "at": 0, "ts": nanoseconds(T0), "service": "redis", "container": "moalog-redis",
        "stream": "stderr", "level": "error", "message": "no route", "fields": {"user": {"id": 7}},
        "trace_id": "abc", "raw": 0,
    }  # fmt: skip
    (told,) = parsed(line("plain text traceId=0123456789abcdef0123456789abcdef"))
    assert (told["level"], told["fields"], told["trace_id"]) == (None, None, "0123456789abcdef0123456789abcdef")
    assert told["message"] == told["raw"]
    (told,) = parsed(line("7 lines were dropped", stream=Stream.MARKER, marker="drop"))
    assert told | {"at": 0} == {
        "schema": 1, "at": 0, "ts": nanoseconds(T0), "service": "redis", "marker": "drop",
        "detail": "7 lines were dropped", "count": 7,
    }  # fmt: skip


HOSTILE = [
    "\x1b[2J\x1b]52;c;eA==\x07text",
    "\x9b31m C1 \x85",
    "bidi \u202e \u2066 zero\u200bwidth \u2028",
    f"REDIS_PASSWORD={PASSWORD}",
    f"{PASSWORD[:6]}\x1b[31m{PASSWORD[6:]} in two colours",
    json.dumps({"msg": f"\x1b[2J\x9b {PASSWORD}", "list": [PASSWORD, {"k": "\u202e"}], PASSWORD: 1}),
    '{"msg":"' + "".join(f"\\u{ord(one):04x}" for one in PASSWORD) + '"}',
    '{"a":' * 200 + "1" + "}" * 200,
    "[/] [bold]x[/bold]",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_and_no_secret_is_printed(text: str) -> None:
    for one in (*printed(line(text)), *printed(line(text), as_json=True), *printed(
        line(text, stream=Stream.MARKER, marker="gap"), as_json=True)):  # fmt: skip
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", one)
        assert PASSWORD not in one
        if one.startswith("{"):
            assert PASSWORD not in json.dumps(json.loads(one))


def test_raw_is_what_was_received_but_for_secrets() -> None:
    assert parsed(line("\x1b[31mred\x1b[0m \x9b \u202e"))[0]["raw"] == "\x1b[31mred\x1b[0m \x9b \u202e"
    assert '"raw": "\\u001b[31mred' in printed(line("\x1b[31mred"), as_json=True)[0]
    assert parsed(line(f"pass={PASSWORD} \x1b[1m"))[0]["raw"] == f"pass={MASK} \x1b[1m"
    split = f"{PASSWORD[:6]}\x1b[31m{PASSWORD[6:]}"
    assert PASSWORD[6:] not in parsed(line(split))[0]["raw"]


def test_filters_look_at_the_cleaned_text() -> None:
    lines = [line("one \x1b[31mre\x1b[0md"), line(f"two {PASSWORD}"), line("three")]
    texts = [one.rpartition("  ")[2] for one in printed(*lines, wanted=LogFilter(re.compile("red$")))]
    assert texts == ["one red"]
    assert printed(*lines, wanted=LogFilter(re.compile(PASSWORD))) == []
    assert (
        len(printed(*lines, line("m", stream=Stream.MARKER, marker="gap"), wanted=LogFilter(re.compile("x{9}")))) == 1
    )


def test_a_level_takes_the_worse_and_what_belongs_to_them() -> None:
    lines = [
        line("INFO fine"), line("  more of it"), line("ERROR broke"), line("\tat Foo.java:1"), line("Caused by: x"),
        line("a line of its own"), line("WARN close"),
    ]  # fmt: skip
    texts = [one.partition("Z  ")[2].strip() for one in printed(*lines, wanted=LogFilter(level=Level.WARN))]
    assert texts == ["ERROR broke", "at Foo.java:1", "Caused by: x", "WARN close"]
    assert len(printed(*lines, wanted=LogFilter(level=Level.DEBUG))) == 6


def test_a_pattern_is_bounded_and_its_mistakes_are_told() -> None:
    assert compile_pattern(None) is None
    assert isinstance(compile_pattern("a" * PATTERN_LIMIT), re.Pattern)
    for text, words in (("a" * (PATTERN_LIMIT + 1), "at most 200"), ("(", "no regular expression"), ("a{9}{9}", "")):
        told = compile_pattern(text)
        assert isinstance(told, str)
        assert words in told


def merged(*arrivals: tuple[float, Source, Sequence[RawLine]], until: float) -> list[str]:
    out = io.StringIO()
    merge = Merge(LogPrinter(out, REDACTOR, Paint(False, False), LogFilter(), as_json=False, width=0))
    for now, source, lines in arrivals:
        merge.release(now - WINDOW_S)
        merge.add(source, lines, now)
    merge.release(until)
    return [one.partition("Z  ")[2] for one in out.getvalue().splitlines()]


def test_lines_that_arrive_within_the_window_are_put_in_order() -> None:
    first, second, third = line("a", 1), line("b", 2), line("c", 3)
    late = (10.1, MYSQL, [first])
    assert merged((10.0, REDIS, [second, third]), late, until=10.0) == ["a", "b", "c"]
    # What comes after the window is printed all the same, only not before what was printed.
    assert merged((10.0, REDIS, [second, third]), (11.0, MYSQL, [first]), until=11.0) == ["b", "c", "a"]
    # None waits longer than the window.
    assert merged((10.0, REDIS, [second]), (10.2, MYSQL, [third]), until=10.0) == ["b"]


# The command, as a process ------------------------------------------------------------------------------------------


def boxes() -> list[Box]:
    redis = composed("redis", "a" * 64, log=[(T0, 1, b"one\n"), (T0 + 2_000_000, 2, b"# WARN three\n")])
    promtail = composed("promtail", "b" * 64, log=[(T0 + 1_000_000, 1, b"two\n")])
    return [redis, promtail]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


@pytest.fixture
def engine(host: Host) -> Iterator[EngineServer]:
    with engine_server(*boxes()) as server:
        host.environment |= server.environment
        yield server


def texts(output: str) -> list[str]:
    return [re.sub(r"^\S+Z (?:(?:redis|promtail) +)? ?", "", one).strip() for one in output.splitlines()]


def test_lines_of_several_services_are_merged_by_time(host: Host, engine: EngineServer) -> None:
    told = host.run("logs", "redis", "promtail")
    assert (told.returncode, told.stderr) == (0, "")
    assert texts(told.stdout) == ["one", "two", "# WARN three"]
    told = host.run("logs", "redis", "promtail", "redis", "--json", "--grep", "^tw", "--tail", "1")
    (found,) = [json.loads(one) for one in told.stdout.splitlines()]
    assert (found["service"], found["stream"], found["message"]) == ("promtail", "stdout", "two")


def test_since_and_tail_bound_what_is_read(host: Host, engine: EngineServer) -> None:
    told = host.run("logs", "redis", "--tail", "1")
    assert texts(told.stdout) == ["# WARN three"]
    told = host.run("logs", "redis", "--since", "15m")
    assert (told.returncode, told.stdout) == (0, "")
    assert "since" in engine.asked("/logs")[-1]


def test_what_cannot_be_read_is_told_and_the_rest_printed(host: Host, engine: EngineServer) -> None:
    engine.boxes[0].logs_answer = (501, "configured logging driver does not support reading")
    told = host.run("logs", "redis", "promtail")
    assert (told.returncode, texts(told.stdout)) == (3, ["two"])
    assert "The log of redis cannot be read: its logging driver keeps no log" in told.stderr
    del engine.boxes[0]
    told = host.run("logs", "redis", "promtail")
    assert (told.returncode, texts(told.stdout)) == (3, ["two"])
    assert told.stderr == "redis has no container, so there is no log of it.\n"


def test_without_an_engine_the_source_is_lost(host: Host) -> None:
    for more in ((), ("--follow",)):
        told = host.run("logs", "redis", *more)
        assert (told.returncode, told.stdout) == (3, "")
        assert "no Docker Engine" in told.stderr or "No Docker Engine" in told.stderr
        assert told.stderr.count("\n") == 1


@pytest.mark.parametrize(("pattern", "words"), [("[", "'[' is no regular expression"), ("a" * 201, "at most 200")])
def test_a_bad_pattern_is_usage(host: Host, pattern: str, words: str) -> None:
    told = host.run("logs", "redis", "--grep", pattern)
    assert (told.returncode, told.stdout) == (2, "")
    assert words in told.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_following_prints_what_comes_until_a_signal(
    host: Host, engine: EngineServer, number: signal.Signals, code: int
) -> None:
    with host.running("logs", "redis", "promtail", "--follow") as process:
        read_until(process, "three")
        engine.write(engine.boxes[1], (T0 + 10**9, 1, b"four\n"))
        read_until(process, "four")
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=5)
    assert (process.returncode, out, err) == (code, "", "")
    assert time.monotonic() - began < 1.5


def test_following_goes_on_across_a_restart_and_a_new_container(host: Host, engine: EngineServer) -> None:
    box = engine.boxes[0]
    with host.running("logs", "redis", "--follow", "--tail", "1") as process:
        found = read_until(process, "three")
        box.inspect_state = {"ExitCode": 137, "FinishedAt": "2026-11-23T19:44:14.9Z"}
        engine.set_state(box, "exited", "Exited (137) 1 second ago")
        found += read_until(process, "stopped")
        box.inspect_state = {"StartedAt": "2026-11-23T19:44:20.5Z", "FinishedAt": "2026-11-23T19:44:14.9Z"}
        engine.set_state(box, "running", "Up 1 second")
        found += read_until(process, "started")
        engine.write(box, (T0 + 10**18, 1, b"again\n"))
        found += read_until(process, "again")
        other = composed("redis", "c" * 64, log=[(T0 + 2 * 10**18, 1, b"anew\n")])
        engine.boxes[0] = other
        found += read_until(process, "anew")
    said = texts(found)
    assert said[0] == "# WARN three"
    assert said[1:] == [
        "── container stopped (exit 137) 19:44:14Z ──",
        "── container started 19:44:20Z ──",
        "again",
        "── container cccccccccccc follows aaaaaaaaaaaa 18:44:13Z ──",
        "anew",
    ]


def test_following_goes_on_when_the_engine_comes_back(host: Host, engine: EngineServer) -> None:
    with host.running("logs", "redis", "--follow") as process:
        read_until(process, "three")
        end = time.monotonic() + 5
        while not any(one["follow"] == "1" for one in engine.asked("/logs")):
            assert time.monotonic() < end
            select.select([], [], [], 0.02)
        engine.write(engine.boxes[0], (T0 + 10**8, 1, b"before\n"))
        read_until(process, "before")
        engine.vanish()
        engine.start()
        engine.write(engine.boxes[0], (T0 + 10**9, 1, b"back\n"))
        found = read_until(process, "back")
    assert "log interrupted for" in found


def test_a_reader_that_leaves_ends_following_though_no_line_comes(host: Host, engine: EngineServer) -> None:
    with host.running("logs", "redis", "--follow") as process:
        read_until(process, "three")
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_head_ends_it_quietly(host: Host, engine: EngineServer) -> None:
    engine.boxes[0].log = [(T0 + index, 1, b"x" * 200 + b"\n") for index in range(4_000)]
    with host.running("logs", "redis", "--tail", "4000") as process:
        assert process.stdout is not None
        head = subprocess.run(["head", "-1"], stdin=process.stdout, capture_output=True, timeout=20, check=True)
        process.stdout.close()
        process.stdout = None
        assert process.wait(timeout=5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert head.stdout.endswith(b"xxx\n")
