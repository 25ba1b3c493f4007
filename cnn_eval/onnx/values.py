"""Values of an ONNX graph: tensors, and sizes that stay numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from .file import OnnxError

__all__ = [
    "MOST_ELEMENTS",
    "Attributes",
    "Context",
    "Sizes",
    "as_constant",
    "check_growth",
    "is_size",
    "number_of",
    "sizes_of",
]

#: Of any value while two images run.
MOST_ELEMENTS = 1 << 28

Attributes: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What operators need to know beside their inputs: their version, the images, and the batch
    size that the file fixes (None: none).
    """

    opset: int
    images: torch.Tensor
    fixed: int | None

    def is_batch(self, size: Any) -> bool:
        """Whether a size in the file is that of the batch which the file was made for."""
        return self.fixed is not None and isinstance(size, int) and size == self.fixed


class Sizes(tuple[Any, ...]):
    """A list of sizes; the batch's may be a symbol."""

    __slots__ = ()


def as_constant(value: Any) -> Any:
    """Known sizes as a constant tensor."""
    if isinstance(value, int) or (
        isinstance(value, Sizes) and all(isinstance(size, int) for size in value)
    ):
        return torch.tensor(value)
    return value


def sizes_of(value: Any) -> Sizes:
    """Integers from a constant, from sizes, or one of them."""
    if isinstance(value, Sizes):
        return value
    if isinstance(value, torch.Tensor):
        if value.ndim > 1:
            raise OnnxError("sizes in a table are not known")
        return Sizes(int(part) for part in value.reshape(-1).tolist())
    if isinstance(value, tuple | list):
        return Sizes(value)
    return Sizes((value,))


def number_of(value: Any) -> Any:
    """A constant of one integer as that."""
    if isinstance(value, torch.Tensor) and value.ndim == 0 and not value.is_floating_point():
        return value.item()
    return value


def is_size(x: Any) -> bool:
    """Whether a value is one size, or a symbol for one."""
    if isinstance(x, int):
        return True
    node = getattr(x, "node", None)
    return node is not None and any(isinstance(one, int) for one in node.meta.values())


def check_growth(x: Any, factor: int) -> None:
    if isinstance(x, torch.Tensor) and x.numel() * max(factor, 1) > MOST_ELEMENTS * 64:
        raise OnnxError("it would make far too many values")
