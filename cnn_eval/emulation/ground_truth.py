"""A network's accuracy with any multiplier, corrected: what every prediction is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hdl.operands import Widths
from hdl.tables import ProductTable

from ..datasets import Dataset, normalize
from ..datasets.dataset import SMALL_PX
from ..quantization.correction import Correction, Reference, corrected, derive_correction
from ..quantization.mixing import mixed
from ..quantization.quantized_network import QuantizedNetwork
from .measurement import Measurement, emulate, exact_first_and_last, measure_top1

__all__ = ["GroundTruth", "Multipliers"]

#: The multiplier of all layers, or that of each.
Multipliers: TypeAlias = ProductTable | Mapping[str, ProductTable]

#: What corrections look up to is kept unless it takes more: all layers of a network without batch
#: normalization, over hundreds of images.
_MOST_KEPT_BYTES = 1 << 30


class GroundTruth:
    """Measures a network in one number format with multipliers of any operand widths, in all layers
    the same, or in each another one.

    Args:
        quantized: the network with exact products, for operands of (width_a, width_b) bits.
        widest: operand widths of the network that corrections look up to, an attribute, too.
        correction: unlabelled images to correct on; None measures networks as they are. Large ones
            are few (:class:`~cnn_eval.datasets.ImageRoles`).
    """

    def __init__(
        self,
        quantized: Callable[[Widths], QuantizedNetwork],
        widest: Widths,
        correction: Dataset | None,
    ) -> None:
        self._quantize, self.widest = quantized, widest
        self._quantized: dict[Widths, QuantizedNetwork] = {}
        self._exact: dict[Widths, QuantizedNetwork] = {}
        self._images, self._few = None, False
        self._known_reference: Reference | None = None
        if correction is not None:
            network = self.quantized(widest)
            self._images = normalize(correction.images, network.mean, network.std)
            self._few = max(correction.images.shape[1:3]) > SMALL_PX

    @property
    def correcting(self) -> bool:
        """Whether networks are corrected."""
        return self._images is not None

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation that each channel of images in [0, 1] is normalized with."""
        network = self.quantized(self.widest)
        return network.mean, network.std

    @property
    def names(self) -> tuple[str, ...]:
        """The network's layers and products of two activations: what has a multiplier."""
        return tuple(self.quantized(self.widest).multiplications)

    def quantized(self, widths: Widths | Mapping[str, Widths]) -> QuantizedNetwork:
        """The network with exact products, not corrected; `widths` of all layers, or of each."""
        if not isinstance(widths, Widths):
            by_layer = {name: self.quantized(one) for name, one in widths.items()}
            return mixed(self.quantized(self.widest), by_layer)
        if widths not in self._quantized:
            self._quantized[widths] = self._quantize(widths)
        return self._quantized[widths]

    def exact(self, widths: Widths | Mapping[str, Widths]) -> QuantizedNetwork:
        """The network with exact products; the same correction as for every other multiplier."""
        if not isinstance(widths, Widths):
            return self._exact_corrected(widths)
        if widths not in self._exact:
            self._exact[widths] = self._exact_corrected(widths)
        return self._exact[widths]

    def _exact_corrected(self, widths: Widths | Mapping[str, Widths]) -> QuantizedNetwork:
        network = self.quantized(widths)
        if self._images is None:
            return network
        if widths != self.widest:
            correction = derive_correction(network, self._images, self._reference())
        elif self._few:
            correction = Correction.none(network)
        else:
            correction = derive_correction(network, self._images)
        return corrected(network, correction)

    def correction(
        self, multipliers: Multipliers, *, exact_first_last: bool = False
    ) -> Correction | None:
        """The correction of a multiplier, or of those of all layers; None where nothing is
        corrected.
        """
        if self._images is None:
            return None
        network = self._emulated(multipliers, exact_first_last)
        return derive_correction(network, self._images, self._reference())

    def _reference(self) -> Reference:
        """What the network with exact products of the widest operands makes of the images."""
        if self._known_reference is not None:
            return self._known_reference
        assert self._images is not None
        found = Reference.of(self.exact(self.widest), self._images, few=self._few)
        if found.size_bytes <= _MOST_KEPT_BYTES:
            self._known_reference = found
        return found

    def exact_layers(self, table: ProductTable) -> tuple[str, ...]:
        """Names of the layers that stay exact with `exact_first_last`."""
        tables = exact_first_and_last(self.quantized(table.widths), table)
        return tuple(name for name, given in tables.items() if given is None)

    def _emulated(self, multipliers: Multipliers, exact_first_last: bool) -> QuantizedNetwork:
        if not isinstance(multipliers, ProductTable):
            widths = {name: table.widths for name, table in multipliers.items()}
            return emulate(self.quantized(widths), multipliers)
        network = self.quantized(multipliers.widths)
        return emulate(
            network,
            exact_first_and_last(network, multipliers) if exact_first_last else multipliers,
        )

    def network(
        self,
        multipliers: Multipliers,
        correction: Correction | None = None,
        *,
        exact_first_last: bool = False,
    ) -> QuantizedNetwork:
        """The network with multipliers in place, corrected as :meth:`correction` says, or by a
        `correction` that was derived before. `exact_first_last` is for one multiplier of all
        layers.
        """
        emulated = self._emulated(multipliers, exact_first_last)
        correction = correction or self.correction(multipliers, exact_first_last=exact_first_last)
        return emulated if correction is None else corrected(emulated, correction)

    def measure(
        self,
        multipliers: Multipliers | Widths,
        data: Dataset,
        *,
        correction: Correction | None = None,
        exact_first_last: bool = False,
        on_progress: Callable[[int, float], None] = lambda done, top1_pct: None,
    ) -> Measurement:
        """Top-1 over the images of `data` with multipliers, or with exact products of some widths.

        `exact_first_last` multiplies exactly in the first and the last layer, as accelerators often
        do. Raises cnn_eval.emulation.EmulationError.
        """
        if isinstance(multipliers, Widths):
            network = self.exact(multipliers)
        else:
            network = self.network(multipliers, correction, exact_first_last=exact_first_last)
        return measure_top1(network, None, data, on_progress=on_progress)
