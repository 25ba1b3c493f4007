"""Walks: what they make is proven, simulated, and the same every time."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction import LossModel
from dse.search.synthesis.gate_walk import walk
from dse.search.synthesis.price_ladder import MadeDesign, Workplace
from hdl.cells import CellLibrary
from hdl.cost import counterexample, map_design, synthesize
from hdl.export import export
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable


def workplace_of(encoding: OperandEncoding, widths: Widths, *, corrected: bool = True) -> Workplace:
    profile = zoo.load_profile("resnet20", encoding, widths, corrected=corrected)
    predictor = zoo.load_predictor("resnet20", encoding, corrected=corrected)
    return Workplace(
        LossModel(profile, predictor), CellLibrary.load(), profile.operand_distribution()
    )


@pytest.fixture(scope="module")
def workplace() -> Workplace:
    return workplace_of(OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3))


START = MultiplierSpec.parse("exact:tree=array,width=4x3")


@pytest.fixture(scope="module")
def made(workplace: Workplace) -> list[MadeDesign]:
    return list(walk(START, workplace, max_drop_pp=5, seed=1))


@pytest.mark.slow
def test_a_walk_saves_and_says_what_it_loses(workplace: Workplace, made: list[MadeDesign]) -> None:
    assert len(made) >= 3
    exact = synthesize(START, workplace.library, workplace.operands)
    last = made[-1]
    assert last.area_um2 < 0.8 * exact.area_um2
    assert last.energy_fj < 0.8 * exact.energy_fj
    for one in made:
        errors = one.design.table().errors
        assert one.drop_pp == pytest.approx(float(workplace.loss.drops_pp(errors[None])[0]))
        assert one.drop_pp <= 5
    assert all(one.candidates < other.candidates for one, other in itertools.pairwise(made))


@pytest.mark.slow
def test_the_same_seed_makes_the_same_designs(workplace: Workplace, made: list[MadeDesign]) -> None:
    again = list(itertools.islice(walk(START, workplace, max_drop_pp=5, seed=1), 3))
    assert [one.design for one in again] == [one.design for one in made[:3]]


@pytest.mark.slow
def test_cautious_walks_end_where_nothing_was_emulated(
    workplace: Workplace, made: list[MadeDesign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a loss of 2 points, say; until then they are the same."""

    def knows(loss: LossModel, errors: np.ndarray) -> bool:
        return float(loss.drops_pp(errors[None])[0]) < 2

    monkeypatch.setattr(LossModel, "knows", knows)
    careful = replace(workplace, cautious=True)
    again = list(walk(START, careful, max_drop_pp=5, seed=1))
    assert 0 < len(again) < len(made)
    assert [one.design for one in again] == [one.design for one in made[: len(again)]]


@pytest.mark.slow
def test_every_design_is_proven(workplace: Workplace, made: list[MadeDesign]) -> None:
    for one in made:
        mapped = map_design(one.design, workplace.library)
        assert counterexample(one.design.rtlil(), mapped.netlist) is None
        table = ProductTable.of(one.design)
        np.testing.assert_array_equal(table.products, one.design.table().products)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_agrees_on_all_pairs(made: list[MadeDesign], tmp_path: Path) -> None:
    for one in made:
        verilog, bench, *_ = export(one.design, tmp_path)
        run = tmp_path / "run"
        subprocess.run(["iverilog", "-g2001", "-o", run, verilog, bench], check=True, timeout=60)
        said = subprocess.run(
            ["vvp", "-n", run], capture_output=True, text=True, timeout=60, check=True
        )
        assert said.stdout == "PASS 128 pairs\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "widths", "corrected"),
    [
        (OperandEncoding.SIGN_MAGNITUDE, Widths(8, 7), False),
        (OperandEncoding.TWOS_COMPLEMENT, Widths(4, 4), True),
    ],
)
def test_wide_operands_and_signed_ones(
    encoding: OperandEncoding, widths: Widths, corrected: bool
) -> None:
    """The wide ones with changes judged on a part of the operand pairs, without correction."""
    place = workplace_of(encoding, widths, corrected=corrected)
    start = MultiplierSpec.make("exact", width=widths, signed=encoding.signed, tree="array")
    made = list(itertools.islice(walk(start, place, max_drop_pp=5, seed=2), 1))
    assert made
    for one in made:
        assert one.design.signed == encoding.signed
        np.testing.assert_array_equal(
            ProductTable.of(one.design).products, one.design.table().products
        )
        errors = one.design.table().errors
        assert one.drop_pp == pytest.approx(float(place.loss.drops_pp(errors[None])[0]))
