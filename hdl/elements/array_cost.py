"""What a network costs in a systolic array: clock cycles layer by layer, and with them the area of
the array, the energy of an image and its latency.

A layer is a product of matrices for each of its groups. Rows of the array take output pixels where
sums stay, and terms where weights stay; columns take output channels. What is larger than the array
is cut into tiles that follow each other without overlapping, as in the array that is exported. One
group is computed after the other: in a depthwise convolution, whose groups have one output channel,
one column works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cells.library import CellLibrary
from ..cost.timing import DEFAULT_INPUT_SLEW_PS
from ..files import Count, Name, Size
from .cycles import DotProducts
from .element import Element
from .element_cost import ElementReport, synthesize_element
from .register_cost import register_leakage_nw
from .synthesis import bit_activity, skew_energies_fj
from .systolic import check_sides, skew_registers

__all__ = [
    "InferenceReport",
    "LayerCycles",
    "LayerReport",
    "LayerShape",
    "array_inference",
    "layer_cycles",
]


@dataclass(frozen=True)
class LayerShape:
    """`groups` products of matrices (pixels x terms) @ (terms x channels)."""

    name: str
    pixels: int
    channels: int
    terms: int
    groups: int = 1

    @property
    def outputs(self) -> int:
        return self.groups * self.pixels * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.outputs * self.terms


@dataclass(frozen=True)
class LayerCycles:
    """A layer in an array.

    Attributes:
        cycles: of the clock.
        adding, passing, loading: cycles of elements, over all of them, in which they add products,
            hand on a sum from above, take weights.
        idle: in which they do nothing of these.
        a_moves, b_moves: registers of the skew on the left and at the top that take an operand of
            each lane, over all cycles.
        activations, weights, sums_out, sums_in: operands and sums that the array reads and writes.
    """

    cycles: int
    adding: int
    passing: int
    loading: int
    idle: int
    a_moves: int
    b_moves: int
    activations: int
    weights: int
    sums_out: int
    sums_in: int


def layer_cycles(element: Element, rows: int, columns: int, layer: LayerShape) -> LayerCycles:
    """What the layer takes in an array of `rows` x `columns` such elements. Raises InputError for
    sides out of range.
    """
    check_sides(rows, columns)
    steps = -(-layer.terms // element.lanes)
    across = layer.groups * -(-layer.channels // columns)
    last = rows + columns - 1 + element.form.pipelined
    adding = layer.outputs * steps
    activations = layer.pixels * layer.terms * across
    if element.form.keeps_weights:
        down = -(-steps // rows)
        tiles = across * down
        cycles = tiles * (rows + layer.pixels + last)
        passing = layer.outputs * (rows * down - steps)
        loading = tiles * rows * rows * columns
        a_moves, b_moves = across * layer.pixels * _delays(steps, rows), 0
        weights = layer.groups * layer.channels * layer.terms
        sums_out = layer.outputs * down
    else:
        down = -(-layer.pixels // rows)
        tiles = across * down
        cycles = tiles * (steps + last + rows)
        passing, loading = tiles * rows * rows * columns, 0
        a_moves = across * steps * _delays(layer.pixels, rows)
        b_moves = layer.groups * down * steps * _delays(layer.channels, columns)
        weights = layer.groups * layer.channels * layer.terms * down
        sums_out = layer.outputs
    idle = cycles * rows * columns - adding - passing - loading
    return LayerCycles(
        cycles,
        adding,
        passing,
        loading,
        idle,
        a_moves,
        b_moves,
        activations,
        weights,
        sums_out,
        sums_out - layer.outputs,
    )


def _delays(count: int, side: int) -> int:
    """Registers of the skew that `count` rows or columns pass, `side` in a tile: i for the i-th."""
    whole, rest = divmod(count, side)
    return whole * (side * (side - 1) // 2) + rest * (rest - 1) // 2


@dataclass(frozen=True)
class LayerReport:
    """What a layer costs in an array, for one image.

    Attributes:
        utilization: of what all lanes could multiply in these cycles.
        adding_nj: energy of the elements in cycles in which they add products.
        waiting_nj: in the others: clock pins, sums that pass, weights that come.
        edge_nj: of the registers of the skew.
        leakage_nj: of the whole array.
        memory_nj: of the bytes read and written; 0 where an access is not said to cost anything.
        activation_bytes, weight_bytes, sum_bytes: read and, of sums, written and read again.
    """

    name: Name
    macs: Count
    cycles: Count
    utilization: Size
    adding_nj: Size
    waiting_nj: Size
    edge_nj: Size
    leakage_nj: Size
    memory_nj: Size
    activation_bytes: Size
    weight_bytes: Size
    sum_bytes: Size

    @property
    def energy_nj(self) -> float:
        return self.adding_nj + self.waiting_nj + self.edge_nj + self.leakage_nj + self.memory_nj


_SHOWN = (
    "macs",
    "cycles",
    "latency_us",
    "utilization",
    "image_energy_nj",
    "energy_fj",
    "mac_area_um2",
)


@dataclass(frozen=True)
class InferenceReport:
    """What a systolic array costs, and a network in it, for one image.

    Attributes:
        area_um2: of `rows` x `columns` elements, and `edge_area_um2` of the registers of the skew.
        clock_ps: the period that latency and leakage are for.
        leakage_nw: of the whole array.
        memory_pj_per_byte: of every byte read and written; 0: not counted.
        element: one of the array, under the operands of the network.
    """

    rows: int
    columns: int
    area_um2: float
    edge_area_um2: float
    edge_registers: int
    period_ps: float
    clock_ps: float
    leakage_nw: float
    memory_pj_per_byte: float
    layers: tuple[LayerReport, ...]
    element: ElementReport

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def latency_us(self) -> float:
        return 1e-6 * self.cycles * self.clock_ps

    @property
    def utilization(self) -> float:
        """Of what all lanes could multiply in the time that an image takes."""
        return self.macs / (self.cycles * self.rows * self.columns * self.element.lanes)

    @property
    def image_energy_nj(self) -> float:
        return sum(layer.energy_nj for layer in self.layers)

    @property
    def energy_fj(self) -> float:
        """Of one multiply-accumulate of an image, all that the array uses by then included."""
        return 1e6 * self.image_energy_nj / self.macs

    @property
    def mac_area_um2(self) -> float:
        """Area for one multiply-accumulate a cycle, on average over an image."""
        return self.area_um2 * self.cycles / self.macs

    def to_json(self) -> dict[str, Any]:
        """The figures as an object for `json.dump`; those of the element begin with `element_`."""
        own = {name: value for name, value in vars(self).items() if name != "element"}
        own |= {name: getattr(self, name) for name in _SHOWN}
        layers = [vars(layer) | {"energy_nj": layer.energy_nj} for layer in self.layers]
        element = {f"element_{name}": value for name, value in self.element.to_json().items()}
        return own | {"layers": layers} | element


def array_inference(
    element: Element,
    rows: int,
    columns: int,
    library: CellLibrary,
    work: DotProducts,
    layers: Sequence[LayerShape],
    *,
    clock_ps: float | None = None,
    memory_pj_per_byte: float = 0.0,
    effort: str = "fast",
    seed: int = 0,
    clock_slew_ps: float = DEFAULT_INPUT_SLEW_PS,
) -> InferenceReport:
    """Area of an array, energy and latency of an image of the network with these layers.

    A multiply-accumulate costs what it costs in an element under the network's operands. An element
    that adds nothing costs its clock pins, and the toggles of the registers of its sum while that
    is handed on, or of its weights while these come; operands that pass it by are not counted, and
    neither is the logic that finds zeros on the edge. `clock_ps` None means the least period.
    Raises what `synthesize_element` raises, and InputError for sides out of range.
    """
    check_sides(rows, columns)
    report = synthesize_element(
        element,
        library,
        work,
        chained=True,
        clock_ps=clock_ps,
        effort=effort,
        seed=seed,
        clock_slew_ps=clock_slew_ps,
    )
    flip_flop, edge = library.flip_flop, skew_registers(element, rows, columns)
    leakage_nw = rows * columns * report.leakage_nw + edge * register_leakage_nw(flip_flop)
    runs = work.zero_runs(keeps_weights=element.form.keeps_weights)
    # Of an operand of each lane in one register of the skew, and of a bit that stands still there.
    moved_fj = [
        element.lanes * float(skew_energies_fj(library, ones, toggles, clock_slew_ps).sum())
        for ones, toggles in (
            bit_activity(work.operands.weights, work.operands.a, runs),
            bit_activity(work.operands.weights, work.operands.b),
        )
    ]
    still_fj = float(skew_energies_fj(library, np.zeros(1), np.zeros(1), clock_slew_ps)[0])
    moved_bits = [element.lanes * width for width in element.lane.operand_widths]
    adding_fj = report.energy_fj * report.utilization * report.lanes
    bytes_each = [width / 8 for width in element.lane.operand_widths]
    sum_bytes_each = len(element.words) * element.sum_bits / 8

    def cost(layer: LayerShape) -> LayerReport:
        taken = layer_cycles(element, rows, columns, layer)
        still = edge * taken.cycles - taken.a_moves * moved_bits[0] - taken.b_moves * moved_bits[1]
        a_bytes, b_bytes = taken.activations * bytes_each[0], taken.weights * bytes_each[1]
        sum_bytes = (taken.sums_out + taken.sums_in) * sum_bytes_each
        return LayerReport(
            name=layer.name,
            macs=layer.macs,
            cycles=taken.cycles,
            utilization=layer.macs / (taken.cycles * rows * columns * element.lanes),
            adding_nj=1e-6 * taken.adding * adding_fj,
            waiting_nj=1e-6
            * (
                taken.idle * report.idle_fj
                + taken.passing * report.passing_fj
                + taken.loading * report.loading_fj
            ),
            edge_nj=1e-6
            * (taken.a_moves * moved_fj[0] + taken.b_moves * moved_fj[1] + still * still_fj),
            leakage_nj=1e-12 * leakage_nw * taken.cycles * report.clock_ps,
            memory_nj=1e-3 * memory_pj_per_byte * (a_bytes + b_bytes + sum_bytes),
            activation_bytes=a_bytes,
            weight_bytes=b_bytes,
            sum_bytes=sum_bytes,
        )

    edge_area = edge * flip_flop.area_um2
    return InferenceReport(
        rows=rows,
        columns=columns,
        area_um2=rows * columns * report.area_um2 + edge_area,
        edge_area_um2=edge_area,
        edge_registers=edge,
        period_ps=report.period_ps,
        clock_ps=report.clock_ps,
        leakage_nw=leakage_nw,
        memory_pj_per_byte=memory_pj_per_byte,
        layers=tuple(map(cost, layers)),
        element=report,
    )
