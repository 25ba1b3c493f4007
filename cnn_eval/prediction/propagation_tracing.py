"""Reads the propagation of a quantized network off its module graph, with torch.fx, and off
calibration images.

Every operation either multiplies (convolution, linear), moves channels (concatenation, flattening),
or acts on each channel by itself. The last kind needs no rule of its own: for z = f(y) with the
state (mean m, slope s) in front of it, the error is f'(y) (m + s (y - mean y)), and its mean and
its regression on z are averages over images and pixels of derivatives that torch computes. That
covers batch normalization, ReLU and its kin, pooling, and the sum of two branches.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import fx, nn
from torch.nn import functional

from hdl.errors import InputError

from ..quantization.products import QuantizedProduct
from ..quantization.quantized_network import ExactConvolution, QuantizedLayer, QuantizedNetwork
from .propagation import LayerOperands, Propagation, Step, Transfer

__all__ = ["PropagationError", "channel_means", "trace_propagation"]

_BATCH = 32


class PropagationError(InputError):
    """The network's graph cannot be read, or it has an operation without a rule."""


def trace_propagation(network: QuantizedNetwork, images: torch.Tensor) -> Propagation:
    """The propagation of a quantized network.

    Args:
        network: with exact products.
        images: normalized calibration images (n, 3, height, width).

    Raises:
        PropagationError: control flow that depends on the data, or an operation without a rule; the
            message names it.
    """
    reader = _Reader(network)
    for batch in torch.split(images, _BATCH):
        reader.run(batch.contiguous(memory_format=torch.channels_last))
    nodes = list(reader.outputs)
    steps, operands = [], {}
    for node in nodes:
        layer = None
        if node in reader.layers:
            layer = str(node.target)
            operands[layer] = reader.layers[node].operands()
        sources = tuple(
            (nodes.index(source), reader.transfer(node, source)) for source in reader.sources(node)
        )
        steps.append(Step(node.name, layer, sources, np.sqrt(reader.outputs[node].variance)))
    return Propagation(tuple(steps), operands)


def channel_means(
    network: QuantizedNetwork, images: torch.Tensor
) -> dict[str, NDArray[np.float64]]:
    """Mean output of every operation over images and pixels, exact or emulated, by its name in the
    graph, (channels,).
    """
    recorder = _Recorder(network)
    for batch in torch.split(images, _BATCH):
        recorder.run(batch.contiguous(memory_format=torch.channels_last))
    return {node.name: found.mean for node, found in recorder.outputs.items()}


# Operations that act on every channel by itself.
_MODULES = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.PReLU,
        nn.ELU,
        nn.SiLU,
        nn.GELU,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.Hardtanh,
        nn.Sigmoid,
        nn.Tanh,
    ),
    *(nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d),
)
_FUNCTIONS: frozenset[Callable[..., Any] | str] = frozenset(
    (
        *(
            operator.add,
            operator.iadd,
            operator.sub,
            operator.mul,
            operator.imul,
            operator.truediv,
            operator.neg,
        ),
        *(torch.add, torch.sub, torch.mul, torch.mean, torch.relu, torch.sigmoid, torch.tanh),
        *(
            functional.relu,
            functional.relu6,
            functional.leaky_relu,
            functional.elu,
            functional.silu,
            functional.gelu,
        ),
        *(
            functional.hardswish,
            functional.hardsigmoid,
            functional.hardtanh,
            functional.dropout,
            functional.batch_norm,
        ),
        *(
            functional.avg_pool2d,
            functional.adaptive_avg_pool2d,
            functional.max_pool2d,
            functional.adaptive_max_pool2d,
        ),
        *(
            "add",
            "add_",
            "sub",
            "mul",
            "mul_",
            "mean",
            "relu",
            "relu_",
            "sigmoid",
            "tanh",
            "contiguous",
        ),
    )
)
_RESHAPES: frozenset[Callable[..., Any] | str] = frozenset(
    (torch.flatten, torch.reshape, torch.squeeze, "flatten", "view", "reshape", "squeeze")
)


class _Tracer(fx.Tracer):
    # Sizes of images may be arguments of methods of buffers.
    proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QuantizedLayer | QuantizedProduct) or super().is_leaf_module(
            m, module_qualified_name
        )


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
class _Moments:
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
class _Derivatives:
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

    def transfer(self, y: _Moments, z: _Moments) -> sparse.csr_array:
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


