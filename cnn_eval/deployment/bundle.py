"""A corrected network on disk: a JSON file that says what is computed, and its arrays as
safetensors.

For every layer, activations become integers, ``x = round(clip(activation / activation_scale,
smallest, largest))`` (half to even), and an output is ``sum of products * scale + bias`` in
float32. With T the table of the layer's multiplier, the product of an activation integer x and a
weight integer w is

* two's complement: ``T[x mod 2^width_a, w mod 2^width_b]``
* sign-magnitude: ``sign(x) sign(w) T[|x|, |w|]``; where an integer is 0, its sign is 1
* unsigned: ``T[u, v] - u * v + x * w`` with ``u = x + zero_point`` and ``v = w + 2^(width_b - 1)``.

Scale and bias have the correction and the batch normalization in them; the correction stands beside
them, too. The arrays:

* ``table.NUMBER`` of each multiplier: int32, (2^width_a, 2^width_b)
* ``layer.NAME.weight``: int8, (output channels, input channels / groups, kernel height, kernel
  width)
* ``layer.NAME.scale``, ``.bias``, ``.gain``, ``.offset``: float32, (output channels,)
* ``operation.NAME.scale``, ``.bias`` of each `affine` operation: float32, (channels,)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hdl.errors import InputError
from hdl.files import encode_json, read_bytes, read_json, words, write_whole
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

from ..quantization.coding import OperandCoding
from ..quantization.correction import Correction
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer
from ..quantization.quantized_network import QuantizedNetwork
from .graph import KINDS, Affine, DeploymentError, LayerDescription, Operation, read_graph

__all__ = ["ARRAYS_FILE", "DESCRIPTION_FILE", "Deployment", "deployment"]

DESCRIPTION_FILE, ARRAYS_FILE = "network.json", "arrays.safetensors"

_FORMAT = 2
_LIMIT_BYTES = 4 << 30
_CHANNEL_ARRAYS = ("scale", "bias", "gain", "offset")


@dataclass(frozen=True)
class _Multiplier:
    name: str
    width_a: int
    width_b: int


@dataclass(frozen=True)
class _Description:
    """The JSON file."""

    format: int
    network: str
    multipliers: tuple[_Multiplier, ...]
    encoding: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: tuple[LayerDescription, ...]
    operations: tuple[Operation, ...]
    arrays_sha256: str


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network with multipliers in place, corrected, and nothing else than it needs.

    Attributes:
        mean, std: per-channel normalization of images in [0, 1].
        tables: of the multipliers, for the operand widths of the layers that have them.
        operations: in order; the first is the input, the last gives the logits.
        arrays: as the module says, without the tables.
    """

    network: str
    encoding: OperandEncoding
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tables: tuple[ProductTable, ...]
    layers: tuple[LayerDescription, ...]
    operations: tuple[Operation, ...]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def correction(self) -> Correction:
        """What the layers were corrected by; takes the quantized network to the same accuracy."""
        gains, offsets = (
            {layer.name: self.arrays[f"layer.{layer.name}.{what}"] for layer in self.layers}
            for what in ("gain", "offset")
        )
        return Correction(gains, offsets)

    def save(self, folder: Path) -> None:
        """Writes the two files into `folder`, which exists."""
        arrays = save(
            {
                **{f"table.{number}": one.products for number, one in enumerate(self.tables)},
                **{name: np.ascontiguousarray(array) for name, array in self.arrays.items()},
            }
        )
        description = _Description(
            format=_FORMAT,
            network=self.network,
            multipliers=tuple(_Multiplier(one.name, *one.widths) for one in self.tables),
            encoding=str(self.encoding),
            mean=self.mean,
            std=self.std,
            layers=self.layers,
            operations=self.operations,
            arrays_sha256=hashlib.sha256(arrays).hexdigest(),
        )
        write_whole(folder / ARRAYS_FILE, arrays)
        write_whole(folder / DESCRIPTION_FILE, encode_json(description))

    @classmethod
    def load(cls, folder: Path) -> Deployment:
        """Inverse of :meth:`save`.

        Raises:
            hdl.files.MissingFileError: one of the files is not there.
            DeploymentError: the files are damaged, or do not belong together.
        """
        path = folder / DESCRIPTION_FILE
        content = read_bytes(folder / ARRAYS_FILE, limit_bytes=_LIMIT_BYTES)
        about = read_json(path, _Description, limit_bytes=_LIMIT_BYTES)
        if about.format != _FORMAT:
            raise DeploymentError(
                f"{str(path)!r} was written by another version of ameliorate; write it again with "
                "`dse correct`"
            )
        if hashlib.sha256(content).hexdigest() != about.arrays_sha256:
            raise DeploymentError(
                f"{str(path)!r} is not of the {ARRAYS_FILE} beside it; write both again with `dse "
                "correct`"
            )
        try:
            arrays = load(content)
            encoding = OperandEncoding(about.encoding)
            tables = tuple(
                _read_table(arrays.pop(f"table.{number}"), one, encoding)
                for number, one in enumerate(about.multipliers)
            )
            _check(about, arrays)
        except (SafetensorError, InputError, LookupError, TypeError, ValueError) as error:
            raise DeploymentError(
                f"{str(folder)!r} is not a bundle of a network ({words(error)}); write it with "
                "`dse correct`"
            ) from error
        return cls(
            about.network,
            encoding,
            about.mean,
            about.std,
            tables,
            about.layers,
            about.operations,
            arrays,
        )


