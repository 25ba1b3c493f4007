"""A library of circuits against the front of a run, and mistakes in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_run import ENCODING, NETWORK, write_images, write_run

import dse
from bench.cost_table import Cost, read_costs
from bench.library import Design, best_of, main, print_counts, print_table
from cnn_eval.datasets import ImageRoles, load_dataset
from cnn_eval.zoo import ground_truth, zoo_network
from dse.api.formats import operand_distribution
from hdl.cells import CellLibrary
from hdl.cost import synthesize
from hdl.multipliers import MultiplierSpec
from hdl.operands import Widths
from hdl.tables import ProductTable

IMAGES = 8
FRONT = ("exact:width=8x7", "exact:width=4x2")
EXACT = "module top(input [7:0] x, y, output [15:0] z); assign z = x * y; endmodule\n"
COARSE = """
module cut(input [7:0] v, output [7:0] w); assign w = {v[7:4], 4'b0}; endmodule
module coarse(input [7:0] x, y, output [15:0] z);
  wire [7:0] rough;
  cut one(x, rough);
  assign z = rough * y;
endmodule
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", FRONT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture
def library(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Runs the program on the run: what it prints, or the line it ends with."""

    def call(*arguments: Path | str) -> str:
        given = [
            *map(str, arguments),
            "--data",
            str(data),
            "--images",
            str(IMAGES),
            "--workers",
            "1",
        ]
        if "--run" not in given:
            given += ["--run", str(run)]
        monkeypatch.setattr("sys.argv", ["library.py", *given])
        try:
            main()
        except SystemExit as stop:
            return str(stop.code)
        return capsys.readouterr().out

    return call


def rows(printed: str) -> dict[str, list[str]]:
    """The first cell of each row -> the others."""
    cells = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in printed.splitlines()
        if line.startswith("| `")
    ]
    return {name: others for name, *others in cells}


@pytest.mark.slow
def test_circuits_are_treated_like_the_run(library, run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "exact.v").write_text(EXACT)
    (tmp_path / "coarse.v").write_text(COARSE)
    (tmp_path / "notes.txt").write_text("not a circuit")
    printed = library(tmp_path)
    found = rows(printed)
    assert set(found) == {"top", "coarse", *FRONT}
    trained = zoo_network(NETWORK)
    roles = ImageRoles.of(load_dataset(data, image_px=trained.image_px))
    truth, sample = ground_truth(trained, ENCODING, roles), roles.judging.head(IMAGES)
    for name in ("exact.v:top", "coarse.v:coarse"):
        area, energy, predicted = found[name.rpartition(":")[2]][:3]
        tied = dse.multiplier(f"{tmp_path / name}@8x7")
        cost = tied.cost(NETWORK)  # at the run's effort
        assert area.split()[0] == f"{cost.area_um2:,.0f}"
        assert energy.split()[0] == f"{cost.energy_fj:,.1f}"
        assert predicted == f"{dse.predict(tied, network=NETWORK).drop_pp:.2f}"
    assert found["top"][3] == "0.00"
    drop_pp = truth.measure(tied.table().widths, sample).top1_pct
    drop_pp -= truth.measure(tied.table(), sample).top1_pct
    assert found["coarse"][3] == f"{drop_pp:.2f}"
    assert "2 circuits; " in printed
    assert "2 designs of the front" in printed


@pytest.mark.slow
def test_tables_cost_in_proportion_to_an_exact_circuit(library, tmp_path: Path) -> None:
    exact = ProductTable.exact(8).products
    np.savez(tmp_path / "tables.npz", same=exact, half=exact & ~15)
    (tmp_path / "costs.csv").write_text(
        "circuit,lib,cells_area,watts\n"
        "tree,x,900,3\ntree,x,800,4\nsame,x,900,3\nsame,x,800,4\nsame,y,1,1\nhalf,x,400,1.5\n"
    )
    columns = ("--area", "cells_area", "--energy", "watts", "--only", "lib=x")
    found = rows(
        library(
            *("--tables", tmp_path / "tables.npz", "--costs", tmp_path / "costs.csv"),
            *("--exact", "tree", *columns),
        )
    )
    # Nothing is tied off of an 8x8 multiplier here, as nothing can be of a table.
    operands = operand_distribution(NETWORK, "", signed=False, widths=Widths(8, 8))
    reports = [
        synthesize(MultiplierSpec.parse(f"exact:tree={tree}"), CellLibrary.load(None), operands)
        for tree in ("array", "wallace", "dadda", "serial")
    ]
    best = min(reports, key=lambda one: one.area_um2 * one.energy_fj)
    for name, share in (("same", 1.0), ("half", 0.5)):
        area, energy = (cell.split()[0] for cell in found[name][:2])
        assert area == f"{share * best.area_um2:,.0f}"
        assert energy == f"{share * best.energy_fj:,.1f}"
    assert found["same"][3] == "0.00"


def test_the_least_area_and_the_least_energy_of_a_circuit_count(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text("circuit,area_um2,energy_fj\none,5,2\none,4,3\nother,1,1\n")
    assert read_costs(path, "area_um2", "energy_fj", []) == {
        "one": Cost(4, 2),
        "other": Cost(1, 1),
    }


def test_who_beats_whom(capsys) -> None:
    circuit = Design("circuit", 100.0, 10.0, 1.0, 1.0)
    worse = {
        "as large": Design("as large", 100.0, 5.0, 0.5, 0.5),
        "as hot": Design("as hot", 50.0, 10.0, 0.5, 0.5),
        "less accurate": Design("less accurate", 50.0, 5.0, 0.5, 1.01),
    }
    for one in worse.values():
        assert not one.beats(circuit)
    assert best_of(list(worse.values()), circuit) is None
    beating = [Design("small", 10.0, 8.0, 0.5, 1.0), Design("cool", 50.0, 1.0, 0.5, 0.5)]
    assert best_of([*worse.values(), *beating], circuit) == beating[1]
    lossy = Design("lossy", 200.0, 20.0, 30.0, 30.0)
    print_table("circuit", [lossy, circuit], beating[:1], Cost(200, 20))
    print_counts([lossy, circuit], beating[:1], 20.0)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| `circuit` | 100 (0.500) | 10.0 (0.500) | 1.00 | 1.00 | `small` | 1.00 | 0.100 | 0.800 |",
        "| `lossy` | 200 (1.000) | 20.0 (1.000) | 30.00 | 30.00 | `small` | 1.00 | 0.050 | 0.400 |",
        "2 circuits; 1 lose less than 20 points, 1 of them are beaten by a design of the front",
        "relative to the circuit, that design takes 0.100 of the area and 0.800 of the energy in "
        "the median, at most 0.100 and 0.800",
        "1 designs of the front; 0 are beaten by one of these circuits",
    ]


def test_nothing_is_beaten_by_nothing(capsys) -> None:
    print_table("circuit", [Design("alone", 1.0, 1.0, 0.0, 0.0)], [], Cost(1, 1))
    assert capsys.readouterr().out.splitlines()[-1].endswith("| 0.00 | none | | | |")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no Verilog files; give a folder with 1 to 10,000, each with one multiplier"),
        ({"a.v": "// nothing\n"}, "a.v: has no module; a file of a folder has one multiplier"),
        (
            {"a.v": "module b(); endmodule module c(); endmodule"},
            "a.v: has the modules b, c; a file of a folder has one multiplier, its only module or",
        ),
        (
            {"a.v": "module a(input [7:0] x, output [7:0] y); assign y = x; endmodule"},
            "a.v:a: ports are input x[8], output y[8]; a multiplier has inputs of m and n bits",
        ),
        (
            {"a.v": "module a(input x, y, output [1:0] z); assign z = x & y; endmodule"},
            f"multiplies 1x1 bits, and {NETWORK} needs 3x2 at least",
        ),
    ],
)
def test_folders_that_hold_no_library(
    library, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    said = library(tmp_path)
    assert message in said
    assert "\n" not in said


def test_runs_of_something_else(library, run: Path, tmp_path: Path) -> None:
    (tmp_path / "exact.v").write_text(EXACT)
    assert library(tmp_path / "absent").endswith(
        "absent: no such folder; give one with a multiplier in each Verilog file"
    )
    assert library(tmp_path, "--network", "resnet20") == (
        f"the run in {str(run)!r} is of resnet8, not of resnet20"
    )
    assert library(tmp_path, "--encoding", "twos_complement").endswith(
        "is of sign_magnitude, not of twos_complement"
    )
    assert "no run in" in library(tmp_path, "--run", tmp_path)
    for change in (
        {"encodings": ["sign_magnitude", "twos_complement"]},
        {"others": ["resnet20"]},
    ):
        several = shutil.copytree(run, tmp_path / next(iter(change)))
        recorded = json.loads((several / "search.json").read_text())
        recorded["search"] |= change
        (several / "search.json").write_text(json.dumps(recorded))
        assert library(tmp_path, "--run", several).endswith(
            "; give a run of one network in one number format"
        )


def test_a_run_of_another_version(library, run: Path, tmp_path: Path) -> None:
    (tmp_path / "exact.v").write_text(EXACT)
    old = shutil.copytree(run, tmp_path / "old")
    recorded = json.loads((old / "run.json").read_text())
    recorded["baseline"]["area_um2"] *= 1.01
    (old / "run.json").write_text(json.dumps(recorded))
    assert "which is of another version; make it again" in library(tmp_path, "--run", old)


def test_tables_and_costs_that_do_not_fit(library, tmp_path: Path) -> None:
    exact = ProductTable.exact(8).products
    np.savez(tmp_path / "good.npz", one=exact)
    np.savez(tmp_path / "odd.npz", one=exact[:200])
    costs = tmp_path / "costs.csv"
    costs.write_text("circuit,area_um2,energy_fj\ntree,9,9\nflat,-1,2\n")

    def said(tables: str, *options: str) -> str:
        return library("--tables", tmp_path / tables, "--costs", costs, "--exact", *options)

    assert "one: shape is 200 x 256; a table has 2^m rows and 2^n columns" in said(
        "odd.npz", "tree", "--only", "circuit=tree"
    )
    assert said("good.npz", "tree", "--only", "circuit=tree").endswith(
        "no cost of one; give every circuit a row"
    )
    assert said("good.npz", "bush", "--only", "circuit=tree").endswith(
        "no cost of bush; give every circuit a row"
    )
    assert said("good.npz", "tree").endswith(
        "flat has the area '-1' and the energy '2'; give positive numbers"
    )
    assert said("good.npz", "tree", "--energy", "fj").endswith(
        "has no column 'fj'; there are circuit, area_um2, energy_fj"
    )
    assert said("good.npz", "tree", "--only", "lib") == "--only lib: give COLUMN=VALUE"
    assert library("--tables", tmp_path / "good.npz") == (
        "--tables needs what its circuits cost: --costs FILE.csv and --exact NAME"
    )
    assert library() == (
        "give a folder of Verilog, or product tables with --tables FILE.npz; one of them"
    )