class _LayerSums:
    """Running sums over one multiplying layer; k counts the taps of the kernel."""

    def __init__(self, layer: QuantizedLayer) -> None:
        if not isinstance(layer.sums, ExactConvolution):
            raise PropagationError(
                "propagation is read off the quantized network, not off an emulated one"
            )
        self.layer, self.exact = layer, layer.sums
        self.clipping = _Derivatives()
        self.inputs, self.clipped, self.sums = _Moments(), _Moments(), _Moments()
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


class _Recorder(fx.Interpreter):
    """Runs the network and sums up what comes out of every operation."""

    def __init__(self, network: QuantizedNetwork) -> None:
        try:
            graph = _Tracer().trace(network.model)
        except (fx.proxy.TraceError, TypeError) as error:
            raise PropagationError(
                f"the graph of {type(network.model).__name__} cannot be read, because its forward "
                f"depends on values ({error})"
            ) from error
        # Parts of a split read what was split.
        forget = not any(_splits(node) for node in graph.nodes)
        super().__init__(fx.GraphModule(network.model, graph), garbage_collect_values=forget)
        self.extra_traceback = False  # which fx would add to what an error says
        self.outputs: dict[fx.Node, _Moments] = {}

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> Any:
        # Copies: operations in place would change what other operations read.
        def copied(value: Any) -> Any:
            return value.clone() if isinstance(value, torch.Tensor) else value

        return fx.node.map_aggregate(super().fetch_args_kwargs_from_env(n), copied)

    @torch.no_grad()
    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        recorded = n.op not in ("output", "get_attr") and isinstance(output, torch.Tensor)
        if recorded and output.ndim > 1:
            self.outputs.setdefault(n, _Moments()).add(output)
        return output

    def operation(self, node: fx.Node) -> nn.Module | None:
        return self.submodules[str(node.target)] if node.op == "call_module" else None


