"""ONNX graphs as networks of torch: every operation a few of torch's, run in the file's order."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hdl.errors import InputError

from ..capture.capturing import layered
from .file import OnnxError, OnnxGraph, OnnxNode
from .layers import layer_of
from .operators import OPERATORS
from .shapes import SHAPE_OPERATORS, constant_of
from .values import MOST_ELEMENTS, Context, as_constant

__all__ = ["OnnxNetwork", "onnx_network"]

_MOST_PX = 1024
_TOLERANCE = 1e-3


class OnnxNetwork(nn.Module):
    """Runs an ONNX graph. Convolutions, linear layers and batch normalizations whose weights are
    constants are modules of torch, by the names of their nodes.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self._graph, self._known = graph, dict(graph.constants)
        self._nodes: list[OnnxNode] = []
        for node in graph.nodes:
            try:
                self._add(node)
            except OnnxError:
                raise
            except Exception as error:  # torch raises many kinds; arguments are a stranger's
                raise OnnxError(f"{_title(node)} has constants that do not fit it") from error
        # Arrays of numbers are read as attributes, so that they are part of a graph; single ones
        # and integers are settings.
        self._stored: dict[str, str] = {}
        for index, (name, value) in enumerate(self._known.items()):
            if value.is_floating_point() and value.numel() > 1:
                self._stored[name] = f"_stored_{index}"
                self.register_buffer(f"_stored_{index}", value)

    def _add(self, node: OnnxNode) -> None:
        if node.operator == "Constant":
            self._known[node.outputs[0]] = constant_of(node.attributes)
            return
        self._nodes.append(node)
        if node.operator not in OPERATORS:
            raise OnnxError(
                f"operator {node.operator[:60]!r} (of node {node.name!r}) is not known; known are "
                f"{', '.join(sorted(OPERATORS))}"
            )
        layer = layer_of(node, self._known)
        if layer is not None:
            self.add_module(node.name, layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, height, width) -> logits (n, classes)."""
        values: dict[str, Any] = {**self._known, self._graph.input: images}
        for name, buffer in self._stored.items():
            values[name] = getattr(self, buffer)
        context = Context(self._graph.opset, images, self._graph.shape[0])
        for node in self._nodes:
            found = self._named(node, values, context)
            parts = found if isinstance(found, tuple) and len(node.outputs) > 1 else (found,)
            values.update(zip(node.outputs, parts, strict=False))
        logits: torch.Tensor = values.get(self._graph.output, images)
        return logits

    def _named(self, node: OnnxNode, values: dict[str, Any], context: Context) -> Any:
        """What a node gives; it is named where it fails."""
        try:
            found = self._run(node, values, context)
        except OnnxError as error:
            raise OnnxError(f"{_title(node)}: {error}") from error
        except Exception as error:  # torch raises many kinds; arguments are a stranger's
            raise OnnxError(
                f"{_title(node)} fails; is the file damaged, or made for a batch of a fixed size? "
                "export it with a dynamic batch axis"
            ) from error
        for part in found if isinstance(found, tuple) else (found,):
            if isinstance(part, torch.Tensor) and part.numel() > MOST_ELEMENTS:
                raise OnnxError(
                    f"{_title(node)} makes {part.numel()} values; {MOST_ELEMENTS} is most"
                )
        return found

    def _run(self, node: OnnxNode, values: dict[str, Any], context: Context) -> Any:
        given: list[Any] = [values[name] if name else None for name in node.inputs]
        if node.operator not in SHAPE_OPERATORS:
            given = [as_constant(value) for value in given]
        layer = self._modules.get(node.name)
        # Of batch normalizations, those of vectors are no BatchNorm2d.
        if layer is not None and not (isinstance(layer, nn.BatchNorm2d) and given[0].dim() != 4):
            return layer(given[0])
        return OPERATORS[node.operator](context, node.attributes, *given)


def _title(node: OnnxNode) -> str:
    return f"operation {node.name!r} ({node.operator[:60]})"


@torch.no_grad()
def onnx_network(graph: OnnxGraph) -> nn.Module:
    """The network of a graph as a module, in evaluation mode, tried on two images of noise.

    Raises:
        OnnxError: an operator that is not known, or used in a way that is not; values too large;
            results that depend on how many images there are.
    """
    shape = graph.shape
    if len(shape) != 4 or None in shape[1:]:
        shown = "x".join("?" if side is None else str(side) for side in shape)
        raise OnnxError(
            f"the network takes {shown or 'no shape'}; images need (n, channels, height, width), "
            "all but n fixed: export it with a fixed image size"
        )
    network = OnnxNetwork(graph).eval().requires_grad_(False)
    sides = [int(side or 0) for side in shape[1:]]
    if max(sides) > _MOST_PX:
        raise OnnxError(
            f"the network takes images of {'x'.join(map(str, sides))}; {_MOST_PX} is most"
        )
    images = torch.rand(2, *sides, generator=torch.Generator().manual_seed(0))
    both, alone = (_logits(network, some) for some in (images, images[:1]))
    if both.shape[:1] != (2,) or alone.shape[:1] != (1,) or not _close(both[:1], alone):
        raise OnnxError(
            "the network's results depend on how many images it gets; export it with a dynamic "
            "batch axis"
        )
    try:
        return layered(network, images)
    except InputError:
        raise
    except Exception as error:  # as above
        raise OnnxError(
            "its operations cannot be read as a graph; they branch on values"
        ) from error


def _logits(network: OnnxNetwork, images: torch.Tensor) -> torch.Tensor:
    found: Any = network(images)
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise OnnxError("the network does not give logits, (n, classes)")
    if not bool(torch.isfinite(found).all()):
        raise OnnxError("the network makes values of noise that are not finite; is it damaged?")
    return found


def _close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    largest = float(wanted.abs().max())
    return float((found - wanted).abs().max()) <= _TOLERANCE * max(largest, 1e-6)
