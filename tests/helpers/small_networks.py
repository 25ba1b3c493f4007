"""Small networks that multiply in other places than plain layers, for images 3 x 8 x 8 and five
classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class StandardizedConvolution(nn.Conv2d):
    """Weights of mean 0 and variance 1 (Qiao et al., arXiv 1903.10520)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight
        mean, spread = (f((1, 2, 3), keepdim=True) for f in (weight.mean, weight.std))
        weight = (weight - mean) / (spread + 1e-5)
        return functional.conv2d(
            x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class SameConvolution(nn.Conv2d):
    """Padding of TensorFlow: by the image's size, and not the same on all sides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = []
        for size, kernel, stride in zip(x.size()[-2:], self.kernel_size, self.stride, strict=True):
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [pad // 2, pad - pad // 2]
        if max(sides) > 0:
            x = functional.pad(x, [*sides[2:], *sides[:2]])
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


class StandardizedResNet(nn.Module):
    """Weight standardization and group normalization, as in BiT."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            StandardizedConvolution(3, 8, 3, padding=1, bias=False),
            nn.GroupNorm(2, 8),
            nn.ReLU(inplace=True),
        )
        self.block = nn.Sequential(
            StandardizedConvolution(8, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU()
        )
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.fc((self.block(x) + x).mean((2, 3)))


class OptionAResNet(nn.Module):
    """Shortcuts of the first ResNets for CIFAR: every other pixel, and channels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 8, 3, 2, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(8)])
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(x))
        y = y + functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.fc(functional.adaptive_avg_pool2d(functional.relu(y), 1).flatten(1))


class Branches(nn.Module):
    """Split, concatenation, asymmetric and "same" padding, functions with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(3, 8, 3))
        self.even = nn.Conv2d(4, 4, (3, 5), padding="same", dilation=(1, 2))
        self.odd = nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")
        self.kernel = nn.Parameter(torch.randn(10, 1, 3, 3))
        self.register_buffer("mixing", torch.randn(10, 12))
        self.fc = nn.Linear(12, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = functional.gelu(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([self.even(left), self.odd(right)], 1)
        x = functional.conv2d(x, self.kernel.flip(-1), padding=(1, 0), stride=2, groups=10)
        return functional.linear(x.amax((2, 3)) @ self.mixing, self.fc.weight * 0.5)


class EncoderTransformer(nn.Module):
    """A vision transformer of torch's own layers."""

    def __init__(self, *, batch_first: bool = True, norm_first: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.register_buffer("positions", torch.randn(1, 5, 8))
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, activation="gelu", batch_first=batch_first, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 5)
        self.batch_first = batch_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        if not self.batch_first:
            return self.head(self.encoder(x.transpose(0, 1))[0])
        return self.head(self.encoder(x)[:, 0])


class TimmTransformer(nn.Module):
    """One block of attention in timm's style: queries, keys and values from one layer."""

    def __init__(self, *, fused: bool = False) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8)
        self.qkv, self.proj, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 5)
        self.fused = fused

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        count, tokens, channels = x.shape
        qkv = self.qkv(self.norm(x)).reshape(count, tokens, 3, 2, channels // 2)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            y = (q @ k.transpose(-2, -1) * 0.5).softmax(dim=-1) @ v
        x = x + self.proj(y.transpose(1, 2).reshape(count, tokens, channels))
        return self.head(x.mean(1))


class EinsumAttention(nn.Module):
    """Linear attention by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.qkv = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).chunk(3, -1)
        context = torch.einsum("bnd,bne->bde", k.softmax(1), v)
        return self.head(torch.einsum("b n d, b d e -> b n e", q.softmax(-1), context).mean(1))


class Recurrent(nn.Module):
    """An LSTM over rows of pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(24, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.rows(rows)[0][:, -1])


#: Networks that can be captured, by name.
CAPTURED: dict[str, Callable[[], nn.Module]] = {
    "standardized": StandardizedResNet,
    "same": lambda: nn.Sequential(
        SameConvolution(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)
    ),
    "branches": Branches,
    "encoder": EncoderTransformer,
    "encoder, tokens first": lambda: EncoderTransformer(batch_first=False),
    "encoder, norm first": lambda: EncoderTransformer(norm_first=True),
    "timm": TimmTransformer,
    "timm, fused": lambda: TimmTransformer(fused=True),
    "einsum": EinsumAttention,
}


def made(make: Callable[[], nn.Module], images: int = 24) -> tuple[nn.Module, torch.Tensor]:
    """A network in evaluation mode with random weights, its normalizations with statistics, and
    images.
    """
    torch.manual_seed(0)
    model, x = make(), torch.randn(images, 3, 8, 8)
    with torch.no_grad():
        for _ in range(5):
            model.train()(x)
    return model.eval(), x
