"""Accuracy of a network as torch runs it, before quantization."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from .dataset import Dataset, images_per_batch, normalize

__all__ = ["resized", "top1_pct"]


@torch.no_grad()
def top1_pct(
    model: nn.Module,
    data: Dataset,
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
    *,
    image_px: int | None = None,
) -> float:
    """Top-1 accuracy in percent, in evaluation mode, at the data's size or area-resized to
    `image_px`.
    """
    model.eval()
    hits, batch = 0, images_per_batch(*data.images.shape[1:3])
    for start in range(0, len(data), batch):
        x = resized(data.images[start : start + batch], normalization, image_px)
        hits += int(
            (model(x).argmax(1) == torch.from_numpy(data.labels[start : start + batch])).sum()
        )
    return 100 * hits / len(data)


def resized(
    images: NDArray[np.uint8],
    normalization: tuple[tuple[float, ...], tuple[float, ...]],
    image_px: int | None,
) -> torch.Tensor:
    """Normalized (n, c, image_px, image_px), area-resized where that is not the images' size;
    channels last in memory.
    """
    x = normalize(images, *normalization)
    if image_px is not None and image_px != x.shape[-1]:
        x = functional.interpolate(x, size=(image_px, image_px), mode="area")
    return x.contiguous(memory_format=torch.channels_last)
