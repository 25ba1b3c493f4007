"""What a multiplier costs in an element of an accelerator or in an array of these, and what it adds
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hdl.elements
from cnn_eval.prediction import NetworkProfile, dot_products, layer_shapes
from hdl.cells import CellLibrary
from hdl.elements import (
    Element,
    ElementForm,
    InferenceReport,
    added_products,
    array_inference,
    parse_sides,
    synthesize_element,
)
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

__all__ = [
    "Cost",
    "array_cost",
    "array_report",
    "element_cost",
    "element_products",
    "element_sources",
]


@dataclass(frozen=True)
class Cost:
    """Costs as in :class:`dse.evaluation.DesignPoint`, and the width of the element's sum; those of
    the array at that level alone.
    """

    area_um2: float
    delay_ps: float
    energy_fj: float
    leakage_nw: float
    sum_bits: int
    array_area_um2: float | None = None
    image_energy_nj: float | None = None
    image_latency_us: float | None = None
    utilization_pct: float | None = None


def element_cost(
    element: str,
    multiplier: Multiplier,
    encoding: OperandEncoding,
    profiles: Sequence[NetworkProfile],
    library: CellLibrary,
    effort: str,
    seed: int,
) -> Cost:
    """Of one multiply-accumulate of an element of that form, under the operands of the first
    network; its sum holds the longest dot product of all of them. Raises what
    `hdl.elements.synthesize_element` raises.
    """
    report = synthesize_element(
        _element(element, multiplier, encoding, profiles),
        library,
        dot_products(profiles[0]),
        effort=effort,
        seed=seed,
    )
    return Cost(
        report.area_per_lane_um2,
        report.period_ps,
        report.energy_fj,
        report.leakage_nw / report.lanes,
        report.sum_bits,
    )


def array_cost(
    element: str,
    multiplier: Multiplier,
    encoding: OperandEncoding,
    profiles: Sequence[NetworkProfile],
    library: CellLibrary,
    effort: str,
    seed: int,
    *,
    sides: str,
    memory_pj_per_byte: float,
) -> Cost:
    """Of one multiply-accumulate of an image of the first network, in an array of such elements.
    Raises what :func:`array_report` raises.
    """
    report = array_report(
        element,
        multiplier,
        encoding,
        profiles,
        library,
        effort,
        sides=sides,
        seed=seed,
        memory_pj_per_byte=memory_pj_per_byte,
    )
    return Cost(
        report.mac_area_um2,
        report.period_ps,
        report.energy_fj,
        report.leakage_nw / (report.rows * report.columns * report.element.lanes),
        report.element.sum_bits,
        report.area_um2,
        report.image_energy_nj,
        report.latency_us,
        100 * report.utilization,
    )


def array_report(
    element: str,
    multiplier: Multiplier,
    encoding: OperandEncoding,
    profiles: Sequence[NetworkProfile],
    library: CellLibrary,
    effort: str,
    *,
    sides: str,
    memory_pj_per_byte: float,
    seed: int = 0,
) -> InferenceReport:
    """The first network in an array of such elements, `8x8`; sums hold the longest dot product of
    all networks. Raises what `hdl.elements.array_inference` raises, and
    cnn_eval.prediction.ProfileError.
    """
    return array_inference(
        _element(element, multiplier, encoding, profiles),
        *parse_sides(sides),
        library,
        dot_products(profiles[0]),
        layer_shapes(profiles[0]),
        memory_pj_per_byte=memory_pj_per_byte,
        effort=effort,
        seed=seed,
    )


def _element(
    form: str,
    multiplier: Multiplier,
    encoding: OperandEncoding,
    profiles: Sequence[NetworkProfile],
) -> Element:
    """The element whose sum holds the longest dot product of the networks."""
    longest = max(layer.products_per_output for one in profiles for layer in one.layers)
    return Element.make(form, multiplier, encoding, terms=longest)


def element_products(form: str, table: ProductTable) -> ProductTable:
    """A multiplier's products as an element of that form adds them: zero for zero operands where
    registers hold for those.
    """
    return added_products(ElementForm.parse(form), table)


def element_sources() -> Iterator[str]:
    """The sources that make and cost elements: all that is around a multiplier."""
    for folder in hdl.elements.__path__:
        yield from (source.read_text() for source in sorted(Path(folder).glob("*.py")))
