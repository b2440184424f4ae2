from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalog_tui.platform.envfile import PROBLEM_LIMIT, EnvFile, parse_env
from moalog_tui.platform.interpolation import VALUE_LIMIT, BadInterpolation, expand

EXAMPLE = Path(__file__).parents[3] / "shared" / "platform" / ".env.example"


def values(text: str | bytes, **environment: str) -> dict[str, str]:
    return {name: held.value for name, held in parse_env(text, environment).values.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("X=plain", "plain"),
        ("X=", ""),
        ("X", None),
        ("X = blanks around ", "blanks around"),
        ("  X=indented", "indented"),
        ("export X=exported", "exported"),
        ("export\tX=tabbed", "tabbed"),
        ("X: yaml", "yaml"),
        ("X=value # comment", "value"),
        ("X=value#no comment", "value#no comment"),
        ("X=#value", "#value"),
        ("X= # comment", ""),
        ("X='single $Y # \"kept\"'", 'single $Y # "kept"'),
        (r"X='it\'s'", "it's"),
        (r"X='back\slash\n'", r"back\slash\n"),
        ('X="it\'s" # comment', "it's"),
        ('X="a # b"#comment', "a # b"),
        (r'X="say \"hi\""', 'say "hi"'),
        (r'X="tab\tline\nback\\slash"', "tab\tline\nback\\slash"),
        (r'X="\q stays"', r"\q stays"),
        (r'X="\0101"', "A"),
        (r'X="\0777"', r"\0777"),
        (r'X="p\$w"', "p$w"),
        ('X="p$$w"', "p$w"),
        ("X=p$$w", "p$w"),
        ("X='p$w'", "p$w"),
        ('X=""', ""),
        ("X=''", ""),
        ("X=a'b\"c", "a'b\"c"),
        ("X=a=b=c==", "a=b=c=="),
        ("X=p@ss%20:w/rd", "p@ss%20:w/rd"),
        ("X=-100%", "-100%"),
        ("X=${Y}", "why"),
        ("X=$Y", "why"),
        ("X=<$Y.z>", "<why.z>"),
        ("X=${N:-default}", "default"),
        ("X=${E:-default}", "default"),
        ("X=${E-default}", ""),
        ("X=${N-default}", "default"),
        ("X=${N:-${Y}}", "why"),
        ("X=${N:-${M:-deep}}", "deep"),
        ("X=${Y:+there}", "there"),
        ("X=${N:+there}", ""),
        ("X=${E+there}", "there"),
        ("X=${Y:?needed}", "why"),
        ("X='한글 🔑'", "한글 🔑"),
    ],
)
def test_a_value_is_read_as_compose_reads_it(line: str, expected: str | None) -> None:
    assert values(line, Y="why", E="").get("X") == expected
    assert values(f"A=1\r\n{line}\r\nB=2\r\n", Y="why", E="") == {
        "A": "1",
        **({"X": expected} if expected is not None else {}),
        "B": "2",
    }


def test_lines_are_counted_through_comments_and_values_of_several_lines() -> None:
    text = "# head\n\nA=1\nKEY=\"-----BEGIN\nmiddle\n-----END\"\nB='one\ntwo'\n  # comment\nC=3"
    found = parse_env(text)
    assert {name: held.line for name, held in found.values.items()} == {"A": 3, "KEY": 4, "B": 7, "C": 10}
    assert found.values["KEY"].value == "-----BEGIN\nmiddle\n-----END"
    assert found.values["B"].value == "one\ntwo"
    assert not found.problems


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert values(b"\xef\xbb\xbfA=1\n") == {"A": "1"}


def test_a_name_alone_is_taken_from_the_environment() -> None:
    assert values("HOME_OF_X\nOTHER\nexport THIRD", HOME_OF_X="here", THIRD="3") == {"HOME_OF_X": "here", "THIRD": "3"}


def test_the_shell_wins_inside_variables_and_the_last_line_wins_among_equals() -> None:
    assert values("A=file\nB=$A", A="shell") == {"A": "file", "B": "shell"}
    found = parse_env("A=1\nA=2")
    assert (found.values["A"].value, found.values["A"].line) == ("2", 2)


