"""What a pick saves in an accelerator, what operands do to energies, and how a search keeps
both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_exploration import make_exploration, make_point, with_accelerator_figures

from cnn_eval import zoo
from dse.engine import Search, accelerators, with_accelerator
from dse.evaluation.element_costs import array_report
from dse.evaluation.savings import (
    BASELINE,
    EXACT_TREE,
    MITCHELL,
    PICK,
    Level,
    OperandEnergy,
    accelerator,
    compared_designs,
    operand_energy,
)
from dse.search.budget import Budget
from dse.search.exploration import Exploration
from hdl.cells.library import CellLibrary, LibertyError
from hdl.cost.synthesis import synthesize
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.yosys.runs import YosysError

EXACT, MITCHELL_SPEC = MultiplierSpec.parse("exact"), MultiplierSpec.parse("mitchell")
SEARCH = Search("resnet20", (OperandEncoding.SIGN_MAGNITUDE,), Budget.parse("area"))


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load()


def test_savings_of_a_level() -> None:
    level = Level("element", area_um2=60, exact_area_um2=80, energy_fj=300, exact_energy_fj=200)
    assert (level.area_um2_saving_pct, level.energy_fj_saving_pct) == (
        pytest.approx(25),
        pytest.approx(-50),
    )
    # 2 million operations of 300 fJ are 600 nJ.
    assert (level.image_energy_nj(2_000_000), level.exact_image_energy_nj(2_000_000)) == (
        pytest.approx(600),
        pytest.approx(400),
    )


def test_a_signed_design_against_an_unsigned_one_has_its_own_operands(library: CellLibrary) -> None:
    design, unsigned = (
        MultiplierSpec.parse("tm:k=6,signed=1"),
        MultiplierSpec.parse("tm:k=5,width=8x7"),
    )
    found = accelerator(
        design, unsigned, "resnet20", library, rows=2, columns=3, effort="fast", corrected=False
    )
    assert [level.name for level in found.levels] == ["multiplier", "element", "array"]
    complements = zoo.load_profile(
        "resnet20", OperandEncoding.TWOS_COMPLEMENT, corrected=False
    ).operand_distribution()
    bare = synthesize(design, library, complements, effort="fast")
    assert (found.levels[0].area_um2, found.levels[0].energy_fj) == (
        pytest.approx(bare.area_um2),
        pytest.approx(bare.energy_fj),
    )
    element, array = found.levels[1:]
    assert array.exact_area_um2 > 6 * element.exact_area_um2
    assert array.energy_fj > element.energy_fj
    # The exclusive-ors that negate a product of magnitudes, and two sign bits of the operands, are
    # no part of a signed element.
    assert element.area_um2 < element.exact_area_um2
    assert found.macs_per_image == 40_813_184


def test_energy_under_the_networks_operands_is_that_of_the_search(library: CellLibrary) -> None:
    spec = MultiplierSpec.parse("mitchell:width=8x7")
    found = operand_energy(spec, (MITCHELL,), "resnet20", library, effort="fast")
    of_network = zoo.load_profile(
        "resnet20", OperandEncoding.SIGN_MAGNITUDE, spec.widths
    ).operand_distribution()
    assert found.network_fj == synthesize(spec, library, of_network, effort="fast").energy_fj
    assert found.uniform_fj == synthesize(spec, library, effort="fast").energy_fj
    assert found.weight_stationary_fj < found.network_fj < found.uniform_fj


def test_designs_are_compared_once_in_all_their_roles() -> None:
    assert compared_designs(EXACT, None) == {
        EXACT: (BASELINE, EXACT_TREE),
        MITCHELL_SPEC: (MITCHELL,),
    }
    pick = MultiplierSpec.parse("mitchell:width=4x3")
    assert compared_designs(EXACT, pick) == {
        EXACT: (BASELINE, EXACT_TREE),
        MITCHELL_SPEC: (MITCHELL,),
        pick: (PICK,),
    }


def test_a_run_keeps_them(tmp_path: Path) -> None:
    exploration = with_accelerator_figures(
        make_exploration((make_point("exact", 1.0), make_point("drum:k=6", 0.7, drop=0.5)))
    )
    exploration.save(tmp_path)
    assert Exploration.load(tmp_path) == exploration


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing is synthesized; the texts of the designs that would have been."""
    asked: list[str] = []

    def energy(
        design: MultiplierSpec, roles: tuple[str, ...], *arguments: object, **options: object
    ) -> OperandEnergy:
        asked.append(str(design))
        return OperandEnergy(str(design), roles, 3.0, 2.0, 1.0)

    monkeypatch.setattr(accelerators, "operand_energy", energy)
    return asked


