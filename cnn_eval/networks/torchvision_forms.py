"""Classifiers for ImageNet whose parameters have the names and shapes of torchvision's, so that its
checkpoints load without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from .architectures import build_network
from .inverted_residuals import LinearBottleneck, normalized

__all__ = ["TORCHVISION_FORMS", "MobileNetV2", "MobileNetV3", "VisionTransformer"]

_CLASSES, _IMAGE_PX = 1000, 224


class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks (Sandler et al., CVPR 2018, table 2)."""

    #: Expansion, output channels, blocks, stride of the first.
    STAGES = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self) -> None:
        super().__init__()
        width = 32
        layers: list[nn.Module] = [normalized(3, width, 3, nn.ReLU6, stride=2)]
        for expansion, channels, blocks, stride in self.STAGES:
            for index in range(blocks):
                layers.append(
                    LinearBottleneck(width, channels, expansion, stride if index == 0 else 1)
                )
                width = channels
        self.features = nn.Sequential(*layers, normalized(width, 1280, 1, nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, _CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, height, width), normalized -> logits (n, 1000)."""
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


#: Kernel, expanded channels, output channels, squeeze-and-excitation, hard swish, stride.
_Block = tuple[int, int, int, bool, bool, int]


class MobileNetV3(nn.Module):
    """Howard et al., ICCV 2019, tables 1 and 2.

    Args:
        blocks: kernel, expanded channels, output channels, squeeze-and-excitation, hard swish in
            place of ReLU, and stride, of each.
        hidden: channels of the layer before the last.
    """

    LARGE: tuple[_Block, ...] = (
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )
    SMALL: tuple[_Block, ...] = (
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    )

    def __init__(self, blocks: tuple[_Block, ...], hidden: int) -> None:
        super().__init__()
        width = 16
        layers: list[nn.Module] = [normalized(3, width, 3, nn.Hardswish, stride=2, norm=_v3_norm)]
        for block in blocks:
            layers.append(_SqueezedBottleneck(width, block))
            width = block[2]
        last = 6 * width
        self.features = nn.Sequential(
            *layers, normalized(width, last, 1, nn.Hardswish, norm=_v3_norm)
        )
        self.classifier = nn.Sequential(
            nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(hidden, _CLASSES)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, height, width), normalized -> logits (n, 1000)."""
        logits: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


# As the network was trained with.
_v3_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class _SqueezedBottleneck(nn.Module):
    def __init__(self, channels_in: int, block: _Block) -> None:
        super().__init__()
        kernel, hidden, channels, squeeze, hard_swish, stride = block
        activation = nn.Hardswish if hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if hidden != channels_in:
            layers.append(normalized(channels_in, hidden, 1, activation, norm=_v3_norm))
        layers.append(
            normalized(
                hidden, hidden, kernel, activation, stride=stride, groups=hidden, norm=_v3_norm
            )
        )
        if squeeze:
            layers.append(_SqueezeAndExcitation(hidden, _in_eights(hidden // 4)))
        self.block = nn.Sequential(*layers, normalized(hidden, channels, 1, None, norm=_v3_norm))
        self.shortcut = stride == 1 and channels_in == channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y if self.shortcut else y


class _SqueezeAndExcitation(nn.Module):
    """Channels weighted by what the whole image has in them (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        weighted: torch.Tensor = self.scale_activation(weights) * x
        return weighted


def _in_eights(channels: int) -> int:
    """The nearest multiple of eight, and not below 90 %."""
    nearest = max(8, (channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class VisionTransformer(nn.Module):
    """Patches as tokens, through layers of attention (Dosovitskiy et al., ICLR 2021).

    Args:
        patch_px: side of a patch.
        tokens_width, hidden: width of a token, and of the hidden layer of each layer's perceptron.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        tokens_width: int,
        hidden: int,
        *,
        patch_px: int = 16,
        image_px: int = _IMAGE_PX,
        classes: int = _CLASSES,
    ) -> None:
        super().__init__()
        tokens = (image_px // patch_px) ** 2 + 1
        self.conv_proj = nn.Conv2d(3, tokens_width, patch_px, patch_px)
        self.class_token = nn.Parameter(torch.zeros(1, 1, tokens_width))
        self.encoder = _Encoder(layers, heads, tokens_width, hidden, tokens)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(tokens_width, classes)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, image_px, image_px), normalized -> logits (n, classes)."""
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)
        logits: torch.Tensor = self.heads(self.encoder(x)[:, 0])
        return logits


class _Encoder(nn.Module):
    def __init__(self, layers: int, heads: int, width: int, hidden: int, tokens: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.layers = nn.Sequential(
            OrderedDict(
                (f"encoder_layer_{index}", _EncoderLayer(heads, width, hidden))
                for index in range(layers)
            )
        )
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.ln(self.layers(x + self.pos_embedding))
        return y


class _EncoderLayer(nn.Module):
    def __init__(self, heads: int, width: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Perceptron(
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.Linear(hidden, width),
            nn.Dropout(0.0),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        z: torch.Tensor = x + self.mlp(self.ln_2(x))
        return z


class _Perceptron(nn.Sequential):
    """Its linear layers are called `linear_1` and `linear_2` in checkpoints that torchvision
    publishes, and `0` and `3` in those that it saves.
    """

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *others: Any, **named: Any
    ) -> None:
        for published, saved in (("linear_1", "0"), ("linear_2", "3")):
            for kind in ("weight", "bias"):
                if f"{prefix}{published}.{kind}" in state_dict:
                    value = state_dict.pop(f"{prefix}{published}.{kind}")
                    state_dict[f"{prefix}{saved}.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, *others, **named)


def _large_form(name: str, **options: Any) -> Callable[[], nn.Module]:
    return partial(build_network, name, classes=_CLASSES, image_px=_IMAGE_PX, **options)


#: torchvision's name -> what makes the network, with weights of no meaning.
TORCHVISION_FORMS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": _large_form("resnet18"),
    "resnet34": _large_form("resnet34"),
    "resnet50": _large_form("resnet50"),
    "vgg11": _large_form("vgg11", batch_norm=False),
    "vgg11_bn": _large_form("vgg11"),
    "vgg13": _large_form("vgg13", batch_norm=False),
    "vgg13_bn": _large_form("vgg13"),
    "vgg16": _large_form("vgg16", batch_norm=False),
    "vgg16_bn": _large_form("vgg16"),
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_small": partial(MobileNetV3, MobileNetV3.SMALL, 1024),
    "mobilenet_v3_large": partial(MobileNetV3, MobileNetV3.LARGE, 1280),
    "vit_b_16": partial(VisionTransformer, 12, 12, 768, 3072),
}
