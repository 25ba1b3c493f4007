"""The scales that a network is quantized with, as a network profile holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hdl.operands import OperandEncoding

from .coding import OperandCoding

__all__ = ["LayerScale", "NetworkScales"]


class LayerScale(Protocol):
    """One layer: its name in the network, how its operands are coded, what an activation integer is
    worth, what one of the second operand is worth in a product of two activations (0 in layers with
    weights), and products per output.
    """

    @property
    def name(self) -> str: ...
    @property
    def coding(self) -> OperandCoding: ...
    @property
    def activation_scale(self) -> float: ...
    @property
    def second_scale(self) -> float: ...
    @property
    def products_per_output(self) -> int: ...


class NetworkScales(Protocol):
    """All layers, and what they share: `mean` and `std` normalize images in [0, 1]; `per_channel`
    is of weight scales; `rounding_sha256` is of the learned rounding of the weights, empty for the
    nearest integers."""

    @property
    def network(self) -> str: ...
    @property
    def encoding(self) -> OperandEncoding: ...
    @property
    def width_a(self) -> int: ...
    @property
    def width_b(self) -> int: ...
    @property
    def rounding_sha256(self) -> str: ...
    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...
    @property
    def per_channel(self) -> bool: ...
    @property
    def layers(self) -> Sequence[LayerScale]: ...
