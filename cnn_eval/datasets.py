"""Image classification data from files that the user has: nothing is ever downloaded.

Four layouts are recognized by what is on disk:

* packed JPEG: an ``.npz`` with ``jpeg`` (all files, concatenated), ``offset`` (n + 1), ``label`` and ``classes``;
* CIFAR-10's python batches (``data_batch_1`` ... ``test_batch``), read by an unpickler that builds arrays and nothing else;
* CIFAR-10's binary batches (``data_batch_1.bin`` ... ``test_batch.bin``);
* an image folder: one subfolder a class, images of any size, resized and center-cropped.
"""

from __future__ import annotations

import io
import itertools
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hdl.errors import InputError, MissingError

__all__ = ["Dataset", "DatasetError", "MissingDatasetError", "load_dataset", "normalize"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR_BYTES = 3 * 32 * 32
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class DatasetError(InputError):
    """The data is not in a layout that can be read."""


class MissingDatasetError(DatasetError, MissingError):
    """There is nothing at the path that was given."""


@dataclass(frozen=True)
class Dataset:
    """Labelled images in memory.

    Attributes:
        name: what figures that depend on this data call it.
        images: uint8, shape (n, height, width, 3), RGB.
        labels: int64, shape (n,), 0 <= label < len(classes).
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Dataset:
        """Images `start` to `stop`."""
        return Dataset(self.name, self.images[start:stop], self.labels[start:stop], self.classes)

    def head(self, count: int) -> Dataset:
        """The first `count` images (all of them if there are fewer)."""
        return self.part(0, count)


def normalize(images: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """uint8 images (n, height, width, 3) -> float32 (n, 3, height, width), scaled to [0, 1], then (x - mean) / std."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def load_dataset(path: str | os.PathLike[str], *, split: str = "test", image_px: int = 32) -> Dataset:
    """Reads the data at `path`, in whichever of this module's layouts it is.

    Args:
        split: "train" or "test": which batches of CIFAR-10; other layouts hold one split each and ignore it.
        image_px: image folders are resized and cropped to this size.

    Raises:
        MissingDatasetError: nothing is there.
        DatasetError: what is there cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise MissingDatasetError(f"no data at {str(path)!r}; give a packed-JPEG .npz, a CIFAR-10 batch folder or an image folder")
    if path.is_file():
        return _load_packed_jpeg(path)
    stems = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    for suffix, read in (("", _read_cifar_python), (".bin", _read_cifar_binary)):
        files = [path / f"{stem}{suffix}" for stem in stems]
        if all(file.is_file() for file in files):
            images, labels = zip(*(read(file) for file in files), strict=True)
            return Dataset("CIFAR-10", np.concatenate(images), np.concatenate(labels), CIFAR10_CLASSES)
    return _load_image_folder(path, image_px)


def _load_packed_jpeg(path: Path) -> Dataset:
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            jpeg, offset, labels = file["jpeg"], file["offset"], file["label"].astype(np.int64)
            classes = tuple(str(name) for name in file["classes"])
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{str(path)!r} is not a packed-JPEG .npz (arrays jpeg, offset, label, classes): {error}") from error
    ordered = offset.ndim == 1 and len(offset) == len(labels) + 1 and bool(np.all(np.diff(offset) > 0))
    if not ordered or len(labels) == 0 or offset[0] < 0 or offset[-1] > len(jpeg):
        raise DatasetError(f"{str(path)!r} is damaged: {len(labels)} labels, {len(offset)} offsets, {len(jpeg)} bytes do not fit together")
    _check_labels(path, labels, len(classes))
    data = jpeg.tobytes()
    try:
        images = np.stack([np.asarray(Image.open(io.BytesIO(data[a:b])).convert("RGB")) for a, b in itertools.pairwise(offset)])
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} holds an image that does not decode: {error}") from error
    name = "CIFAR-10 (JPEG)" if classes == CIFAR10_CLASSES else path.stem
    return Dataset(name, images, labels, classes)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, strings, numbers and containers of them: any other name in the file is refused."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"refuses to load {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _read_cifar_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with path.open("rb") as file:
            batch = _unpickle_arrays(file)
        data = np.asarray(batch[b"data"], dtype=np.uint8)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
        images = data.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DatasetError(f"{str(path)!r} is not a CIFAR-10 python batch: {error}") from error
    _check_labels(path, labels, len(CIFAR10_CLASSES))
    return images, labels


def _unpickle_arrays(file: IO[bytes]) -> dict[bytes, Any]:
    batch = _ArrayUnpickler(file, encoding="bytes").load()
    if not isinstance(batch, dict):
        raise pickle.UnpicklingError(f"holds a {type(batch).__name__}, not a dictionary")
    return batch


def _read_cifar_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    raw = np.fromfile(path, dtype=np.uint8)
    if len(raw) == 0 or len(raw) % (_CIFAR_BYTES + 1):
        raise DatasetError(f"{str(path)!r} is not a CIFAR-10 binary batch: {len(raw)} bytes are not whole records of {_CIFAR_BYTES + 1}")
    records = raw.reshape(-1, _CIFAR_BYTES + 1)
    labels = records[:, 0].astype(np.int64)
    _check_labels(path, labels, len(CIFAR10_CLASSES))
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _load_image_folder(path: Path, image_px: int) -> Dataset:
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    files = [(file, label) for label, folder in enumerate(folders) for file in sorted(folder.iterdir()) if _is_image(file)]
    if not files:
        raise DatasetError(
            f"{str(path)!r} holds no CIFAR-10 batches and no class folders with images ({', '.join(sorted(_IMAGE_SUFFIXES))})"
        )
    images = np.stack([_read_image(file, image_px) for file, _ in files])
    labels = np.array([label for _, label in files], dtype=np.int64)
    return Dataset(path.name, images, labels, tuple(folder.name for folder in folders))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _IMAGE_SUFFIXES and file.is_file()


def _read_image(file: Path, image_px: int) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise DatasetError(f"{str(file)!r} is not an image that can be read: {error}") from error
    # ImageNet's evaluation crop: the shorter side at 256/224 of the crop, except for images that already have the size.
    if rgb.size != (image_px, image_px):
        shorter = image_px if image_px <= 64 else round(image_px * 256 / 224)
        scale = shorter / min(rgb.size)
        rgb = rgb.resize((max(image_px, round(rgb.width * scale)), max(image_px, round(rgb.height * scale))), Image.Resampling.BILINEAR)
        left, top = (rgb.width - image_px) // 2, (rgb.height - image_px) // 2
        rgb = rgb.crop((left, top, left + image_px, top + image_px))
    return np.asarray(rgb)


def _check_labels(path: Path, labels: NDArray[np.int64], classes: int) -> None:
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(f"{str(path)!r} has labels {labels.min()}..{labels.max()}, but {classes} classes")
