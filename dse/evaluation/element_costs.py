"""What a multiplier costs in an element of an accelerator, and what it adds there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hdl.elements
from cnn_eval.prediction import NetworkProfile, dot_products
from hdl.cells import CellLibrary
from hdl.elements import Element, ElementForm, added_products, synthesize_element
from hdl.multipliers import Multiplier
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

__all__ = ["Cost", "element_cost", "element_products", "element_sources"]


@dataclass(frozen=True)
class Cost:
    """Costs as in :class:`dse.evaluation.DesignPoint`, and the width of the element's sum."""

    area_um2: float
    delay_ps: float
    energy_fj: float
    leakage_nw: float
    sum_bits: int


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
    works = [dot_products(profile) for profile in profiles]
    longest = max(int(work.terms.max()) for work in works)
    report = synthesize_element(
        Element.make(element, multiplier, encoding, terms=longest),
        library,
        works[0],
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


def element_products(form: str, table: ProductTable) -> ProductTable:
    """A multiplier's products as an element of that form adds them: zero for zero operands where
    registers hold for those.
    """
    return added_products(ElementForm.parse(form), table)


def element_sources() -> Iterator[str]:
    """The sources that make and cost elements: all that is around a multiplier."""
    for folder in hdl.elements.__path__:
        yield from (source.read_text() for source in sorted(Path(folder).glob("*.py")))