def without_figures(pick: bool = True) -> Exploration:
    points = (make_point("exact", 1.0), *([make_point("drum:k=6", 0.7, drop=0.5)] if pick else []))
    exploration = make_exploration(points, baseline=points[0])
    return exploration if pick else replace(exploration, pick=None)


def test_without_a_pick_there_are_energies_alone(quick: list[str], tmp_path: Path) -> None:
    found = with_accelerator(without_figures(pick=False), SEARCH, tmp_path / "points.sqlite")
    assert quick == ["exact", "mitchell"]
    assert (found.accelerator, len(found.operand_energies)) == (None, 2)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), LibertyError("no flip-flop"), YosysError("took longer")]
)
def test_what_cannot_be_told_is_left_out(
    error: BaseException, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(accelerators, "accelerator", fails)
    told: list[tuple[int, str]] = []
    found = with_accelerator(
        without_figures(),
        SEARCH,
        tmp_path / "points.sqlite",
        on_progress=lambda done, doing: told.append((done, doing)),
    )
    assert quick == ["exact", "mitchell", "drum:k=6"]
    assert found.accelerator is None
    assert [energy.roles for energy in found.operand_energies] == [
        (BASELINE, EXACT_TREE),
        (MITCHELL,),
        (PICK,),
    ]
    assert told[:4] == [
        (0, "energy of exact"),
        (0, "energy of mitchell"),
        (0, "energy of drum:k=6"),
        (1, "drum:k=6 in a systolic array"),
    ]


def test_a_search_of_arrays_has_all_levels_of_its_pick(quick: list[str], tmp_path: Path) -> None:
    """Multiplier and array as the search has them, the element of that array between them, and the
    layers, whose energies add up to that of the image.
    """
    exact = make_point("exact:width=3x2", 1.0, width_a=3, width_b=2, effort="fast")
    alone = replace(exact, spec="udm:width=3x2", family="udm", area_um2=70.0)
    own, baseline = (
        replace(point, level="array", element=form, array="2x3", sum_bits=14, area_um2=area)
        for point, form, area in ((alone, "dot:lanes=2", 900.0), (exact, "mac", 1500.0))
    )
    run = replace(
        make_exploration((own, baseline), baseline=baseline),
        pick=own,
        level="array",
        screened=(exact, alone),
    )
    search = replace(SEARCH, level="array", array="2x3", memory_pj_per_byte=1.0)
    found = with_accelerator(run, search, tmp_path / "points.sqlite").accelerator
    assert found is not None
    report = array_report(
        "dot:lanes=2",
        MultiplierSpec.parse("udm:width=3x2"),
        OperandEncoding.SIGN_MAGNITUDE,
        [zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, Widths(3, 2))],
        CellLibrary.load(),
        "fast",
        sides="2x3",
        memory_pj_per_byte=1.0,
    )
    assert [level.name for level in found.levels] == ["multiplier", "element", "array"]
    assert [level.area_um2 for level in found.levels] == [
        70.0,
        report.element.area_per_lane_um2,
        900.0,
    ]
    assert found.levels[1].energy_fj == report.element.energy_fj
    assert found.levels[1].exact_area_um2 > found.levels[1].area_um2
    assert (found.rows, found.columns, found.layers) == (2, 3, report.layers)
    assert sum(layer.energy_nj for layer in found.layers) == pytest.approx(report.image_energy_nj)
