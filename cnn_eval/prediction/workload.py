"""A network's dot products as a multiply-accumulate element sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.elements import DotProducts, LayerShape
from hdl.operands import OperandDistribution, OperandEncoding

from .profile import NetworkProfile, ProfileError

__all__ = ["dot_products", "layer_shapes", "macs_per_image"]


def dot_products(profile: NetworkProfile) -> DotProducts:
    """Operand codes layer by layer, with the sign as the highest bit where it stands beside a
    magnitude, products per sum, and how zeros follow each other. Raises ProfileError where the
    profile does not say that.
    """
    for layer in profile.layers:
        if not layer.zero_after_zero:
            raise ProfileError(
                f"the profile of {profile.network!r} does not say how often zeros follow zeros in "
                f"layer {layer.name!r}, which the energy of an element depends on; make it again "
                "with `dse profile`"
            )
    signs = int(profile.encoding is OperandEncoding.SIGN_MAGNITUDE)
    a = [
        _codes(*layer.coding.activation_codes(), layer.activations, profile.width_a, signs)
        for layer in profile.layers
    ]
    b = [
        _codes(*layer.coding.weight_codes(), layer.weights, profile.width_b, signs)
        for layer in profile.layers
    ]
    operands = OperandDistribution.from_counts(
        np.array([layer.macs for layer in profile.layers]),
        np.stack(a),
        np.stack(b),
        f"{profile.network} on {profile.data}, {profile.encoding}",
    )
    return DotProducts(
        operands,
        np.array([layer.products_per_output for layer in profile.layers]),
        np.array([layer.zero_after_zero for layer in profile.layers]).T,
    )


def macs_per_image(profile: NetworkProfile) -> int:
    """Multiply-accumulates of one inference."""
    return sum(layer.macs for layer in profile.layers)


def layer_shapes(profile: NetworkProfile) -> list[LayerShape]:
    """The products of matrices that the layers are, for one image. Raises ProfileError where the
    profile does not say how many channels come out.
    """
    shapes = []
    for layer in profile.layers:
        channels, groups = layer.output_channels, layer.groups
        outputs, rest = divmod(layer.macs, layer.products_per_output)
        if not channels or not groups or rest or outputs % channels or channels % groups:
            raise ProfileError(
                f"the profile of {profile.network!r} does not say how many channels come out of "
                f"layer {layer.name!r}, which an array has to know; make it again with `dse "
                "profile`"
            )
        shapes.append(
            LayerShape(
                layer.name,
                outputs // channels,
                channels // groups,
                layer.products_per_output,
                groups,
            )
        )
    return shapes


def _codes(
    codes: NDArray[np.int64],
    negative: NDArray[np.int64],
    histogram: NDArray[np.float64],
    width: int,
    signs: int,
) -> NDArray[np.float64]:
    """The histogram over values as one over operand codes with `signs` bits of sign in front,
    (2^(width + signs),).

    Args:
        negative: sign beside the multiplier of each value, -1 or 1.
    """
    places = codes | np.where(negative < 0, 1 << width, 0)
    return np.bincount(places, weights=histogram, minlength=1 << width + signs).astype(np.float64)
