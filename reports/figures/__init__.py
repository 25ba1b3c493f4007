"""Figures of searches, multipliers and studies, in one style."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .assignments import assignment_figure
    from .captions import saving
    from .convergence import convergence_figure
    from .element import element_figure, layer_energy_figure
    from .front import area_power_figure, drop_figure, front_figures
    from .multiplier import (
        dots_figure,
        error_histogram_figure,
        error_map_figure,
        multiplier_figures,
        operand_bits_figure,
        portrait_figure,
    )
    from .rendering import inline_svg, write_figure
    from .study import correlation_figure, scatter_figure
    from .style import styled
    from .verification import verification_figure

__all__ = [
    "area_power_figure",
    "assignment_figure",
    "convergence_figure",
    "correlation_figure",
    "dots_figure",
    "drop_figure",
    "element_figure",
    "error_histogram_figure",
    "error_map_figure",
    "front_figures",
    "inline_svg",
    "layer_energy_figure",
    "multiplier_figures",
    "operand_bits_figure",
    "portrait_figure",
    "saving",
    "scatter_figure",
    "styled",
    "verification_figure",
    "write_figure",
]

__getattr__ = names_of(
    __name__,
    {
        "assignments": "assignment_figure",
        "captions": "saving",
        "convergence": "convergence_figure",
        "element": "element_figure layer_energy_figure",
        "front": "area_power_figure drop_figure front_figures",
        "multiplier": (
            "dots_figure error_histogram_figure error_map_figure multiplier_figures "
            "operand_bits_figure portrait_figure"
        ),
        "rendering": "inline_svg write_figure",
        "study": "correlation_figure scatter_figure",
        "style": "styled",
        "verification": "verification_figure",
    },
)
