"""What the layers of a quantized network multiply, image by image, in one form: that of a
convolution.

A product of two activations has the form, too: every matrix of an image is a group, rows of the
first operand are pixels, and the second operand takes the place of the weights, which every image
has of its own.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from ..emulation.kernels.table_gradient import add_table_gradients
from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry
from ..quantization.products import ExactProduct, QuantizedProduct
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer
from ..quantization.quantized_network import QuantizationError, QuantizedNetwork

__all__ = ["Multiplied", "Recorder", "weight_indices"]


@dataclass(frozen=True, eq=False)
class Multiplied:
    """What one layer multiplies for a batch of n images.

    Attributes:
        codes: padded activation indices, (n, height, width, channels).
        weights: weight indices, (1, or n of a product, output channels, positions of a group).
        sums: of products, as the network has them. Gradients with respect to them can be asked for.
        product: whether it is of two activations.
    """

    name: str
    coding: OperandCoding
    geometry: Geometry
    codes: NDArray[np.uint8]
    weights: NDArray[np.uint8]
    sums: torch.Tensor
    product: bool = False

    def by_pixel(self, values: torch.Tensor) -> NDArray[np.float32]:
        """Values of the shape of the sums -> (n, output height, output width, output channels)."""
        values = values.detach().float()
        if not self.product:
            return np.ascontiguousarray(values.permute(0, 2, 3, 1).numpy())
        matrices = values.reshape(len(self.codes), -1, *values.shape[-2:])  # (n, groups, rows, o)
        return np.ascontiguousarray(matrices.transpose(1, 2).flatten(2)[:, :, None].numpy())

    def add_gradients(
        self, total: NDArray[np.float32], gradients: NDArray[np.float32], *, threads: int
    ) -> None:
        """As :func:`~cnn_eval.emulation.kernels.table_gradient.add_table_gradients`."""
        add_table_gradients(
            total, self.codes, self.weights, self.geometry, gradients, self.coding, threads=threads
        )


class Recorder:
    """Runs images through a network, and tells what its layers multiply.

    Raises:
        QuantizationError: the network is emulated.
    """

    def __init__(self, network: QuantizedNetwork) -> None:
        if any(not isinstance(one.sums, ExactProduct) for one in network.products.values()):
            raise _emulated()
        self._network = network
        self._layers, self._multiplications = network.layers, network.multiplications
        self._weights = {name: weight_indices(layer) for name, layer in self._layers.items()}

    def run(self, images: torch.Tensor) -> tuple[torch.Tensor, list[Multiplied]]:
        """Normalized images -> logits, and the layers in the order of computation; both carry
        gradients.

        Raises:
            QuantizationError: a layer's input has no axis of the images in front.
        """
        records: list[tuple[str, tuple[torch.Tensor, ...], torch.Tensor]] = []

        def record(
            name: str, layer: nn.Module, args: tuple[torch.Tensor, ...], sums: torch.Tensor
        ) -> None:
            # Integer inputs do not require gradients in the first layer; its sums are made to.
            if not sums.requires_grad:
                sums.requires_grad_()
            records.append((name, tuple(operand.detach() for operand in args), sums))

        there = self._multiplications
        # With gradients, layers take all images at once.
        with ExitStack() as stack, torch.enable_grad():
            for name, layer in there.items():
                hook = layer.sums.register_forward_hook(partial(record, name))
                stack.callback(hook.remove)
            logits = self._network(images)
        return logits, [
            self._of_product(name, there[name], operands, sums, len(images))
            if name not in self._weights
            else self._of_layer(name, operands[0], sums, len(images))
            for name, operands, sums in records
        ]

    def _of_layer(
        self, name: str, values: torch.Tensor, sums: torch.Tensor, images: int
    ) -> Multiplied:
        if len(values) != images:
            raise QuantizationError(
                f"layer {name!r} sees {len(values)} inputs for {images} images; a profile needs "
                "images along the first axis of every layer's input"
            )
        exact = _exact(self._layers[name])
        low, _ = exact.coding.activation_range
        index = functional.pad((values - low).to(torch.uint8), exact.padding, value=-low)
        codes = np.ascontiguousarray(index.permute(0, 2, 3, 1).numpy())
        weights = self._weights[name]
        flat = weights.reshape(1, len(weights), -1)
        return Multiplied(name, exact.coding, exact.geometry, codes, flat, sums)

    def _of_product(
        self,
        name: str,
        layer: QuantizedLayer | QuantizedProduct,
        operands: tuple[torch.Tensor, ...],
        sums: torch.Tensor,
        images: int,
    ) -> Multiplied:
        first, second = operands
        batch = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
        if not batch or batch[0] % images:
            raise QuantizationError(
                f"layer {name!r} multiplies {batch[0] if batch else 1} matrices for {images} "
                "images; a profile needs images along the first axis of every layer's input"
            )
        coding = layer.coding
        codes, weights = (
            _indices(operand.expand(*batch, -1, -1), images, limits[0])
            for operand, limits in (
                (first, coding.activation_range),
                (second.mT, coding.weight_range),
            )
        )
        groups = weights.shape[1]
        geometry = Geometry((1, 1), groups=groups)
        flat = weights.reshape(images, -1, weights.shape[-1])
        return Multiplied(
            name,
            coding,
            geometry,
            # A pixel is a row of all groups.
            np.ascontiguousarray(codes.transpose(0, 2, 1, 3)).reshape(
                images, codes.shape[2], 1, -1
            ),
            flat,
            sums,
            product=True,
        )


def weight_indices(layer: QuantizedLayer) -> NDArray[np.uint8]:
    """Weights counted from the least, (o, channels of a group, kernel height, kernel width).

    Raises:
        QuantizationError: the layer is emulated.
    """
    exact = _exact(layer)
    found: NDArray[np.uint8] = (exact.weight - exact.coding.weight_range[0]).to(torch.uint8).numpy()
    return found


def _indices(matrices: torch.Tensor, images: int, low: int) -> NDArray[np.uint8]:
    """Integers (..., rows, columns) counted from `low`, (images, groups, rows, columns)."""
    index = (matrices - low).to(torch.uint8)
    found: NDArray[np.uint8] = index.reshape(images, -1, *index.shape[-2:]).numpy()
    return found


def _exact(layer: QuantizedLayer) -> ExactConvolution:
    if not isinstance(layer.sums, ExactConvolution):
        raise _emulated()
    return layer.sums


def _emulated() -> QuantizationError:
    return QuantizationError("a profile is made of the quantized network, not of an emulated one")