def deployment(
    network: QuantizedNetwork,
    multipliers: ProductTable | Mapping[str, ProductTable],
    correction: Correction,
    name: str,
) -> Deployment:
    """The bundle of a network.

    Args:
        network: with exact products, not corrected.
        multipliers: the product table of all layers, or of each, for its operand widths.
        correction: of the network with the multipliers in place.
        name: what the network is called.

    Raises:
        DeploymentError: the network has operations that a bundle has no word for, or layers of
            other operand widths than their multiplier.
    """
    operations, merged, affine = read_graph(network)
    used = {operation.layer for operation in operations}
    layers = {key: layer for key, layer in network.layers.items() if key in used}
    by_layer = {
        key: multipliers if isinstance(multipliers, ProductTable) else multipliers[key]
        for key in layers
    }
    if other := [
        key
        for key, layer in layers.items()
        if (layer.coding.width_a, layer.coding.width_b) != by_layer[key].widths
    ]:
        raise DeploymentError(
            f"layer {other[0]!r} has other operand widths than {by_layer[other[0]].name}; give the "
            "network in the multiplier's"
        )
    tables = {table.sha256: table for table in by_layer.values()}
    numbers = {digest: number for number, digest in enumerate(tables)}
    arrays: dict[str, NDArray[Any]] = {}
    for key, layer in layers.items():
        arrays |= {
            f"layer.{key}.{what}": array
            for what, array in _arrays(layer, key, correction, merged.get(key)).items()
        }
    for key, one in affine.items():
        arrays |= {
            f"operation.{key}.scale": one.scale.astype(np.float32),
            f"operation.{key}.bias": one.bias.astype(np.float32),
        }
    described = tuple(
        _described(key, layer, numbers[by_layer[key].sha256]) for key, layer in layers.items()
    )
    return Deployment(
        name,
        network.encoding,
        network.mean,
        network.std,
        tuple(tables.values()),
        described,
        tuple(operations),
        arrays,
    )


def _sums(layer: QuantizedLayer, name: str) -> ExactConvolution:
    if not isinstance(layer.sums, ExactConvolution):
        raise DeploymentError(f"layer {name!r} is emulated; give the network with exact products")
    return layer.sums


def _arrays(
    layer: QuantizedLayer, name: str, correction: Correction, merged: Affine | None
) -> dict[str, NDArray[Any]]:
    gain, offset = correction.gains[name], correction.offsets[name]
    scale: NDArray[Any] = (
        layer.activation_scale.double().numpy() * layer.weight_scale.double().numpy() * gain
    )
    bias: NDArray[Any] = offset.astype(np.float64)
    if layer.bias is not None:
        bias = bias + layer.bias.double().numpy() * gain
    if merged is not None:
        scale, bias = scale * merged.scale, bias * merged.scale + merged.bias
    return {
        "weight": _sums(layer, name).weight.numpy().astype(np.int8),
        "scale": scale.astype(np.float32),
        "bias": bias.astype(np.float32),
        "gain": gain,
        "offset": offset,
    }


