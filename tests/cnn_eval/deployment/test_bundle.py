"""Bundles, read by a reader of their own, against the corrected network under emulation."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn

from cnn_eval.deployment import (
    ARRAYS_FILE,
    DESCRIPTION_FILE,
    Deployment,
    DeploymentError,
    deployment,
)
from cnn_eval.emulation import emulate
from cnn_eval.quantization import (
    QuantizedNetwork,
    Reference,
    corrected,
    derive_correction,
    quantize,
)
from cnn_eval.zoo import zoo_network
from hdl.files import FileError
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

WIDTHS = dict.fromkeys(OperandEncoding, Widths(6, 5)) | {
    OperandEncoding.SIGN_MAGNITUDE: Widths(5, 4)
}


def logits(folder: Path, images: NDArray[Any]) -> NDArray[Any]:
    """Normalized images (n, channels, height, width) -> (n, classes), with nothing but numpy: a
    second formulation.
    """
    about, arrays = (
        json.loads((folder / "network.json").read_text()),
        load_file(folder / "arrays.safetensors"),
    )
    layers = {layer["name"]: layer for layer in about["layers"]}
    known: dict[str, NDArray[Any]] = {}
    for one in about["operations"]:
        x, *others = [known[name] for name in one["inputs"]] or [images]
        per_channel = (1, -1, 1, 1)[: x.ndim]
        match one["kind"]:
            case "multiply":
                x = multiply(about, layers[one["layer"]], arrays, x)
            case "affine":
                scale, bias = (
                    arrays[f"operation.{one['name']}.{what}"].reshape(per_channel)
                    for what in ("scale", "bias")
                )
                x = x * scale + bias
            case "add":
                x = x + others[0]
            case "relu" | "relu6":
                x = np.clip(x, 0, 6 if one["kind"] == "relu6" else None)
            case "max_pool" | "average_pool":
                maximum, (top, left) = one["kind"] == "max_pool", one["padding"]
                x = np.pad(
                    x,
                    ((0, 0), (0, 0), (top, top), (left, left)),
                    constant_values=-np.inf if maximum else 0,
                )
                windows = np.lib.stride_tricks.sliding_window_view(x, one["kernel"], (2, 3))[
                    :, :, :: one["stride"][0], :: one["stride"][1]
                ]
                x = windows.max((4, 5)) if maximum else windows.mean((4, 5))
            case "global_average":
                x = x.mean((2, 3), keepdims=True)
            case "flatten":
                x = x.reshape(len(x), -1)
        known[one["name"]] = x
    return x


def multiply(
    about: Any, layer: Any, arrays: dict[str, NDArray[Any]], x: NDArray[Any]
) -> NDArray[Any]:
    table = arrays[f"table.{layer['multiplier']}"].astype(np.int64)
    weight, scale, bias = (
        arrays[f"layer.{layer['name']}.{what}"] for what in ("weight", "scale", "bias")
    )
    x = x[:, :, None, None] if layer["linear"] else x
    (left, right, top, bottom), (down, across), (step_y, step_x) = (
        layer["padding"],
        layer["stride"],
        layer["dilation"],
    )
    x = np.rint(
        np.clip(x / np.float32(layer["activation_scale"]), layer["smallest"], layer["largest"])
    ).astype(np.int64)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    extent = [
        (size - 1) * step + 1 for size, step in zip(weight.shape[2:], (step_y, step_x), strict=True)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(x, extent, (2, 3))[
        :, :, ::down, ::across, ::step_y, ::step_x
    ]
    sums, share, inputs = [], len(weight) // layer["groups"], weight.shape[1]
    for channel, w in enumerate(weight.astype(np.int64)):
        first = channel // share * inputs
        values, w = windows[:, first : first + inputs], w[:, None, None]
        if about["encoding"] == "twos_complement":
            products = table[values % len(table), w % table.shape[1]]
        elif about["encoding"] == "sign_magnitude":
            products = np.where((values < 0) != (w < 0), -1, 1) * table[abs(values), abs(w)]
        else:
            u, v = values + layer["zero_point"], w + table.shape[1] // 2
            products = table[u, v] - u * v + values * w
        sums.append(products.sum((1, 4, 5)))
    y = np.stack(sums, 1).astype(np.float32) * scale[:, None, None] + bias[:, None, None]
    return y[:, :, 0, 0] if layer["linear"] else y


class Branches(nn.Module):
    """Every operation that a bundle has a word for."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.left = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.AvgPool2d(2, padding=1)
        self.late = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(self.norm(self.left(x)) + x)
        x = nn.functional.adaptive_avg_pool2d(self.late(self.pool(x + x)), 1)
        return self.head(torch.flatten(x, 1))


def multiplier(encoding: OperandEncoding, widths: Widths) -> ProductTable:
    """Two bits are missing, and even activations add 1, the padding among them."""
    exact = ProductTable.exact(widths, encoding.signed).products
    return ProductTable(
        (exact >> 2 << 2) + 1 - np.arange(1 << widths.a, dtype=np.int32)[:, None] % 2,
        encoding.signed,
        "coarse",
    )


def in_place(quantized: QuantizedNetwork, x: torch.Tensor) -> tuple[Deployment, QuantizedNetwork]:
    table = multiplier(quantized.encoding, quantized.widths)
    emulated = emulate(quantized, table)
    exact = corrected(quantized, derive_correction(quantized, x))
    correction = derive_correction(emulated, x, Reference.of(exact, x))
    return deployment(quantized, table, correction, "tiny"), corrected(emulated, correction)


