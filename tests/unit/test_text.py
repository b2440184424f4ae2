"""Outside text leaves through one door: printable, one line, bounded, in linear time."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalog_tui.platform.text import LINE_LIMIT, MARKS_LIMIT, Redactor, sanitise

VECTORS: tuple[tuple[str, str, str], ...] = (
    ("colour", "\x1b[31mred\x1b[0m", "red"),
    ("colour with colons", "\x1b[38:2::255:0:0mx\x1b[m", "x"),
    ("colour in C1", "\x9b1;31mred\x9bm", "red"),
    ("erase line", "\x1b[2K\x1b[Kclean", "clean"),
    ("clear screen", "a\x1b[2Jb", "a�b"),
    ("cursor home", "a\x1b[Hb", "a�b"),
    ("cursor up, intermediate", "a\x1b[5 qb", "a�b"),
    ("private mode", "\x1b[?1049hb", "�b"),
    ("private mode, C1", "\x9b?25lb", "�b"),
    ("device report", "a\x1b[6nb", "a�b"),
    ("window title", "\x1b]0;PWN\x07after", "�after"),
    ("title, string terminator", "\x1b]2;PWN\x1b\\after", "�after"),
    ("title in C1", "\x9d0;PWN\x9cafter", "�after"),
    ("clipboard", "\x1b]52;c;cm0gLXJmIC8=\x07after", "�after"),
    ("clipboard, C1 terminator", "\x1b]52;c;cm0=\x9cafter", "�after"),
    ("hyperlink", "\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\", "�click�"),
    ("DCS", "\x1bPq#0;2;0\x1b\\after", "�after"),
    ("DCS in C1", "\x90q#0\x9cafter", "�after"),
    ("APC", "\x1b_Gf=24;AAAA\x1b\\after", "�after"),
    ("APC in C1", "\x9fGf=24\x9cafter", "�after"),
    ("PM", "\x1b^secret\x1b\\after", "�after"),
    ("PM in C1", "\x9esecret\x9cafter", "�after"),
    ("SOS", "\x1bXabc\x1b\\after", "�after"),
    ("SOS in C1", "\x98abc\x9cafter", "�after"),
    ("full reset", "a\x1bcb", "a�b"),
    ("charset", "a\x1b(0b", "a�b"),
    ("save cursor", "a\x1b7b\x1b8c", "a�b�c"),
    ("index", "a\x1bDb\x1bMc", "a�b�c"),
    ("index in C1", "a\x84b\x8dc", "a�b�c"),
    ("lone ESC at the end", "a\x1b", "a�"),
    ("lone CSI at the end", "a\x1b[", "a�"),
    ("CSI cut short", "a\x1b[31", "a�"),
    ("OSC cut short hides nothing", "a\x1b]0;b c", "a�0;b c"),
    ("DCS cut short hides nothing", "a\x1bPb [c]", "a�b [c]"),
    ("ESC ESC", "\x1b\x1b[31mx", "�x"),
    ("re-assembling CSI", "\x1b[3\x1b[0m1mx", "�1mx"),
    ("re-assembling OSC", "\x1b\x1b[0m]0;x\x07y", "�]0;x�y"),
    ("nested OSC", "\x1b]0;\x1b]52;c;x\x07y", "�0;�y"),
    ("right-to-left override", "user\u202egnp.exe", "user�gnp.exe"),
    ("bidi isolates", "\u2066a\u2069\u2067b\u2068c", "�a��b�c"),
    ("marks of direction", "\u200ea\u200f\u061c", "�a��"),
    ("zero width space", "ad\u200bmin", "ad�min"),
    ("zero width joiners", "a\u200c\u200db", "a��b"),
    ("byte order mark", "\ufeffa", "�a"),
    ("word joiner", "a\u2060b", "a�b"),
    ("soft hyphen", "a\u00adb", "a�b"),
    ("deprecated format", "a\u206ab", "a�b"),
    ("interlinear annotation", "\ufff9a\ufffb", "�a�"),
    ("line separator", "a\u2028b\u2029c", "a�b�c"),
    ("next line", "a\x85b", "a�b"),
    ("bell", "a\x07b", "a�b"),
    ("backspace overwrites", "rm -rf /\x08\x08\x08ls", "rm -rf /���ls"),
    ("carriage return overwrites", "evil\rgood", "evil�good"),
    ("carriage return ends the line", "done\r", "done"),
    ("carriage return and newline end the line", "done\r\n", "done"),
    ("newline inside", "a\nb", "a�b"),
    ("vertical tab and form feed", "a\x0bb\x0cc", "a�b�c"),
    ("NUL", "a\x00b", "a�b"),
    ("shift out", "a\x0eb\x0fc", "a�b�c"),
    ("ENQ and XOFF", "\x05\x13", "��"),
    ("DEL", "a\x7fb", "a�b"),
    ("tags", "a\U000e0041\U000e007fb", "a��b"),
    ("lone surrogate", "a\ud83db", "a�b"),
    ("escaped byte", b"a\xffb".decode("utf-8", "surrogateescape"), "a�b"),
    ("private use", "a\ue000b", "a�b"),
    ("unassigned", "a\U0003fffdb", "a�b"),
    ("no-break blank", "a\u00a0b\u3000c", "a b c"),
    ("closing tag", "[/] [/foo]", "[/] [/foo]"),
    ("bold tag", "[bold]x[/bold] [INFO] up", "[bold]x[/bold] [INFO] up"),
    ("link tag", "[link=file:///etc/passwd]x", "[link=file:///etc/passwd]x"),
    ("action tag", "[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ("broken tag", "[type=x, v={'a[0]'}] [/", "[type=x, v={'a[0]'}] [/"),
    ("tab", "a\tb", "a   b"),
    ("Korean", "결제 완료 ✓", "결제 완료 ✓"),
    ("wide", "数据库 🐳", "数据库 🐳"),
)


@pytest.mark.parametrize(("given_text", "shown"), [vector[1:] for vector in VECTORS], ids=[one[0] for one in VECTORS])
def test_hostile_text_is_shown_harmless(given_text: str, shown: str) -> None:
    assert sanitise(given_text) == shown


def test_there_are_enough_vectors() -> None:
    assert len(VECTORS) >= 40


def test_a_flood_of_combining_marks_is_cut() -> None:
    flooded = sanitise("e" + "\u0301" * 500 + "nd")
    assert flooded == "e" + "\u0301" * MARKS_LIMIT + "�nd"
    assert sanitise("cafe\u0301 a\u0302\u0301") == "cafe\u0301 a\u0302\u0301"


@pytest.mark.parametrize("mark", ["\u0489", "\u0e34", "\u20dd", "\ufe0f", "\u1dc4", "\ua670", "\u302a", "\U000e0100"])
def test_marks_of_every_block_are_cut(mark: str) -> None:
    assert unicodedata.category(mark) in ("Mn", "Me")
    assert sanitise("x" + mark * 50).count(mark) == MARKS_LIMIT


def test_every_mark_is_seen() -> None:
    marks = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Mn", "Me")]
    uncut = [mark for mark in marks if mark.isprintable() and sanitise("x" + mark * 6).count(mark) > MARKS_LIMIT]
    assert not uncut


@pytest.mark.parametrize(
    "text", ["x" * 2**20, "\t" * 2**20, "\x9d" * 2**20, "\x1b]" * 2**19, "\u0301" * 2**20, "\x1b[31m" * 200_000]
)
def test_a_megabyte_becomes_one_bounded_line(text: str) -> None:
    before = time.process_time()
    shown = sanitise(text)
    assert time.process_time() - before < 0.2
    assert shown.endswith("…")
    assert len(shown) <= LINE_LIMIT + 1


@pytest.mark.parametrize(
    "text", ["\x9d" * 2**20, "\x1b]0;" * 2**18, "\x9b1" * 2**19, "\x1b(" * 2**19, "\x1b\x1b]" * 2**18]
)
def test_sanitising_is_linear(text: str) -> None:
    before = time.process_time()
    sanitise(text, limit=len(text))
    assert time.process_time() - before < 2.0


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x9d\x90\x9c\x07\\[]PX^_;?0123m(\t\r\n \u202e\u200b\u0301\ufe0f\ud800"),
        st.characters(),
    ),
    max_size=80,
)


@given(HOSTILE)
def test_what_leaves_is_printable_and_stays_as_it_is(text: str) -> None:
    shown = sanitise(text, limit=60)
    assert shown.isprintable()
    assert len(shown) <= 61
    assert sanitise(shown, limit=60) == shown


@given(st.text(st.characters(blacklist_characters="\x1b\x90\x98\x9b\x9d\x9e\x9f"), max_size=200))
def test_no_bracket_is_lost_outside_escape_sequences(text: str) -> None:
    shown = sanitise(text)
    assert [shown.count(bracket) for bracket in "[]/"] == [text.count(bracket) for bracket in "[]/"]


@given(HOSTILE)
def test_cleaning_is_printable_and_stays_as_it_is(text: str) -> None:
    redactor = Redactor()
    shown = redactor.clean(text, limit=60)
    assert shown.isprintable()
    assert len(shown) <= 61
