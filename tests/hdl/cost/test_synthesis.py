"""Synthesis: what comes out computes what went in, is as small as it should be, and costs the same
in the compact and the full library.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import counterexample
from hdl.cost.mapped_netlist import MappedNetlist
from hdl.cost.power import operation_energy
from hdl.cost.synthesis import EFFORTS, map_design, synthesize
from hdl.cost.timing import analyze
from hdl.errors import InputError
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandDistribution, Widths

SG13G2 = "pdk/sg13g2_stdcell_typ_1p20V_25C.lib.gz"
SKY130 = "pdk/sky130_fd_sc_hd__tt_025C_1v80.lib.gz"
DADDA = MultiplierSpec.parse("exact:tree=dadda")


def designs() -> list[MultiplierSpec]:
    """8-bit designs of each family, unsigned and signed, with parameters a third and two thirds of
    the way through their ranges.
    """
    trees = (
        "exact:tree=dadda",
        "exact:tree=array",
        "exact:tree=array,signed=1",
        "exact:tree=dadda,width=6",
    )
    found = {text: MultiplierSpec.parse(text) for text in trees}
    for name, family in FAMILIES.items():
        if any(parameter.is_text for parameter in family.parameters):
            continue
        for signed in (False, True):
            for third in (1, 2):
                wanted: dict[str, int | str] = {}
                for parameter in family.parameters:
                    if parameter.bounds is not None:
                        low, high = parameter.bounds(Widths.of(8))
                        wanted[parameter.name] = low + (high - low) * third // 3
                    else:
                        wanted[parameter.name] = parameter.choices[
                            len(parameter.choices) * third // 3 - 1
                        ]
                spec = MultiplierSpec.nearest(name, signed=signed, **wanted)
                found[str(spec)] = spec
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("spec", designs()[::2], ids=str)
def test_the_mapped_netlist_computes_the_same(spec: MultiplierSpec) -> None:
    library = CellLibrary.load()
    text = rtlil(spec)
    mapped = map_design(text, library, subject=str(spec))
    assert counterexample(text, mapped.netlist, subject=str(spec)) is None
    assert mapped.recipe in EFFORTS["fast"]
    assert mapped.timing.delay_ps == analyze(mapped.netlist).delay_ps


@pytest.mark.parametrize("recipe", EFFORTS["best"])
@pytest.mark.parametrize(
    "text", ["exact:tree=dadda,width=4", "exact:tree=wallace,width=5,signed=1"]
)
def test_every_recipe_is_right(recipe: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdl.cost.synthesis.EFFORTS", {"fast": (recipe,)})
    spec = MultiplierSpec.parse(text)
    assert counterexample(rtlil(spec), map_design(spec, CellLibrary.load()).netlist) is None


def test_recipes_with_the_full_adder_cells_of_a_library_are_right(shared: Path) -> None:
    library = CellLibrary.load(shared / SKY130)
    for text in ("exact:tree=dadda,width=5,signed=1", "exact:tree=array,width=5"):
        spec = MultiplierSpec.parse(text)
        mapped = map_design(spec, library)
        assert any(instance.cell.name.endswith("__fa_1") for instance in mapped.netlist.instances)
        assert counterexample(rtlil(spec), mapped.netlist) is None


def test_exact_multipliers_are_small(shared: Path) -> None:
    """Areas of 8x8 that hand placement of full adders reaches: the baseline that approximate
    designs are measured against.
    """
    assert map_design(DADDA, CellLibrary.load(), effort="best").netlist.area_um2 <= 2650
    assert map_design(DADDA, CellLibrary.load()).netlist.area_um2 <= 2650
    assert map_design(DADDA, CellLibrary.load(shared / SKY130)).netlist.area_um2 <= 1400


def test_costs_lie_in_the_range_of_another_flow(shared: Path) -> None:
    """The best of five recipes of an earlier, independent flow: areas are no larger, energies and
    delays of the same order.
    """
    with (shared / "oracle/same_flow.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["lib"] == "sg13g2"]
    specs = {
        "array8": "exact:tree=array",
        "dadda8": "exact:tree=dadda",
        "dadda8_t4": "bam:h=0,v=4,tree=dadda",
        "dadda8_t6": "bam:h=0,v=6,tree=dadda",
        "array8_t4": "bam:h=0,v=4,tree=array",
    }
    for circuit, text in specs.items():
        spec = MultiplierSpec.parse(text)
        theirs = [row for row in rows if row["circuit"] == circuit]
        report = synthesize(spec, CellLibrary.load())
        assert theirs
        assert report.area_um2 <= min(float(row["area_um2"]) for row in theirs)
        assert (
            0.7 * min(float(row["sta_delay_ps"]) for row in theirs)
            < report.delay_ps
            < max(float(row["sta_delay_ps"]) for row in theirs)
        )
        energies = [float(row["E_uniform_fJ"]) for row in theirs]
        assert 0.5 * min(energies) < report.energy_fj < max(energies)


@pytest.mark.slow
def test_the_compact_library_stands_for_the_full_one(shared: Path) -> None:
    """The same netlists under both libraries; and the flow maps to the same netlists with both."""
    compact, full = CellLibrary.load(), CellLibrary.load(shared / SG13G2)
    compared = designs() if len(designs()) < 40 else designs()[1::3]
    assert len(compared) >= 20
    for number, spec in enumerate(compared):
        small = map_design(spec, compact)
        large = rebuilt(small.netlist, full) if number % 10 else map_design(spec, full).netlist
        timing = analyze(large)
        assert small.netlist.area_um2 == pytest.approx(large.area_um2, rel=1e-9), spec
        assert small.timing.delay_ps == pytest.approx(timing.delay_ps, rel=0.03), spec
        operands = OperandDistribution.uniform(spec.widths)
        energy, reference = (
            operation_energy(small.netlist, small.timing, operands),
            operation_energy(large, timing, operands),
        )
        assert energy.energy_fj == pytest.approx(reference.energy_fj, rel=0.03), spec
        assert energy.power.leakage_nw == pytest.approx(reference.power.leakage_nw, rel=0.03), spec


def rebuilt(netlist: MappedNetlist, library: CellLibrary) -> MappedNetlist:
    """The same netlist of another library's cells of the same names and pins."""
    instances = []
    for instance in netlist.instances:
        cell = library.cells[instance.cell.name]
        assert [pin.name for pin in cell.inputs] == [pin.name for pin in instance.cell.inputs]
        instances.append(replace(instance, cell=cell))
    return replace(netlist, library=library, instances=tuple(instances))


