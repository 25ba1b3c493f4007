"""The products of matrices that a network's layers are, against the network itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval import zoo
from cnn_eval.prediction import NetworkProfile, ProfileError, dot_products, layer_shapes
from cnn_eval.zoo.shapes import with_channels
from hdl.operands import OperandEncoding

SIGN_MAGNITUDE = OperandEncoding.SIGN_MAGNITUDE


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet18", "vgg11", "resnet8-fashion"])
def test_shapes_are_those_of_the_network_that_ships(name: str) -> None:
    corrected = zoo.is_corrected(name, SIGN_MAGNITUDE)
    found = layer_shapes(zoo.load_profile(name, SIGN_MAGNITUDE, corrected=corrected))
    model, card = zoo.load_model(name)
    seen: list[tuple[str, int, int, int, int]] = []

    def watch(name: str, layer: nn.Module) -> None:
        def record(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
            pixels = int(np.prod(output.shape[2:]))
            weight = layer.weight
            assert isinstance(weight, torch.Tensor)
            terms = weight[0].numel()
            seen.append((name, pixels, output.shape[1] // groups, terms, groups))

        layer.register_forward_hook(record)

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            watch(name, layer)
    with torch.no_grad():
        model(torch.zeros(1, len(card.mean), card.image_px, card.image_px))
    own = [(one.name, one.pixels, one.channels, one.terms, one.groups) for one in found]
    assert sorted(own) == sorted(seen)


def test_groups_are_products_of_their_own() -> None:
    profile = zoo.load_profile("resnet8", SIGN_MAGNITUDE)
    first = replace(
        profile.layers[0], macs=9 * 64 * 24, products_per_output=9, output_channels=24, groups=24
    )
    shape = layer_shapes(replace(profile, layers=(first,)))[0]
    assert (shape.pixels, shape.channels, shape.terms, shape.groups) == (64, 1, 9, 24)
    assert (shape.outputs, shape.macs) == (64 * 24, 9 * 64 * 24)


def test_what_a_profile_says_stays_and_what_it_does_not_say_is_refused(tmp_path: Path) -> None:
    profile = zoo.load_profile("resnet8", SIGN_MAGNITUDE)
    profile.save(tmp_path / "known.npz")
    known = NetworkProfile.load(tmp_path / "known.npz")
    assert layer_shapes(known) == layer_shapes(profile)
    layers = tuple(replace(layer, output_channels=0, groups=0) for layer in profile.layers)
    unknown = replace(profile, layers=layers)
    assert layer_shapes(with_channels(unknown, zoo.weights_path("resnet8"))) == layer_shapes(known)
    with pytest.raises(
        ProfileError,
        match=r"^the profile of 'resnet8' does not say how many channels come out of layer 'conv1'",
    ):
        layer_shapes(unknown)


def test_every_profile_that_ships_says_how_zeros_follow_zeros(tmp_path: Path) -> None:
    """In the widest one beside the share of zeros: in groups along pixels above all."""
    for path in sorted(zoo.weights_path("resnet8").parent.glob("*.profile.npz")):
        profile = NetworkProfile.load(path)
        assert dot_products(profile).zero_after_zero is not None, path.name
    profile = zoo.load_profile("resnet20", SIGN_MAGNITUDE)
    work = dot_products(profile)
    assert work.zero_after_zero is not None
    terms, pixels = work.zero_after_zero
    convolutions = [layer.name != "fc" for layer in profile.layers]
    share = work.operands.a[:, 0]
    assert (pixels > share)[convolutions].all()
    assert (pixels - share)[convolutions].mean() > 0.15 > np.abs(terms - share).mean()
    profile.save(tmp_path / "saved.npz")
    again = dot_products(NetworkProfile.load(tmp_path / "saved.npz"))
    np.testing.assert_array_equal(again.zero_after_zero, work.zero_after_zero)


def test_a_profile_that_does_not_say_how_zeros_follow_zeros_is_refused() -> None:
    profile = zoo.load_profile("resnet8", SIGN_MAGNITUDE)
    older = replace(profile, layers=(replace(profile.layers[0], zero_after_zero=()),))
    with pytest.raises(
        ProfileError,
        match=r"^the profile of 'resnet8' does not say how often zeros follow zeros in layer "
        r"'conv1', .*; make it again with `dse profile`$",
    ):
        dot_products(older)


@pytest.mark.parametrize("wrong", [(0.5,), (0.5, 1.5), (-0.1, 0.5), ("0.5", 0.5)])
def test_what_is_no_probability_is_refused(tmp_path: Path, wrong: tuple[float, ...]) -> None:
    profile = zoo.load_profile("resnet8", SIGN_MAGNITUDE)
    layers = (replace(profile.layers[0], zero_after_zero=wrong), *profile.layers[1:])
    replace(profile, layers=layers).save(tmp_path / "wrong.npz")
    with pytest.raises(ProfileError, match="zero_after_zero is not two probabilities"):
        NetworkProfile.load(tmp_path / "wrong.npz")
