"""Batch normalization folded into the convolution or linear layer before it."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import nn
from torch.fx import Node, symbolic_trace
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from hdl.errors import InputError

__all__ = ["FoldingError", "fold_batch_norm"]


class FoldingError(InputError):
    """The network's structure cannot be read."""


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of `model` in evaluation mode whose weights contain the batch normalization that
    directly follows them.

    Folded normalizations are identities in the copy, all other names stay. Normalizations of
    anything else than the one use of a convolution or linear layer stay as they are.

    Raises:
        FoldingError: torch.fx cannot trace the network.
    """
    folded = copy.deepcopy(model).eval()
    try:
        nodes = list(symbolic_trace(folded).graph.nodes)
    except Exception as error:  # the network's own code may raise anything on being traced
        words = " ".join(str(error).split())[:200]
        what = f"{type(model).__name__} cannot be traced to fold its batch normalization"
        raise FoldingError(f"{what} ({words}); leave it unfolded") from error
    uses = Counter(str(node.target) for node in nodes if node.op == "call_module")
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        names = str(before.target), str(node.target)
        layer, norm = (folded.get_submodule(name) for name in names)
        if any(uses[name] > 1 for name in names) or getattr(norm, "running_mean", None) is None:
            continue
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            folded.set_submodule(names[0], fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            folded.set_submodule(names[0], fuse_linear_bn_eval(layer, norm))
        else:
            continue
        folded.set_submodule(names[1], nn.Identity())
    return folded
