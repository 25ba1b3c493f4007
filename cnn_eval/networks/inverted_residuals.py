"""Inverted residuals with depthwise layers, and a network of them for small images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ..datasets.dataset import SMALL_PX

__all__ = ["LinearBottleneck", "MobileNet", "normalized"]


class MobileNet(nn.Module):
    """Inverted residuals for images of 32 pixels; of the kind of MobileNetV2, but a stage that
    halves the image begins with an average pooling: depthwise layers of stride 2 take most of a
    training on processors.

    Args:
        stem, last: channels of the first 3x3 and of the last 1x1 convolution.
        stages: expansion, output channels, blocks, and whether the stage halves the image.
    """

    def __init__(
        self,
        stem: int,
        stages: tuple[tuple[int, int, int, bool], ...],
        last: int,
        classes: int,
        image_px: int,
        image_channels: int,
    ) -> None:
        super().__init__()
        stride = 1 if image_px <= SMALL_PX else 2
        layers: list[nn.Module] = [normalized(image_channels, stem, 3, nn.ReLU6, stride=stride)]
        width = stem
        for expansion, channels, blocks, halves in stages:
            if halves:
                layers.append(nn.AvgPool2d(2))
            for _ in range(blocks):
                layers.append(LinearBottleneck(width, channels, expansion, 1))
                width = channels
        self.features = nn.Sequential(*layers, normalized(width, last, 1, nn.ReLU6))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, image channels, height, width), normalized -> logits (n, classes)."""
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


class LinearBottleneck(nn.Module):
    """Expanded by a 1x1 convolution, filtered channel by channel, projected without an activation
    (Sandler et al., CVPR 2018).
    """

    def __init__(self, channels_in: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        expand = [normalized(channels_in, hidden, 1, nn.ReLU6)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            normalized(hidden, hidden, 3, nn.ReLU6, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return x + y if self.shortcut else y


def normalized(
    channels_in: int,
    channels: int,
    kernel: int,
    activation: Callable[[], nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
    norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
) -> nn.Sequential:
    """A convolution, its batch normalization, and an activation."""
    padding = (kernel - 1) // 2
    convolution = nn.Conv2d(
        channels_in, channels, kernel, stride, padding, groups=groups, bias=False
    )
    ends = [] if activation is None else [activation()]
    return nn.Sequential(convolution, norm(channels), *ends)
