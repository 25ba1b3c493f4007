"""A design point: one multiplier, by itself or in what an accelerator repeats, with everything the
search and the reports know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hdl.files import Count, Figure, Name, Percent, Size

if TYPE_CHECKING:
    from hdl.operands import Widths

__all__ = [
    "LEVELS",
    "DesignPoint",
    "NetworkDrop",
    "drop_between_pp",
    "placed",
    "placed_name",
]

#: Where costs are those of, from the inside outwards.
LEVELS = ("multiplier", "element", "array")

_IN = " in "


def placed_name(spec: str, element: str) -> str:
    """The name of a multiplier in an element of that form; without one its own."""
    return f"{spec}{_IN}{element}" if element else spec


def placed(name: str) -> tuple[str, str]:
    """The multiplier and the form of the element of a :func:`placed_name` with an element."""
    spec, _, element = name.rpartition(_IN)
    return spec, element


@dataclass(frozen=True)
class NetworkDrop:
    """What a design costs one of the networks of a search for several: accuracies and drops as in
    :class:`DesignPoint`.
    """

    network: Name
    predicted_top1_pct: Figure
    predicted_drop_pp: Figure
    spread_pp: Size
    emulated_top1_pct: Percent | None = None
    emulated_drop_pp: Figure | None = None


@dataclass(frozen=True)
class DesignPoint:
    """One evaluated multiplier.

    Attributes:
        spec: canonical text of the multiplier's spec.
        level: what the costs are those of, of :data:`LEVELS`. Those of an element are of one of its
            multiply-accumulates: its area by its lanes, its energy by its products; its delay is
            the least clock period. Those of an array, in which the network runs, are of one
            multiply-accumulate of an image: area for one a cycle on average, energy with all that
            the array uses by then. Error metrics and accuracies are those of the products as the
            element adds them.
        element: form of the element that the multiplier is in (:class:`hdl.elements.ElementForm`);
            empty for a multiplier by itself.
        sum_bits: width of the element's sum, which holds the longest dot product; or 0.
        array: rows and columns of the array, `8x8`; empty at other levels.
        array_area_um2, image_energy_nj, image_latency_us, utilization_pct: of the whole array, and
            of an image in it, at the least clock period; utilization is of what its lanes could
            multiply. None at other levels.
        encoding: number format of its operands, of :class:`hdl.operands.OperandEncoding`.
        width_a, width_b: bits of its operands, activation and weight.
        area_um2, delay_ps, energy_fj, leakage_nw: cost in the run's cell library; energy per
            operation under the network's operands. In a search among several formats the sign logic
            of a sign-magnitude multiplier is part of it (:class:`hdl.multipliers.SignLogic`).
        effort: how hard synthesis tried, of :data:`hdl.cost.EFFORTS`.
        area_ratio, delay_ratio, power_ratio: cost relative to the exact multiplier in the same
            flow, at the same effort. Power at a fixed rate of operations is proportional to the
            energy of one, so the power ratio is the ratio of energies.
        er_pct, me, med, nmed_pct, mred_pct, wce: error metrics under uniform operands (MRED over
            the nonzero products).
        ame: architectural mean error.
        predicted_top1_pct, predicted_drop_pp, spread_pp: predicted accuracy, its drop from the
            exact quantized network, and one standard deviation of the predictor's error, in
            percentage points. In a search among several formats, drops are from the format that is
            the most accurate with exact products of the widest operands: none is negative.
        beyond_area_pct, beyond_energy_pct: what the design saves beyond the cheapest exact
            multiplier, of any operand widths, that is at least as accurate, as predicted or, where
            both were emulated, as emulated; None for exact multipliers, and where no exact one is
            as accurate.
        emulated_top1_pct, emulated_drop_pp, emulated_images: measured accuracy, its drop from the
            exact quantized network (the most accurate format's) on the same images, and how many
            images; None unless the design was emulated.
        networks: in a search for several networks, the same of each of them; the drops above are
            those of the network that loses the most. Empty in a search for one.
        retrained: epochs that the network was trained on with the design in place before it was
            emulated; 0 where it is as it was. The other figures are of the network as it was.
    """

    spec: Name
    family: Name
    encoding: Name
    width_a: Count
    width_b: Count
    area_um2: Size
    delay_ps: Size
    energy_fj: Size
    leakage_nw: Size
    effort: Name
    area_ratio: Size
    delay_ratio: Size
    power_ratio: Size
    er_pct: Percent
    me: Figure
    med: Size
    nmed_pct: Size
    mred_pct: Size
    wce: Count
    ame: Size
    predicted_top1_pct: Figure
    predicted_drop_pp: Figure
    spread_pp: Size
    beyond_area_pct: Figure | None = None
    beyond_energy_pct: Figure | None = None
    emulated_top1_pct: Percent | None = None
    emulated_drop_pp: Figure | None = None
    emulated_images: Count | None = None
    networks: tuple[NetworkDrop, ...] = ()
    level: Name = "multiplier"
    element: Name = ""
    sum_bits: Count = 0
    retrained: Count = 0
    array: Name = ""
    array_area_um2: Size | None = None
    image_energy_nj: Size | None = None
    image_latency_us: Size | None = None
    utilization_pct: Percent | None = None

    @property
    def name(self) -> str:
        """What tells the point from the others of its search."""
        return placed_name(self.spec, self.element)

    @property
    def widths(self) -> Widths:
        """Bits of its operands."""
        from hdl.operands import Widths  # slow to load, as numpy is

        return Widths(self.width_a, self.width_b)

    @property
    def drop_pp(self) -> float:
        """Accuracy lost as far as is known, in points: emulated, or else predicted."""
        return self.predicted_drop_pp if self.emulated_drop_pp is None else self.emulated_drop_pp

    @property
    def emulated_error_pp(self) -> float:
        """About the standard error of the emulated drop; 0 where nothing was emulated."""
        from cnn_eval.prediction import drop_error_pp  # slow to load

        if self.emulated_top1_pct is None or not self.emulated_images:
            return 0.0
        return float(drop_error_pp(self.emulated_top1_pct, self.emulated_images))

    @property
    def precedence(self) -> tuple[bool, str]:
        """Of points with equal figures the one with the least stands for all: an exact multiplier
        by name, or else the first by name.
        """
        return self.family != "exact", self.name

    def emulated(self, top1_pct: float, exact_top1_pct: float, images: int) -> DesignPoint:
        """This point with its measured accuracy."""
        return replace(
            self,
            emulated_top1_pct=top1_pct,
            emulated_drop_pp=drop_between_pp(exact_top1_pct, top1_pct),
            emulated_images=images,
        )

    def emulated_like(self, other: DesignPoint) -> DesignPoint:
        """This point with the measured accuracies of one that multiplies alike, in a search for the
        same networks.
        """
        return replace(
            self,
            emulated_top1_pct=other.emulated_top1_pct,
            emulated_drop_pp=other.emulated_drop_pp,
            emulated_images=other.emulated_images,
            networks=tuple(
                replace(
                    one,
                    emulated_top1_pct=measured.emulated_top1_pct,
                    emulated_drop_pp=measured.emulated_drop_pp,
                )
                for one, measured in zip(self.networks, other.networks, strict=True)
            ),
        )

    def emulated_in(
        self, accuracies: Mapping[str, tuple[float, float]], images: int
    ) -> DesignPoint:
        """This point with its measured accuracies: network -> top-1 with it and with exact
        products. The worst drop counts.
        """
        drops_pp = {
            network: drop_between_pp(exact, top1) for network, (top1, exact) in accuracies.items()
        }
        worst = max(drops_pp, key=lambda network: drops_pp[network])
        networks = tuple(
            replace(
                one,
                emulated_top1_pct=accuracies[one.network][0],
                emulated_drop_pp=drops_pp[one.network],
            )
            for one in self.networks
        )
        return replace(self.emulated(*accuracies[worst], images), networks=networks)


def drop_between_pp(exact_top1_pct: float, top1_pct: float) -> float:
    """What is lost of an accuracy in percent, in percentage points; without what is left of
    subtracting percentages of images: a design that loses as much as is allowed keeps the limit.
    """
    return round(exact_top1_pct - top1_pct, 9)
