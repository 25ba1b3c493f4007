"""The Liberty reader: syntax, expressions, and what it refuses."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.cells.liberty_syntax import (
    MAX_DEPTH,
    LibertyError,
    LibertyMissingError,
    numbers,
    parse,
    read_text,
    truth_table,
)

SMALL = """
/* a comment with } and { */
library (demo) {
  time_unit : "1ns"; // to the end of the line }
  capacitive_load_unit (1,pf);
  cell ("inv") {
    area : 1.5 ;
    values ( "1, 2", \\
             "3, 4" );
    pin (A) { direction : input }
    pin (Y) { direction : output; function : "!A"; }
  }
}
"""


def test_groups_attributes_and_lines() -> None:
    library = parse(SMALL, "demo.lib")
    assert library.arguments == ("demo",)
    assert library.attributes["time_unit"] == "1ns"
    assert library.attributes["capacitive_load_unit"] == "1,pf"
    (cell,) = library.named("cell")
    assert (cell.arguments, cell.line) == (("inv",), 6)
    assert cell.attributes["area"] == "1.5"
    assert numbers(cell.attributes["values"]).tolist() == [1, 2, 3, 4]
    assert [pin.attributes["direction"] for pin in cell.named("pin")] == ["input", "output"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module x; endmodule", r"x\.lib:1: not Liberty syntax at 'module x; endmodule'"),
        ("", r"x\.lib: no `library` group"),
        ("cells (x) { }", r"x\.lib: no `library` group"),
        ("library (x) {\n cell (y) {\n  area : 1;\n", r"x\.lib:2: group 'cell' never closes"),
        ("}", r"x\.lib:1: a closing brace without an open group"),
        ("library (x) {\n cell (y { }", r"x\.lib:2: not Liberty syntax"),
        (
            "library (x) {" + "g () {" * MAX_DEPTH + "}" * MAX_DEPTH + "}",
            rf"x\.lib:1: groups nested deeper than {MAX_DEPTH}",
        ),
        ("/* never ends", r"x\.lib:1: not Liberty syntax"),
    ],
)
def test_what_is_not_liberty_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(LibertyError, match=message) as caught:
        parse(text, "x.lib")
    assert "\n" not in str(caught.value)


@given(st.text(alphabet='ab(){}:;",\\/*\n ', max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(LibertyError):
        parse(f"library (x) {{{text}}}", "x.lib")


def test_files_plain_and_gzipped(tmp_path: Path) -> None:
    (tmp_path / "a.lib").write_text(SMALL)
    (tmp_path / "b.lib.gz").write_bytes(gzip.compress(SMALL.encode()))
    assert read_text(tmp_path / "a.lib") == read_text(tmp_path / "b.lib.gz") == SMALL


@pytest.mark.parametrize(
    "content", [None, gzip.compress(SMALL.encode(), mtime=0)[:40], b"\x1f\x8b\x08garbage"]
)
def test_unreadable_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "c.lib.gz"
    if content is not None:
        path.write_bytes(content)
    kind = LibertyMissingError if content is None else LibertyError
    with pytest.raises(kind, match=r"^the cell library '.*c\.lib\.gz' (cannot|is a dam)"):
        read_text(path)


def test_too_large_a_file_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hdl.cells.liberty_syntax.MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.lib.gz"
    path.write_bytes(gzip.compress(b" " * (1 << 21)))
    with pytest.raises(LibertyError, match="more than 1 MiB"):
        read_text(path)


@pytest.mark.parametrize(
    ("expression", "python"),
    [
        ("A", "A"),
        ("!A", "not A"),
        ("A'", "not A"),
        ("!A'", "A"),
        ("(A B)'", "not (A and B)"),
        ("A * B + C", "A and B or C"),
        ("A | B & C", "A or B and C"),
        ("A B' + !C", "A and not B or not C"),
        ("A ^ B * C", "(A != B) and C"),
        ("!(A+B)(B+C)", "not (A or B) and (B or C)"),
        ("A^B^C", "(A != B) != C"),
        ("1", "True"),
        ("A & 0", "False"),
    ],
)
def test_expressions(expression: str, python: str) -> None:
    expected = 0
    for state in range(8):
        names = {name: bool(state >> i & 1) for i, name in enumerate("ABC")}
        expected |= bool(eval(python, names)) << state
    assert truth_table(expression, ("A", "B", "C")) == expected


@pytest.mark.parametrize(
    "expression", ["", "A &", "& A", "(A", "A)", "A ? B", "D", "A + (", "!", "A '' ) ("]
)
def test_expressions_that_mean_nothing(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        truth_table(expression, ("A", "B", "C"))


def test_hostile_expressions_do_not_recurse() -> None:
    assert truth_table("(" * 2000 + "A" + ")" * 2000, ("A",)) == 0b10
    with pytest.raises(ValueError, match="characters"):
        truth_table("A+" * 5000 + "A", ("A",))


@pytest.mark.parametrize("text", ["1, x", "nan", "1e999"])
def test_numbers_are_finite(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        numbers(text)
