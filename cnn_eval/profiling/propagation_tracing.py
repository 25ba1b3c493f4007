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
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import fx, nn
from torch.nn import functional

from ..prediction.propagation import Propagation, Step, Transfer
from ..quantization.products import QuantizedProduct
from ..quantization.quantized_layer import QuantizedLayer
from ..quantization.quantized_network import QuantizedNetwork
from .running_sums import Derivatives, LayerSums, Moments, PropagationError

__all__ = ["channel_means", "trace_propagation"]

_BATCH = 32


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
        self.outputs: dict[fx.Node, Moments] = {}

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
            self.outputs.setdefault(n, Moments()).add(output)
        return output

    def operation(self, node: fx.Node) -> nn.Module | None:
        return self.submodules[str(node.target)] if node.op == "call_module" else None


class _Reader(_Recorder):
    """Sums up what the maps are made of, too."""

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__(network)
        self.layers: dict[fx.Node, LayerSums] = {}
        self.derivatives: dict[tuple[fx.Node, fx.Node], Derivatives] = {}
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
            self.layers.setdefault(n, LayerSums(operation)).add(x)
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
            self.derivatives.setdefault((node, source), Derivatives()).add(
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
