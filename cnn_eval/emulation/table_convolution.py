"""A layer that multiplies through a product table, on whichever path is fastest where it runs. All
paths give the same integers.

* `rows`: row accumulation (:mod:`cnn_eval.emulation.kernels.row_accumulation`), for any table, on
  the CPU; in depthwise layers single lookups (:mod:`cnn_eval.emulation.kernels.depthwise`).
* `low_rank`: one ordinary convolution on transformed activations (`low_rank.py`), for products of
  low rank, on any device.
* `torch`: row accumulation in torch's own operations, for any table, on any device, and where numba
  is missing. Slow.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hdl.errors import InputError

from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry, padded_indices
from ..quantization.quantized_layer import ExactConvolution
from .low_rank import Factors, factorize

if TYPE_CHECKING:
    from .kernels.depthwise import DepthwiseWeights
    from .kernels.row_accumulation import LookupWeights, ProductColumns

__all__ = ["PATHS", "EmulationError", "PairProducts", "Path", "TableConvolution", "TableProduct"]

Path = Literal["rows", "low_rank", "torch"]
PATHS: tuple[Path, ...] = ("rows", "low_rank", "torch")

_LARGEST_SUM = (1 << 31) - 1
# Floating-point sums of integers are exact as long as no partial sum reaches these.
_FLOAT32_INTEGERS, _FLOAT64_INTEGERS = 1 << 24, 1 << 53
_MOST_RANK = 9


class EmulationError(InputError):
    """The multiplier cannot take part in this network."""


@dataclass(frozen=True, eq=False)
class PairProducts:
    """The products of all pairs of values, and as each path wants them.

    Attributes:
        values: int32, (A, W), [activation value, weight value], from
            :meth:`OperandCoding.products`.
        factors: integer factors, where the rank is low.
        columns: None where numba is missing.
    """

    values: NDArray[np.int32]
    factors: Factors | None
    columns: ProductColumns | None

    @classmethod
    def of(cls, values: NDArray[np.int32]) -> PairProducts:
        kernels = _row_kernels()
        return cls(
            values,
            factorize(values, _MOST_RANK),
            None if kernels is None else kernels.ProductColumns.of(values),
        )


class TableConvolution(nn.Module):
    """Sums of looked-up products, in place of an :class:`ExactConvolution`.

    Padding is the code of the activation 0, and contributes its product with every weight.

    Args:
        path: None takes the fastest by rank and cost.

    Raises:
        EmulationError: sums of the layer could leave 32 bits, or the path does not exist for these
            products.
    """

    weight_index: torch.Tensor
    products: torch.Tensor

    def __init__(
        self, exact: ExactConvolution, products: PairProducts, *, path: Path | None = None
    ) -> None:
        super().__init__()
        self.geometry, self.padding, self.coding = exact.geometry, exact.padding, exact.coding
        self._pairs, self._path = products, path
        positions, largest = (
            exact.weight[0].numel(),
            int(np.abs(products.values.astype(np.int64)).max()),
        )
        if largest * positions > _LARGEST_SUM:
            raise EmulationError(
                f"sums of {positions} products of up to {largest} do not fit into 32 bits"
            )
        self.register_buffer("products", torch.from_numpy(products.values))
        self.set_weight(exact.weight)
        self.path_on(torch.device("cpu"))

    def set_weight(self, weight: torch.Tensor) -> None:
        """Other weights: integers, (o, c / groups, kernel height, kernel width)."""
        index = (weight - self.coding.weight_range[0]).to(torch.uint8)
        self.register_buffer("weight_index", index)
        flat = index.flatten(1).cpu().numpy()
        self._largest_sum = (
            float("inf") if self._pairs.factors is None else self._pairs.factors.largest_sum(flat)
        )
        self._lookup: LookupWeights | DepthwiseWeights | None = None
        self._factors: tuple[torch.Tensor, torch.Tensor] | None = None

    def path_on(self, device: torch.device) -> Path:
        """The path that the layer takes on a device."""
        rows = device.type == "cpu" and self._pairs.columns is not None
        kind = self._float_type(device)
        if self._path is not None:
            if (self._path == "rows" and not rows) or (self._path == "low_rank" and kind is None):
                raise EmulationError(
                    f"path {self._path!r} does not exist for these products on {device.type}; "
                    "leave the choice to the layer"
                )
            return self._path
        if rows:
            factors = self._pairs.factors
            return (
                "low_rank"
                if factors is not None
                and kind is torch.float32
                and factors.rank <= self._rows_cost()
                else "rows"
            )
        return "torch" if kind is None else "low_rank"

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        match self.path_on(values.device):
            case "rows":
                return self._rows(values)
            case "low_rank":
                return self._low_rank(self._padded_index(values))
            case _:
                return self._torch(self._padded_index(values))

    def _padded_index(self, values: torch.Tensor) -> torch.Tensor:
        """Activations counted from the smallest, uint8, with the padding around them."""
        low, _ = self.coding.activation_range
        if values.device.type != "cpu":
            return functional.pad((values - low).to(torch.uint8), self.padding, value=-low)
        # Several times faster than torch's conversion, and channels last as the paths want it.
        images = values.detach().permute(0, 2, 3, 1).numpy()
        return torch.from_numpy(padded_indices(images, self.padding, low)).permute(0, 3, 1, 2)

    def _rows(self, values: torch.Tensor) -> torch.Tensor:
        kernels = _row_kernels()
        assert kernels is not None
        weights = self.weight_index.numpy()
        if self._lookup is None:
            self._lookup = (
                kernels.DepthwiseWeights.of(weights, self._pairs.columns, self.geometry)
                if self._depthwise
                else kernels.LookupWeights.of(
                    kernels.PackedWeights.of(weights, self.geometry), self._pairs.columns
                )
            )
        # (n, height, width, channels), which is how a channels-last tensor lies in memory anyway.
        images, (low, _) = values.detach().permute(0, 2, 3, 1).numpy(), self.coding.activation_range
        convolve = kernels.convolve_depthwise if self._depthwise else kernels.convolve
        sums = convolve(
            images, self._lookup, padding=self.padding, low=low, threads=torch.get_num_threads()
        )
        return torch.from_numpy(sums).permute(0, 3, 1, 2)

    @property
    def _depthwise(self) -> bool:
        """Whether hardly any output channels share an input channel."""
        outputs, per_group = self.weight_index.shape[:2]
        return per_group == 1 and outputs <= 2 * self.geometry.groups

    def _low_rank(self, index: torch.Tensor) -> torch.Tensor:
        """The rank joins the channels: sum over r and c of u_r(x[c]) * v_r(w[o, c]) is one
        convolution.
        """
        geometry, device = self.geometry, index.device
        if self._factors is None or self._factors[0].device != device:
            self._factors = self._factors_on(device)
        activation_factors, weight = self._factors
        codes = index.permute(0, 2, 3, 1)
        if device.type == "cpu":
            # Several times faster than torch's indexing.
            transformed = torch.from_numpy(activation_factors.numpy().take(codes.numpy(), 0))
        else:
            transformed = functional.embedding(codes.int(), activation_factors)
        channels_last = transformed.flatten(3).permute(0, 3, 1, 2)  # (n, c * rank, height, width)
        return functional.conv2d(
            channels_last, weight, None, geometry.stride, 0, geometry.dilation, geometry.groups
        )

    def _factors_on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors of activations (A, rank) and of the layer's weights (o, c / groups * rank, kernel
        height, kernel width).
        """
        factors, kind = self._pairs.factors, self._float_type(device)
        assert factors is not None
        weight_factors = torch.from_numpy(factors.weights.T).to(device, kind)
        weight = (
            functional.embedding(self.weight_index.int(), weight_factors)
            .permute(0, 1, 4, 2, 3)
            .flatten(1, 2)
        )
        return torch.from_numpy(factors.activations).to(device, kind), weight.contiguous(
            memory_format=torch.channels_last
        )

    def _torch(self, index: torch.Tensor) -> torch.Tensor:
        """For every input position, the row of products that each pixel's activation picks."""
        geometry, weight = self.geometry, self.weight_index
        count, channels, height, width = index.shape
        out_height, out_width = geometry.output_size(height, width)
        per_group, out_per_group = channels // geometry.groups, len(weight) // geometry.groups
        sums = torch.zeros(
            (count, out_height, out_width, len(weight)), dtype=torch.int32, device=index.device
        )
        (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
        for row in range(geometry.kernel[0]):
            for column in range(geometry.kernel[1]):
                # Slices with the stride may run over the end by less than a stride: the output size
                # cuts them.
                seen = index[:, :, row * dilation_y :: stride_y, column * dilation_x :: stride_x]
                window = seen[:, :, :out_height, :out_width].int()
                for channel in range(channels):
                    group, position = divmod(channel, per_group)
                    outputs = slice(group * out_per_group, (group + 1) * out_per_group)
                    rows = self.products[
                        :, weight[outputs, position, row, column].int()
                    ]  # (A, outputs)
                    sums[..., outputs] += rows[window[:, channel]]
        return sums.permute(0, 3, 1, 2)

    def _float_type(self, device: torch.device) -> torch.dtype | None:
        """In which the low-rank sums are exact integers; None if in none.

        Elsewhere than on the CPU, float32 convolutions may round their operands (TF32) or transform
        them (Winograd); float64 ones do not.
        """
        if device.type == "cpu" and self._largest_sum < _FLOAT32_INTEGERS:
            return torch.float32
        return (
            torch.float64
            if self._largest_sum < _FLOAT64_INTEGERS and device.type != "mps"
            else None
        )  # mps knows no float64

    def _rows_cost(self) -> float:
        """What row accumulation costs on the CPU, in float32 convolutions of the layer; from
        bench/emulation.py.
        """
        if self._depthwise:
            return 1  # One term is a depthwise convolution; those of more are slow.
        outputs, positions = (
            len(self.weight_index) // self.geometry.groups,
            self.weight_index[0].numel(),
        )
        block = 16 if outputs <= 16 else 32
        # It multiplies whole blocks of outputs and steps of positions, and copies windows of
        # channels that do not come in octets.
        filling = -(-outputs // block) * block / outputs * (-(-positions // 16) * 16 / positions)
        return 1.6 * filling + (self.weight_index.shape[1] % 8 > 0)


class TableProduct(nn.Module):
    """Sums of looked-up products of two activations, in place of an
    :class:`~cnn_eval.quantization.products.ExactProduct`: every matrix of a batch is the weight of
    one group of a convolution.

    Raises:
        EmulationError: as :class:`TableConvolution`, when it computes.
    """

    def __init__(
        self, coding: OperandCoding, products: PairProducts, *, path: Path | None = None
    ) -> None:
        super().__init__()
        self.coding, self._products, self._path = coding, products, path

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        batch = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
        (rows, positions), columns = first.shape[-2:], second.shape[-1]
        values = first.expand(*batch, -1, -1).reshape(-1, rows, positions)
        weights = second.expand(*batch, -1, -1).reshape(-1, positions, columns)
        groups = len(values)
        # (1, groups * positions, rows, 1) and (groups * columns, positions, 1, 1)
        images = values.transpose(1, 2).reshape(1, -1, rows, 1)
        layer = TableConvolution(
            ExactConvolution(
                weights.transpose(1, 2).reshape(-1, positions, 1, 1),
                Geometry((1, 1), groups=groups),
                (0, 0, 0, 0),
                self.coding,
            ),
            self._products,
            path=self._path,
        )
        sums: torch.Tensor = layer(images).reshape(groups, columns, rows)
        return sums.transpose(1, 2).reshape(*batch, rows, columns)


@functools.cache
def _row_kernels() -> ModuleType | None:
    """:mod:`cnn_eval.emulation.kernels`, or None where numba is missing."""
    try:
        importlib.import_module("numba")
        return importlib.import_module(f"{__package__}.kernels")
    except ImportError:
        return None
