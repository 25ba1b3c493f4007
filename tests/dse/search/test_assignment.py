"""Assignments as files: what was written is read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from design_points import LAYERS, MADE, make_assignment

from dse.search.assignment import Assignment, AssignmentError
from hdl.multipliers import MultiplierSpec
from hdl.operands import Widths


def test_what_it_comes_to() -> None:
    one = make_assignment()
    assert one.predicted_drop_pp == 0.75
    assert one.energy_nj == pytest.approx(1e-6 * (60_000 + 10_000 + 20_000))
    assert one.latency_us == pytest.approx(1e-6 * (1500 * 700 + 2000 * 100))
    assert one.area_um2 == 440.0


def test_it_reads_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    emulated = replace(
        make_assignment(),
        emulated_top1_pct=80.5,
        emulated_drop_pp=-0.25,
        emulated_images=200,
        gap=0.01,
    )
    for one in (make_assignment(), emulated):
        one.save(path)
        assert Assignment.load(path) == one


def test_tables_of_all_layers() -> None:
    tables = make_assignment().tables(LAYERS)
    assert {name: table.widths for name, table in tables.items()} == {
        "first": Widths(5, 3),
        "second": Widths(2, 2),
        "third": Widths(5, 3),
    }
    assert tables["second"].sha256 == MADE.table().sha256
    assert tables["third"].sha256 == MultiplierSpec.parse("exact:width=5x3").table().sha256


def test_layers_of_another_network() -> None:
    with pytest.raises(AssignmentError, match="names the layer 'third', which 'net' has not; its"):
        make_assignment().tables(LAYERS[:2])
    with pytest.raises(AssignmentError, match="no design for the layer 'fourth' of 'net'"):
        make_assignment().tables((*LAYERS, "fourth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda about: about["layers"][0].update(design="drum:k=4"),
            "layer 'first' has the design 'drum:k=4', which is none of its kinds",
        ),
        (
            lambda about: about["kinds"][0].update(width_a=6),
            "kind 'exact:width=5x3' multiplies operands of 5x3 bits, not of 6x3",
        ),
        (lambda about: about.update(made=[]), f"the netlist of its kind '{MADE.name}' is not in"),
        (
            lambda about: about["kinds"][0].update(design="../../x.v:top"),
            "which is none of its kinds",
        ),
        (lambda about: about.update(encoding="twos_complement"), "needs a signed one"),
        (lambda about: about.update(encoding="roman"), "roman"),
        (lambda about: about.update(layers=[]), "0 layers and 2 kinds"),
        (lambda about: about["layers"].append(about["layers"][0]), "stands there twice"),
        (lambda about: about["kinds"].append(about["kinds"][0]), "stands there twice"),
        (lambda about: about["layers"][0].update(loss_pp=-1), "loss_pp"),
        (lambda about: about["layers"][0].update(macs=1.5), "macs"),
        (lambda about: about.update(more=1), "unknown key more"),
        (lambda about: about.pop("gap"), "gap"),
        (lambda about: about.update(format="other"), "of this version of ameliorate"),
        (lambda about: about["made"][0].update(netlist="&9,9 > 4 4 4 4"), "net"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "assignment.json"
    make_assignment().save(path)
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    with pytest.raises(AssignmentError, match="make one with dse assign") as refused:
        Assignment.load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AssignmentError, match=r"none\.json"):
        Assignment.load(tmp_path / "none.json")
