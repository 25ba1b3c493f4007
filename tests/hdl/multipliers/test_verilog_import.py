"""A user's own Verilog: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdl.errors import MissingError
from hdl.export import verilog
from hdl.multipliers import MultiplierSpec
from hdl.multipliers.verilog_import import ImportedDesignError, import_verilog
from hdl.tables.product_table import ProductTable

HIERARCHICAL = """
// Two halves; names on purpose those that the import uses itself.
module half(input [3:0] p, input [7:0] a, output [11:0] b);
  assign b = p * a;
endmodule
module multiplier(b, weight, a);
  output [15:0] a;
  input [7:0] b, weight;
  wire [11:0] core, p;
  half low(.p(b[3:0]), .a(weight), .b(core));
  half high(.p(b[7:4]), .a(weight), .b(p));
  assign a = core + {p, 4'b0} - (weight == 7);
endmodule
"""


def imported(
    folder: Path, text: str, top: str = "top", suffix: str = ".v", *, signed: bool = False
) -> str:
    (folder / f"mul{suffix}").write_text(text)
    return import_verilog(folder / f"mul{suffix}", top, signed=signed)


def test_any_names_and_hierarchy(tmp_path: Path) -> None:
    table = ProductTable.of_rtlil(
        imported(tmp_path, HIERARCHICAL, "multiplier"), signed=False, name="mul.v:multiplier"
    )
    expected = ProductTable.exact(8).products.copy()
    expected[:, 7] -= 1
    expected[0, 7] = 65535
    np.testing.assert_array_equal(table.products, expected)


def test_signedness_is_the_callers(tmp_path: Path) -> None:
    text = imported(
        tmp_path,
        (
            "module top(input signed [3:0] x, input signed [3:0] y, output signed [7:0] z); assign "
            "z = x * y; endmodule"
        ),
        signed=True,
    )
    np.testing.assert_array_equal(
        ProductTable.of_rtlil(text, signed=True, name="x").products,
        ProductTable.exact(4, True).products,
    )


def test_systemverilog_by_suffix(tmp_path: Path) -> None:
    text = (
        "module top(input logic [3:0] x, y, output logic [7:0] z); always_comb z = x * y; endmodule"
    )
    assert not ProductTable.of_rtlil(
        imported(tmp_path, text, suffix=".sv"), signed=False, name="x"
    ).errors.any()


def test_the_text_depends_on_the_logic_alone(tmp_path: Path) -> None:
    text = "module top(input [3:0] x, y, output [7:0] z); assign z = x * y; endmodule"
    first, moved = imported(tmp_path, text), imported(tmp_path, "\n\n// moved\n" + text)
    assert first == moved
    assert "Generated" not in first
    assert "src" not in first


PORTS = "input [3:0] x, input [3:0] y, output {} [7:0] z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"module top({PORTS.format('reg')}); always @* if (x[0]) z = y; endmodule",
            "there is a latch behind z; assign it in every",
        ),
        (
            (
                "module top(input c, input [3:0] x, output reg [7:0] z); always @(posedge c) z <= "
                "x; endmodule"
            ),
            "there is storage behind z; a multiplier is combinational",
        ),
        (
            "module top(input [3:0] x, input [4:0] y, output [7:0] z); assign z = x * y; endmodule",
            (
                r"ports are input x\[4\], input y\[5\], output z\[8\]; a multiplier has inputs of "
                r"m "
                r"and n bits and one output of m\+n bits"
            ),
        ),
        (
            "module top(input [3:0] x, output [7:0] z); assign z = x; endmodule",
            r"ports are input x\[4\], output z\[8\]; ",
        ),
        ("module top(input [3:0] x, y, inout [7:0] z); endmodule", r"ports are .*inout z\[8\]; "),
        ("module top; endmodule", "ports are no ports; "),
        (
            "module top(input [3:0] x, input signed [3:0] y, output [7:0] z); endmodule",
            r"input y is declared signed, and .* unsigned; .*--signed.*, or leave 'signed' out",
        ),
        (
            "module other(input x); endmodule module another; endmodule",
            r"there is no such module; the file has other",
        ),
        ("library ieee;\nentity top is end;", "the file cannot be used: line 1: syntax error"),
        ("", "there is no such module; the file has none"),
        (
            f"module top({PORTS.format('')}); foo bar(x, y, z); endmodule",
            "the file cannot be used: Module `.foo' .*not part of the design",
        ),
        (
            f"module top({PORTS.format('')}); assign z = z ^ x; endmodule",
            "there is a combinational loop",
        ),
        (
            f"module top({PORTS.format('')}); assign z = x[0] ? y : 8'bz; endmodule",
            "some bits may be left floating",
        ),
        (
            f"module top({PORTS.format('')}); always @* $display(x); endmodule",
            ".* is a .print; .* combinational gates only",
        ),
        (
            f'`include "/etc/passwd"\nmodule top({PORTS.format("")}); endmodule',
            "uses '`include' in line 1, which reaches beyond the file",
        ),
        (
            (
                f'module top({PORTS.format("")}); reg [7:0] m [0:255]; initial $readmemh("/x", m); '
                "endmodule"
            ),
            "uses '.readmemh' in line 1",
        ),
        (
            'import "DPI-C" function int system(string s); module top; endmodule',
            "uses 'import' in line 1",
        ),
    ],
)
def test_what_is_no_multiplier_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ImportedDesignError, match=rf"mul\.v:top: {message}") as caught:
        imported(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "top", ["top; exec -- touch owned", "top\nexec", "", "-all", "\\top", "../top", "a b"]
)
def test_hostile_module_names_are_refused(tmp_path: Path, top: str) -> None:
    with pytest.raises(ImportedDesignError, match="not the name of a Verilog module") as caught:
        imported(tmp_path, "module top; endmodule", top)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("owned"))


def test_hostile_file_names_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "a; touch owned"
    folder.mkdir()
    path = folder / "$(touch owned) `x`\n.v"
    path.write_text("module top(input [3:0] x, y, output [7:0] z); assign z = x * y; endmodule")
    assert "module \\multiplier" in import_verilog(path, "top")
    path.write_text("module top; endmodule")
    with pytest.raises(ImportedDesignError, match="ports are no ports") as caught:
        import_verilog(path, "top")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.v", ".", "nul\0.v", "x" * 300 + ".v"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingError, match=r"there is no such file|cannot be read") as caught:
        import_verilog(tmp_path / name, "top")
    assert "\n" not in str(caught.value)


def test_binary_and_oversized_files(tmp_path: Path) -> None:
    (tmp_path / "mul.v").write_bytes(b"\x80\x00\xff")
    with pytest.raises(ImportedDesignError, match=r"mul\.v: not a text file"):
        import_verilog(tmp_path / "mul.v", "top")
    with (tmp_path / "big.v").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ImportedDesignError, match=r"big\.v' holds more than 4 MiB"):
        import_verilog(tmp_path / "big.v", "top")


def test_what_the_export_writes_can_be_read(tmp_path: Path) -> None:
    """Its nets have such names as the import gives."""
    text = verilog(MultiplierSpec.parse("exact:width=3"))
    assert "_n0_" in text
    circuit = imported(tmp_path, text, "mul3u_exact")
    table = ProductTable.of_rtlil(circuit, signed=False, name="again")
    np.testing.assert_array_equal(table.products, ProductTable.exact(3).products)
