"""What travels is enough: a worker has the package, and none of the client's files."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest

from cnn_eval import zoo
from dse.evaluation import freight
from dse.evaluation.workbench import Workbench
from dse.evaluation.workers import Evaluate
from dse.search.synthesis.rounds import walker
from hdl.cells.library import COMPACT_LIBRARY
from hdl.files import FileError, encode_json
from hdl.multipliers import parse_multiplier
from hdl.operands import OperandEncoding, Widths


def told(bench: Workbench) -> Evaluate:
    """Tells what evaluations depend on, and where it is read."""

    def tell(task: str) -> dict[str, Any]:
        return {
            "context": bench.context(),
            "circuit": bench.circuit_digest(task),
            "paths": [bench.liberty, bench.zoo_folder, bench.yosys_cache],
        }

    return tell


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """A user's own network, library and multiplier."""
    mine = tmp_path / "mine"
    mine.mkdir()
    for widths in (Widths(3, 2), Widths(4, 3)):
        profile = zoo.profile_path("resnet8", OperandEncoding.SIGN_MAGNITUDE, widths)
        shutil.copy(profile, mine / profile.name.replace("resnet8", "mine"))
    shutil.copy(COMPACT_LIBRARY, mine / "cells.lib.gz")
    verilog = tmp_path / "mul.v"
    verilog.write_text(
        "module top(input [2:0] x, input [1:0] y, output [4:0] z); assign z = x * y; endmodule"
    )
    design = parse_multiplier(f"{verilog}:top", signed=False)
    verilog.unlink()
    return Workbench(
        ("mine",),
        (OperandEncoding.SIGN_MAGNITUDE,),
        mine / "cells.lib.gz",
        mine,
        designs=(design,),
        yosys_cache=tmp_path / "yosys.sqlite",
    )


def test_what_travels_is_all_that_an_evaluation_depends_on(
    bench: Workbench, tmp_path: Path
) -> None:
    (design,) = bench.designs
    here = told(bench)(design.name)
    content = freight.packed(bench, told)
    shutil.rmtree(tmp_path / "mine")
    there = freight.unpacked(content, tmp_path / "worker")(design.name)
    assert (there["context"], there["circuit"]) == (here["context"], here["circuit"])
    assert all(path.is_relative_to(tmp_path / "worker") for path in there["paths"])
    assert {path.name for path in (tmp_path / "worker").rglob("*") if path.is_file()} == {
        "cells.lib.gz",
        "mine.sign_magnitude.3x2.profile.npz",
        "mine.sign_magnitude.4x3.profile.npz",
    }


def test_a_walker_travels_with_its_predictors(tmp_path: Path) -> None:
    encoding = OperandEncoding.SIGN_MAGNITUDE
    predictors = {"resnet8": {str(encoding): zoo.load_predictor("resnet8", encoding)}}
    bench = Workbench(("resnet8",), (encoding,))
    content = freight.packed(bench, partial(walker, predictors=predictors))
    walk = freight.unpacked(content, tmp_path)
    assert isinstance(walk, partial)
    known = encode_json(walk.args[1]["resnet8"][str(encoding)])
    assert known == encode_json(predictors["resnet8"][str(encoding)])
    with pytest.raises(FileError, match="a walk"):
        walk("nonsense")


def test_what_results_depend_on_is_compared() -> None:
    release = freight.release()
    assert release["numpy"] == numpy.__version__
    assert {"Python", "ameliorate", "pyosys", "sources"} <= release.keys()
