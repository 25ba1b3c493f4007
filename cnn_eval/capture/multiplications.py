"""Which operations of a network multiply and add up, and where: counted as they run.

Nothing is read off the network's structure. Whatever its code does, a sum of products ends in one
of few operations of torch, and those are seen when they are computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from hdl.errors import InputError

from .product import ActivationProduct

__all__ = ["CaptureError", "Multiplication", "count_multiplications", "is_plain"]


class CaptureError(InputError):
    """The network multiplies where no multiplier can be put."""


@dataclass(frozen=True)
class Multiplication:
    """Sums of products that one operation computes.

    Attributes:
        layer: path of the innermost module; empty for the network's own forward.
        kind: class of that module.
        operation: torch's name of it.
        macs: multiply-accumulates for one image; 0 where they are not known.
        plain: whether the layer can be exchanged for one on integers.
    """

    layer: str
    kind: str
    operation: str
    macs: int
    plain: bool

    def __str__(self) -> str:
        if self.layer:
            return f"layer {self.layer[:120]!r} ({self.kind[:60]})"
        return f"the forward of {self.kind[:60]} (operation {self.operation})"


def is_plain(module: nn.Module) -> bool:
    """Whether a module is a product of two activations, or a convolution or linear layer that
    computes what its weight and its attributes say: none with a forward or hooks of its own.
    """
    kind: Any = type(module)
    if isinstance(module, ActivationProduct):
        return True
    if isinstance(module, nn.Conv2d):
        own = (
            kind.forward is not nn.Conv2d.forward
            or kind._conv_forward is not nn.Conv2d._conv_forward
        )
    elif isinstance(module, nn.Linear):
        own = kind.forward is not nn.Linear.forward
    else:
        return False
    hooked = module._forward_pre_hooks or module._forward_hooks
    return not (own or hooked or "forward" in vars(module) or "_conv_forward" in vars(module))


@torch.no_grad()
def count_multiplications(model: nn.Module, images: torch.Tensor) -> list[Multiplication]:
    """All sums of products that `model` computes for `images` (n, channels, height, width), in the
    order of computation.
    """
    plain = {name: is_plain(module) for name, module in model.named_modules()}
    modules = dict(model.named_modules())
    with _inside(model) as stack, _Recorder() as recorder:
        recorder.where = lambda: stack[-1] if stack else ""
        model(images)
    return [
        Multiplication(
            layer, type(modules[layer]).__name__, operation, macs // len(images), plain[layer]
        )
        for layer, operation, macs in recorder.found
    ]


@contextmanager
def _inside(model: nn.Module) -> Iterator[list[str]]:
    """While open, the paths of the modules whose forward runs, the innermost last."""
    stack: list[str] = []
    handles = []
    for name, module in model.named_modules():
        if name:
            handles += [
                module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)),
                module.register_forward_hook(lambda *_: stack.pop() and None, always_call=True),
            ]
    try:
        yield stack
    finally:
        for handle in handles:
            handle.remove()


def _of_convolution(output: Any, first: torch.Tensor, weight: torch.Tensor, *rest: Any) -> int:
    transposed = len(rest) > 4 and bool(rest[4])
    return int((first if transposed else output).numel() * weight[0].numel())


def _of_matrices(output: torch.Tensor, first: torch.Tensor, *rest: Any) -> int:
    return output.numel() * first.shape[-1]


def _of_sum_with_matrices(output: torch.Tensor, added: Any, first: torch.Tensor, *_: Any) -> int:
    return output.numel() * first.shape[-1]


def _of_attention(
    output: tuple[torch.Tensor, ...], query: torch.Tensor, key: torch.Tensor, *_: Any
) -> int:
    return query.numel() * key.shape[-2] + output[0].numel() * key.shape[-2]


_ATEN = torch.ops.aten
#: Operation -> its multiply-accumulates, from its output and its arguments.
_COUNTS: dict[Any, Callable[..., int]] = {
    _ATEN.convolution: _of_convolution,
    _ATEN.mm: _of_matrices,
    _ATEN.bmm: _of_matrices,
    _ATEN.mv: _of_matrices,
    _ATEN.dot: _of_matrices,
    _ATEN.vdot: _of_matrices,
    _ATEN.linear: _of_matrices,
    _ATEN.matmul: _of_matrices,
    _ATEN.addmm: _of_sum_with_matrices,
    _ATEN.addmv: _of_sum_with_matrices,
    _ATEN.baddbmm: _of_sum_with_matrices,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _of_attention,
    _ATEN._scaled_dot_product_efficient_attention: _of_attention,
    _ATEN._scaled_dot_product_flash_attention: _of_attention,
}
# Names of operations that multiply and that nobody counts.
_SUSPECT = re.compile(
    r"conv(?!ert)|rnn|lstm|gru|attention|transformer|^trilinear|mm($|_)|addr|einsum|tensordot|kron"
    r"|fft|cdist|embedding_bag"
)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records (layer, operation, multiply-accumulates of the batch) of all that runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, str, int]] = []
        self.where: Callable[[], str] = lambda: ""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, as nothing here is compiled: torch would load its compiler, for a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.strip("_")
        if count := _COUNTS.get(func.overloadpacket):
            self.found.append((self.where(), name, count(output, *args)))
        elif _SUSPECT.search(name):
            self.found.append((self.where(), name, 0))
        return output
