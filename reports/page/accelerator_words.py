"""What a search found about its pick in an accelerator, as the report's rows and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dse.evaluation import EXACT_TREE, MITCHELL, Accelerator, Level, OperandEnergy

from ..figures.captions import saving

__all__ = ["LevelRow", "image_unit", "level_rows", "operand_verdict", "saving_verdict"]

# Energies closer than this cannot be told apart: each has a standard error of 1 %.
_ALIKE = 0.03
_ABOUT = "about as much energy"
_TIMES, _MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class LevelRow:
    """A line of the report's table: a level, and its cells as (text, class); the class is `gain`,
    `loss` or nothing.
    """

    name: str
    meaning: str
    cells: tuple[tuple[str, str], ...]


def level_rows(accelerator: Accelerator) -> list[LevelRow]:
    """Area exact, pick, saved; energy exact, pick, saved; energy of an image exact, pick; from the
    bare multiplier outwards.
    """
    divisor, _ = _image_unit(accelerator)
    rows = []
    for level in accelerator.levels:
        exact, own = (
            energy_nj / divisor
            for energy_nj in (
                level.exact_image_energy_nj(accelerator.macs_per_image),
                level.image_energy_nj(accelerator.macs_per_image),
            )
        )
        cells = (
            (f"{level.exact_area_um2:,.0f}", ""),
            (f"{level.area_um2:,.0f}", ""),
            _saved(level.area_um2_saving_pct),
            (f"{level.exact_energy_fj:,.0f}", ""),
            (f"{level.energy_fj:,.0f}", ""),
            _saved(level.energy_fj_saving_pct),
            (f"{exact:,.1f}", ""),
            (f"{own:,.1f}", ""),
        )
        rows.append(LevelRow(*_described(level, accelerator), cells))
    return rows


def image_unit(accelerator: Accelerator) -> str:
    """The unit of the energies of an image in :func:`level_rows`."""
    return _image_unit(accelerator)[1]


def saving_verdict(accelerator: Accelerator) -> str:
    """One sentence: what the design saves at each level."""
    places = {
        "multiplier": "By itself",
        "element": "in the multiply-accumulate element",
        "array": f"in {_array(accelerator)}",
    }
    parts = [
        f"{places[level.name]} {'it takes ' if number else 'the pick takes '}"
        f"{saving(level.area_um2 / level.exact_area_um2, 'area')} and "
        f"{saving(level.energy_fj / level.exact_energy_fj, 'energy')}"
        f"{'' if number else ' than the exact multiplier'}"
        for number, level in enumerate(accelerator.levels)
    ]
    return "; ".join(parts) + "."


def operand_verdict(energies: Sequence[OperandEnergy], network: str) -> str:
    """One sentence: whether a network's operands turn the order of Mitchell's multiplier and the
    exact Dadda tree around; empty where one of them is missing."""
    exact, mitchell = (
        next((energy for energy in energies if role in energy.roles), None)
        for role in (EXACT_TREE, MITCHELL)
    )
    if exact is None or mitchell is None:
        return ""
    pairs = ((mitchell.uniform_fj, exact.uniform_fj), (mitchell.network_fj, exact.network_fj))
    (uniform, of_network), (before, after) = (
        [_compared(*pair) for pair in pairs],
        [own / other for own, other in pairs],
    )
    ratios = f"the ratio goes from {before:.2f} to {after:.2f}"
    if uniform == of_network:
        end = f"the order stays, {ratios}"
    elif _ABOUT in (uniform, of_network):
        end = f"the order is not clear in both cases, {ratios}"
    else:
        end = f"the order flips, {ratios}"
    than = "as" if uniform == _ABOUT else "than"
    figures = [f"{own:,.0f} against {other:,.0f} fJ" for own, other in pairs]
    return (
        f"Under uniform operands Mitchell\N{RIGHT SINGLE QUOTATION MARK}s multiplier uses "
        f"{uniform} {than} the exact Dadda tree ({figures[0]}), under the operands of {network} "
        f"{of_network} ({figures[1]}): {end}."
    )


def _compared(own: float, other: float) -> str:
    if abs(own / other - 1) < _ALIKE:
        return _ABOUT
    return "less energy" if own < other else "more energy"


def _saved(percent: float) -> tuple[str, str]:
    shown = f"{abs(percent):.1f}" if abs(percent) < 9.95 else f"{abs(percent):.0f}"
    if shown == "0.0":
        return "0 %", ""
    return (f"{shown} %", "gain") if percent > 0 else (f"{_MINUS}{shown} %", "loss")


def _image_unit(accelerator: Accelerator) -> tuple[float, str]:
    """Nanojoules a unit, and the unit in which the smallest energy of an image has at least one
    digit before the point.
    """
    least = min(
        level.exact_image_energy_nj(accelerator.macs_per_image) for level in accelerator.levels
    )
    return next(
        ((size, unit) for size, unit in ((1e6, "mJ"), (1e3, "µJ")) if least >= size), (1.0, "nJ")
    )


def _array(accelerator: Accelerator) -> str:
    article = "an" if accelerator.rows in (8, 11, 18) else "a"
    return f"{article} {accelerator.rows} {_TIMES} {accelerator.columns} systolic array"


def _described(level: Level, accelerator: Accelerator) -> tuple[str, str]:
    """Name of a level as the table shows it, and what it is."""
    return {
        "multiplier": ("Multiplier", "by itself"),
        "element": ("Element", "with accumulator and registers"),
        "array": ("Array", f"{accelerator.rows} {_TIMES} {accelerator.columns} elements, systolic"),
    }[level.name]
