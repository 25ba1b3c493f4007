"""What a multiplier saves where a chip has it: by itself, in a multiply-accumulate element, in a
systolic array, over one inference; and what the operands do to its energy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn_eval import zoo
from cnn_eval.prediction import dot_products, macs_per_image
from hdl.cells import CellLibrary
from hdl.cost import map_design, operation_energy
from hdl.elements import (
    ArrayReport,
    ElementReport,
    InferenceReport,
    LayerReport,
    MacReport,
    MacSpec,
    synthesize_array,
)
from hdl.files import Count, Name, Size
from hdl.multipliers import Multiplier, MultiplierSpec
from hdl.operands import OUTPUT_STATIONARY, OperandDistribution, OperandEncoding, OperandOrder

__all__ = [
    "BASELINE",
    "EXACT_TREE",
    "MITCHELL",
    "PICK",
    "Accelerator",
    "Level",
    "OperandEnergy",
    "Report",
    "accelerator",
    "compared_designs",
    "levels",
    "operand_energy",
]

#: Why a design is among those whose operands are compared.
BASELINE, EXACT_TREE, MITCHELL, PICK = "baseline", "exact Dadda tree", "Mitchell", "pick"

WEIGHT_STATIONARY = OperandOrder.parse("weight-stationary")


@dataclass(frozen=True)
class Level:
    """A design and the exact multiplier at one level of a chip.

    Attributes:
        name: `multiplier`, `element` or `array`.
        area_um2, exact_area_um2: of one multiplier, one element, the whole array; of a search at
            another level than the multiplier, of one multiply-accumulate a cycle there.
        energy_fj, exact_energy_fj: of one multiply-accumulate.
    """

    name: Name
    area_um2: Size
    exact_area_um2: Size
    energy_fj: Size
    exact_energy_fj: Size

    @property
    def area_um2_saving_pct(self) -> float:
        """What the design saves of the exact one's area; negative where it takes more."""
        return 100 * (1 - self.area_um2 / self.exact_area_um2)

    @property
    def energy_fj_saving_pct(self) -> float:
        """What the design saves of the exact one's energy; negative where it takes more."""
        return 100 * (1 - self.energy_fj / self.exact_energy_fj)

    def image_energy_nj(self, macs: int) -> float:
        """Energy of an inference of so many multiply-accumulates with the design."""
        return 1e-6 * macs * self.energy_fj

    def exact_image_energy_nj(self, macs: int) -> float:
        """The same with the exact multiplier."""
        return 1e-6 * macs * self.exact_energy_fj


@dataclass(frozen=True)
class Accelerator:
    """A design and the exact multiplier in an element, or in a systolic array of `rows` x `columns`
    elements, under a network's operands.

    Attributes:
        spec, exact: texts of the two multipliers.
        accumulator_bits, exact_accumulator_bits: widths of a sum; 0 where it was not recorded.
        macs_per_image: multiply-accumulates of one inference.
        period_ps, exact_period_ps: least clock periods of the elements.
        levels: from the bare multiplier outwards.
        layers: what the network's layers cost with the design in the array of a search at that
            level; else empty.
    """

    spec: Name
    exact: Name
    rows: Count
    columns: Count
    accumulator_bits: Count
    macs_per_image: Count
    period_ps: Size
    exact_period_ps: Size
    levels: tuple[Level, ...]
    layers: tuple[LayerReport, ...] = ()
    exact_accumulator_bits: Count = 0


@dataclass(frozen=True)
class OperandEnergy:
    """Energy of one operation of a bare multiplier under uniform and under a network's operands.

    `network_fj` has a new pair of operands with every operation, as an output-stationary array has;
    in `weight_stationary_fj` a weight stays for 256 operations. `roles` say why the design is
    looked at: of BASELINE, EXACT_TREE, MITCHELL, PICK.
    """

    spec: Name
    roles: tuple[str, ...]
    uniform_fj: Size
    network_fj: Size
    weight_stationary_fj: Size


