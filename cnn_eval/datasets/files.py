"""Image files: many JPEGs packed into one .npz, and folders of images."""

from __future__ import annotations

import io
import itertools
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hdl.files import FileError, MissingFileError, read_npz, words

from ..parallel import run_threads
from .cifar import CIFAR10_CLASSES
from .dataset import Dataset, DatasetError, MissingDatasetError, check_labels, check_size, read_data

__all__ = ["load_image_folder", "load_packed_jpeg"]

#: Of one image: decoding takes some bytes for each.
MAX_PIXELS = 32 << 20
_LIMIT_BYTES = 2 << 30
_IMAGE_LIMIT_BYTES = 64 << 20
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# Far larger images than are read here: one complaint is enough.
warnings.simplefilter("error", Image.DecompressionBombWarning)

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def load_packed_jpeg(path: Path) -> Dataset:
    """All images of a packed-JPEG .npz. Raises DatasetError."""
    try:
        arrays = read_npz(path, ("jpeg", "offset", "label", "classes"), limit_bytes=_LIMIT_BYTES)
    except FileError as error:
        kind = MissingDatasetError if isinstance(error, MissingFileError) else DatasetError
        raise kind(
            f"not a packed-JPEG .npz of arrays jpeg, offset, label and classes: {error}"
        ) from error
    jpeg, offset, labels, names = arrays.values()
    kinds = [
        array.dtype.kind in kinds and array.ndim == 1
        for array, kinds in ((jpeg, "u"), (offset, "iu"), (labels, "iu"), (names, "U"))
    ]
    if not all(kinds) or jpeg.dtype != np.uint8:
        raise DatasetError(
            f"{str(path)!r} is not a packed-JPEG .npz: jpeg are bytes, offset and label integers, "
            "classes names, in one row each"
        )
    ordered = len(offset) == len(labels) + 1 and bool(np.all(offset[1:] > offset[:-1]))
    if not ordered or len(labels) == 0 or offset[0] < 0 or offset[-1] > len(jpeg):
        raise DatasetError(
            f"{str(path)!r} is damaged: {len(labels)} labels, {len(offset)} offsets, {len(jpeg)} "
            "bytes do not fit together"
        )
    labels, classes = labels.astype(np.int64), tuple(map(str, names))
    check_labels(path, labels, len(classes))
    pieces = [slice(a, b) for a, b in itertools.pairwise(offset.tolist())]
    first = _decoded(jpeg[pieces[0]].tobytes(), path, formats=("JPEG",))
    check_size(path, len(pieces), first.height, first.width)
    images = np.empty((len(pieces), first.height, first.width, 3), np.uint8)
    for index, piece in enumerate(pieces):
        images[index] = np.asarray(
            _decoded(jpeg[piece].tobytes(), path, formats=("JPEG",), size=first.size)
        )
    name = "CIFAR-10 (JPEG)" if classes == CIFAR10_CLASSES else path.stem
    return Dataset(name, images, labels, classes)


def _decoded(
    data: bytes, path: Path, *, formats: tuple[str, ...], size: tuple[int, int] | None = None
) -> Image.Image:
    """The image, of that size where one is given, in RGB. Raises DatasetError."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            # Known before a pixel is decoded.
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(
                    f"{str(path)!r}: an image of {image.width} x {image.height} pixels; "
                    f"{MAX_PIXELS:,} are the most, scale it"
                )
            if size is not None and image.size != size:
                raise DatasetError(
                    f"{str(path)!r}: images of {size} and of {image.size} pixels; packed images "
                    "have one size"
                )
            return image.convert("RGB")
    except DatasetError:
        raise
    except UnidentifiedImageError as error:
        raise DatasetError(
            f"{str(path)!r} is not an image that can be read, or holds one: it is no "
            f"{' or '.join(formats)}"
        ) from error
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        raise DatasetError(
            f"{str(path)!r} is not an image that can be read, or holds one that does not decode: "
            f"{words(error)}"
        ) from error


def load_image_folder(path: Path, image_px: int) -> Dataset:
    """One subfolder a class; images resized and center-cropped to `image_px`. Raises DatasetError.

    Classes take turns (the first image of each, then the second, ...), so that the first and the
    last images are of all classes.
    """
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    of_class = [
        [(file, label) for file in sorted(folder.iterdir()) if _is_image(file)]
        for label, folder in enumerate(folders)
    ]
    files = [item for turn in itertools.zip_longest(*of_class) for item in turn if item is not None]
    if not files:
        raise DatasetError(
            f"{str(path)!r} holds no CIFAR batches, no IDX files and no class folders with images "
            f"({', '.join(sorted(_IMAGE_SUFFIXES))})"
        )
    check_size(path, len(files), image_px, image_px)
    images = np.empty((len(files), image_px, image_px, 3), np.uint8)

    def read(index: int) -> None:
        images[index] = _read_image(files[index][0], image_px)

    run_threads(read, len(files), os.cpu_count() or 1)
    labels = np.array([label for _, label in files], dtype=np.int64)
    return Dataset(path.name, images, labels, tuple(folder.name for folder in folders))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _IMAGE_SUFFIXES and file.is_file()


def _read_image(file: Path, image_px: int) -> NDArray[np.uint8]:
    rgb = _decoded(read_data(file, limit_bytes=_IMAGE_LIMIT_BYTES), file, formats=_FORMATS)
    # ImageNet's evaluation crop: the shorter side at 256/224 of the crop, except for images that
    # already have the size.
    if rgb.size != (image_px, image_px):
        shorter = image_px if image_px <= 64 else round(image_px * 256 / 224)
        scale = shorter / min(rgb.size)
        rgb = rgb.resize(
            (max(image_px, round(rgb.width * scale)), max(image_px, round(rgb.height * scale))),
            Image.Resampling.BILINEAR,
        )
        left, top = (rgb.width - image_px) // 2, (rgb.height - image_px) // 2
        rgb = rgb.crop((left, top, left + image_px, top + image_px))
    return np.asarray(rgb)
