"""Network architectures by name: the residual networks and VGGs that the field evaluates on, and
a MobileNet and a transformer for small images.

Parameter names of ResNets and VGGs follow torchvision, so that its ImageNet checkpoints load.
Images of up to 64 pixels get the small-image form: a 3x3 stem of stride 1 and no max-pooling in
ResNets, a single linear classifier in VGGs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from hdl.errors import InputError

from .compact_transformer import CompactTransformer
from .inverted_residuals import MobileNet

__all__ = [
    "SMALL_IMAGE_PX",
    "ResNet",
    "UnknownNetworkError",
    "Vgg",
    "build_network",
    "network_names",
]

SMALL_IMAGE_PX = 64


class UnknownNetworkError(InputError):
    """The named network is not one of :func:`network_names`."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., CVPR 2016, Fig. 5 left)."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _projection(channels_in, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        output: torch.Tensor = self.relu(y + shortcut)
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; the stride sits on the 3x3 (torchvision's
    "v1.5").
    """

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(channels_in, channels * self.expansion, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        output: torch.Tensor = self.relu(y + shortcut)
        return output


def _projection(channels_in: int, channels_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels_in == channels_out:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
    )


class ResNet(nn.Module):
    """Residual network: stem, stages of blocks (each stage after the first halves the image),
    global average, classifier.

    Args:
        block: BasicBlock or Bottleneck.
        depths: blocks in each stage.
        channels: channels in each stage, before the block's expansion.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        channels: tuple[int, ...],
        classes: int,
        image_px: int,
        image_channels: int,
    ) -> None:
        super().__init__()
        small = image_px <= SMALL_IMAGE_PX
        width = channels[0]
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(image_channels, width, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.stages = len(depths)
        for stage, (depth, stage_channels) in enumerate(zip(depths, channels, strict=True)):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(width, stage_channels, stride))
                width = stage_channels * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, image channels, height, width), normalized -> logits (n, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        logits: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


class Vgg(nn.Module):
    """VGG with batch normalization, or without (Simonyan and Zisserman 2015). `plan` has channels,
    or 0 for a 2x2 max-pooling.
    """

    def __init__(
        self,
        plan: tuple[int, ...],
        classes: int,
        image_px: int,
        image_channels: int,
        *,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = image_channels
        for channels in plan:
            if channels == 0:
                layers.append(nn.MaxPool2d(2, 2))
            else:
                norm = [nn.BatchNorm2d(channels)] if batch_norm else []
                layers += [nn.Conv2d(width, channels, 3, 1, 1), *norm, nn.ReLU(inplace=True)]
                width = channels
        self.features = nn.Sequential(*layers)
        small = image_px <= SMALL_IMAGE_PX
        self.avgpool = nn.AdaptiveAvgPool2d(1 if small else 7)
        if small:
            self.classifier: nn.Module = nn.Linear(width, classes)
        else:
            hidden = [nn.Linear(width * 49, 4096), nn.ReLU(inplace=True), nn.Dropout()]
            hidden += [nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()]
            self.classifier = nn.Sequential(*hidden, nn.Linear(4096, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, image channels, height, width), normalized -> logits (n, classes)."""
        logits: torch.Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


_CIFAR_CHANNELS = (16, 32, 64)
_IMAGENET_CHANNELS = (64, 128, 256, 512)
_VGG11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
_VGG13 = (64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
_MOBILENET = ((1, 32, 1, True), (3, 40, 3, False), (4, 80, 4, True))

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "resnet8": partial(ResNet, BasicBlock, (1, 1, 1), _CIFAR_CHANNELS),
    "resnet20": partial(ResNet, BasicBlock, (3, 3, 3), _CIFAR_CHANNELS),
    "resnet32": partial(ResNet, BasicBlock, (5, 5, 5), _CIFAR_CHANNELS),
    "resnet56": partial(ResNet, BasicBlock, (9, 9, 9), _CIFAR_CHANNELS),
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2), _IMAGENET_CHANNELS),
    "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3), _IMAGENET_CHANNELS),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3), _IMAGENET_CHANNELS),
    "vgg11": partial(Vgg, _VGG11),
    "vgg13": partial(Vgg, _VGG13),
    "vgg16": partial(Vgg, _VGG16),
    "mobilenet": partial(MobileNet, 32, _MOBILENET, 256),
    "cct": partial(CompactTransformer, ((32,), (64, 64)), 128, 3, 4, 256),
}


def network_names() -> tuple[str, ...]:
    """Names that :func:`build_network` accepts."""
    return tuple(_BUILDERS)


def build_network(
    name: str,
    *,
    classes: int = 10,
    image_px: int = 32,
    image_channels: int = 3,
    seed: int | None = None,
    **options: bool,
) -> nn.Module:
    """The named architecture with fresh weights, for square images of `image_px` pixels.

    Args:
        seed: makes the weights repeatable; None draws them from torch's global generator as it
            stands.
        options: of the architecture: `batch_norm` of VGGs.

    Raises:
        UnknownNetworkError: no such name; the message lists the names.
    """
    if name not in _BUILDERS:
        raise UnknownNetworkError(f"unknown network {name!r}; known are {', '.join(_BUILDERS)}")
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return _BUILDERS[name](
            classes=classes, image_px=image_px, image_channels=image_channels, **options
        )
