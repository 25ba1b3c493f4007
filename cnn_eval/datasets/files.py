"""Image files: many JPEGs packed into one .npz, and folders of images.

Images of another size than the one that is asked for are resized, so that their shorter side fits,
and the middle is cropped out. They are decoded by all cores, each holding one image at a time.
"""

from __future__ import annotations

import io
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hdl.files import FileError, MissingFileError, read_npz, words

from ..parallel import run_threads
from .cifar import CIFAR10_CLASSES
from .dataset import (
    SMALL_PX,
    Dataset,
    DatasetError,
    MissingDatasetError,
    check_labels,
    check_size,
    read_data,
)

__all__ = ["RESAMPLING", "load_image_folder", "load_packed_jpeg"]

#: How images are resized, by the name that networks' publishers give it.
RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

#: Of one image: decoding takes some bytes for each.
MAX_PIXELS = 32 << 20
_LIMIT_BYTES = 2 << 30
_IMAGE_LIMIT_BYTES = 64 << 20
_PACKED = ("JPEG",)
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")

Size: TypeAlias = tuple[int, int]
# Far larger images than are read here: one complaint is enough.
warnings.simplefilter("error", Image.DecompressionBombWarning)

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def load_packed_jpeg(path: Path, image_px: int, resampling: str) -> Dataset:
    """All images of a packed-JPEG .npz, resized and center-cropped to `image_px`; small ones that
    all have one size stay as they are. Raises DatasetError.
    """
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

    def decoded(index: int) -> Image.Image:
        return _decoded(jpeg[pieces[index]].tobytes(), path, formats=_PACKED)

    sizes = {_size(jpeg[piece].tobytes(), path) for piece in pieces}
    alike = len(sizes) == 1 and max(max(sizes)) <= SMALL_PX
    size = sizes.pop() if alike else (image_px, image_px)
    images = _all_cropped(path, len(pieces), decoded, size, resampling)
    name = "CIFAR-10 (JPEG)" if classes == CIFAR10_CLASSES else path.stem
    return Dataset(name, images, labels, classes)


@contextmanager
def _opened(data: bytes, path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The image, whose pixels are not decoded yet. Raises DatasetError, for the body as well."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(
                    f"{str(path)!r}: an image of {image.width} x {image.height} pixels; "
                    f"{MAX_PIXELS:,} are the most, scale it"
                )
            yield image
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


def _size(data: bytes, path: Path) -> Size:
    """(width, height) of a packed image. Raises DatasetError."""
    with _opened(data, path, _PACKED) as image:
        return image.size


def _decoded(data: bytes, path: Path, *, formats: tuple[str, ...]) -> Image.Image:
    """The image in RGB. Raises DatasetError."""
    with _opened(data, path, formats) as image:
        return image.convert("RGB")


def load_image_folder(path: Path, image_px: int, resampling: str) -> Dataset:
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

    def decoded(index: int) -> Image.Image:
        file = files[index][0]
        return _decoded(read_data(file, limit_bytes=_IMAGE_LIMIT_BYTES), file, formats=_FORMATS)

    images = _all_cropped(path, len(files), decoded, (image_px, image_px), resampling)
    labels = np.array([label for _, label in files], dtype=np.int64)
    return Dataset(path.name, images, labels, tuple(folder.name for folder in folders))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _IMAGE_SUFFIXES and file.is_file()


def _all_cropped(
    path: Path, count: int, decoded: Callable[[int], Image.Image], size: Size, resampling: str
) -> NDArray[np.uint8]:
    """So many images of (width, height), each made from what `decoded` gives for its number."""
    width, height = size
    check_size(path, count, height, width)
    images = np.empty((count, height, width, 3), np.uint8)

    def crop(index: int) -> None:
        images[index] = np.asarray(_cropped(decoded(index), size, resampling))

    run_threads(crop, count, os.cpu_count() or 1)
    return images


def _cropped(rgb: Image.Image, size: Size, resampling: str) -> Image.Image:
    """ImageNet's evaluation crop: the shorter side at 256/224 of the crop, except for small images
    and those that already have the size.
    """
    if rgb.size == size:
        return rgb
    width, height = size
    shorter = width if width <= SMALL_PX else round(width * 256 / 224)
    scale = shorter / width * max(width / rgb.width, height / rgb.height)
    rgb = rgb.resize(
        (max(width, round(rgb.width * scale)), max(height, round(rgb.height * scale))),
        RESAMPLING[resampling],
    )
    left, top = (rgb.width - width) // 2, (rgb.height - height) // 2
    return rgb.crop((left, top, left + width, top + height))
