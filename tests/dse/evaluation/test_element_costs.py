"""Multipliers in elements: what the workbench makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction import dot_products, layer_shapes
from dse.evaluation.element_costs import element_products
from dse.evaluation.evaluation_store import EvaluationStore
from dse.evaluation.workbench import Workbench
from hdl.cells import CellLibrary
from hdl.elements import Element, array_inference, synthesize_element
from hdl.multipliers import parse_multiplier
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

BENCH = Workbench(("resnet20",), (OperandEncoding.SIGN_MAGNITUDE,))
PLACED = replace(BENCH, level="element")
NAME = "exact:width=3x2 in dot:lanes=2,gate=zero"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return PLACED.evaluator()(NAME)


def test_costs_are_of_one_multiply_accumulate(found: dict[str, Any]) -> None:
    profile = zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, Widths(3, 2))
    work = dot_products(profile)
    element = Element.make(
        "dot:lanes=2,gate=zero", parse_multiplier("exact:width=3x2"), terms=int(work.terms.max())
    )
    report = synthesize_element(element, CellLibrary.load(), work)
    assert found["area_um2"] == report.area_um2 / 2
    assert (found["delay_ps"], found["energy_fj"]) == (report.period_ps, report.energy_fj)
    assert (found["sum_bits"], found["er_pct"]) == (element.sum_bits, 0)
    assert found["readings"] == BENCH.evaluator()("exact:width=3x2")["readings"]
    assert (
        found["circuit"] == PLACED.circuit_digest(NAME) != BENCH.circuit_digest("exact:width=3x2")
    )


def test_costs_are_of_one_multiply_accumulate_of_an_image() -> None:
    profile = zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, Widths(3, 2))
    work = dot_products(profile)
    element = Element.make(
        "dot:lanes=2,gate=zero", parse_multiplier("exact:width=3x2"), terms=int(work.terms.max())
    )
    report = array_inference(
        element, 4, 3, CellLibrary.load(), work, layer_shapes(profile), memory_pj_per_byte=2.0
    )
    bench = replace(BENCH, level="array", array="4x3", memory_pj_per_byte=2.0)
    found = bench.evaluator()(NAME)
    assert found["area_um2"] == pytest.approx(report.area_um2 / (report.macs / report.cycles))
    assert found["energy_fj"] == pytest.approx(1e6 * report.image_energy_nj / report.macs)
    assert found["delay_ps"] == report.period_ps
    assert found["array_area_um2"] == report.area_um2
    assert found["image_energy_nj"] == report.image_energy_nj
    assert found["image_latency_us"] == report.latency_us
    assert found["utilization_pct"] == 100 * report.utilization
    others = [
        replace(bench, array="4x4"),
        replace(bench, memory_pj_per_byte=0.0),
        replace(bench, level="element", array="", memory_pj_per_byte=0.0),
    ]
    assert len({bench.context(), *(other.context() for other in others)}) == 4


@pytest.mark.parametrize(("form", "zeros"), [("mac", False), ("mac:gate=zero", True)])
def test_held_registers_make_products_of_zero_exact(form: str, zeros: bool) -> None:
    products = np.arange(32, dtype=np.int32).reshape(8, 4)
    table = ProductTable(products, signed=False, name="t")
    found = element_products(form, table).products
    assert (found[1:, 1:] == products[1:, 1:]).all()
    assert bool((found[0] == 0).all() and (found[:, 0] == 0).all()) is zeros


def test_results_are_kept_by_form(found: dict[str, Any], tmp_path: Path) -> None:
    with EvaluationStore(tmp_path / "points.sqlite", PLACED) as store:
        store.put(NAME, found)
    with EvaluationStore(tmp_path / "points.sqlite", PLACED) as store:
        others = [NAME, "exact:width=3x2 in dot:lanes=2", "exact:width=3x2 in mac"]
        assert set(store.get(others)) == {NAME}
    with EvaluationStore(tmp_path / "points.sqlite", BENCH) as store:
        assert not store.get(["exact:width=3x2"])