def _described(name: str, layer: QuantizedLayer, multiplier: int) -> LayerDescription:
    sums, coding = _sums(layer, name), layer.coding
    low, high = coding.activation_range
    zero_point, geometry = coding.zero_point, sums.geometry
    return LayerDescription(
        name=name,
        multiplier=multiplier,
        linear=layer.linear,
        activation_scale=float(layer.activation_scale),
        smallest=low,
        largest=high,
        zero_point=zero_point,
        stride=geometry.stride,
        dilation=geometry.dilation,
        groups=geometry.groups,
        padding=sums.padding,
    )


def _read_table(
    products: NDArray[Any], about: _Multiplier, encoding: OperandEncoding
) -> ProductTable:
    table = ProductTable(products, encoding.signed, about.name)
    if table.widths != Widths(about.width_a, about.width_b):
        raise ValueError(f"the table is not of {about.width_a}x{about.width_b} operands")
    return table


def _check(about: _Description, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Whether the arrays are what the description asks for, of the right kinds, shapes and ranges,
    and each operation has its inputs.

    Raises ValueError.
    """
    expected = {
        f"layer.{layer.name}.{what}"
        for layer in about.layers
        for what in ("weight", *_CHANNEL_ARRAYS)
    }
    expected |= {
        f"operation.{one.name}.{what}"
        for one in about.operations
        if one.kind == "affine"
        for what in ("scale", "bias")
    }
    if set(arrays) != expected:
        raise ValueError(f"array {min(set(arrays) ^ expected)!r} is missing or too many")
    for name, array in arrays.items():
        kind = (np.dtype(np.int8), 4) if name.endswith(".weight") else (np.dtype(np.float32), 1)
        if (array.dtype, array.ndim) != kind or not np.isfinite(array).all():
            raise ValueError(f"array {name!r} is of another kind, or has what is no number")
    for layer in about.layers:
        if not 0 <= layer.multiplier < len(about.multipliers):
            raise ValueError(f"layer {layer.name!r} has a multiplier that is not there")
        own, negative = about.multipliers[layer.multiplier], layer.smallest < 0
        coding = OperandCoding(
            OperandEncoding(about.encoding),
            own.width_a,
            own.width_b,
            negative,
            layer.zero_point,
        )
        weight = arrays[f"layer.{layer.name}.weight"]
        if (layer.smallest, layer.largest) != coding.activation_range or np.abs(
            weight.astype(int)
        ).max() > coding.weight_range[1]:
            raise ValueError(
                f"layer {layer.name!r} has integers out of the range of "
                f"{own.width_a}x{own.width_b} operands"
            )
        if {arrays[f"layer.{layer.name}.{what}"].shape for what in _CHANNEL_ARRAYS} != {
            weight.shape[:1]
        }:
            raise ValueError(f"layer {layer.name!r} has not {len(weight)} scales and biases")
        if (
            not 0 < layer.activation_scale < np.inf
            or min(*layer.stride, *layer.dilation, layer.groups) < 1
            or min(layer.padding) < 0
        ):
            raise ValueError(f"layer {layer.name!r} has an impossible scale or geometry")
    known: set[str] = set()
    layers = {layer.name for layer in about.layers}
    for index, one in enumerate(about.operations):
        inputs = {"input": 0, "add": 2}.get(one.kind, 1)
        if (
            one.kind not in KINDS
            or (one.kind == "input") != (index == 0)
            or len(one.inputs) != inputs
            or one.name in known
        ):
            raise ValueError(f"operation {one.name!r} is out of place")
        if not known.issuperset(one.inputs) or (one.kind == "multiply") != (one.layer in layers):
            raise ValueError(f"operation {one.name!r} takes what is not there")
        known.add(one.name)
