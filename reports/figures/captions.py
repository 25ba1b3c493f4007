"""Words about a search that figures and report share."""

from __future__ import annotations

from dse.evaluation import DesignPoint
from dse.search import Exploration

from .style import elided

__all__ = ["COST_FIELDS", "basis", "count", "saving"]

#: Cost -> its fields in a design point (absolute, relative), unit and digits of the absolute one.
COST_FIELDS = {
    "area": ("area_um2", "area_ratio", "µm²", 0),
    "power": ("energy_fj", "power_ratio", "fJ per operation", 0),
    "delay": ("delay_ps", "delay_ratio", "ps", 0),
}


def count(number: int, noun: str) -> str:
    """`1 design`, `2,000 designs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def saving(ratio: float, cost: str) -> str:
    """A cost ratio in words: `37 % less area`, `4 % more delay`, `the same power`."""
    percent = 100 * abs(1 - ratio)
    if percent < 0.05:
        return f"the same {cost}"
    digits = 1 if percent < 9.95 else 0
    return f"{percent:.{digits}f} % {'less' if ratio < 1 else 'more'} {cost}"


def basis(exploration: Exploration) -> tuple[str, str]:
    """What the ratios and the accuracies of a figure refer to: two lines for the small print."""
    formats = " or ".join(exploration.encodings)
    networks = elided(", ".join(exploration.networks), 40)
    library = elided(str(exploration.settings.get("cell_library", "unnamed library")), 32)
    return (
        (
            f"Ratios to {elided(exploration.baseline.name, 40)} in the same flow "
            f"({baseline_costs(exploration.baseline)}); cells: {library}"
        ),
        (
            f"Accuracy of {networks} on {elided(exploration.data, 48)}, {formats}, not retrained; "
            f"with exact products {exploration.exact_top1_pct:.2f} % top-1"
            f"{f' ({elided(exploration.network, 24)})' if exploration.others else ''}"
        ),
    )


def baseline_costs(baseline: DesignPoint) -> str:
    return ", ".join(
        f"{getattr(baseline, field):,.{digits}f} {unit}"
        for field, _, unit, digits in COST_FIELDS.values()
    )
