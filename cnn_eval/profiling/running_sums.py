"""Running sums over calibration images, of which the propagation of errors is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch.nn import functional

from hdl.errors import InputError

from ..prediction.propagation import LayerOperands, Transfer
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer

__all__ = ["Derivatives", "LayerSums", "Moments", "PropagationError"]


class PropagationError(InputError):
    """The network's graph cannot be read, or it has an operation without a rule."""


def _sum(x: torch.Tensor) -> NDArray[np.float64]:
    """Over everything but the channels."""
    x = x.detach()
    # torch adds up each image with little rounding; adding in float64 throughout takes ten times as
    # long.
    by_image = x.flatten(2).sum(-1) if x.ndim > 2 else x
    found: NDArray[np.float64] = by_image.double().sum(0).numpy()
    return found


def _rows(x: torch.Tensor, groups: int) -> torch.Tensor:
    """(n, channels, height, width) -> (groups, channels of the group, n * height * width)."""
    return x.transpose(0, 1).reshape(groups, x.shape[1] // groups, -1)


@dataclass
class Moments:
    """Running sums over one tensor's images and pixels, per channel."""

    shape: torch.Size = field(default_factory=torch.Size)
    count: int = 0
    total: NDArray[np.float64] | float = 0.0
    squares: NDArray[np.float64] | float = 0.0

    def add(self, x: torch.Tensor) -> None:
        self.shape = x.shape
        self.count += x[:, 0].numel()
        self.total = self.total + _sum(x)
        self.squares = self.squares + _sum(x.square())

    @property
    def mean(self) -> NDArray[np.float64]:
        return np.asarray(self.total / self.count)

    @property
    def variance(self) -> NDArray[np.float64]:
        variance = np.asarray(self.squares / self.count) - self.mean**2
        # Rounding leaves a little in channels that never change.
        return np.where(variance > 1e-10 * np.asarray(self.squares / self.count), variance, 0.0)


def _relative(x: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """x / variance, 0 where nothing varies."""
    return np.divide(
        x, variance, out=np.zeros_like(x), where=np.broadcast_to(variance > 0, x.shape)
    )


@dataclass
class Derivatives:
    """Running sums over an operation z = f(y) on channels by themselves, per channel.

    With J the operation's derivative: sums over images and pixels of J^T 1, y J^T 1, J^T z and y
    J^T z.
    """

    one: NDArray[np.float64] | float = 0.0
    one_y: NDArray[np.float64] | float = 0.0
    z: NDArray[np.float64] | float = 0.0
    z_y: NDArray[np.float64] | float = 0.0

    def add(self, y: torch.Tensor, by_one: torch.Tensor, by_z: torch.Tensor) -> None:
        exact = y.detach()
        self.one, self.one_y = self.one + _sum(by_one), self.one_y + _sum(by_one * exact)
        self.z, self.z_y = self.z + _sum(by_z), self.z_y + _sum(by_z * exact)

    def transfer(self, y: Moments, z: Moments) -> sparse.csr_array:
        mean_y = y.mean
        mean, mean_by_slope = np.asarray(self.one), self.one_y - mean_y * self.one
        slope, slope_by_slope = (
            self.z - z.mean * mean,
            self.z_y - mean_y * self.z - z.mean * mean_by_slope,
        )
        variance = z.variance * z.count
        blocks = [
            [mean / z.count, mean_by_slope / z.count],
            [_relative(slope, variance), _relative(slope_by_slope, variance)],
        ]
        return sparse.csr_array(
            sparse.block_array([[sparse.diags_array(block) for block in row] for row in blocks])
        )


class LayerSums:
    """Running sums over one multiplying layer; k counts the taps of the kernel."""

    def __init__(self, layer: QuantizedLayer) -> None:
        if not isinstance(layer.sums, ExactConvolution):
            raise PropagationError(
                "propagation is read off the quantized network, not off an emulated one"
            )
        self.layer, self.exact = layer, layer.sums
        self.clipping = Derivatives()
        self.inputs, self.clipped, self.sums = Moments(), Moments(), Moments()
        self.offset: torch.Tensor | None = None
        self.products: NDArray[np.float64] | float = 0.0  # sum of x_ik (y_o - offset_o)
        self.taps: NDArray[np.float64] | float = 0.0  # sum of x_ik
        self.inside: NDArray[np.float64] | float = 0.0  # how often tap k is not on padding
        self.inside_sums: NDArray[np.float64] | float = 0.0  # sum of y_o - offset_o over these
        self.histogram: NDArray[np.float64] | float = 0.0

    def add(self, x: torch.Tensor) -> None:
        layer, exact = self.layer, self.exact
        low, high = exact.coding.activation_range
        scaled = x / layer.activation_scale
        passes = ((scaled >= low) & (scaled <= high)).float()
        if layer.linear:
            scaled, passes = scaled[:, :, None, None], passes[:, :, None, None]
        integers = scaled.clamp(low, high).round()
        self.inputs.add(scaled)
        self.clipped.add(integers)
        self.clipping.add(scaled, passes, passes * integers)
        inside = torch.ones_like(integers[:, :1])
        if layer.outer_padding is not None:
            integers = functional.pad(integers, layer.outer_padding, mode=layer.padding_mode)
            inside = torch.ones_like(integers[:, :1])
        else:
            integers, inside = (functional.pad(part, exact.padding) for part in (integers, inside))
        sums = functional.conv2d(
            integers,
            exact.weight,
            None,
            exact.geometry.stride,
            0,
            exact.geometry.dilation,
            exact.geometry.groups,
        )
        self.sums.add(sums)
        if self.offset is None:
            # Near the mean: covariances are then not the small difference of large sums.
            self.offset = sums.mean((0, 2, 3), keepdim=True)
        moved = sums - self.offset
        y = _rows(moved, exact.geometry.groups)
        over_taps = [
            (_rows(x, exact.geometry.groups), tap[0, 0])
            for x, tap in zip(self._taps(integers), self._taps(inside), strict=True)
        ]
        self.products = self.products + np.stack(
            [(y @ x.mT).flatten(0, 1).double().numpy() for x, _ in over_taps], axis=-1
        )
        self.taps = self.taps + np.stack(
            [x.sum(-1).flatten().double().numpy() for x, _ in over_taps], axis=-1
        )
        self.inside = self.inside + np.array([len(sums) * float(tap.sum()) for _, tap in over_taps])
        self.inside_sums = self.inside_sums + np.stack(
            [_sum(moved * tap) for _, tap in over_taps], axis=-1
        )
        self.histogram = self.histogram + self._histogram(integers, inside)

    def _taps(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """What each tap of the kernel sees of the padded input, (n, channels, output height, output
        width).
        """
        geometry = self.exact.geometry
        height, width = geometry.output_size(*x.shape[2:])
        (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
        for row in range(geometry.kernel[0]):
            for column in range(geometry.kernel[1]):
                yield x[:, :, row * dilation_y :: stride_y, column * dilation_x :: stride_x][
                    :, :, :height, :width
                ]

    def _histogram(self, integers: torch.Tensor, inside: torch.Tensor) -> NDArray[np.float64]:
        """How often each activation value is multiplied, by input channel; pixels count as often as
        windows see them.
        """
        geometry = self.exact.geometry
        height, width = integers.shape[2:]
        ones = torch.ones(1, 1, *geometry.output_size(height, width))
        seen = functional.conv_transpose2d(
            ones,
            torch.ones(1, 1, *geometry.kernel),
            None,
            geometry.stride,
            0,
            0,
            1,
            geometry.dilation,
        )
        coverage = torch.zeros(height, width)
        coverage[: seen.shape[2], : seen.shape[3]] = seen[0, 0]
        low, high = self.exact.coding.activation_range
        count, channels = integers.shape[:2]
        index = (integers - low).long() + (high - low + 1) * torch.arange(channels)[:, None, None]
        weights = coverage.expand(count, channels, -1, -1)
        found = torch.bincount(
            index.reshape(-1), weights.reshape(-1).double(), channels * (high - low + 1)
        )
        histogram: NDArray[np.float64] = found.view(channels, -1).numpy()
        return histogram

    def operands(self) -> LayerOperands:
        low, _ = self.exact.coding.weight_range
        histogram = np.asarray(self.histogram)
        return LayerOperands(
            coding=self.exact.coding,
            activations=histogram / histogram.sum(axis=1, keepdims=True),
            weights=(self.exact.weight - low).long().flatten(2).numpy(),
            covariances=_relative(self._covariances(), self.sums.variance[:, None, None]),
            scale=(self.layer.activation_scale * self.layer.weight_scale).double().numpy(),
            groups=self.exact.geometry.groups,
        )

    def _covariances(self) -> NDArray[np.float64]:
        """Of the activation under each tap with the sum of products, (o, i of the group, k)."""
        products = np.asarray(self.products) - self._rest()[:, None, None] * self._grouped(
            np.asarray(self.taps)
        )
        return products / self.sums.count

    def _rest(self) -> NDArray[np.float64]:
        assert self.offset is not None
        rest: NDArray[np.float64] = self.sums.mean - self.offset.flatten().double().numpy()
        return rest

    def _grouped(self, by_channel: NDArray[np.float64]) -> NDArray[np.float64]:
        """(i, ...) -> (o, i of the group, ...)."""
        channels, groups = len(self.exact.weight), self.exact.geometry.groups
        found: NDArray[np.float64] = by_channel.reshape(groups, -1, *by_channel.shape[1:])[
            np.arange(channels) * groups // channels
        ]
        return found

    def transfer(self) -> Transfer:
        count, weight = self.sums.count, self.exact.weight.double().flatten(2).numpy()
        center = self._grouped(self.clipped.mean)[:, :, None]
        inside, inside_sums = np.asarray(self.inside), np.asarray(self.inside_sums)[:, None, :]
        rest = self._rest()[:, None, None]
        mean_by_slope = self._grouped(np.asarray(self.taps)) - center * inside
        slope = inside_sums - rest * inside
        slope_by_slope = self.products - center * inside_sums - rest * mean_by_slope
        variance = count * self.sums.variance[:, None]
        to_output = self.layer.weight_scale.double().numpy()[
            :, None
        ]  # sums are in units of this times the activation scale
        scale = float(self.layer.activation_scale)
        blocks = (
            (
                (weight * inside).sum(2) / count * to_output * scale,
                (weight * mean_by_slope).sum(2) / count * to_output * scale,
            ),
            (
                _relative((weight * slope).sum(2), variance),
                _relative((weight * slope_by_slope).sum(2), variance),
            ),
        )
        matrix = np.concatenate(
            [np.concatenate([self._spread(block) for block in row], axis=1) for row in blocks]
        )
        channels = self.inputs.shape[1]
        # Means enter in units of the activation; the layer computes in integers.
        to_integers = np.repeat([1 / scale, 1.0], channels)
        transfer: NDArray[np.float64] = (
            matrix @ self.clipping.transfer(self.inputs, self.clipped)
        ) * to_integers
        return transfer

    def _spread(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(o, i of the group) -> (o, i)."""
        channels, per_group = block.shape
        groups = self.exact.geometry.groups
        matrix: NDArray[np.float64] = np.zeros((channels, groups, per_group))
        matrix[np.arange(channels), np.arange(channels) * groups // channels] = block
        return matrix.reshape(channels, -1)
