"""Learned roundings: their file, what damages it, and what they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cnn_eval.quantization.learned_rounding import learn_rounding
from cnn_eval.quantization.quantized_layer import ExactConvolution, quantize_weights
from cnn_eval.quantization.quantized_network import QuantizationError, quantize
from cnn_eval.quantization.rounding import Rounding, RoundingError
from hdl.operands import OperandEncoding, Widths


def rounding() -> Rounding:
    rng = np.random.default_rng(0)
    return Rounding(
        {limit: {"first": rng.integers(-1, 2, (4, 27)).astype(np.int8)} for limit in (3, 1)}
    )


def test_saving(tmp_path: Path) -> None:
    made = rounding()
    made.save(tmp_path / "a.npz")
    loaded = Rounding.load(tmp_path / "a.npz")
    for limit in (1, 3):
        found, wanted = loaded.of("first", limit), made.of("first", limit)
        assert found is not None
        assert wanted is not None
        np.testing.assert_array_equal(found, wanted)
    assert loaded.of("first", 7) is None
    assert loaded.of("second", 1) is None
    assert loaded.sha256() == made.sha256()
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_digest_is_of_every_difference() -> None:
    made, other = rounding(), rounding()
    other.differences[1]["first"][3, 26] += 1  # type: ignore[index]
    renamed = Rounding(
        {limit: {"second": layers["first"]} for limit, layers in made.differences.items()}
    )
    assert len({made.sha256(), other.sha256(), renamed.sha256()}) == 3


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    message = r"a\.npz' is not a rounding of weights .*; make one with `dse profile`"
    with pytest.raises(RoundingError, match=message):
        Rounding.load(path)
    rounding().save(path)
    whole = path.read_bytes()
    for damaged in (
        b"",
        b"nothing",
        whole[:100],
        whole[:-30],
        whole[:80] + bytes(20) + whole[100:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(RoundingError, match=message):
            Rounding.load(path)
    np.save(tmp_path / "plain.npy", np.zeros((3, 3), np.int8))
    path.write_bytes((tmp_path / "plain.npy").read_bytes())
    with pytest.raises(RoundingError, match=message):
        Rounding.load(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"1/first": np.zeros((3, 3))},
        {"1/first": np.zeros(3, np.int8)},
        {"first": np.zeros((3, 3), np.int8)},
        {"1/first": np.array([[None]], object)},
    ],
    ids=["floats", "vector", "no range", "pickle"],
)
def test_files_of_other_arrays(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(RoundingError, match="not a rounding of weights"):
        Rounding.load(tmp_path / "a.npz")


def small() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 8, 3, stride=2, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    # Neighbouring pixels are alike, as those of pictures are: errors of neighbouring weights can
    # cancel.
    images = functional.interpolate(torch.rand(64, 3, 3, 3), size=(10, 10), mode="bilinear")
    return model.eval(), images


@pytest.mark.parametrize("largest", [1, 3, 7])
def test_learned_sums_are_nearer_than_those_of_nearest_weights(largest: int) -> None:
    model, images = small()
    network = quantize(model, images, OperandEncoding.SIGN_MAGNITUDE)
    weights = {name: model.get_submodule(name).weight for name in network.layers}
    learned = learn_rounding(network, weights, images[:48], [largest])
    for name, layer in network.layers.items():
        seen: list[torch.Tensor] = []
        handle = layer.sums.register_forward_pre_hook(
            lambda _, args, seen=seen: seen.append(args[0])
        )
        with torch.inference_mode():
            network(images)
        handle.remove()
        weight = weights[name].detach()
        weight = weight[:, :, None, None] if weight.ndim == 2 else weight
        nearest, scale = quantize_weights(weight, largest, per_channel=True)
        difference = learned.of(name, largest)
        assert difference is not None
        integers = nearest + torch.from_numpy(difference).reshape(nearest.shape)
        assert integers.abs().max() <= largest
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        geometry = exact.geometry
        errors = []
        for chosen in (nearest, integers):
            wrong = chosen * scale[:, None, None, None] - weight
            sums = functional.conv2d(
                functional.pad(seen[0], exact.padding),
                wrong,
                stride=geometry.stride,
                groups=geometry.groups,
            )
            errors.append(float(sums.detach().var((0, 2, 3)).mean()))
        assert errors[1] < 0.9 * errors[0]


def test_learning_is_repeatable_and_tells_how_far_it_is() -> None:
    model, images = small()
    network = quantize(model, images, OperandEncoding.SIGN_MAGNITUDE)
    weights = {name: model.get_submodule(name).weight for name in network.layers}
    seen: list[tuple[int, int]] = []
    once, again = (
        learn_rounding(network, weights, images, (1, 3), on_layer=lambda *args: seen.append(args))
        for _ in range(2)
    )
    assert once.sha256() == again.sha256()
    assert seen == [(0, 3), (1, 3), (2, 3)] * 2


def test_quantization_takes_the_learned_weights() -> None:
    model, images = small()
    widths = Widths(6, 2)
    learned = learn_rounding(
        network := quantize(model, images, OperandEncoding.SIGN_MAGNITUDE),
        {name: model.get_submodule(name).weight for name in network.layers},
        images,
        [3],
    )
    plain, rounded = (
        quantize(model, images, OperandEncoding.SIGN_MAGNITUDE, widths=widths, rounding=one)
        for one in (None, learned)
    )
    for name, layer in rounded.layers.items():
        moved = (layer.sums.weight - plain.layers[name].sums.weight).flatten(1).numpy()
        np.testing.assert_array_equal(moved, learned.of(name, 3))
        assert torch.equal(layer.weight_scale, plain.layers[name].weight_scale)
    wider = quantize(
        model, images, OperandEncoding.SIGN_MAGNITUDE, widths=Widths(6, 3), rounding=learned
    )
    assert torch.equal(
        wider.layers["0"].sums.weight,
        quantize(model, images, OperandEncoding.SIGN_MAGNITUDE, widths=Widths(6, 3))
        .layers["0"]
        .sums.weight,
    )


def test_roundings_of_other_weights_are_refused() -> None:
    model, images = small()
    for differences in (np.zeros((12, 26), np.int8), np.full((12, 27), 9, np.int8)):
        with pytest.raises(
            QuantizationError,
            match=r"the rounding does not fit layer '0'; make it anew with `dse profile`",
        ):
            quantize(
                model,
                images,
                OperandEncoding.SIGN_MAGNITUDE,
                widths=Widths(6, 2),
                rounding=Rounding({3: {"0": differences}}),
            )
