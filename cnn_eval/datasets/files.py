"""Image files: many JPEGs packed into one .npz, and folders of images."""

from __future__ import annotations

import io
import itertools
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..parallel import run_threads
from .cifar import CIFAR10_CLASSES
from .dataset import Dataset, DatasetError, check_labels

__all__ = ["load_image_folder", "load_packed_jpeg"]

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def load_packed_jpeg(path: Path) -> Dataset:
    """All images of a packed-JPEG .npz. Raises DatasetError."""
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
    check_labels(path, labels, len(classes))
    data = jpeg.tobytes()
    try:
        images = np.stack([np.asarray(Image.open(io.BytesIO(data[a:b])).convert("RGB")) for a, b in itertools.pairwise(offset)])
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} holds an image that does not decode: {error}") from error
    name = "CIFAR-10 (JPEG)" if classes == CIFAR10_CLASSES else path.stem
    return Dataset(name, images, labels, classes)


def load_image_folder(path: Path, image_px: int) -> Dataset:
    """One subfolder a class; images resized and center-cropped to `image_px`. Raises DatasetError.

    Classes take turns (the first image of each, then the second, ...), so that the first and the last images are of all classes.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    of_class = [[(file, label) for file in sorted(folder.iterdir()) if _is_image(file)] for label, folder in enumerate(folders)]
    files = [item for turn in itertools.zip_longest(*of_class) for item in turn if item is not None]
    if not files:
        raise DatasetError(
            f"{str(path)!r} holds no CIFAR batches, no IDX files and no class folders with images ({', '.join(sorted(_IMAGE_SUFFIXES))})"
        )
    images = np.empty((len(files), image_px, image_px, 3), np.uint8)

    def read(index: int) -> None:
        images[index] = _read_image(files[index][0], image_px)

    run_threads(read, len(files), os.cpu_count() or 1)
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
