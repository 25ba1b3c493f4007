"""Output channels of layers whose profiles are older than that they say so: from the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..prediction.layer_profile import LayerProfile
from ..prediction.profile import NetworkProfile

__all__ = ["with_channels"]


def with_channels(profile: NetworkProfile, weights: Path) -> NetworkProfile:
    """The profile with the output channels of its layers by the shapes of `weights`, a file of a
    network without groups; as it is where it says them, or the file is of something else.
    """
    if all(layer.output_channels for layer in profile.layers) or not weights.is_file():
        return profile
    from safetensors import safe_open

    with safe_open(weights, framework="np") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118

    def completed(layer: LayerProfile) -> LayerProfile:
        channels, *rest = shapes.get(f"{layer.name}.weight", [0])
        terms = 1
        for side in rest:
            terms *= side
        fits = terms == layer.products_per_output
        return replace(layer, output_channels=channels, groups=1) if fits else layer

    return replace(profile, layers=tuple(map(completed, profile.layers)))
