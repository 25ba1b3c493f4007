"""Attention and encoder layers of torch, written out in linear layers, products of activations and
softmax.

torch computes them in one operation, in which no multiplier can be put. The layers here have the
same weights and give the same results in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from .multiplications import CaptureError
from .product import ActivationProduct

__all__ = ["Attention", "ScaledDotProduct", "write_out_attention"]


def write_out_attention(model: nn.Module) -> None:
    """Exchanges attention and encoder layers inside of `model`, in place.

    Raises:
        CaptureError: attention with a bias on keys and values, or with added zeros.
    """
    # Subclasses may compute something else. What lies inside comes before what it lies in.
    for name, module in reversed(list(model.named_modules())):
        kind = type(module)
        if name and kind in _WRITTEN_OUT:
            model.set_submodule(name, _WRITTEN_OUT[kind](name, module))


class ScaledDotProduct(nn.Module):
    """softmax(q k^T * scale + mask) v of (..., tokens, features). Vaswani et al., arXiv
    1706.03762.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scores, self.mixed = ActivationProduct(), ActivationProduct()

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        """`mask` is added to the scores."""
        scores = self.scores(query * scale, key.transpose(-2, -1))
        if mask is not None:
            scores = scores + mask
        mixed: torch.Tensor = self.mixed(scores.softmax(-1), value)
        return mixed


def additive_mask(mask: torch.Tensor) -> torch.Tensor:
    """A mask as what is added to scores: one of truth values says which may be seen."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)


class Attention(nn.Module):
    """Several heads of attention, as `nn.MultiheadAttention` without key padding."""

    def __init__(self, name: str, source: nn.MultiheadAttention) -> None:
        super().__init__()
        if source.bias_k is not None or source.bias_v is not None or source.add_zero_attn:
            raise CaptureError(
                f"layer {name!r} ({type(source).__name__}) adds keys and values of its own "
                "(add_bias_kv, add_zero_attn); quantization knows attention without them"
            )
        self.name, self.heads, self.batch_first = name, source.num_heads, source.batch_first
        if source.in_proj_weight is not None:
            weights = source.in_proj_weight.chunk(3)
        else:
            weights = source.q_proj_weight, source.k_proj_weight, source.v_proj_weight
        bias = source.in_proj_bias
        biases = (None, None, None) if bias is None else bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (
            linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )
        self.attention = ScaledDotProduct()
        self.out_proj = linear(source.out_proj.weight, source.out_proj.bias)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, None]:
        """Results without attention weights."""
        if key_padding_mask is not None:
            raise CaptureError(
                f"layer {self.name!r} (MultiheadAttention) is given a key padding mask; "
                "quantization knows attention without one"
            )
        if not self.batch_first:
            query, key, value = (part.transpose(0, 1) for part in (query, key, value))
        q, k, v = (
            projection(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, part in (
                (self.q_proj, query),
                (self.k_proj, key),
                (self.v_proj, value),
            )
        )  # (n, heads, tokens, features)
        # In a module, truth values say which may not be seen; in the function, which may.
        mask = None if attn_mask is None else _mask_of_module(attn_mask, self.heads)
        size = self.q_proj.out_features // self.heads
        found = self.attention(q, k, v, mask, 1 / math.sqrt(size))
        found = self.out_proj(found.transpose(1, 2).flatten(2))
        return (found if self.batch_first else found.transpose(0, 1)), None


def _mask_of_module(mask: torch.Tensor, heads: int) -> torch.Tensor:
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill(mask, -torch.inf)
    return mask if mask.ndim == 2 else mask.reshape(-1, heads, *mask.shape[1:])


class _EncoderLayer(nn.Module):
    """As `nn.TransformerEncoderLayer` in evaluation mode."""

    def __init__(self, name: str, source: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        self.norm_first, self.batch_first = source.norm_first, source.self_attn.batch_first
        self.activation: Callable[[torch.Tensor], torch.Tensor] = source.activation
        self.norm1, self.norm2 = source.norm1, source.norm2
        self.self_attn = source.self_attn
        self.self_attn.batch_first = True
        self.linear1, self.linear2 = source.linear1, source.linear2

    def forward(
        self,
        src: torch.Tensor,
        src_mask: torch.Tensor | None = None,
        src_key_padding_mask: torch.Tensor | None = None,
        is_causal: bool = False,
    ) -> torch.Tensor:
        x = src if self.batch_first else src.transpose(0, 1)
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask)
            x = x + self._feed_forward(self.norm2(x))
        else:
            x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask))
            x = self.norm2(x + self._feed_forward(x))
        return x if self.batch_first else x.transpose(0, 1)

    def _attend(
        self, x: torch.Tensor, mask: torch.Tensor | None, padding: torch.Tensor | None
    ) -> torch.Tensor:
        found: torch.Tensor = self.self_attn(x, x, x, key_padding_mask=padding, attn_mask=mask)[0]
        return found

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear2(self.activation(self.linear1(x)))
        return found


class _Encoder(nn.Module):
    """As `nn.TransformerEncoder`."""

    def __init__(self, name: str, source: nn.TransformerEncoder) -> None:
        super().__init__()
        self.layers, self.norm = source.layers, source.norm

    def forward(
        self,
        src: torch.Tensor,
        mask: torch.Tensor | None = None,
        src_key_padding_mask: torch.Tensor | None = None,
        is_causal: bool | None = None,
    ) -> torch.Tensor:
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


_WRITTEN_OUT: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.MultiheadAttention: Attention,
    nn.TransformerEncoderLayer: _EncoderLayer,
    nn.TransformerEncoder: _Encoder,
}


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A linear layer of this weight (o, i) and bias (o,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer.eval()