class _Reader(_Recorder):
    """Sums up what the maps are made of, too."""

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__(network)
        self.layers: dict[fx.Node, _LayerSums] = {}
        self.derivatives: dict[tuple[fx.Node, fx.Node], _Derivatives] = {}
        # Of what moves channels: which channel of the source each one is, and -1 for none.
        self.channels: dict[fx.Node, NDArray[np.int64]] = {}

    def sources(self, node: fx.Node) -> list[fx.Node]:
        """The recorded operations that a node reads; of a part of a split, what is split."""
        inputs = node.all_input_nodes
        if len(inputs) == 1 and _splits(inputs[0]):
            inputs = inputs[0].all_input_nodes
        return [source for source in inputs if source in self.outputs]

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        values = {source: self.env[source] for source in self.sources(n)}
        operation = self.operation(n)
        if values and n.op != "output" and not _splits(n):
            parts = output if isinstance(output, tuple | list) else [output]
            if n not in self.outputs and any(isinstance(part, torch.Tensor) for part in parts):
                raise PropagationError(f"{_title(n)} does not give one result by channel")
        if n not in self.outputs or not values:
            return output
        if isinstance(operation, QuantizedLayer):
            (x,) = values.values()
            if operation.linear and x.ndim != 2:
                raise PropagationError(
                    f"{_title(n)} is a linear layer on inputs of shape {tuple(x.shape)}, not (n, "
                    "features)"
                )
            self.layers.setdefault(n, _LayerSums(operation)).add(x)
        elif isinstance(operation, _MODULES) or n.target in _FUNCTIONS:
            self._differentiate(n, values)
        elif n.target in (operator.getitem, functional.pad) or isinstance(operation, nn.ZeroPad2d):
            self._move(n, values)
        elif not (
            n.target is torch.cat or n.target in _RESHAPES or isinstance(operation, nn.Flatten)
        ):
            raise PropagationError(
                f"{_title(n)} has no rule for the errors that pass it; docs/ame.md lists the "
                "operations that have"
            )
        return output

    def _differentiate(self, node: fx.Node, values: dict[fx.Node, torch.Tensor]) -> None:
        with torch.enable_grad():
            leaves = {source: x.detach().requires_grad_() for source, x in values.items()}

            def value(source: fx.Node) -> Any:
                return leaves[source].clone() if source in leaves else self.env[source]

            args, kwargs = fx.node.map_arg(node.args, value), fx.node.map_arg(node.kwargs, value)
            z = getattr(self, node.op)(node.target, args, kwargs)
            inputs = list(leaves.values())
            by_one = torch.autograd.grad(z, inputs, torch.ones_like(z), retain_graph=True)
            by_z = torch.autograd.grad(z, inputs, z.detach())
        for source, one, exact in zip(leaves, by_one, by_z, strict=True):
            self.derivatives.setdefault((node, source), _Derivatives()).add(
                values[source], one, exact
            )

    def _move(self, node: fx.Node, values: dict[fx.Node, torch.Tensor]) -> None:
        """Slices, parts of a split and padding: they move channels, or act on each by itself."""
        ((source, x),) = values.items()
        if x.ndim < 2:
            raise PropagationError(f"{_title(node)} has no channels")
        numbers = torch.arange(1.0, x.shape[1] + 1).view(1, -1, *[1] * (x.ndim - 2)).expand_as(x)

        def result(of: fx.Node, marked: torch.Tensor) -> Any:
            def value(one: fx.Node) -> Any:
                if one is source:
                    return marked
                return result(one, marked) if _splits(one) else self.env[one]

            args, kwargs = fx.node.map_arg(of.args, value), fx.node.map_arg(of.kwargs, value)
            return getattr(self, of.op)(of.target, args, kwargs)

        moved = result(node, numbers)
        same_pixels = moved.ndim == x.ndim and moved.shape[2:] == x.shape[2:]
        found = moved.transpose(0, 1).flatten(1).amax(1).long().numpy() - 1
        if same_pixels:
            self.channels[node] = found
        elif moved.ndim == x.ndim and np.array_equal(found, np.arange(x.shape[1])):
            self._differentiate(node, values)
        else:
            raise PropagationError(f"{_title(node)} moves channels and pixels at once")

    def transfer(self, node: fx.Node, source: fx.Node) -> Transfer:
        """The map of states from `source` to `node`."""
        before, after = self.outputs[source], self.outputs[node]
        channels, channels_after = before.shape[1], after.shape[1]
        if node in self.layers:
            return self.layers[node].transfer()
        if node.target is torch.cat:
            return self._concatenation(node, source)
        if node in self.channels:
            kept = np.equal.outer(self.channels[node], np.arange(channels)).astype(np.float64)
            return sparse.csr_array(sparse.block_diag((kept, kept)))
        if (node, source) not in self.derivatives:
            if len(after.shape) > 2 or channels_after % channels:
                raise PropagationError(
                    f"{_title(node)} does not flatten (n, channels, height, width) to (n, features)"
                )
            repeat = np.repeat(np.eye(channels), channels_after // channels, axis=0)
            moved = after.mean - repeat @ before.mean
            return sparse.csr_array(
                np.block([[repeat, moved[:, None] * repeat], [np.zeros_like(repeat), repeat]])
            )
        if channels != channels_after:
            raise PropagationError(f"{_title(node)} makes {channels_after} channels of {channels}")
        return self.derivatives[node, source].transfer(before, after)

    def _concatenation(self, node: fx.Node, source: fx.Node) -> Transfer:
        """Ones where the channels of `source` lie among those of the parts of `node`."""
        parts = cast("Sequence[fx.Node]", node.args[0])
        axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        if axis != 1:
            raise PropagationError(
                f"{_title(node)} concatenates along axis {axis}, not along channels"
            )
        channels = self.outputs[source].shape[1]
        blocks = [
            np.eye(channels)
            if part is source
            else np.zeros((self.outputs[part].shape[1], channels))
            for part in parts
        ]
        placed = np.concatenate(blocks)
        return sparse.csr_array(sparse.block_diag((placed, placed)))


def _splits(node: fx.Node) -> bool:
    """Whether a node splits a tensor into parts."""
    return node.target in (torch.split, torch.chunk, "split", "chunk")


def _title(node: fx.Node) -> str:
    what = (
        node.target
        if isinstance(node.target, str)
        else getattr(node.target, "__name__", node.target)
    )
    return f"operation {node.name!r} ({what})"
