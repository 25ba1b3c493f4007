"""A design point: one multiplier with everything the search and the reports know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

__all__ = ["DesignPoint"]


@dataclass(frozen=True)
class DesignPoint:
    """One evaluated multiplier.

    Attributes:
        spec: canonical text of the multiplier's spec.
        encoding: number format of its operands, of :class:`hdl.operands.OperandEncoding`.
        area_um2, delay_ps, energy_fj, leakage_nw: cost in the run's cell library; energy per operation under the network's operands. In a
            search among several formats the sign logic of a sign-magnitude multiplier is part of it (:class:`hdl.multipliers.SignLogic`).
        effort: how hard synthesis tried, of :data:`hdl.cost.EFFORTS`.
        area_ratio, delay_ratio, power_ratio: cost relative to the exact multiplier in the same flow, at the same effort. Power at a fixed
            rate of operations is proportional to the energy of one, so the power ratio is the ratio of energies.
        er_pct, me, med, nmed_pct, mred_pct, wce: error metrics under uniform operands (MRED over the nonzero products).
        ame: architectural mean error.
        predicted_top1_pct, predicted_drop_pp, spread_pp: predicted accuracy, its drop from the exact quantized network, and one
            standard deviation of the predictor's error, in percentage points. In a search among several formats, drops are from the format
            that is the most accurate with exact products: none is negative, and an exact multiplier of another format has one.
        emulated_top1_pct, emulated_drop_pp, emulated_images: measured accuracy, its drop from the exact quantized network (the most
            accurate format's) on the same images, and how many images; None unless the design was emulated.
    """

    spec: str
    family: str
    encoding: str
    area_um2: float
    delay_ps: float
    energy_fj: float
    leakage_nw: float
    effort: str
    area_ratio: float
    delay_ratio: float
    power_ratio: float
    er_pct: float
    me: float
    med: float
    nmed_pct: float
    mred_pct: float
    wce: int
    ame: float
    predicted_top1_pct: float
    predicted_drop_pp: float
    spread_pp: float
    emulated_top1_pct: float | None = None
    emulated_drop_pp: float | None = None
    emulated_images: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Field names to plain values, as written to front.csv and to the store."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DesignPoint:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the fields are not exactly a design point's.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"not a design point: fields {', '.join(sorted(set(values) ^ names))} are missing or unknown")
        return cls(**values)

    def emulated(self, top1_pct: float, exact_top1_pct: float, images: int) -> DesignPoint:
        """This point with its measured accuracy."""
        return replace(self, emulated_top1_pct=top1_pct, emulated_drop_pp=exact_top1_pct - top1_pct, emulated_images=images)
