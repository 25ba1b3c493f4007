"""Exported projects, built by the tools that they are for."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from simulators import lint, needs_icarus, needs_verilator, simulate

from hdl.elements.element import Element
from hdl.elements.mac import MacSpec
from hdl.export import multiplier
from hdl.export.any_element import export_element
from hdl.export.array import export_array
from hdl.export.element import export_mac
from hdl.export.multiplier import export
from hdl.export.project import Project
from hdl.export.texts import ExportError
from hdl.multipliers.imported import ImportedDesign
from hdl.multipliers.netlist import NetlistDesign
from hdl.multipliers.spec import MultiplierSpec


def needs(module: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


OWN_VERILOG = """
module mul5x3u_rough(input [4:0] x, input [2:0] y, output [7:0] z);
  assign z = x * y & ~8'd3;
endmodule
"""


def own_verilog(folder: Path) -> ImportedDesign:
    (folder / "own.v").write_text(OWN_VERILOG)
    return ImportedDesign.read(f"{folder}/own.v:mul5x3u_rough", signed=False)


def family(folder: Path) -> list[Path]:
    return export(MultiplierSpec.parse("drum:k=3,width=5x4,signed=1"), folder)


def of_own_verilog(folder: Path) -> list[Path]:
    return export(own_verilog(folder), folder)


def netlist(folder: Path) -> list[Path]:
    # 2 x 2 bits, the highest bit left out, as a walk might write it.
    gates = "&0,2 &0,3 &1,2 &1,3 ^5,6 > 4 8 7 L"
    return export(NetlistDesign(2, 2, False, gates), folder)


def element(folder: Path) -> list[Path]:
    return export_mac(MacSpec.make(own_verilog(folder)), folder)


def array(folder: Path) -> list[Path]:
    own = MultiplierSpec.parse("bam:h=0,v=2,width=4x3")
    return export_array(Element.make("mac:pipeline=1", own), 2, 3, folder)


def array_of_weights(folder: Path) -> list[Path]:
    form = "dot:lanes=2,gate=zero,adder=carry_save,stationary=weight"
    return export_array(Element.make(form, own_verilog(folder), terms=50), 2, 3, folder)


def dot_product(folder: Path) -> list[Path]:
    # Partial products of its lanes in one tree; the sum is that of two registers.
    exact = MultiplierSpec.parse("exact:width=3x2,signed=1")
    return export_element(Element.make("dot:lanes=3,adder=carry_save", exact, terms=50), folder)


def gated_dot_product(folder: Path) -> list[Path]:
    form = "dot:lanes=2,gate=zero,pipeline=1,stationary=weight"
    return export_element(Element.make(form, own_verilog(folder), terms=50), folder)


KINDS = pytest.mark.parametrize(
    "exported",
    [
        family,
        of_own_verilog,
        netlist,
        element,
        dot_product,
        gated_dot_product,
        array,
        array_of_weights,
    ],
    ids=lambda kind: kind.__name__,
)
Exported = Callable[[Path], list[Path]]


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )


def fusesoc(folder: Path, design: str, target: str, *options: str) -> tuple[int, str]:
    """Exit code and output of FuseSoC, which finds the designs in `folder`."""
    arguments = ("--cores-root", folder, "run", "--target", target, design, *options)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    done = run(sys.executable, "-m", "fusesoc.main", *arguments, folder=work)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@needs("fusesoc")
@needs_icarus
@needs_verilator
@KINDS
def test_fusesoc_lints_and_simulates(exported: Exported, tmp_path: Path) -> None:
    name = exported(tmp_path)[0].stem
    status, out = fusesoc(tmp_path, name, "lint")
    assert (status, "Warning-" in out) == (0, False), out
    status, out = fusesoc(tmp_path, name, "sim")
    assert status == 0, out
    assert re.search(r"^PASS \d+ (pairs|sums)$", out, re.MULTILINE)


@needs("fusesoc")
@needs_icarus
def test_fusesoc_fails_where_the_design_does(tmp_path: Path) -> None:
    design = netlist(tmp_path)[0]
    design.write_text(re.sub(r"assign p = .*;", "assign p = 4'h0;", design.read_text()))
    status, out = fusesoc(tmp_path, design.stem, "sim")
    assert status != 0
    assert "FAIL 9 of 16 pairs, first: a=1 b=1 p=0 expected=1" in out


@pytest.mark.slow
@needs("fusesoc")
@needs_verilator
def test_verilator_simulates_and_tells_wrong_designs(tmp_path: Path) -> None:
    design = netlist(tmp_path)[0]
    status, out = fusesoc(tmp_path, design.stem, "sim", "--tool", "verilator")
    assert status == 0, out
    assert "PASS 16 pairs\n" in out
    design.write_text(re.sub(r"assign p = .*;", "assign p = 4'h0;", design.read_text()))
    status, out = fusesoc(tmp_path, design.stem, "sim", "--tool", "verilator")
    assert status != 0
    assert "FAIL 9 of 16 pairs, first: a=1 b=1 p=0 expected=1\n" in out


@pytest.mark.slow
@needs("cocotb")
@needs_icarus
@KINDS
def test_cocotb_agrees(exported: Exported, tmp_path: Path) -> None:
    (test,) = (file for file in exported(tmp_path) if file.suffix == ".py")
    done = run(sys.executable, test, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TESTS=1 PASS=1 FAIL=0" in done.stdout + done.stderr


@needs("cocotb")
@needs_icarus
@pytest.mark.parametrize(
    ("exported", "right", "wrong", "what"),
    [
        (netlist, "assign p = ", "assign p = ~", "products"),
        (element, "total <= ", "total <= ~", "sums"),
    ],
)
def test_cocotb_tells_wrong_designs(
    exported: Exported, right: str, wrong: str, what: str, tmp_path: Path
) -> None:
    design, _, _, *files = exported(tmp_path)
    (test,) = (file for file in files if file.suffix == ".py")
    design.write_text(design.read_text().replace(right, wrong))
    done = run(sys.executable, test, folder=tmp_path)
    assert done.returncode != 0
    assert re.search(rf"\d+ {what} are wrong, the first: ", done.stdout + done.stderr)


@needs("cocotb")
@needs_icarus
def test_sampled_pairs_go_to_cocotb_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplier, "SAMPLED_PAIRS", 1 << 10)
    design, _, _, test, *_ = export(MultiplierSpec.parse("exact:width=1x11"), tmp_path)
    assert run(sys.executable, test, folder=tmp_path).returncode == 0
    design.write_text(design.read_text().replace("assign p = ", "assign p = ~ "))
    assert run(sys.executable, test, folder=tmp_path).returncode != 0


@needs("fusesoc")
@KINDS
def test_core_files_keep_to_the_schema(exported: Exported, tmp_path: Path) -> None:
    import fastjsonschema
    from fusesoc.capi2.json_schema import capi2_schema

    core = core_of(exported(tmp_path))
    fastjsonschema.compile(json.loads(capi2_schema))(core)


def core_of(files: list[Path]) -> dict[str, Any]:
    (path,) = (file for file in files if file.suffix == ".core")
    first, _, text = path.read_text().partition("\n")
    assert first == "CAPI=2:"
    core: dict[str, Any] = yaml.safe_load(text)
    return core


#: Variables of LibreLane 3.0 that are used, and what they may be.
LIBRELANE = {
    "DESIGN_NAME": str,
    "VERILOG_FILES": list,
    "CLOCK_PORT": (str, type(None)),
    "CLOCK_PERIOD": (int, float),
    "PNR_SDC_FILE": str,
    "SIGNOFF_SDC_FILE": str,
}


@KINDS
def test_librelane_gets_files_that_exist(exported: Exported, tmp_path: Path) -> None:
    design, *files = exported(tmp_path)
    configuration = json.loads((design.parent / "config.json").read_text())
    assert configuration.keys() == LIBRELANE.keys()
    for name, value in configuration.items():
        assert isinstance(value, LIBRELANE[name])
    assert configuration["DESIGN_NAME"] == design.stem
    sources = [file for file in (design, *files) if file.suffix == ".v" and "_tb" not in file.name]
    assert configuration["VERILOG_FILES"] == [f"dir::{file.name}" for file in sources]
    assert (design.parent / configuration["PNR_SDC_FILE"].removeprefix("dir::")).is_file()
    clocked = "posedge clk" in design.read_text()
    assert configuration["CLOCK_PORT"] == ("clk" if clocked else None)


@needs("librelane")
@KINDS
def test_librelane_knows_the_variables(exported: Exported, tmp_path: Path) -> None:
    """Those of the flow Classic that are not of a process design kit, and their types."""
    from librelane.common import GenericDict
    from librelane.config import universal_flow_config_variables
    from librelane.config.preprocessor import preprocess_dict
    from librelane.flows import Flow

    flow = Flow.factory.get("Classic")
    steps = (variable for step in flow.Steps for variable in step.config_vars)
    variables = {
        variable.name: variable
        for variable in (*universal_flow_config_variables, *flow.config_vars, *steps)
    }
    folder = exported(tmp_path)[0].parent
    written = json.loads((folder / "config.json").read_text())
    configuration = preprocess_dict(
        written, design_dir=str(folder), pdk="none", pdkpath="none", scl="none"
    )
    read = {}
    for name in written:
        warnings: list[str] = []
        _, read[name] = variables[name].compile(GenericDict(configuration), warnings)
        assert warnings == []
    assert all(Path(file).is_file() for file in (*read["VERILOG_FILES"], read["PNR_SDC_FILE"]))
    assert read["CLOCK_PERIOD"] == 10


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@KINDS
def test_make_reads_the_openroad_configuration(exported: Exported, tmp_path: Path) -> None:
    design = exported(tmp_path)[0]
    names = ("DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SDC_FILE", "CORE_UTILIZATION")
    (tmp_path / "Makefile").write_text(
        f"DESIGN_CONFIG = {design.parent}/config.mk\ninclude $(DESIGN_CONFIG)\nshow:\n"
        + "".join(f"\t@echo $({name})\n" for name in names)
    )
    done = run("make", "--silent", "show", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    name, platform, sources, constraints, utilization = done.stdout.splitlines()
    assert (name, platform, utilization) == (design.stem, "ihp-sg13g2", "40")
    assert sources.split()[0] == str(design)
    assert all(Path(file).is_file() for file in [*sources.split(), constraints])


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="Tcl (tclsh) is not installed")
@KINDS
def test_constraints_are_of_the_ports_that_there_are(exported: Exported, tmp_path: Path) -> None:
    design, _, constraints, *_ = exported(tmp_path)
    stub = "proc {0} args {{ puts [list {0} {{*}}$args]; return {0} }}\n"
    commands = ("create_clock", "set_input_delay", "set_output_delay", "get_ports", "all_outputs")
    script = "".join(stub.format(command) for command in commands) + f"source {constraints}\n"
    (tmp_path / "stubs.tcl").write_text(script)
    done = run("tclsh", "stubs.tcl", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^create_clock -name \w+ -period 10\b", done.stdout, re.MULTILINE)
    named = re.findall(r"^get_ports (?:\{(.*)\}|(\w+))$", done.stdout, re.MULTILINE)
    ports = [port for several, one in named for port in (several or one).split()]
    inputs = re.findall(r"^  input (\[.*\] )?(\w+);$", design.read_text(), re.MULTILINE)
    assert sorted(ports) == sorted(f"{port}[*]" if bits else port for bits, port in inputs)


HOSTILE = "a.v:top'\"\n$(shell touch made)`touch made`#{x}: [y] \\\N{SNOWMAN}&*!|>%@\t\\"


@needs_icarus
@needs_verilator
def test_hostile_names_stay_names(tmp_path: Path) -> None:
    own = own_verilog(tmp_path)
    design = ImportedDesign.of_circuit("x.v:y", own.circuit, signed=False)
    object.__setattr__(design, "name", HOSTILE)
    verilog, bench, constraints, *others = files = export(design, tmp_path / "out")
    assert verilog.parent.name == verilog.stem
    assert re.fullmatch(r"mul5x3u_imported_[0-9a-f]{8}", verilog.stem)
    assert simulate(tmp_path, verilog, bench) == "PASS 256 pairs\n"
    assert lint(verilog) == ""
    shown = r"""a.v:top'" $(shell touch made)`touch made`#{x}: [y] /?&*!|>%@ /"""
    assert core_of(files)["description"].endswith(f" bit unsigned multiplier {shown}")
    assert constraints.read_text().splitlines()[0].startswith("# mul5x3u_imported_")
    assert shown in constraints.read_text().splitlines()[0]
    assert all("touch" not in file.read_text() for file in others if file.suffix != ".core")
    make = (verilog.parent / "config.mk").read_text().partition("\n")[2]
    assert re.fullmatch(r"(export \w+ \??= [\w$()./ -]+\n)+", make)


@pytest.mark.parametrize("name", ["a b", "$(x)", "1", "", "a\n", "a;b", "a/../b", "x" * 200])
def test_projects_have_names_that_need_no_quotes(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a file and a Verilog module"):
        Project(name, "", {name: ""}, {}, False, "", "", "")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    spec = MultiplierSpec.make("exact", width=2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / spec.identifier).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="mul2u_exact' leads to somewhere else; remove the link"):
        export(spec, tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())