def accelerator(
    design: Multiplier,
    exact: MultiplierSpec,
    network: str,
    library: CellLibrary,
    *,
    unsigned_encoding: OperandEncoding = OperandEncoding.SIGN_MAGNITUDE,
    rows: Count = 8,
    columns: Count = 8,
    effort: str = "best",
    corrected: bool = True,
    zoo_folder: Path | None = None,
) -> Accelerator:
    """Both multipliers at every level, each under the network's operands in its own number format.

    A signed multiplier gets two's complement operands, an unsigned one those of
    `unsigned_encoding`. Raises what `hdl.elements.synthesize_array` raises, and
    cnn_eval.zoo.ZooError.
    """
    reports = []
    specs = [MacSpec.make(one, _encoding(one, unsigned_encoding)) for one in (design, exact)]
    for one, spec in zip((design, exact), specs, strict=True):
        profile = zoo.load_profile(
            network, spec.encoding, one.widths, corrected=corrected, folder=zoo_folder
        )
        reports.append(
            synthesize_array(spec, rows, columns, library, dot_products(profile), effort=effort)
        )
    own, baseline = reports
    return Accelerator(
        spec=str(design),
        exact=str(exact),
        rows=rows,
        columns=columns,
        accumulator_bits=specs[0].accumulator_bits,
        macs_per_image=macs_per_image(profile),
        period_ps=own.period_ps,
        exact_period_ps=baseline.period_ps,
        levels=levels(own, baseline),
        exact_accumulator_bits=specs[1].accumulator_bits,
    )


#: What a multiplier costs in an element, or in an array of elements.
Report = MacReport | ElementReport | ArrayReport | InferenceReport


def levels(own: Report, exact: Report) -> tuple[Level, ...]:
    """The levels of two reports of the same kind, from the bare multiplier outwards."""
    if isinstance(own, ArrayReport | InferenceReport):
        assert isinstance(exact, ArrayReport | InferenceReport)
        return (*levels(own.element, exact.element), _level("array", own, exact))
    assert not isinstance(exact, ArrayReport | InferenceReport)
    return (_level("multiplier", own.multiplier, exact.multiplier), _level("element", own, exact))


def _level(name: str, own: Any, exact: Any) -> Level:
    return Level(name, own.area_um2, exact.area_um2, own.energy_fj, exact.energy_fj)


def operand_energy(
    design: Multiplier,
    roles: tuple[str, ...],
    network: str,
    library: CellLibrary,
    *,
    unsigned_encoding: OperandEncoding = OperandEncoding.SIGN_MAGNITUDE,
    delay_target_ps: float | None = None,
    effort: str = "best",
    corrected: bool = True,
    zoo_folder: Path | None = None,
) -> OperandEnergy:
    """The energies of one multiplier, its operands coded as in :func:`accelerator`. Raises what
    `hdl.cost.synthesize` raises.
    """
    mapped = map_design(design, library, effort=effort, delay_target_ps=delay_target_ps)
    encoding = _encoding(design, unsigned_encoding)
    profile = zoo.load_profile(
        network, encoding, design.widths, corrected=corrected, folder=zoo_folder
    )
    of_network = profile.operand_distribution()
    uniform_fj, network_fj, weight_stationary_fj = (
        operation_energy(mapped.netlist, mapped.timing, operands, order=order).energy_fj
        for operands, order in (
            (OperandDistribution.uniform(design.widths), OUTPUT_STATIONARY),
            (of_network, OUTPUT_STATIONARY),
            (of_network, WEIGHT_STATIONARY),
        )
    )
    return OperandEnergy(str(design), roles, uniform_fj, network_fj, weight_stationary_fj)


def compared_designs(
    baseline: MultiplierSpec, pick: Multiplier | None
) -> dict[Multiplier, tuple[str, ...]]:
    """The designs whose energies under different operands tell something, and in which roles; the
    pick may have narrower operands.

    The exact Dadda tree and Mitchell's multiplier have the signedness and the widths of the
    baseline.
    """
    exact, mitchell = (
        MultiplierSpec.make(family, width=baseline.widths, signed=baseline.signed)
        for family in ("exact", "mitchell")
    )
    found: list[tuple[Multiplier, str]] = [
        (baseline, BASELINE),
        (exact, EXACT_TREE),
        (mitchell, MITCHELL),
    ]
    if pick is not None:
        found.append((pick, PICK))
    return {design: tuple(role for other, role in found if other == design) for design, _ in found}


def _encoding(design: Multiplier, unsigned_encoding: OperandEncoding) -> OperandEncoding:
    return OperandEncoding.fitting(
        signed=design.signed, among=(OperandEncoding.TWOS_COMPLEMENT, unsigned_encoding)
    )
