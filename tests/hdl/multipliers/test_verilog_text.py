"""The lexer of Verilog, and what it finds to reach beyond a file."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.multipliers.verilog_text import modules, reaching_out, tokens

PIECES = [
    '"',
    "/*",
    "*/",
    "//",
    "\n",
    "\\",
    "`",
    "``",
    "`include",
    "`define X",
    "import",
    " ",
    "$fopen",
    "module",
    "x",
    '\\"',
    "'",
    "7",
]


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_nothing_is_left_out_and_lines_are_counted(text: str) -> None:
    found = list(tokens(text))
    assert "".join(token.text for token in found) == text
    position = 0
    for token in found:
        assert token.line == 1 + text.count("\n", 0, position)
        position += len(token.text)


@pytest.mark.parametrize(
    ("text", "piece", "line"),
    [
        ('`include "x"', "`include", 1),
        ('localparam S = "/*"; import "DPI-C" function int f(); localparam T = "*/";', "import", 1),
        ('localparam S = "/*";\n`include "x"\nlocalparam T = "*/";', "`include", 2),
        ('localparam S = "\\"/*";\nimport "DPI-C" function int f();', "import", 2),
        ('import/* a comment */"DPI-C" function int f();', "import", 1),
        ('export "DPI-C" function f;', "export", 1),
        ('// comment \\\nimport "DPI" function int f();', "import", 2),
        ('\\/* ; import "DPI-C" function int f();', "import", 1),
        ('`define I import\n`I "DPI-C" function int f();', "import", 1),
        ('`define A imp\n`define B ort\n`A`B "DPI-C"', "`B", 3),
        ('`define B ort\nimp`B "DPI-C"', "`B", 2),
        ('`define J(x,y) x``y\n`J(imp,ort) "DPI-C"', "``", 1),
        ('`define J(x) x\n`J(imp)`J(ort) "DPI-C"', "`J", 2),
        ('`\\\ninclude "x"', "`", 1),
        ('reg [7:0] m [0:255]; initial $readmemh("/etc/passwd", m);', "$readmemh", 1),
        ("initial $READMEMH(x, m);", "$READMEMH", 1),
        ('integer f; initial f = $fopen("x");', "$fopen", 1),
        ('initial $system("id");', "$system", 1),
        ('"never closed\n`include "x"', "`include", 2),
    ],
)
def test_what_reaches_out_is_found(text: str, piece: str, line: int) -> None:
    found = reaching_out(text)
    assert found is not None
    assert (found.text, found.line) == (piece, line)


@pytest.mark.parametrize(
    "text",
    [
        '// `include "x"\nmodule m; endmodule',
        '/* import "DPI-C" */ module m; endmodule',
        'parameter S = "import \\"DPI-C\\"";',
        "\\`include  = 1;",
        "import p::*;",
        "`define W 8\nwire [`W-1:0] x = `W'd0 + ( `W ) ;",
        "`ifdef A\n`else\n`endif\n`timescale 1ns/1ps",
        "wire imported, `W;",
    ],
)
def test_what_does_not_is_passed(text: str) -> None:
    assert reaching_out(text) is None


def test_modules_are_found_outside_of_comments_and_strings() -> None:
    assert modules(
        '// module a\nmodule b(x); endmodule /* module c */ parameter S = "module d"; module '
        "\\e+ ; endmodule"
    ) == ["b", "\\e+"]


@pytest.mark.parametrize("piece", ['"', "/*", "\\", "`", '"\\', "/*" + "*", "a`b", "($"])
def test_hostile_texts_take_linear_time(piece: str) -> None:
    begun = time.process_time()
    reaching_out(piece * (300_000 // len(piece)))
    assert time.process_time() - begun < 5