def test_a_report_says_what_it_rests_on() -> None:
    library = CellLibrary.load()
    report = synthesize(MultiplierSpec.parse("exact:tree=dadda,width=4"), library, seed=3)
    again = synthesize(MultiplierSpec.parse("exact:tree=dadda,width=4"), library, seed=3)
    assert report == again
    assert report.energy_error_fj < 0.01 * report.energy_fj
    assert report.settled_energy_fj < report.energy_fj
    assert report.cells > 20
    assert (report.cell_library, report.yosys_version) == ("sg13g2_compact", yosys.version())
    for words in (
        "1.2 V",
        "input slew 20 ps",
        "output load 5.73 fF",
        "operands uniform",
        "effort fast",
    ):
        assert words in report.assumptions
    other = synthesize(MultiplierSpec.parse("exact:tree=dadda,width=4"), library, seed=4)
    assert other.energy_fj != report.energy_fj
    assert other.energy_fj == pytest.approx(report.energy_fj, abs=6 * report.energy_error_fj)


def test_operands_matter() -> None:
    """Activations that are mostly zero save energy."""
    library = CellLibrary.load()
    uniform = OperandDistribution.uniform(8)
    a = 0.2 * uniform.a
    a[0, 0] += 0.8
    sparse = OperandDistribution(uniform.weights, a, uniform.b, "sparse")
    report = synthesize(DADDA, library, sparse)
    assert report.energy_fj < 0.5 * synthesize(DADDA, library).energy_fj
    assert "operands sparse" in report.assumptions


def test_a_delay_target_trades_area_for_speed() -> None:
    library = CellLibrary.load()
    relaxed, fast = map_design(DADDA, library), map_design(DADDA, library, delay_target_ps=1500)
    assert fast.timing.delay_ps <= 1500 < relaxed.timing.delay_ps
    assert fast.netlist.area_um2 > relaxed.netlist.area_um2
    assert counterexample(rtlil(DADDA), fast.netlist) is None


def test_a_design_of_wires_and_constants_costs_nothing() -> None:
    ports = "  wire width 4 input 1 \\a\n  wire width 4 input 2 \\b\n  wire width 8 output 3 \\p\n"
    text = f"module \\multiplier\n{ports}  connect \\p {{ 4'0000 \\a }}\nend\n"
    report = synthesize(text, CellLibrary.load())
    assert (
        report.area_um2,
        report.delay_ps,
        report.energy_fj,
        report.leakage_nw,
        report.cells,
    ) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effort": "heroic"}, "unknown effort 'heroic'; use one of fast, best"),
        ({"delay_target_ps": 0.0}, "delay target 0 ps is outside"),
        ({"delay_target_ps": float("nan")}, "delay target nan ps is outside"),
    ],
)
def test_arguments_that_mean_nothing(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        map_design(DADDA, CellLibrary.load(), **arguments)  # type: ignore[arg-type]


def test_operands_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit operands of 4 bits"):
        synthesize(DADDA, CellLibrary.load(), OperandDistribution.uniform(4))


def test_errors_name_the_design() -> None:
    with pytest.raises(yosys.YosysError, match=r"synthesis of my\.v:mul: ") as caught:
        synthesize("this is no RTLIL", CellLibrary.load(), subject="my.v:mul")
    assert "\n" not in str(caught.value)
    with pytest.raises(
        yosys.YosysError, match=r"synthesis of exact:tree=wallace,width=12: .*limit of 0\.05 s"
    ):
        map_design(
            MultiplierSpec.parse("exact:tree=wallace,width=12"),
            CellLibrary.load(),
            time_limit_s=0.05,
        )
