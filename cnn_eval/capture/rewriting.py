"""Graphs in which calls of functions that multiply are layers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from .attention import ScaledDotProduct, additive_mask, linear
from .product import ActivationProduct
from .tracing import BATCH, VALUE

__all__ = ["with_layers"]


def with_layers(model: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """The traced graph of `model` as a module, its multiplications in layers.

    A layer has the path of the convolution or linear layer whose forward called the function;
    others have the path of the module that did, and the name of the operation.
    """
    return _Rewriter(model, graph).rewritten()


class _Rewriter:
    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        self._model, self._graph = model, graph
        self._layers: dict[str, nn.Module] = {}
        self._stored: dict[str, torch.Tensor] = {}
        self._constants: dict[fx.Node, Any] = {}
        # Paths of modules and constants in the graph that is made.
        self._taken = {str(node.target) for node in graph.nodes if node.op == "call_module"}

    def rewritten(self) -> fx.GraphModule:
        for node in list(self._graph.nodes):
            if self._is_constant(node):
                self._constants[node] = node.meta[VALUE]
            elif node.op in ("call_function", "call_method") and node.target in _LAYERS:
                rewritten = _LAYERS[node.target](self, node)
                if rewritten is not None:
                    rewritten.meta[VALUE] = node.meta[VALUE]
                    node.replace_all_uses_with(rewritten)
                    self._graph.erase_node(node)
        self._store_constants()
        self._erase_unused_sizes()
        root = nn.Module()
        for node in self._graph.nodes:
            if node.op == "call_module":
                name = str(node.target)
                _place(root, name, self._layers.get(name) or self._model.get_submodule(name))
            elif node.op == "get_attr":
                root.register_buffer(str(node.target), self._stored[str(node.target)])
            node.meta.pop(VALUE, None)
        self._graph.lint()
        return fx.GraphModule(root, self._graph, type(self._model).__name__)

    def _is_constant(self, node: fx.Node) -> bool:
        """Whether a node depends on no image."""
        if node.op == "get_attr":
            return True
        sources = node.all_input_nodes
        return (
            node.op.startswith("call")
            and bool(sources)
            and all(source in self._constants for source in sources)
        )

    def _store_constants(self) -> None:
        """What depends on no image, and is used by what does, becomes a buffer."""
        for node, value in self._constants.items():
            users = [user for user in node.users if user not in self._constants]
            if users:
                stored = self.store(value)
                for user in users:
                    user.replace_input_with(node, stored)
        for node in reversed(self._constants):
            self._graph.erase_node(node)

    def _erase_unused_sizes(self) -> None:
        for node in reversed(list(self._graph.nodes)):
            if not node.users and node.target in (getattr, operator.getitem):
                self._graph.erase_node(node)

    def store(self, value: torch.Tensor) -> fx.Node:
        """A node that gives `value`."""
        name = self._unique(f"constant_{len(self._stored)}")
        self._stored[name] = value.detach().clone()
        with self._graph.inserting_before(next(iter(self._graph.nodes))):
            return self._graph.get_attr(name)

    def constant(self, node: object) -> torch.Tensor | None:
        """The value of a node that depends on no image."""
        return self._constants.get(node) if isinstance(node, fx.Node) else None

    def call(self, node: fx.Node, layer: nn.Module, *args: Any) -> fx.Node:
        """A call of `layer` in the place of `node`."""
        name = self._name(node)
        self._layers[name] = layer
        with self._graph.inserting_before(node):
            return self._graph.call_module(name, args)

    def method(self, node: fx.Node, name: str, *args: Any) -> fx.Node:
        """A call of a tensor's method before `node`."""
        with self._graph.inserting_before(node):
            return self._graph.call_method(name, args)

    def _name(self, node: fx.Node) -> str:
        stack = list(node.meta.get("nn_module_stack", {}))
        path = stack[-1] if stack else ""
        free = not any(taken == path or taken.startswith(f"{path}.") for taken in self._taken)
        if path and free and isinstance(self._model.get_submodule(path), nn.Conv2d | nn.Linear):
            return self._unique(path)
        return self._unique(f"{path}.{node.name}" if path else node.name)

    def _unique(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module at a path, and modules that hold it on the way."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)


def _arguments(node: fx.Node, *names: str) -> dict[str, Any]:
    """Arguments of a call by name, without those that it leaves out."""
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _convolution(rewriter: _Rewriter, node: fx.Node) -> fx.Node | None:
    given = _arguments(node, "input", "weight", "bias", "stride", "padding", "dilation", "groups")
    weight, bias = rewriter.constant(given["weight"]), given.get("bias")
    if weight is None or (bias is not None and rewriter.constant(bias) is None):
        return None
    groups, source = given.get("groups", 1), given["input"]
    axes = weight.ndim - 2
    stride, dilation = (_sides(given.get(name, 1), axes) for name in ("stride", "dilation"))
    padding = given.get("padding", 0)
    padding = padding if isinstance(padding, str) else _sides(padding, axes)
    if axes == 1:
        # A row of pixels.
        weight = weight[:, :, None]
        stride, dilation = (1, *stride), (1, *dilation)
        padding = padding if isinstance(padding, str) else (0, *padding)
        source = rewriter.method(node, "unsqueeze", source, 2)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        (stride[0], stride[1]),
        padding if isinstance(padding, str) else (padding[0], padding[1]),
        (dilation[0], dilation[1]),
        groups,
        bias is not None,
        device="meta",
    ).eval()
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        value = rewriter.constant(bias)
        assert value is not None
        layer.bias = nn.Parameter(value.detach().clone(), requires_grad=False)
    found = rewriter.call(node, layer, source)
    return found if axes == 2 else rewriter.method(node, "squeeze", found, 2)


