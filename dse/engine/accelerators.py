"""What the pick of a finished search saves in an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cnn_eval import zoo
from cnn_eval.prediction import macs_per_image
from hdl import yosys
from hdl.cells import CellLibrary, LibertyError
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

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
                delay_target_ps=search.delay_target_ps,
                corrected=search.corrected,
                zoo_folder=search.zoo_folder,
            )
            exploration = replace(
                exploration, operand_energies=(*exploration.operand_energies, energy)
            )
        if chosen is not None and chosen.element:
            exploration = replace(
                exploration, accelerator=_side_by_side(exploration, search, chosen)
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


def _side_by_side(exploration: Exploration, search: Search, pick: DesignPoint) -> Accelerator:
    """Pick and baseline of a search at the level of the element, by themselves and there."""
    alone = {point.spec: point for point in exploration.screened}
    exact = exploration.baseline
    profile = zoo.load_profile(
        search.network,
        OperandEncoding(pick.encoding),
        Widths(pick.width_a, pick.width_b),
        corrected=search.corrected,
        folder=search.zoo_folder,
    )
    return Accelerator(
        spec=pick.name,
        exact=exact.name,
        rows=1,
        columns=1,
        accumulator_bits=pick.sum_bits,
        macs_per_image=macs_per_image(profile),
        period_ps=pick.delay_ps,
        exact_period_ps=exact.delay_ps,
        levels=tuple(
            Level(name, own.area_um2, other.area_um2, own.energy_fj, other.energy_fj)
            for name, own, other in (
                ("multiplier", alone[pick.spec], alone[exact.spec]),
                ("element", pick, exact),
            )
        ),
    )
