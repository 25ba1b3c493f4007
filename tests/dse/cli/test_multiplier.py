"""What commands on single multipliers print and write."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
from hostile.runs import valid_run

from hdl.multipliers import MultiplierSpec
from hdl.tables import ProductTable, error_metrics


def test_metrics_as_json(dse) -> None:
    values = json.loads(dse("metrics", "bam:h=0,v=6", "--json").out)
    assert values["er_pct"] == 93.75
    assert values["me"] == -80.25
    table = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=6"))
    assert error_metrics(table).to_json().items() <= values.items()


def test_synth_as_json(dse) -> None:
    values = json.loads(dse("synth", "tm:k=4", "--json").out)
    assert {
        "area_um2",
        "delay_ps",
        "energy_fj",
        "leakage_nw",
        "cell_library",
        "yosys_version",
    } <= set(values)
    assert 0 < values["area_um2"] < json.loads(dse("synth", "exact", "--json").out)["area_um2"]


def test_synth_for_speed_shows_its_critical_path(dse) -> None:
    options = (
        "exact:width=4",
        "--delay-target",
        "500",
        "--effort",
        "best",
        "--operand-order",
        "weight-stationary=16",
        "--path",
    )
    values = json.loads(dse("synth", *options, "--json").out)
    path = values["critical_path"]
    assert values["delay_ps"] == path[-1]["arrival_ps"] == max(step["arrival_ps"] for step in path)
    assert values["delay_ps"] < json.loads(dse("synth", "exact:width=4", "--json").out)["delay_ps"]
    assert "weight-stationary=16" in values["assumptions"]
    lines = dse("synth", *options).out.partition("critical path\n")[2].splitlines()
    assert lines[0].split() == ["cell", "pin", "net", "edge", "arrival_ps", "slew_ps", "load_ff"]
    assert [line.split()[-4:-2] for line in lines[1:]] == [
        [step["edge"], f"{step['arrival_ps']:.1f}"] for step in path
    ]


def test_a_table_comes_back_as_a_multiplier(dse) -> None:
    assert dse("table", "tm:k=2", "-o", "table.npy").status == 0
    assert np.array_equal(np.load("table.npy"), ProductTable.load(Path("table.npy")).products)
    assert json.loads(dse("metrics", "table.npy", "--json").out)["me"] == -380.25
    result = dse("synth", "table.npy")
    assert result.status == 2
    assert "is a table, which has no circuit" in result.err


def test_verilog_of_ones_own(dse) -> None:
    Path("mine.v").write_text(
        "module top(input [3:0] x, input [3:0] y, output [7:0] z); assign z = x * y; endmodule\n"
    )
    assert json.loads(dse("metrics", "mine.v:top", "--json").out)["wce"] == 0
    assert json.loads(dse("synth", "mine.v:top", "--json").out)["area_um2"] > 0


def test_metrics_of_wide_operands_come_with_intervals(dse) -> None:
    found = json.loads(dse("metrics", "drum:k=6,width=16", "--samples", "50000", "--json").out)
    low, high = found["confidence"]["mred_pct"]
    assert low < found["mred_pct"] < high
    assert found["samples"] == 50000
    shown = dse("metrics", "drum:k=6,width=16", "--samples", "50000").out
    assert re.search(r"mred_pct +1\.\d+  \(95 %: 1\.\d+ to 1\.\d+\)", shown)


def test_operand_bits_that_a_network_leaves_unused_are_tied_off(dse) -> None:
    """And that is said; 16 bits become few enough for a table."""
    wide = "drum:k=6,width=16"
    tied = f"{wide}: operand bits that resnet20 leaves unused are tied off, 8x7 are left\n"
    for command in ("metrics", "synth", "show"):
        assert dse(command, wide, "--network", "resnet20").out.startswith(tied)
        narrow = dse(command, f"{wide}@8x7", "--network", "resnet20").out
        assert dse(command, wide, "--network", "resnet20").out == tied + narrow
    assert (
        dse("synth", wide, "--network", "resnet20", "--json").out
        == dse("synth", f"{wide}@8x7", "--network", "resnet20", "--json").out
    )


def test_no_other_multiplier_is_predicted_than_the_one_that_is_named(dse) -> None:
    refused = dse("predict", "bam:h=0,v=6,width=8x6", "--network", "resnet20")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "or tie operand bits off: bam:h=0,v=6,width=8x6@8x4" in refused.err
    assert dse("predict", "bam:h=0,v=6,width=8x6@8x4", "--network", "resnet20").status == 0
    plain = dse("predict", "exact:width=8x3", "--network", "resnet20", "--no-correction")
    assert "--weight-bits 4 --no-correction" in plain.err


def test_export_proves_the_mapped_netlist(dse) -> None:
    result = dse("export", "bam:h=0,v=4,width=6", "-o", "out", "--prove")
    assert result.status == 0
    assert re.search(
        r"^proven: the mapped netlist \(\d+ cells of sg13g2_compact, recipe [a-z-]+\) computes",
        result.out,
        re.MULTILINE,
    )


def test_export_writes_a_project(dse) -> None:
    result = dse("export", "tm:k=2", "-o", "verilog")
    paths = [Path(line) for line in result.out.splitlines()]
    assert {path.parent for path in paths} == {Path("verilog/mul8u_tm_k2")}
    assert [path.suffix for path in paths[:3]] == [".v", ".v", ".sdc"]
    assert {path.name for path in paths} >= {"config.json", "config.mk", "mul8u_tm_k2.core"}
    assert all(path.is_file() for path in paths)


def test_export_of_a_run_writes_its_front(dse) -> None:
    valid_run(Path("run"))
    result = dse("export", "run", "-o", "out", "--mac", "--accumulator-bits", "20")
    assert (result.status, result.err) == (0, "")
    names = [f"out/mac20_mul8u_{name}" for name in ("drum_k4", "drum_k6", "exact")]
    assert sorted(result.out.splitlines()) == names
    assert Path("out/mac20_mul8u_exact/mul8u_exact.v").is_file()
    nothing = dse("export", "out", "-o", "out")
    assert (nothing.status, nothing.err.count("\n")) == (2, 1)
    assert "no run in 'out': run.json is missing" in nothing.err


def test_predict_as_json(dse) -> None:
    values = json.loads(dse("predict", "exact", "--network", "resnet20", "--json").out)
    assert values["ame"] == values["predicted_drop"] == 0
    worse = json.loads(dse("predict", "tm:k=4", "--network", "resnet20", "--json").out)
    assert worse["predicted_drop"] > 2
    # Without correction it loses nearly everything.
    bare = json.loads(
        dse("predict", "tm:k=4", "--network", "resnet20", "--no-correction", "--json").out
    )
    assert bare["predicted_drop"] > 10 * worse["predicted_drop"]


def test_families_lists_every_parameter(dse) -> None:
    out = dse("families").out
    assert "bam: Broken-array multiplier" in out
    assert "k=1..6  (required; 1..14 at 16 bits)" in out
    assert "operands of 4 to 16 bits, one of them down to 2; signed by sign magnitude" in out
    one = dse("families", "drum").out
    assert one.splitlines()[0].startswith("drum: ")
    assert (
        one.splitlines()[-1]
        == "    source: Hashemi, Bahar, Reda, ICCAD 2015, doi 10.1109/ICCAD.2015.7372600"
    )
    assert one in out


def test_show_prints_metrics_and_cost(dse) -> None:
    out = dse("show", "tm:k=2", "--network", "resnet20").out
    assert "resnet20 on CIFAR-10 (JPEG)" in out
    assert "area_um2" in out


def test_gzipped_garbage_is_refused(dse) -> None:
    Path("cells.lib.gz").write_bytes(gzip.compress(b"garbage " * 1000))
    result = dse("synth", "exact", "--liberty", "cells.lib.gz")
    assert (result.status, result.err.count("\n")) == (2, 1)


def test_show_draws_pictures(dse) -> None:
    result = dse("show", "bam:h=0,v=3,width=4", "-o", "pictures/bam")
    names = ["dots", "error_map", "error_histogram"]
    assert result.out.splitlines()[-3:] == [f"pictures/bam/{name}.png, .svg" for name in names]
    assert "area_um2" in result.out
    for name in names:
        assert Path(f"pictures/bam/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in Path(f"pictures/bam/{name}.svg").read_text()
    np.save("table.npy", ProductTable.exact(4).products)
    assert (
        dse("show", "table.npy", "-o", "pictures").out.splitlines()[-3]
        == "pictures/operand_bits.png, .svg"
    )


def test_show_draws_what_there_is_of_wide_ones(dse) -> None:
    result = dse("show", "bam:h=0,v=3,width=13", "-o", "pictures")
    assert result.status == 0
    drawn, left_out = result.out.splitlines()[-2:]
    assert drawn == "pictures/dots.png, .svg"
    assert "errors are drawn of operands of up to 24 bits together, not 13x13" in left_out
    assert [path.name for path in Path("pictures").iterdir() if path.suffix == ".png"] == [
        "dots.png"
    ]


def test_show_without_a_place_for_pictures(dse) -> None:
    Path("file").touch()
    np.save("table.npy", ProductTable.exact(2).products)
    result = dse("show", "table.npy", "-o", "file/below")
    assert (result.status, result.err.count("\n")) == (3, 1)
    assert "cannot write to the output folder 'file/below'" in result.err
