"""A user's own Verilog as a design: its names, and folders of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdl.errors import MissingError
from hdl.multipliers.imported import ImportedDesign, import_folder
from hdl.multipliers.verilog_import import ImportedDesignError


def test_identifiers_say_once_what_it_multiplies(tmp_path: Path) -> None:
    ports = "input [3:0] x, input [2:0] y, output [6:0] z"
    for top, expected in (
        ("rough", "mul4x3u_rough_"),
        ("mul4x3u_rough", "mul4x3u_rough_"),
        ("mul4x3u", "mul4x3u_"),
        ("mul8u_wide", "mul4x3u_mul8u_wide_"),
    ):
        (tmp_path / "mul.v").write_text(f"module {top}({ports}); assign z = x * y; endmodule")
        design = ImportedDesign.read(f"{tmp_path}/mul.v:{top}", signed=False)
        assert re.fullmatch(rf"{expected}[0-9a-f]{{8}}", design.identifier)


def test_a_folder_has_a_multiplier_in_each_verilog_file(tmp_path: Path) -> None:
    small = "module {}(input [3:0] x, y, output [7:0] z); assign z = x * y{}; endmodule\n"
    (tmp_path / "b.v").write_text(small.format("anything", ""))
    (tmp_path / "multiplier.v").write_text(
        small.format("half", " / 2") + small.format("multiplier", "")
    )
    (tmp_path / "a.sv").write_text(small.format("logical", " + 8'd1"))
    (tmp_path / "README.md").write_text("no circuit")
    found = import_folder(tmp_path, signed=False)
    names = [design.name.removeprefix(f"{tmp_path}/").partition("#")[0] for design in found]
    assert names == ["a.sv:logical", "b.v:anything", "multiplier.v:multiplier"]
    assert [design.multiply(3, 5) for design in found] == [16, 15, 15]
    assert import_folder(tmp_path, signed=True)[1].multiply(15, 15) == 225 - 256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no Verilog files; give a folder with 1 to 10,000, each with one multiplier"),
        ("// module x", "a.v: has no module; a file of a folder has one multiplier"),
        ("module b(); endmodule module c(); endmodule", "a.v: has the modules b, c; a file of a"),
        ("module a(output y); endmodule", "a.v:a: ports are output y"),
    ],
)
def test_folders_without_multipliers(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "a.v").write_text(text)
    with pytest.raises(ImportedDesignError, match=message):
        import_folder(tmp_path, signed=False)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"absent: no such folder; give one with a multiplier"):
        import_folder(tmp_path / "absent", signed=False)
