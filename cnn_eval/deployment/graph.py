"""The operations of a quantized network in order, with batch normalization merged into the scale
and bias of the layer before it.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional

from hdl.errors import InputError

from ..quantization.products import QuantizedProduct
from ..quantization.quantized_layer import QuantizedLayer
from ..quantization.quantized_network import QuantizedNetwork

__all__ = ["KINDS", "Affine", "DeploymentError", "LayerDescription", "Operation", "read_graph"]

#: What an operation does; `multiply` is a layer, `affine` a scale and a bias for each channel.
KINDS = (
    "input",
    "multiply",
    "affine",
    "add",
    "relu",
    "relu6",
    "max_pool",
    "average_pool",
    "global_average",
    "flatten",
)

_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


class DeploymentError(InputError):
    """The network cannot be written as a bundle, or the files are none."""


@dataclass(frozen=True)
class Operation:
    """One operation of the network.

    Attributes:
        name: of its result.
        kind: one of :data:`KINDS`.
        inputs: names of what it takes.
        layer: of `multiply`: name of the layer.
        kernel, stride, padding: of a pooling, (vertical, horizontal); empty elsewhere. Maxima pass
            padding over, averages count it as 0.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    layer: str = ""
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerDescription:
    """One layer that multiplies.

    Attributes:
        multiplier: its number among the bundle's multipliers.
        activation_scale: real value of the activation integer 1, float32.
        smallest, largest: activation integers end here.
        zero_point: operand code of the activation integer 0.
        linear: a fully connected layer; its weights are those of a 1x1 convolution.
        stride, dilation: (vertical, horizontal).
        padding: (left, right, top, bottom), with the activation integer 0.
    """

    name: str
    multiplier: int
    linear: bool
    activation_scale: float
    smallest: int
    largest: int
    zero_point: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Affine:
    """What channels are multiplied by, and what is added then; (channels,), float64."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]


class _Tracer(fx.Tracer):
    # Sizes of images may be arguments of methods of buffers.
    proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QuantizedLayer | QuantizedProduct) or super().is_leaf_module(
            m, module_qualified_name
        )


def read_graph(
    network: QuantizedNetwork,
) -> tuple[list[Operation], dict[str, Affine], dict[str, Affine]]:
    """Operations in the order of computation, the last one gives the logits; normalizations that
    merge with the layer before them, by the layer's name; and the other ones, by the name of their
    `affine` operation.

    Raises:
        DeploymentError: control flow that depends on the data, or an operation that a bundle has no
            word for.
    """
    try:
        graph = _Tracer().trace(network.model)
    except Exception as error:  # the network's own code runs here
        reason = " ".join(str(error).split())[:200]
        raise DeploymentError(
            f"the network's operations cannot be read ({reason}); write its forward without "
            "branches on data"
        ) from error
    return _Reader(network, graph).read()


class _Reader:
    def __init__(self, network: QuantizedNetwork, graph: fx.Graph) -> None:
        self._modules, self._graph = dict(network.model.named_modules()), graph
        self._uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
        self._operations: list[Operation] = []
        self._names: dict[fx.Node, str] = {}
        self._merged: dict[str, Affine] = {}
        self._affine: dict[str, Affine] = {}

    def read(self) -> tuple[list[Operation], dict[str, Affine], dict[str, Affine]]:
        for node in self._graph.nodes:
            if node.op == "output":
                result = node.args[0]
                if (
                    not isinstance(result, fx.Node)
                    or self._names[result] != self._operations[-1].name
                ):
                    raise DeploymentError(
                        "the network gives back something else than its last result; let it give "
                        "back the logits alone"
                    )
            elif node.op == "placeholder":
                if self._operations:
                    raise DeploymentError(
                        "the network takes several inputs; a bundle has one, the images"
                    )
                self._add(node, "input")
            elif node.op == "call_module":
                self._module(node, self._modules[str(node.target)])
            else:
                self._function(node)
        return self._operations, self._merged, self._affine

    def _add(self, node: fx.Node, kind: str, **more: Any) -> None:
        inputs = tuple(self._names[one] for one in node.all_input_nodes)
        if kind == "add" and len(node.args) == 2 and node.args[0] is node.args[1]:
            inputs *= 2
        self._operations.append(Operation(node.name, kind, inputs, **more))
        self._names[node] = node.name

    def _skip(self, node: fx.Node) -> None:
        self._names[node] = self._names[node.all_input_nodes[0]]

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        match module:
            case QuantizedLayer():
                if module.outer_padding is not None:
                    raise DeploymentError(
                        f"layer {node.target!s:.80} pads with {module.padding_mode!r}; a bundle "
                        "pads with zeros alone"
                    )
                self._add(node, "multiply", layer=str(node.target))
            case QuantizedProduct():
                raise DeploymentError(
                    f"layer {node.target!s:.80} multiplies two activations; a bundle knows layers "
                    "with weights alone"
                )
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                self._normalization(node, module)
            case nn.Identity() | nn.Dropout() | nn.Dropout2d():
                self._skip(node)
            case nn.ReLU():
                self._add(node, "relu")
            case nn.ReLU6():
                self._add(node, "relu6")
            case nn.MaxPool2d() if module.dilation in (1, (1, 1)) and not (
                module.ceil_mode or module.return_indices
            ):
                self._pool(node, "max_pool", module)
            case nn.AvgPool2d() if (
                not module.ceil_mode and module.divisor_override is None and _plain_average(module)
            ):
                self._pool(node, "average_pool", module)
            case nn.AdaptiveAvgPool2d() if module.output_size in (1, (1, 1)):
                self._add(node, "global_average")
            case nn.Flatten() if (module.start_dim, module.end_dim) == (1, -1):
                self._add(node, "flatten")
            case _:
                raise _unknown(f"{module}")

    def _normalization(self, node: fx.Node, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        if norm.running_mean is None or norm.running_var is None:
            raise DeploymentError(
                f"{node.target!s:.80} normalizes each batch by itself; a bundle takes stored "
                "statistics"
            )
        factor = 1 / (norm.running_var.double() + norm.eps).sqrt()
        shift = -norm.running_mean.double() * factor
        if norm.affine:
            factor, shift = (
                factor * norm.weight.detach().double(),
                shift * norm.weight.detach().double() + norm.bias.detach().double(),
            )
        affine = Affine(factor.numpy(), shift.numpy())
        (source,) = node.all_input_nodes
        layer = str(source.target)
        if (
            isinstance(self._modules.get(layer), QuantizedLayer)
            and len(source.users) == 1 == self._uses[layer]
        ):
            self._merged[layer] = affine
            self._skip(node)
        else:
            self._add(node, "affine")
            self._affine[node.name] = affine

    def _pool(self, node: fx.Node, kind: str, module: nn.MaxPool2d | nn.AvgPool2d) -> None:
        kernel, stride, padding = (
            _pair(value) for value in (module.kernel_size, module.stride, module.padding)
        )
        self._add(node, kind, kernel=kernel, stride=stride, padding=padding)

    def _function(self, node: fx.Node) -> None:
        target: Callable[..., Any] | str = node.target
        tensors = (
            len(node.all_input_nodes) == sum(isinstance(one, fx.Node) for one in node.args)
            or node.args[:1] == node.args[1:2]
        )
        if (
            target in (operator.add, operator.iadd, torch.add, "add", "add_")
            and tensors
            and len(node.args) == 2
            and not node.kwargs
        ):
            self._add(node, "add")
        elif target in (torch.relu, torch.relu_, functional.relu, "relu", "relu_"):
            self._add(node, "relu")
        elif target in (torch.flatten, "flatten") and (node.args[1:], dict(node.kwargs)) in (
            ((1,), {}),
            ((), {"start_dim": 1}),
        ):
            self._add(node, "flatten")
        elif target is functional.adaptive_avg_pool2d and node.args[1:] in ((1,), ((1, 1),)):
            self._add(node, "global_average")
        elif target is functional.dropout:
            self._skip(node)
        else:
            raise _unknown(getattr(target, "__name__", str(target)))


def _plain_average(module: nn.AvgPool2d) -> bool:
    return module.count_include_pad or _pair(module.padding) == (0, 0)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _unknown(what: str) -> DeploymentError:
    shown = " ".join(what.split())[:80]
    return DeploymentError(
        f"a bundle has no word for the operation {shown}; it knows {', '.join(KINDS[1:])}: write "
        "the network with these, or leave it to dse emulate"
    )
