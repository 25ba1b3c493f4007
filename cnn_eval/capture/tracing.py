"""A network's forward as a graph of operations, read by running it once with torch.fx.

Every operation is computed while it is recorded. So sizes are numbers, and code may branch on them,
which torch.fx by itself does not allow. The size of the batch alone stays open: of all sizes that
are multiples of a batch size that nothing else has, only the graph knows the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from .multiplications import is_plain
from .product import ActivationProduct

__all__ = ["BATCH", "VALUE", "trace"]

#: Images that a network is traced with.
BATCH = 11
#: Of a node's `meta`: what it is for the images traced with.
VALUE = "traced value"

# What is the same for every batch, and code may branch on.
_KNOWN = frozenset(("device", "dtype", "is_cuda", "is_nested", "layout", "ndim", "requires_grad"))


def trace(model: nn.Module, images: torch.Tensor) -> fx.Graph:
    """The operations of `model` on :data:`BATCH` images.

    Modules of torch are one operation each. Of convolutions and linear layers those that are not
    plain (:func:`is_plain`) are read as well.

    Raises:
        Exception: whatever the network's code raises where its forward branches on values.
    """
    assert len(images) == BATCH
    with torch.no_grad():
        return _Tracer(images).trace(model)


class _Tracer(fx.Tracer):
    # Sizes of images may be arguments of methods of buffers.
    proxy_buffer_attributes = True

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self._images = images

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, nn.Conv2d | nn.Linear | ActivationProduct):
            return is_plain(m)
        if isinstance(m, nn.Conv1d):
            return False
        return super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The images alone: all other arguments have their defaults."""
        return root_fn, [self.root, self.create_proxy("placeholder", "images", (), {})]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _SizedProxy(node, self)

    def create_node(
        self,
        kind: str,
        target: fx.node.Target,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
    ) -> fx.Node:
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        with _unpatched():
            node.meta[VALUE] = self._value(node)
        return node

    def _value(self, node: fx.Node) -> Any:
        parts: tuple[Any, Any] = node.args, node.kwargs
        args, kwargs = (fx.node.map_arg(part, lambda source: source.meta[VALUE]) for part in parts)
        match node.op:
            case "placeholder":
                return self._images
            case "output":
                return args[0]
            case "get_attr":
                value: Any = self.root
                for part in str(node.target).split("."):
                    value = getattr(value, part)
                return value
            case "call_module":
                return self.root.get_submodule(str(node.target))(*args, **kwargs)
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            case _:
                assert callable(node.target)
                return node.target(*args, **kwargs)


# torch.fx records calls of modules, and reads of their attributes, by methods of its own.
_CALL, _GETATTR = nn.Module.__call__, nn.Module.__getattr__


@contextmanager
def _unpatched() -> Iterator[None]:
    """While open, modules compute and nothing is recorded."""
    recording = nn.Module.__call__, nn.Module.__getattr__
    nn.Module.__call__, nn.Module.__getattr__ = _CALL, _GETATTR  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__, nn.Module.__getattr__ = recording  # type: ignore[method-assign]


class _SizedProxy(fx.Proxy):
    """Stands for a value of the graph; knows all sizes but the batch's."""

    @property
    def shape(self) -> Any:
        value = self.node.meta[VALUE]
        open_shape: Any = super().__getattr__("shape")
        if not isinstance(value, torch.Tensor):
            return open_shape
        return tuple(
            size if size % BATCH else open_shape[axis] for axis, size in enumerate(value.shape)
        )

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return int(self.node.meta[VALUE].ndim)

    def __len__(self) -> int:
        return len(self._known_parts())

    def __iter__(self) -> Iterator[fx.Proxy]:
        parts: Any = self
        return (parts[index] for index in range(len(self._known_parts())))

    def _known_parts(self) -> Any:
        value = self.node.meta[VALUE]
        if isinstance(value, torch.Tensor) and len(value) % BATCH == 0:
            raise fx.proxy.TraceError("a loop over the images of a batch")
        return value

    def __getattr__(self, name: str) -> Any:
        value = self.node.meta.get(VALUE)
        if name in _KNOWN and isinstance(value, torch.Tensor):
            return getattr(value, name)
        return super().__getattr__(name)
