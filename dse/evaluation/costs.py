"""What a design costs: a multiplier by itself, or in an element of an accelerator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import hdl.elements
from cnn_eval.prediction import NetworkProfile, dot_products
from hdl.cells import CellLibrary
from hdl.cost import synthesize
from hdl.elements import Element, ElementForm, added_products, synthesize_element
from hdl.multipliers import Multiplier
from hdl.operands import OperandDistribution, OperandEncoding
from hdl.tables import ProductTable

if TYPE_CHECKING:
    from .workbench import Workbench

__all__ = ["Cost", "element_cost", "element_products", "element_sources", "multiplier_cost"]


@dataclass(frozen=True)
class Cost:
    """Costs as in :class:`dse.evaluation.DesignPoint`, and the width of an element's sum."""

    area_um2: float
    delay_ps: float
    energy_fj: float
    leakage_nw: float
    sum_bits: int = 0


def multiplier_cost(
    bench: Workbench,
    circuit: str,
    operands: OperandDistribution,
    library: CellLibrary,
    *,
    subject: str,
) -> Cost:
    """Of a multiplier by itself. Raises what `hdl.cost.synthesize` raises."""
    report = synthesize(
        circuit,
        library,
        operands,
        effort=bench.effort,
        delay_target_ps=bench.delay_target_ps,
        seed=bench.seed,
        subject=subject,
    )
    return Cost(report.area_um2, report.delay_ps, report.energy_fj, report.leakage_nw)


def element_cost(
    bench: Workbench,
    form: str,
    multiplier: Multiplier,
    encoding: OperandEncoding,
    profiles: Mapping[str, NetworkProfile],
    library: CellLibrary,
) -> Cost:
    """Of one multiply-accumulate of an element, under the operands of the bench's first network;
    its sum holds the longest dot product of all of them. Raises what
    `hdl.elements.synthesize_element` raises.
    """
    work = {network: dot_products(profile) for network, profile in profiles.items()}
    longest = max(int(one.terms.max()) for one in work.values())
    element = Element.make(form, multiplier, encoding, terms=longest)
    report = synthesize_element(
        element, library, work[bench.networks[0]], effort=bench.effort, seed=bench.seed
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