@pytest.mark.parametrize(
    ("line", "words", "fatal"),
    [
        ("=x", ['"="', "name"], True),
        ("!x=1", ['"!"', "name"], True),
        ("\x1bx=1", ["control character"], True),
        ("FOO BAR=1", ["FOO", '"="'], True),
        ("X=${Y", ["X", "not closed"], True),
        ("X=${}", ["X", "no name"], True),
        ("X=100$ now", ["X", "$$"], True),
        ("X=${Y!z}", ["X", "operator"], True),
        ("X=${N:?so}", ["X", "N is required"], True),
        ('X="a" b', ["X", "closing quote"], False),
        ("X=pa$word", ["X", "$word", "not set"], False),
        ("X= # note", ["X", "comment"], False),
        ('X="\\0000"', ["X", "NUL"], True),
    ],
)
def test_a_bad_line_is_told_and_nothing_else_is_lost(line: str, words: list[str], fatal: bool) -> None:
    found = parse_env(f"A=1\n{line}\nB=2\n")
    assert {name for name in found.values if name != "X"} == {"A", "B"}
    (problem,) = found.problems
    assert problem.line == 2
    assert problem.fatal is fatal
    for word in words:
        assert word in problem.sentence


def test_an_open_quote_costs_its_own_line_only() -> None:
    found = parse_env("A=1\nB=\"never closed\nC=3\nD='also not\nE=5")
    assert {name: held.value for name, held in found.values.items()} == {"A": "1", "C": "3", "E": "5"}
    assert [problem.line for problem in found.problems] == [2, 4]


def test_no_problem_and_no_repr_holds_a_value() -> None:
    text = 'A="geheim\nB=geheim$\nC="geheim" geheim\nD=geheim${\ngeheim geheim\nE=${X:?geheim}\nF=geheim'
    found = parse_env(text)
    assert found.problems
    assert all("geheim" not in problem.sentence for problem in found.problems)
    assert "geheim" not in repr(found.values["F"])


def test_foreign_bytes_are_told_with_their_line() -> None:
    found = parse_env(b"A=1\nB=caf\xe9\nC=3")
    assert found.values["C"].value == "3"
    assert (found.problems[0].line, "UTF-8" in found.problems[0].sentence) == (2, True)


def test_values_that_double_each_other_end_at_a_bound() -> None:
    text = "V0=" + "x" * 1000 + "\n" + "".join(f"V{n}=$V{n - 1}$V{n - 1}\n" for n in range(1, 200))
    found = parse_env(text)
    assert max(len(held.value) for held in found.values.values()) <= VALUE_LIMIT
    assert any("longer than" in problem.sentence for problem in found.problems)
    many = parse_env("A=" + "y" * 60_000 + "\n" + "".join(f"N{n}=n$A\n" for n in range(2000)))
    assert sum(len(held.value) for held in many.values.values()) <= 4 * 1024 * 1024
    assert len(many.problems) <= PROBLEM_LIMIT


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadInterpolation, match="deep"):
        expand("${A:-" * 500 + "}" * 500, lambda _: None)


def test_the_platforms_example_reads_without_a_problem_where_it_is_at_hand() -> None:
    if not EXAMPLE.is_file():
        return  # an addition to the tests above, which need no file
    found = parse_env(EXAMPLE.read_bytes())
    assert not found.problems
    assert found.values["REDIS_PASSWORD"].value == "moalog_redis_local"
    assert found.values["OPENAI_API_KEY"].value == ""


SAYABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(SAYABLE)
def test_any_value_survives_double_quotes(value: str) -> None:
    escaped = "".join({"\\": r"\\", '"': r"\"", "$": r"\$", "\r": r"\r"}.get(char, char) for char in value)
    assert values(f'A=1\nX="{escaped}"\nB=2') == {"A": "1", "X": value, "B": "2"}


@given(st.text(st.characters(exclude_characters="\0'\\\r", exclude_categories=["Cs"]), max_size=40))
def test_any_value_survives_single_quotes(value: str) -> None:
    assert values(f"A=1\nX='{value}'\nB=2") == {"A": "1", "X": value, "B": "2"}


@given(st.binary(max_size=300) | st.text(alphabet="A=\"'$#{}:-\\\n \r", max_size=80))
def test_any_bytes_are_read_and_a_good_line_behind_them_counts(content: bytes | str) -> None:
    found = parse_env(content)
    assert isinstance(found, EnvFile)
    closed = content if isinstance(content, bytes) else content.encode()
    if b'"' not in closed and b"'" not in closed:
        assert parse_env(closed + b"\nLAST=1\n").values["LAST"].value == "1"