def _sides(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    sides = (value,) if isinstance(value, int) else tuple(value)
    return sides * axes if len(sides) == 1 else sides


def _linear(rewriter: _Rewriter, node: fx.Node) -> fx.Node | None:
    given = _arguments(node, "input", "weight", "bias")
    weight, bias = rewriter.constant(given["weight"]), given.get("bias")
    constant_bias = rewriter.constant(bias)
    if weight is None or weight.ndim != 2 or (bias is not None and constant_bias is None):
        return None
    return rewriter.call(node, linear(weight, constant_bias), given["input"])


def _matrix_product(rewriter: _Rewriter, node: fx.Node) -> fx.Node | None:
    """A matrix that depends on no image is the weight of a linear layer, on either side."""
    given = _arguments(node, "input", "other")
    first, second = given["input"], given.get("other", given.get("mat2", given.get("tensor2")))
    if not (isinstance(first, fx.Node) and isinstance(second, fx.Node)):
        return None
    left, right = rewriter.constant(first), rewriter.constant(second)
    if right is not None and right.ndim == 2:
        return rewriter.call(node, linear(right.T, None), first)
    if left is not None and left.ndim == 2 and second.meta[VALUE].ndim > 1:
        turned = rewriter.method(node, "transpose", second, -2, -1)
        found = rewriter.call(node, linear(left, None), turned)
        return rewriter.method(node, "transpose", found, -2, -1)
    if min(first.meta[VALUE].ndim, second.meta[VALUE].ndim) < 2:
        return None
    return rewriter.call(node, ActivationProduct(), first, second)


def _attention(rewriter: _Rewriter, node: fx.Node) -> fx.Node | None:
    given = _arguments(
        node, "query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale"
    )
    query, key, value = given["query"], given["key"], given["value"]
    mask, scale = given.get("attn_mask"), given.get("scale")
    if given.get("enable_gqa", False) or isinstance(scale, fx.Node):
        return None
    shape = query.meta[VALUE].shape
    if given.get("is_causal", False):
        causal = torch.ones(shape[-2], key.meta[VALUE].shape[-2], dtype=torch.bool).tril()
        mask = rewriter.store(additive_mask(causal))
    elif mask is not None:
        known = rewriter.constant(mask)
        if known is not None:
            mask = rewriter.store(additive_mask(known))
        elif mask.meta[VALUE].dtype == torch.bool:
            return None
    scale = shape[-1] ** -0.5 if scale is None else scale
    return rewriter.call(node, ScaledDotProduct(), query, key, value, mask, scale)


def _einsum(rewriter: _Rewriter, node: fx.Node) -> fx.Node | None:
    """A sum over the letters that two operands share, as a matrix product."""
    given: list[Any] = list(node.args)
    equation, *operands = given
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = list(operands[0])
    if len(operands) != 2 or not isinstance(equation, str):
        return None
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    left, _, right = inputs.partition(",")
    letters = set(left + right)
    usable = arrow and all(len(set(part)) == len(part) for part in (left, right, output))
    if not usable or "." in letters or not letters - set(output) <= set(left) & set(right):
        return None
    shared = [letter for letter in left if letter in right and letter in output]
    summed = [letter for letter in left if letter in right and letter not in output]
    rows, columns = (
        [letter for letter in part if letter not in other]
        for part, other in ((left, right), (right, left))
    )
    if not summed:
        return None
    sizes = {
        letter: size
        for part, operand in ((left, operands[0]), (right, operands[1]))
        for letter, size in zip(part, operand.meta[VALUE].shape, strict=True)
    }
    first = _grouped(rewriter, node, operands[0], left, shared, rows, summed)
    second = _grouped(rewriter, node, operands[1], right, shared, summed, columns)
    found = rewriter.call(node, ActivationProduct(), first, second)
    for axis, parts in ((len(shared) + 1, columns), (len(shared), rows)):
        # The batch's size is open: one size may be.
        known = [-1 if sizes[letter] % BATCH == 0 else sizes[letter] for letter in parts]
        if known.count(-1) > 1:
            return None
        found = (
            rewriter.method(node, "unflatten", found, axis, tuple(known))
            if parts
            else rewriter.method(node, "squeeze", found, axis)
        )
    order = [*shared, *rows, *columns]
    return rewriter.method(node, "permute", found, *(order.index(letter) for letter in output))


def _grouped(
    rewriter: _Rewriter,
    node: fx.Node,
    operand: fx.Node,
    letters: str,
    shared: list[str],
    *parts: list[str],
) -> fx.Node:
    """An operand with the shared axes in front, and an axis for each group of letters."""
    order = [letters.index(letter) for letter in (*shared, *parts[0], *parts[1])]
    found = rewriter.method(node, "permute", operand, *order)
    start = len(shared)
    for part in parts:
        if not part:
            found = rewriter.method(node, "unsqueeze", found, start)
        elif len(part) > 1:
            found = rewriter.method(node, "flatten", found, start, start + len(part) - 1)
        start += 1
    return found


_LAYERS: dict[Any, Callable[[_Rewriter, fx.Node], fx.Node | None]] = {
    torch.einsum: _einsum,
    functional.conv1d: _convolution,
    functional.conv2d: _convolution,
    functional.linear: _linear,
    functional.scaled_dot_product_attention: _attention,
    operator.matmul: _matrix_product,
    torch.matmul: _matrix_product,
    torch.bmm: _matrix_product,
    torch.mm: _matrix_product,
    "matmul": _matrix_product,
    "bmm": _matrix_product,
    "mm": _matrix_product,
}
