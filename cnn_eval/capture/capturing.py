"""Captures a trained network: the same function, with every multiplication in a layer that can be
quantized.

Most networks are such already and stay as they are. Others are read as a graph
(:mod:`cnn_eval.capture.tracing`), and in it convolutions, linear layers and matrix products that
are calls of functions become layers; what depends on no image (standardized weights, masks) is
computed once. Whatever the way, the result is run beside the network before anything is made of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn import functional

from .attention import write_out_attention
from .multiplications import CaptureError, Multiplication, count_multiplications
from .rewriting import with_layers
from .tracing import BATCH, trace

__all__ = ["TOLERANCE", "capture", "convolved", "layered", "padding_of"]

#: Largest deviation of captured results, relative to the largest magnitude: what float32 sums in
#: another order may deviate by.
TOLERANCE = 1e-3
_IMAGES = 2


@torch.no_grad()
def capture(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """`model` itself if all its multiplications are in plain layers
    (:func:`~cnn_eval.capture.multiplications.is_plain`), or a copy of which that is true.

    Args:
        model: in evaluation mode.
        images: normalized, (n, channels, height, width); two are enough.

    Raises:
        CaptureError: it multiplies elsewhere, the message says in which layer; results that differ
            from one time to the next, or between the network and its copy.
    """
    some = _cycled(images, _IMAGES)
    wanted = model(some)
    if not _close(model(some), wanted):
        raise CaptureError(
            f"{type(model).__name__} gives other results for the same image each time; is there "
            "dropout, or other chance, in evaluation mode?"
        )
    outside = _outside(model, some)
    captured = _captured(model, images, outside[0]) if outside else model
    left = _outside(captured, some)
    if left:
        raise CaptureError(
            f"{left[0]} multiplies in a way that cannot be quantized; take convolutions, linear "
            "layers, matrix products or attention in its place"
        )
    _check_layers(captured, some)
    if captured is not model:
        _check_agreement(model, captured, some, wanted)
    return captured


def _cycled(images: torch.Tensor, count: int) -> torch.Tensor:
    """So many images, the same ones again where there are fewer."""
    return images[torch.arange(count) % len(images)]


def _outside(model: nn.Module, images: torch.Tensor) -> list[Multiplication]:
    return [found for found in count_multiplications(model, images) if not found.plain]


def layered(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """A graph of `model` in which convolutions, linear layers and products of activations are
    layers, wherever that can be done.

    Raises:
        Exception: whatever the network's code raises where its forward branches on values.
    """
    readable = copy.deepcopy(model).eval().requires_grad_(False)
    write_out_attention(readable)
    graph = trace(readable, _cycled(images, BATCH))
    return with_layers(readable, graph).eval()


def _captured(model: nn.Module, images: torch.Tensor, reason: Multiplication) -> nn.Module:
    try:
        return layered(model, images)
    except CaptureError:
        raise
    except Exception as error:  # the network's own code runs here, on values that are symbols
        raise CaptureError(
            f"{reason} multiplies outside of layers that can be quantized, and the network's "
            f"forward cannot be read as a graph ({_why(error)}); write it without branches on data"
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, fx.proxy.TraceError):
        return "it branches on values"
    return f"it raises {type(error).__name__}"


def convolved(layer: nn.Conv2d | nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """What a layer computes by its weight, bias and attributes alone."""
    if isinstance(layer, nn.Linear):
        return functional.linear(x, layer.weight, layer.bias)
    mode = layer.padding_mode if layer.padding_mode != "zeros" else "constant"
    return functional.conv2d(
        functional.pad(x, padding_of(layer), mode=mode),
        layer.weight,
        layer.bias,
        layer.stride,
        0,
        layer.dilation,
        layer.groups,
    )


def padding_of(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """(left, right, top, bottom)."""
    if isinstance(layer.padding, str):
        same = layer.padding == "same"
        total = [
            same * dilation * (size - 1)
            for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
        ]
        (top, bottom), (left, right) = ((pixels // 2, pixels - pixels // 2) for pixels in total)
        return left, right, top, bottom
    vertical, horizontal = layer.padding
    return horizontal, horizontal, vertical, vertical


def _check_layers(model: nn.Module, images: torch.Tensor) -> None:
    """Holds every layer's output against :func:`convolved`."""

    def check(
        name: str, layer: nn.Conv2d | nn.Linear, args: tuple[torch.Tensor, ...], y: torch.Tensor
    ) -> None:
        if not args:
            kind = type(layer).__name__
            raise CaptureError(f"layer {name!r} ({kind}) is given its input by name; leave it out")
        if not _close(convolved(layer, args[0]), y):
            raise CaptureError(
                f"layer {name!r} ({type(layer).__name__}) computes something else than its weight "
                "and bias say; give it no forward of its own"
            )

    handles = [
        module.register_forward_hook(
            lambda layer, args, output, name=name: check(name, layer, args, output)
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()


def _check_agreement(
    model: nn.Module, captured: nn.Module, images: torch.Tensor, wanted: torch.Tensor
) -> None:
    if _close(captured(images), wanted):
        return
    expected, found = (dict(_outputs(one, images)) for one in (model, captured))
    first = next(
        (name for name in found if name in expected and not _close(found[name], expected[name])),
        "",
    )
    where = f"layer {first!r} is the first that differs" if first else "no single layer differs"
    raise CaptureError(
        f"the graph of {type(model).__name__} computes something else than the network itself; "
        f"{where}"
    )


def _outputs(model: nn.Module, images: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """(path, output) of every module that gives one tensor, in the order of computation."""
    found: list[tuple[str, torch.Tensor]] = []

    def keep(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor):
            found.append((name, output.clone()))

    handles = [
        module.register_forward_hook(lambda _, args, output, name=name: keep(name, output))
        for name, module in model.named_modules()
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    yield from found


def _close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    if found.shape != wanted.shape:
        return False
    if not bool(torch.isfinite(wanted).all()):
        return True  # said elsewhere, with the layer where it begins
    return float((found - wanted).abs().max()) <= TOLERANCE * max(float(wanted.abs().max()), 1e-6)
