"""What the pick of a finished search saves in an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cnn_eval import zoo
from cnn_eval.prediction import NetworkProfile, macs_per_image
from hdl import yosys
from hdl.cells import CellLibrary, LibertyError
from hdl.elements import LayerReport
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding

from ..evaluation.element_costs import array_report
from ..evaluation.point import DesignPoint
from ..evaluation.savings import (
    Accelerator,
    Level,
    accelerator,
    compared_designs,
    operand_energy,
)
from ..search.exploration import Exploration
from .exploring import YOSYS_CACHE
from .request import Search

__all__ = ["with_accelerator"]


def with_accelerator(
    exploration: Exploration,
    search: Search,
    store_path: Path,
    *,
    on_progress: Callable[[int, str], None] = lambda done, doing: None,
) -> Exploration:
    """The exploration with what its pick saves in an accelerator, and with what operands do to the
    energy of multipliers.

    `on_progress` is told which of these two is done and what is worked on. An interrupt (Ctrl-C)
    leaves out what was not done yet, a library without flip-flops, or a failure of the mapping, the
    accelerator. Raises what `hdl.cost.synthesize` raises.
    """
    library = CellLibrary.load(search.liberty)
    baseline = MultiplierSpec.parse(exploration.baseline.spec)
    chosen = exploration.pick
    pick = None if chosen is None else exploration.multiplier(chosen.spec)
    unsigned = OperandEncoding.UNSIGNED
    unsigned_encoding = (
        unsigned if unsigned in exploration.encodings else OperandEncoding.SIGN_MAGNITUDE
    )
    yosys.keep_results(store_path.with_name(YOSYS_CACHE))
    try:
        for design, roles in compared_designs(baseline, pick).items():
            on_progress(0, f"energy of {design}")
            energy = operand_energy(
                design,
                roles,
                search.network,
                library,
                unsigned_encoding=unsigned_encoding,
                delay_target_ps=search.budget.delay_target_ps,
                corrected=search.corrected,
                zoo_folder=search.zoo_folder,
            )
            exploration = replace(
                exploration, operand_energies=(*exploration.operand_energies, energy)
            )
        if chosen is not None and chosen.element:
            on_progress(1, chosen.name)
            exploration = replace(
                exploration, accelerator=_side_by_side(exploration, search, chosen, library)
            )
        elif pick is not None:
            on_progress(1, f"{pick} in a systolic array")
            with suppress(LibertyError, yosys.YosysError):
                whole = accelerator(
                    pick,
                    baseline,
                    search.network,
                    library,
                    unsigned_encoding=unsigned_encoding,
                    corrected=search.corrected,
                    zoo_folder=search.zoo_folder,
                )
                exploration = replace(exploration, accelerator=whole)
        on_progress(2, "")
    except KeyboardInterrupt:
        pass
    finally:
        yosys.keep_results(None)
    return exploration


def _side_by_side(
    exploration: Exploration, search: Search, pick: DesignPoint, library: CellLibrary
) -> Accelerator:
    """Pick and baseline of a search at the level of the element or the array, by themselves and at
    each level on the way there.
    """
    alone = {point.spec: point for point in exploration.screened}
    exact = exploration.baseline
    profiles = _profiles(search, pick)
    rows = columns = 1
    layers: tuple[LayerReport, ...] = ()
    between: list[Level] = []
    if search.level == "array":
        own, other = (
            array_report(
                point.element,
                exploration.multiplier(point.spec),
                OperandEncoding(point.encoding),
                _profiles(search, point),
                library,
                point.effort,
                sides=search.array,
                memory_pj_per_byte=search.memory_pj_per_byte,
            )
            for point in (pick, exact)
        )
        rows, columns, layers = own.rows, own.columns, own.layers
        between = [
            Level(
                "element",
                own.element.area_per_lane_um2,
                other.element.area_per_lane_um2,
                own.element.energy_fj,
                other.element.energy_fj,
            )
        ]
    levels = (
        _level("multiplier", alone[pick.spec], alone[exact.spec]),
        *between,
        _level(search.level, pick, exact),
    )
    return Accelerator(
        spec=pick.name,
        exact=exact.name,
        rows=rows,
        columns=columns,
        accumulator_bits=pick.sum_bits,
        macs_per_image=macs_per_image(profiles[0]),
        period_ps=pick.delay_ps,
        exact_period_ps=exact.delay_ps,
        levels=levels,
        layers=layers,
        exact_accumulator_bits=exact.sum_bits,
    )


def _level(name: str, own: DesignPoint, exact: DesignPoint) -> Level:
    return Level(name, own.area_um2, exact.area_um2, own.energy_fj, exact.energy_fj)


def _profiles(search: Search, point: DesignPoint) -> list[NetworkProfile]:
    """The networks of the search as the multiplier of a design sees them."""
    return [
        zoo.load_profile(
            network,
            OperandEncoding(point.encoding),
            point.widths,
            corrected=search.corrected,
            folder=search.zoo_folder,
        )
        for network in search.networks
    ]
