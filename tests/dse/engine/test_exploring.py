"""The search on real parts: the shipped network, real synthesis."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import EVALUATIONS, of_8_bits, small_search

from dse.api.runs import load_run, redraw
from dse.engine import Progress, explore
from dse.evaluation.executor import LocalProcesses
from dse.evaluation.workbench import Workbench
from dse.search.exploration import Exploration
from dse.search.space import SpaceError
from hdl.cells.library import CellLibrary
from hdl.cost.synthesis import map_design
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable

BOTH = (OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT)


@pytest.mark.slow
def test_a_search_finds_designs_that_beat_exact(undisturbed: Exploration) -> None:
    front = undisturbed.front.points
    assert len(undisturbed.points) == EVALUATIONS
    assert not undisturbed.failures
    assert undisturbed.baseline.area_ratio == undisturbed.baseline.power_ratio == 1
    assert undisturbed.baseline.predicted_drop_pp == 0
    assert min(point.area_ratio for point in front) < 0.6
    assert undisturbed.pick is not None
    assert undisturbed.pick.area_ratio < 1
    assert undisturbed.pick.predicted_drop_pp <= 1
    assert undisturbed.history[-1].evaluations == EVALUATIONS


@pytest.mark.slow
def test_exact_multipliers_of_every_width_compete(undisturbed: Exploration) -> None:
    """As trees, serially, with Booth recoding, and in the form that Yosys gives to a * b."""
    for widths in ("5x4", "8x7"):
        for kind in (
            "",
            "tree=array,",
            "tree=serial,",
            "kind=booth,tree=array,",
            "kind=behavioural,",
        ):
            assert f"exact:{kind}width={widths}" in {point.spec for point in undisturbed.points}


@pytest.mark.slow
def test_the_front_is_synthesized_with_the_best_effort(undisturbed: Exploration) -> None:
    point = undisturbed.front.points[0]
    assert point.effort == "best"
    assert (
        point.area_um2
        == map_design(
            MultiplierSpec.parse(point.spec), CellLibrary.load(), effort="best"
        ).netlist.area_um2
    )


@pytest.mark.slow
def test_the_front_depends_on_the_seed_alone(undisturbed: Exploration, store: Path) -> None:
    """Not on the number of workers, and not on workers that are killed while they work."""
    killed = []

    def kill(state: Progress) -> None:
        if state.evaluations in (9, 21) and state.evaluations not in killed and not state.finished:
            killed.append(state.evaluations)
            (worker,) = multiprocessing.active_children()
            worker.kill()

    found = explore(small_search(), store, executor=LocalProcesses(1), on_progress=kill)
    assert killed == [9, 21]
    assert not found.failures
    assert (found.front, found.points) == (undisturbed.front, undisturbed.points)


@pytest.mark.slow
def test_a_warm_store_evaluates_nothing_again(
    undisturbed: Exploration, undisturbed_store: Path
) -> None:
    before = (
        sqlite3.connect(undisturbed_store)
        .execute("SELECT * FROM known ORDER BY context, item")
        .fetchall()
    )
    states: list[Progress] = []
    second = explore(
        small_search(), undisturbed_store, executor=LocalProcesses(0), on_progress=states.append
    )  # an evaluation would never return
    assert second.front == undisturbed.front
    assert second.points == undisturbed.points
    assert states[-1].evaluations == EVALUATIONS
    assert (
        sqlite3.connect(undisturbed_store)
        .execute("SELECT * FROM known ORDER BY context, item")
        .fetchall()
        == before
    )


@pytest.mark.slow
def test_magnitudes_are_costed_with_their_signs_among_several_formats() -> None:
    texts = ("tm:k=4,width=8x7", "tm:k=4,signed=1")
    alone = [
        Workbench(("resnet20",), (encoding,), corrected=False).evaluator()(text)
        for encoding, text in zip(BOTH, texts, strict=True)
    ]
    among = Workbench(("resnet20",), BOTH, corrected=False).evaluator()
    magnitudes, complements = (among(text) for text in texts)
    assert complements == alone[1]
    for cost in ("area_um2", "delay_ps", "energy_fj"):
        assert magnitudes[cost] > alone[0][cost]
    same = ("encoding", "med", "ame", "readings")
    assert [magnitudes[name] for name in same] == [alone[0][name] for name in same]


@pytest.mark.slow
def test_own_verilog_is_a_seed(store: Path, tmp_path: Path) -> None:
    """A multiplier without its lowest partial products, written by the user: evaluated like any
    other, and delivered.
    """
    source = tmp_path / "mine.v"
    source.write_text(
        "module top(input [7:0] x, y, output [15:0] z); wire [13:0] high = x[7:1] * y[7:1]; "
        "assign z = {high, 2'b00}; endmodule\n"
    )
    tied_off = tmp_path / "exact.v"
    tied_off.write_text(
        "module top(input [7:0] x, y, output [15:0] z); assign z = x * y; endmodule\n"
    )
    search = replace(
        of_8_bits(),
        corrected=False,
        families=("exact",),
        evaluations=12,
        population=10,
        seeds=(f"{source}:top", "drum:k=4,width=8x7", f"{tied_off}:top@8x7"),
    )
    found = explore(search, store, executor=LocalProcesses(1))
    assert not found.failures
    own, other = found.imported
    points = {point.spec: point for point in found.points}
    assert points[f"{other.name}@8x7"].er_pct == 0
    name = f"{own.name}@8x7"  # the network's weights have no more bits
    assert (points[name].family, own.name.startswith(f"{source}:top#")) == ("imported", True)
    # The same rule as tm:k=1, whose errors it must have.
    rule = error_metrics(ProductTable.of(MultiplierSpec.parse("tm:k=1,width=8x7")))
    assert (points[name].wce, points[name].med) == (rule.wce, pytest.approx(rule.med))
    assert "drum:k=4,width=8x7" in points
    found.save(tmp_path)
    loaded = Exploration.load(tmp_path)
    assert loaded.imported == found.imported
    assert name in {point.spec for point in loaded.front.points}
    redraw(tmp_path)
    top = f"{own.identifier}_for8x7"
    verilog = tmp_path / "verilog" / top / f"{top}.v"
    assert f"module {top}(a, b, p);" in verilog.read_text()
    (design,) = (design for design in load_run(tmp_path).front if design.spec == name)
    assert f"module {top}(a, b, p);" in design.multiplier.verilog()
    with pytest.raises(
        SpaceError,
        match="multiplies signed 8x8, and this search is among unsigned multipliers of 8x7",
    ):
        explore(replace(search, seeds=("drum:k=4,signed=1",)), store, executor=LocalProcesses(1))