@functools.cache
def tiny(encoding: OperandEncoding) -> tuple[Deployment, QuantizedNetwork, torch.Tensor]:
    torch.manual_seed(0)
    model, x = Branches().train(), torch.randn(24, 3, 17, 17)
    for _ in range(20):
        model(x)
    quantized = quantize(model.eval(), x, encoding, widths=WIDTHS[encoding])
    return *in_place(quantized, x), x


@pytest.mark.parametrize("encoding", list(OperandEncoding))
def test_a_reader_that_shares_nothing_computes_the_same_logits(
    encoding: OperandEncoding, tmp_path: Path
) -> None:
    bundle, network, x = tiny(encoding)
    bundle.save(tmp_path)
    with torch.inference_mode():
        expected = network(x).numpy()
    found = logits(tmp_path, x.numpy())
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_a_multiplier_for_each_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Branches().train(), torch.randn(24, 3, 17, 17)
    for _ in range(20):
        model(x)
    encoding = OperandEncoding.SIGN_MAGNITUDE
    widths = {"stem.0": Widths(6, 4), "left": Widths(4, 3), "head": Widths(6, 4)}
    quantized = quantize(model.eval(), x, encoding, widths=widths)
    tables = {layer: multiplier(encoding, one) for layer, one in widths.items()}
    emulated = emulate(quantized, tables)
    correction = derive_correction(emulated, x, Reference.of(quantized, x))
    bundle = deployment(quantized, tables, correction, "tiny")
    assert [one.widths for one in bundle.tables] == [Widths(6, 4), Widths(4, 3)]
    bundle.save(tmp_path)
    with torch.inference_mode():
        expected = corrected(emulated, correction)(x).numpy()
    assert np.abs(logits(tmp_path, x.numpy()) - expected).max() < 1e-4
    assert [layer.multiplier for layer in Deployment.load(tmp_path).layers] == [0, 1, 0]


@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
@pytest.mark.slow
def test_networks_of_the_zoo(name: str, tmp_path: Path) -> None:
    trained = zoo_network(name)
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bundle, network = in_place(
        quantize(trained.model, x, OperandEncoding.SIGN_MAGNITUDE, widths=Widths(5, 4)), x
    )
    bundle.save(tmp_path)
    with torch.inference_mode():
        expected = network(x[:3]).numpy()
    found = logits(tmp_path, x[:3].numpy())
    assert np.abs(found - expected).max() < 1e-4
    assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_it_reads_back_what_was_written(tmp_path: Path) -> None:
    bundle, _, _ = tiny(OperandEncoding.SIGN_MAGNITUDE)
    bundle.save(tmp_path)
    again = Deployment.load(tmp_path)
    assert (again.network, again.encoding, again.layers, again.operations) == (
        bundle.network,
        bundle.encoding,
        bundle.layers,
        bundle.operations,
    )
    assert [(one.name, one.sha256) for one in again.tables] == [
        (one.name, one.sha256) for one in bundle.tables
    ]
    for name, gain in bundle.correction.gains.items():
        assert np.array_equal(again.correction.gains[name], gain)
        assert np.array_equal(again.correction.offsets[name], bundle.correction.offsets[name])
    # Normalization went into the layer before it, but for the one behind a pooling.
    assert [one.name for one in again.operations if one.kind == "affine"] == ["late"]


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((folder / DESCRIPTION_FILE).read_text())
    change(about)
    (folder / DESCRIPTION_FILE).write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.update(format=9), "another version of ameliorate"),
        (
            lambda about: about["multipliers"][0].update(width_a=4),
            "the table is not of 4x4 operands",
        ),
        (
            lambda about: about["layers"][1].update(largest=15),
            "integers out of the range of 5x4 operands",
        ),
        (
            lambda about: about["layers"][1].update(multiplier=1),
            "has a multiplier that is not there",
        ),
        (lambda about: about["layers"].pop(), "is missing or too many"),
        (lambda about: about["layers"][0].update(activation_scale=0), "impossible scale"),
        (lambda about: about["operations"].reverse(), "is out of place"),
        (
            lambda about: about["operations"][1].update(inputs=["nothing"]),
            "takes what is not there",
        ),
        (lambda about: about.update(more=1), "unknown key more"),
    ],
)
def test_a_damaged_description_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    tiny(OperandEncoding.SIGN_MAGNITUDE)[0].save(tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises((DeploymentError, FileError), match=message):
        Deployment.load(tmp_path)


def test_arrays_of_another_bundle_are_refused(tmp_path: Path) -> None:
    tiny(OperandEncoding.SIGN_MAGNITUDE)[0].save(tmp_path)
    arrays = load_file(tmp_path / ARRAYS_FILE)
    save_file(
        {name: array for name, array in arrays.items() if name != "table.0"}, tmp_path / ARRAYS_FILE
    )
    with pytest.raises(DeploymentError, match=r"is not of the arrays\.safetensors beside it"):
        Deployment.load(tmp_path)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(3, 4, 3), nn.Sigmoid()], r"no word for the operation Sigmoid\(\)"),
        ([nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")], "pads with 'reflect'"),
    ],
)
def test_what_a_bundle_cannot_say_is_refused(layers: list[nn.Module], message: str) -> None:
    x = torch.randn(4, 3, 8, 8)
    quantized = quantize(
        nn.Sequential(*layers), x, OperandEncoding.SIGN_MAGNITUDE, widths=Widths(5, 4)
    )
    with pytest.raises(DeploymentError, match=message):
        in_place(quantized, x)
