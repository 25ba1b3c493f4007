"""Networks whose layers have operands of different widths."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from .quantized_network import QuantizationError, QuantizedNetwork

__all__ = ["mixed"]


def mixed(network: QuantizedNetwork, by_layer: Mapping[str, QuantizedNetwork]) -> QuantizedNetwork:
    """A copy of `network` whose layers, and products of two activations, multiply as those of the
    same name in other networks do.

    Args:
        by_layer: layer -> the network it is taken from: the same one, quantized to other widths, no
            wider than those of `network`.

    Raises:
        QuantizationError: an unknown layer.
    """
    found = copy.deepcopy(network)
    there = network.multiplications
    for name, other in by_layer.items():
        source = other.multiplications
        if name not in there or name not in source:
            raise QuantizationError(
                f"no layer {name!r} in the network; its layers are {', '.join(there)}"
            )
        found.model.set_submodule(name, copy.deepcopy(source[name]))
    return found
