"""Log bytes become lines, however they are cut."""

from __future__ import annotations

import pytest

from moalog_tui.adapters.docker_client import Dechunker
from moalog_tui.adapters.docker_frames import LogParser
from moalog_tui.platform.logs import RAW_LINE_LIMIT, RawLine, Stream
from tests.adapters.engine_server import log_message, stamp

T0 = 1_790_000_000_961_851_512


def frames(*messages: tuple[int, int, bytes], tty: bool = False) -> bytes:
    return b"".join(log_message(*message, tty) for message in messages)


def chunks(*bodies: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in bodies) + b"0\r\n\r\n"


def parse(data: bytes, cut: int, tty: bool = False) -> list[RawLine]:
    parser = LogParser(tty)
    return parser.feed(data[:cut]) + parser.feed(data[cut:])


MIXED = frames((T0, 1, b"out\n"), (T0 + 1, 2, b"err\r\n"), (T0 + 2, 1, b"\n"), (T0 + 10**9, 1, "fin é\n".encode()))
EXPECTED = [
    RawLine(T0, Stream.STDOUT, "out"),
    RawLine(T0 + 1, Stream.STDERR, "err"),
    RawLine(T0 + 2, Stream.STDOUT, ""),
    RawLine(T0 + 10**9, Stream.STDOUT, "fin é"),
]


def test_frames_cut_at_every_byte() -> None:
    for cut in range(len(MIXED) + 1):
        assert parse(MIXED, cut) == EXPECTED, cut


def test_frames_fed_byte_by_byte() -> None:
    parser = LogParser(tty=False)
    assert [line for byte in MIXED for line in parser.feed(bytes([byte]))] == EXPECTED
    assert parser.last_ns == T0 + 10**9


def test_a_terminal_has_no_frames_and_is_cut_at_every_byte() -> None:
    data = frames((T0, 1, b"one\r\n"), (T0 + 5, 1, b"\x1b[1mtwo\x1b[0m\r\n"), tty=True)
    expected = [RawLine(T0, Stream.TTY, "one"), RawLine(T0 + 5, Stream.TTY, "\x1b[1mtwo\x1b[0m")]
    for cut in range(len(data) + 1):
        assert parse(data, cut, tty=True) == expected, cut


def test_unframed_bytes_where_frames_were_expected_are_shown_not_lost() -> None:
    data = frames((T0, 1, b"one\r\n"), (T0 + 5, 1, b"two\r\n"), tty=True)
    assert [line.text for line in parse(data, 13)] == ["one", "two"]


@pytest.mark.parametrize("tty", [False, True])
def test_parts_of_a_long_line_are_joined_and_their_stamps_stripped(tty: bool) -> None:
    long = [b"a" * 16384, b"b" * 16384, b"c" * 100 + b"\n"]
    data = frames(*[(T0, 1, part) for part in long], (T0 + 1, 1, b"next\n"), tty=tty)
    parser = LogParser(tty)
    lines = [line for at in range(0, len(data), 1000) for line in parser.feed(data[at : at + 1000])]
    assert [line.text for line in lines] == ["a" * 16384 + "b" * 16384 + "c" * 100, "next"]
    assert lines[0].ts_ns == T0


def test_parts_of_two_streams_do_not_mix() -> None:
    data = frames((T0, 1, b"o" * 16384), (T0, 2, b"e" * 16384), (T0, 1, b"O\n"), (T0, 2, b"E\n"))
    assert [(line.stream, line.text[-2:]) for line in parse(data, 99)] == [
        (Stream.STDOUT, "oO"),
        (Stream.STDERR, "eE"),
    ]


@pytest.mark.parametrize("tty", [False, True])
def test_a_line_of_a_megabyte_is_bounded_and_the_next_one_is_whole(tty: bool) -> None:
    parts = [(T0, 1, b"x" * 16384) for _ in range(64)]
    data = frames(*parts, (T0, 1, b"end\n"), (T0 + 1, 2, b"next\n"), tty=tty)
    parser = LogParser(tty)
    lines = [line for at in range(0, len(data), 65536) for line in parser.feed(data[at : at + 65536])]
    assert len(lines[0].text) <= RAW_LINE_LIMIT
    assert set(lines[0].text) == {"x"}
    assert [line.text for line in lines[1:]] == ["next"]


def test_one_frame_of_a_megabyte_is_not_held_whole() -> None:
    data = frames((T0, 1, b"x" * 2**20 + b"\n"), (T0 + 1, 1, b"next\n"))
    parser = LogParser(tty=False)
    lines: list[RawLine] = []
    for at in range(0, len(data), 4096):
        lines += parser.feed(data[at : at + 4096])
        assert len(parser._held) < 2 * RAW_LINE_LIMIT
    assert [len(lines[0].text), lines[1].text] == [RAW_LINE_LIMIT, "next"]
    for cut in (70_000, 80_000, 2**20, len(data) - 50, len(data) - 49, len(data) - 48):
        assert [line.text for line in parse(data, cut)][1:] == ["next"]


def test_invalid_utf8_is_replaced_and_control_bytes_are_kept_as_received() -> None:
    (line,) = parse(frames((T0, 1, b"a\xff\xfeb\x1b]52;c;x\x07\n")), 20)
    assert line.text == "a\ufffd\ufffdb\x1b]52;c;x\x07"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2026-09-21T14:13:20Z x\n", 1_790_000_000 * 10**9),
        (b"2026-09-21T14:13:20.5Z x\n", 1_790_000_000 * 10**9 + 500_000_000),
        (b"2026-09-21T23:13:20.000000001+09:00 x\n", 1_790_000_000 * 10**9 + 1),
        (b"2026-99-21T23:13:20.000000001Z x\n", 0),
        (b"no stamp\n", 0),
    ],
)
def test_time_stamps_of_any_width_and_zone(text: bytes, expected: int) -> None:
    frame = bytes([1, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
    (line,) = LogParser(tty=False).feed(frame)
    assert line.ts_ns == expected


def test_several_lines_in_one_frame() -> None:
    text = f"{stamp(T0)} one\n{stamp(T0 + 1)} two\nthree\n".encode()
    frame = bytes([2, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
    assert [line.text for line in LogParser(tty=False).feed(frame)] == ["one", "two", "three"]


@pytest.mark.parametrize("tty", [False, True])
def test_the_true_end_gives_what_has_no_newline(tty: bool) -> None:
    parser = LogParser(tty)
    assert parser.feed(frames((T0, 1, b"whole\n"), (T0 + 1, 1, b"rest"), tty=tty))[0].text == "whole"
    assert [(line.ts_ns, line.text) for line in parser.flush()] == [(T0 + 1, "rest")]
    assert parser.flush() == []


def test_chunks_cut_at_every_byte() -> None:
    data = chunks(b"abc", MIXED, b"\r\n", b"x")
    for cut in range(len(data) + 1):
        dechunker = Dechunker()
        assert dechunker.feed(data[:cut]) + dechunker.feed(data[cut:]) == b"abc" + MIXED + b"\r\nx", cut
        assert dechunker.ended
    dechunker = Dechunker()
    assert b"".join(dechunker.feed(bytes([byte])) for byte in data) == b"abc" + MIXED + b"\r\nx"


@pytest.mark.parametrize("garbage", [b"zz\r\n", b"-5\r\n", b"x" * 100, b"fffffffff\r\n"])
def test_broken_chunks_are_an_error(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|int|literal"):
        Dechunker().feed(garbage)
