"""NetworkProfile: everything that predicting a multiplier's effect on a network needs, without the
network.

A profile is a value of plain arrays. It is made once per network, encoding and operand widths
(`profile_from_images.py`), saved as ``.npz`` without pickle, and loads without torch.
`architectural_error.py` computes with it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.errors import InputError
from hdl.files import decode_json, read_npz, words
from hdl.operands import OperandDistribution, OperandEncoding, Widths, code_values

from ..arrays import save_arrays
from ..quantization.coding import OperandCoding
from .layer_profile import LayerProfile, MeanAndGain, SampleMargins, mean_and_gain

__all__ = ["NetworkProfile", "ProfileError"]

_FORMAT = 4


class ProfileError(InputError):
    """The file is not a network profile."""


@dataclass(frozen=True, eq=False)
class NetworkProfile:
    """A quantized network as its multipliers see it.

    Attributes:
        width_a, width_b: bits of the operand codes of activations and weights.
        corrected: whether everything is of the network under correction
            (:mod:`cnn_eval.quantization.correction`): margins and architectural matrices are then
            less what they have in common with the mean and the gain of every channel.
        rounding_sha256: of the learned rounding of the weights; empty where they are rounded to the
            nearest integers.
        architectural: what AME multiplies errors with, (r, 2^(width_a + width_b)), over [activation
            code, weight code]; see `architectural_error.py`.
        data: the images behind every accuracy and histogram.
        per_channel: whether weights have a scale per output channel.
        mean, std: normalization of the images.
        exact_top1_pct, float_top1_pct: accuracy with exact integer products, and of the network
            before quantization, over `test_images`.
        chance_pct: accuracy of a constant answer.
        calibration_images: images behind histograms and margins.
    """

    network: str
    encoding: OperandEncoding
    width_a: int
    width_b: int
    corrected: bool
    rounding_sha256: str
    data: str
    per_channel: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: tuple[LayerProfile, ...]
    architectural: NDArray[np.float32]
    margins: SampleMargins
    exact_top1_pct: float
    float_top1_pct: float
    chance_pct: float
    test_images: int
    calibration_images: int

    @property
    def widths(self) -> Widths:
        """Bits of the operand codes."""
        return Widths(self.width_a, self.width_b)

    def operand_distribution(self) -> OperandDistribution:
        """Operand codes as they arrive at the multiplier, per layer, weighted by
        multiplications.
        """
        return OperandDistribution.from_counts(
            np.array([layer.macs for layer in self.layers]),
            np.stack(
                [
                    layer.coding.fold_activations(layer.activations, signed=False)
                    for layer in self.layers
                ]
            ),
            np.stack(
                [layer.coding.fold_weights(layer.weights, signed=False) for layer in self.layers]
            ),
            f"{self.network} on {self.data}, {self.encoding}",
        )

    @cached_property
    def variance_matrix(self) -> NDArray[np.float64]:
        """What `variance` multiplies squared errors with (2^width_a, 2^width_b), [activation code,
        weight code].
        """
        # The sign beside a sign-magnitude multiplier vanishes in the square.
        rows = np.stack(
            [
                layer.coding.fold_activations(layer.activations, signed=False)
                for layer in self.layers
            ]
        )
        columns = np.stack(
            [
                layer.coding.fold_weights(layer.variance_weights, signed=False)
                for layer in self.layers
            ]
        )
        products = np.array([layer.products_per_output for layer in self.layers])
        matrix: NDArray[np.float64] = (products[:, None] * rows).T @ columns
        return matrix

    @cached_property
    def mean_and_gain(self) -> MeanAndGain:
        """What correction takes out of a layer's errors, over operand codes."""
        layers = self.layers
        parts = [mean_and_gain(layer) for layer in layers]
        return MeanAndGain(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))

    @cached_property
    def fluctuation_factors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Factors of the fluctuation over operand codes: (layers, r, 2^width_a) for activations,
        (layers, 2^width_b, r') for weights.
        """
        activations = [
            layer.coding.fold_activations(layer.activation_factors.T, signed=True)
            for layer in self.layers
        ]
        weights = [
            layer.coding.fold_weights(layer.weight_factors.T, signed=True) for layer in self.layers
        ]
        return np.stack(activations).transpose(0, 2, 1).astype(np.float32), np.stack(
            weights
        ).astype(np.float32)

    @cached_property
    def exact_fluctuation(self) -> NDArray[np.float64]:
        """The exact products between the factors of the fluctuation, (layers, r, r')."""
        activations, weights = self.fluctuation_factors
        a, b = (code_values(width, signed=self.encoding.signed) for width in self.widths)
        return np.asarray(
            np.einsum("lrx,x,w,lws->lrs", activations, a, b, weights, optimize=True),
            dtype=np.float64,
        )

    @cached_property
    def error_rows(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """What errors are multiplied with over all operand pairs, (r, 2^(width_a + width_b)): the
        rows of `architectural`, then the components of the margins; and what they make of the exact
        products, (r,).
        """
        rows = np.concatenate([self.architectural, self.margins.components])
        a, b = (code_values(width, signed=self.encoding.signed) for width in self.widths)
        return rows, rows.astype(np.float64) @ np.multiply.outer(a, b).ravel()

    @cached_property
    def activation_rows(self) -> NDArray[np.float32]:
        """What errors are multiplied with over activation codes, (rows, 2^width_a): under
        correction the rows `mean` and `slope` of :attr:`mean_and_gain`, then the factors of the
        fluctuation, those of a layer together.
        """
        known = (self.mean_and_gain.mean, self.mean_and_gain.slope) if self.corrected else ()
        factors = self.fluctuation_factors[0]
        return np.concatenate([*known, factors.reshape(-1, factors.shape[-1])]).astype(np.float32)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compressed ``.npz``. The same profile gives the same bytes."""
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("layers", "margins", "architectural")
        }
        layers = [
            {name: getattr(layer, name) for name in _LAYER_PLAIN}
            | {name: getattr(layer.coding, name) for name in _CODING_PLAIN}
            for layer in self.layers
        ]
        components, scales = _to_int8(self.margins.components.reshape(-1, 1 << self.width_b))
        architectural, architectural_scales = _to_int8(
            self.architectural.reshape(-1, 1 << self.width_b)
        )
        arrays: dict[str, NDArray[Any]] = {
            "about": np.array(json.dumps({"format": _FORMAT, **plain, "layers": layers})),
            "margins": self.margins.margins.astype(np.float32),
            "scores": self.margins.scores.astype(np.float32),
            "components": components,
            "component_scales": scales,
            "architectural": architectural,
            "architectural_scales": architectural_scales,
        }
        for index, layer in enumerate(self.layers):
            arrays |= {
                f"{name}_{index}": getattr(layer, name).astype(np.float32) for name in _LAYER_ARRAYS
            }
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NetworkProfile:
        """Inverse of :meth:`save`, in the precision of the file: float32, components int8 per row.

        Raises:
            ProfileError: no file there, or not a profile.
        """
        try:
            with nullcontext(read_npz(Path(path), limit_bytes=_LIMIT_BYTES)) as file:
                about = decode_json(str(file["about"]), dict[str, Any], "its description")
                if about.pop("format") != _FORMAT:
                    raise ProfileError(
                        f"{str(path)!r} was written by another version of ameliorate; make it "
                        "again with `dse profile`"
                    )
                encoding, size = (
                    OperandEncoding(about.pop("encoding")),
                    1 << about["width_a"] + about["width_b"],
                )
                components, architectural = (
                    (file[name] * file[scales][:, None]).reshape(-1, size)
                    for name, scales in (
                        ("components", "component_scales"),
                        ("architectural", "architectural_scales"),
                    )
                )
                margins = SampleMargins(
                    file["margins"].astype(float), file["scores"].astype(float), components
                )
                layers = []
                for index, layer in enumerate(about.pop("layers")):
                    coding = OperandCoding(
                        encoding, **{name: layer.pop(name) for name in _CODING_PLAIN}
                    )
                    layer["zero_after_zero"] = tuple(layer.get("zero_after_zero", ()))
                    arrays = {name: file[f"{name}_{index}"].astype(float) for name in _LAYER_ARRAYS}
                    layers.append(LayerProfile(coding=coding, **layer, **arrays))  # type: ignore[arg-type]
            about["mean"], about["std"] = tuple(about["mean"]), tuple(about["std"])
            profile = cls(
                encoding=encoding,
                layers=tuple(layers),
                architectural=architectural,
                margins=margins,
                **about,
            )
            profile._check(file)
            return profile
        except ProfileError:
            raise
        except (
            OSError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
        ) as error:
            raise ProfileError(
                f"{str(path)!r} is not a network profile ({words(error)}); make one with `dse "
                "profile`"
            ) from error

    def _check(self, file: Mapping[str, NDArray[Any]]) -> None:
        """Whether what was read is all that the file holds, of the right kinds and shapes, finite,
        and in range. Raises ValueError.
        """
        expected = _ARRAYS | {
            f"{name}_{index}" for name in _LAYER_ARRAYS for index in range(len(self.layers))
        }
        if set(file) != expected or not self.layers:
            raise ValueError(
                f"of {len(self.layers)} layers, "
                f"{', '.join(sorted(set(file) ^ expected)) or 'all'} are too many or too few"
            )
        for name, array in file.items():
            if name != "about" and not (array.dtype.kind in "fi" and np.isfinite(array).all()):
                raise ValueError(f"array {name!r} holds what is no number")
        parts: tuple[NetworkProfile | LayerProfile, ...] = (self, *self.layers)
        for part in parts:
            for field in fields(part):
                _check_value(field.name, str(field.type), getattr(part, field.name))
        if (
            len(self.mean) != len(self.std)
            or not all(map(math.isfinite, self.mean))
            or not all(0 < one < math.inf for one in self.std)
        ):
            raise ValueError("mean and std are not numbers, one a channel")
        shapes: list[tuple[NDArray[Any], tuple[int, ...]]] = [
            (self.margins.scores, (len(self.margins.margins), len(self.margins.components)))
        ]
        for layer in self.layers:
            values, weights = len(layer.coding.activation_values), len(layer.coding.weight_values)
            shapes += [
                (layer.activations, (values,)),
                (layer.weights, (weights,)),
                (layer.variance_weights, (weights,)),
            ]
            shapes += [(layer.activation_factors, (len(self.layers[0].activation_factors), values))]
            shapes += [(layer.weight_factors, (len(self.layers[0].weight_factors), weights))]
        for array, shape in shapes:
            if array.shape != shape:
                raise ValueError(f"an array is of shape {array.shape} where {shape} belongs")
        for layer in self.layers:
            runs = layer.zero_after_zero
            if len(runs) not in (0, 2) or any(
                type(one) not in (int, float) or not 0 <= one <= 1 for one in runs
            ):
                raise ValueError(f"layer {layer.name!r}: zero_after_zero is not two probabilities")
            counts = (layer.activations, layer.weights)
            if min(layer.variance_weights.min(), *(one.min() for one in counts)) < 0 or any(
                abs(one.sum() - 1) > 1e-3 for one in counts
            ):
                raise ValueError(
                    f"layer {layer.name!r}: a histogram is negative or does not sum to 1"
                )


def _check_value(name: str, kind: str, value: object) -> None:
    """Raises ValueError for a plain field of another type, or out of range."""
    types: Mapping[str, tuple[type, ...]] = {
        "str": (str,),
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
    }
    if kind not in types:
        return
    if type(value) not in types[kind] or (isinstance(value, str) and len(value) > _LONGEST_NAME):
        raise ValueError(f"{name} is {words(repr(value))}, which is no {kind}, or too long")
    if isinstance(value, int | float) and not 0 <= value <= (
        100 if name.endswith("_pct") else 1e15
    ):
        raise ValueError(f"{name} is {value}, out of range")


def _to_int8(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows as int8 with a scale per row. Rounding errors of the many entries average out in a dot
    product.
    """
    scales = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny * 127) / 127
    return np.round(rows / scales[:, None]).astype(np.int8), scales.astype(np.float32)


_LIMIT_BYTES = 512 << 20
_LONGEST_NAME = 400
_ARRAYS = {
    "about",
    "margins",
    "scores",
    "components",
    "component_scales",
    "architectural",
    "architectural_scales",
}
_LAYER_PLAIN = (
    "name",
    "macs",
    "products_per_output",
    "activation_scale",
    "output_channels",
    "groups",
    "zero_after_zero",
    "second_scale",
)
_CODING_PLAIN = ("width_a", "width_b", "negative", "zero_point")
_LAYER_ARRAYS = (
    "activations",
    "weights",
    "variance_weights",
    "activation_factors",
    "weight_factors",
)
