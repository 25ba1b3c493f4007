"""A compact convolutional transformer for small images."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ..datasets.dataset import SMALL_PX
from .inverted_residuals import normalized

__all__ = ["CompactTransformer"]


class CompactTransformer(nn.Module):
    """Convolutions make a map of tokens, encoder layers mix them, and a weighted mean of all tokens
    is classified (CCT; Hassani et al., arXiv 2104.05704).

    Positions are learned for images of `image_px` and interpolated for others, so that a training
    may begin with smaller ones.

    Args:
        stages: output channels of the tokenizer's 3x3 convolutions; a 2x2 max-pooling, which halves
            the image, ends a stage. The last one is the width of a token.
        layers, heads, hidden: encoder layers, heads in each, and width of its perceptron.
    """

    def __init__(
        self,
        stages: tuple[tuple[int, ...], ...],
        last: int,
        layers: int,
        heads: int,
        hidden: int,
        classes: int,
        image_px: int,
        image_channels: int,
    ) -> None:
        super().__init__()
        stride = 1 if image_px <= SMALL_PX else 2
        side, width = image_px // stride, image_channels
        convolutions: list[nn.Module] = []
        for stage in stages:
            for channels in stage:
                convolutions.append(normalized(width, channels, 3, nn.ReLU, stride=stride))
                width, stride = channels, 1
            convolutions.append(nn.MaxPool2d(2))
            side //= 2
        convolutions.append(normalized(width, last, 3, nn.ReLU))
        self.tokenizer = nn.Sequential(*convolutions)
        self.position = nn.Parameter(0.02 * torch.randn(last, side, side))
        self.layers = nn.Sequential(*(EncoderLayer(last, heads, hidden) for _ in range(layers)))
        self.norm = nn.LayerNorm(last)
        self.importance = nn.Linear(last, 1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, image channels, height, width), normalized -> logits (n, classes)."""
        x = self.tokenizer(x)
        position = functional.interpolate(self.position[None], x.shape[-2:], mode="bilinear")
        tokens = self.norm(self.layers((x + position).flatten(2).transpose(1, 2)))
        share = self.importance(tokens).softmax(1)  # (n, tokens, 1)
        logits: torch.Tensor = self.fc((share.transpose(1, 2) @ tokens).flatten(1))
        return logits


class EncoderLayer(nn.Module):
    """Attention and a perceptron, each of normalized tokens (n, tokens, width) and beside a
    shortcut.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.perceptron = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        y: torch.Tensor = x + self.perceptron(self.norm2(x))
        return y


class SelfAttention(nn.Module):
    """Several heads of attention among tokens (Vaswani et al., arXiv 1706.03762)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, -1)
        )  # (n, heads, tokens, features)
        # torch's fused attention is slow backward on processors.
        scores = (query * key.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        found = scores.softmax(-1) @ value
        y: torch.Tensor = self.output(found.transpose(1, 2).flatten(2))
        return y
