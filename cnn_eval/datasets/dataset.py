"""Labelled images in memory, and their normalization."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hdl.errors import InputError, MissingError
from hdl.files import FileError, MissingFileError, read_bytes

__all__ = [
    "Dataset",
    "DatasetError",
    "MissingDatasetError",
    "check_labels",
    "check_size",
    "images_per_batch",
    "normalize",
    "read_data",
]


#: Images of up to so many pixels a side are of CIFAR's kind: their borders count, and many of them
#: fit into memory.
SMALL_PX = 64
#: The most that the images of a data set may take in memory: ImageNet's validation images take 7
#: GiB at 224 pixels.
MAX_BYTES = 16 << 30


class DatasetError(InputError):
    """The data is not in a layout that can be read."""


class MissingDatasetError(DatasetError, MissingError):
    """There is nothing at the path that was given."""


@dataclass(frozen=True)
class Dataset:
    """Labelled images in memory.

    Attributes:
        name: what figures that depend on this data call it.
        images: uint8, shape (n, height, width, channels); 3 channels are RGB, 1 is grey.
        labels: int64, shape (n,), 0 <= label < len(classes).
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        return int(self.images.shape[-1])

    def part(self, start: int, stop: int) -> Dataset:
        """Images `start` to `stop`."""
        return Dataset(self.name, self.images[start:stop], self.labels[start:stop], self.classes)

    def head(self, count: int) -> Dataset:
        """The first `count` images (all of them if there are fewer)."""
        return self.part(0, count)

    def sha256(self) -> str:
        """Digest of images and labels: equal for the same images in the same order, whatever file
        they come from.
        """
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def normalize(
    images: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """uint8 images (n, height, width, c) -> float32 (n, c, height, width), scaled to [0, 1], then
    (x - mean) / std.

    Raises:
        DatasetError: the images have other channels than `mean` and `std`.
    """
    if images.shape[-1] != len(mean):
        found, taken = images.shape[-1], len(mean)
        raise DatasetError(
            f"the images' channels are {found}, and the network takes {taken}; give it images of "
            "its own kind"
        )
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)


def images_per_batch(height: int, width: int) -> int:
    """How many images a network is given at a time, so that its activations stay in bounds: 64 of
    up to 64 x 64 pixels, 16 of larger ones.
    """
    return 64 if height * width <= SMALL_PX**2 else 16


def check_labels(path: Path, labels: NDArray[np.int64], classes: int) -> None:
    """Raises DatasetError where a label has no class."""
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise DatasetError(
            f"{str(path)!r} has labels {labels.min()}..{labels.max()}, but {classes} classes"
        )


def check_size(path: Path, images: int, height: int, width: int, channels: int = 3) -> None:
    """Raises DatasetError where so many images of that size are more than `MAX_BYTES`."""
    size = images * height * width * channels
    if size > MAX_BYTES:
        taken = (
            f"{images:,} images of {height} x {width} take {size >> 30:,} GiB, more than "
            f"{MAX_BYTES >> 30}"
        )
        raise DatasetError(f"{str(path)!r}: {taken}; give fewer or smaller ones")


def read_data(path: Path, *, limit_bytes: int) -> bytes:
    """A file's content. Raises MissingDatasetError, DatasetError."""
    try:
        return read_bytes(path, limit_bytes=limit_bytes)
    except MissingFileError as error:
        raise MissingDatasetError(str(error)) from error
    except FileError as error:
        raise DatasetError(str(error)) from error
