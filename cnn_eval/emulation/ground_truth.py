"""A network's accuracy with any multiplier, corrected: what every prediction is held against."""

from __future__ import annotations

from collections.abc import Callable

from hdl.operands import Widths
from hdl.tables import ProductTable

from ..datasets import Dataset, normalize
from ..quantization.correction import Correction, corrected, derive_correction
from ..quantization.quantized_network import QuantizedNetwork
from .measurement import Measurement, emulate, exact_first_and_last, measure_top1

__all__ = ["GroundTruth"]


class GroundTruth:
    """Measures a network in one number format with multipliers of any operand widths.

    Args:
        quantized: the network with exact products, for operands of (width_a, width_b) bits.
        widest: operand widths of the network that corrections look up to.
        correction: unlabelled images to correct on; None measures networks as they are.
    """

    def __init__(
        self,
        quantized: Callable[[Widths], QuantizedNetwork],
        widest: Widths,
        correction: Dataset | None,
    ) -> None:
        self._quantize, self._widest = quantized, widest
        self._quantized: dict[Widths, QuantizedNetwork] = {}
        self._exact: dict[Widths, QuantizedNetwork] = {}
        self._images = None
        if correction is not None:
            network = self.quantized(widest)
            self._images = normalize(correction.images, network.mean, network.std)

    @property
    def correcting(self) -> bool:
        """Whether networks are corrected."""
        return self._images is not None

    def quantized(self, widths: Widths) -> QuantizedNetwork:
        """The network with exact products, not corrected."""
        if widths not in self._quantized:
            self._quantized[widths] = self._quantize(widths)
        return self._quantized[widths]

    def exact(self, widths: Widths) -> QuantizedNetwork:
        """The network with exact products; the same correction as for every other multiplier."""
        if widths not in self._exact:
            network = self.quantized(widths)
            if self._images is not None:
                reference = None if widths == self._widest else self.exact(self._widest)
                network = corrected(network, derive_correction(network, self._images, reference))
            self._exact[widths] = network
        return self._exact[widths]

    def correction(
        self, table: ProductTable, *, exact_first_last: bool = False
    ) -> Correction | None:
        """The correction of a multiplier; None where nothing is corrected."""
        if self._images is None:
            return None
        return derive_correction(
            self._emulated(table, exact_first_last), self._images, self.exact(self._widest)
        )

    def exact_layers(self, table: ProductTable) -> tuple[str, ...]:
        """Names of the layers that stay exact with `exact_first_last`."""
        tables = exact_first_and_last(self.quantized(table.widths), table)
        return tuple(name for name, given in tables.items() if given is None)

    def _emulated(self, table: ProductTable, exact_first_last: bool) -> QuantizedNetwork:
        network = self.quantized(table.widths)
        return emulate(network, exact_first_and_last(network, table) if exact_first_last else table)

    def network(
        self,
        table: ProductTable,
        correction: Correction | None = None,
        *,
        exact_first_last: bool = False,
    ) -> QuantizedNetwork:
        """The network with a multiplier in place, corrected as :meth:`correction` says, or by a
        `correction` that was derived before.
        """
        emulated = self._emulated(table, exact_first_last)
        correction = correction or self.correction(table, exact_first_last=exact_first_last)
        return emulated if correction is None else corrected(emulated, correction)

    def measure(
        self,
        multiplier: ProductTable | Widths,
        data: Dataset,
        *,
        correction: Correction | None = None,
        exact_first_last: bool = False,
        on_progress: Callable[[int, float], None] = lambda done, top1_pct: None,
    ) -> Measurement:
        """Top-1 over the images of `data` with a multiplier, or with exact products of some widths.

        `exact_first_last` multiplies exactly in the first and the last layer, as accelerators often
        do. Raises cnn_eval.emulation.EmulationError.
        """
        if isinstance(multiplier, ProductTable):
            network = self.network(multiplier, correction, exact_first_last=exact_first_last)
        else:
            network = self.exact(multiplier)
        return measure_top1(network, None, data, on_progress=on_progress)
