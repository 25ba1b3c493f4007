"""Grey images in IDX files, the format of MNIST (LeCun 1998), Fashion-MNIST (Xiao et al. 2017) and
their like, gzipped or not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.files import FileError, unzip

from .dataset import Dataset, DatasetError, MissingDatasetError, check_labels, read_data

__all__ = ["fashion_mnist_folder", "find_idx"]

_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
#: SHA-256 of Fashion-MNIST's image files, unpacked.
_FASHION_SHA256 = {
    "train": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "test": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
_STEMS = {"train": "train", "test": "t10k"}
#: Where Debian's package dataset-fashion-mnist puts its files.
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_BYTES_TYPE = 0x08
_LIMIT_BYTES = 1 << 30


def fashion_mnist_folder() -> Path:
    """Where Debian installs Fashion-MNIST. Raises MissingDatasetError if it is not installed."""
    if not _DEBIAN.is_dir():
        raise MissingDatasetError(
            f"no Fashion-MNIST in {str(_DEBIAN)!r}; install Debian's dataset-fashion-mnist or "
            "give the folder of its IDX files"
        )
    return _DEBIAN


def find_idx(folder: Path, split: str) -> Dataset | None:
    """The images and labels of a split in `folder`, or None if there are none.

    Fashion-MNIST is recognized by its checksum; other data goes by the folder's name and numbers
    its classes.

    Raises:
        DatasetError: a file is damaged, or images and labels do not belong together.
    """
    files = [
        _find(folder, f"{_STEMS[split]}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")
    ]
    if files[0] is None or files[1] is None:
        return None
    raw = _unpacked(files[0])
    images, labels = (
        _array(files[0], raw, 3),
        _array(files[1], _unpacked(files[1]), 1).astype(np.int64),
    )
    if len(images) != len(labels) or len(labels) == 0:
        raise DatasetError(f"{str(files[1])!r} has {len(labels)} labels for {len(images)} images")
    fashion = hashlib.sha256(raw).hexdigest() == _FASHION_SHA256[split]
    classes = (
        _FASHION_CLASSES if fashion else tuple(str(label) for label in range(int(labels.max()) + 1))
    )
    check_labels(files[1], labels, len(classes))
    return Dataset("Fashion-MNIST" if fashion else folder.name, images[..., None], labels, classes)


def _find(folder: Path, stem: str) -> Path | None:
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def _unpacked(path: Path) -> bytes:
    raw = read_data(path, limit_bytes=_LIMIT_BYTES)
    try:
        return unzip(raw, path, limit_bytes=_LIMIT_BYTES) if path.suffix == ".gz" else raw
    except FileError as error:
        raise DatasetError(str(error)) from error


def _array(path: Path, raw: bytes, dimensions: int) -> NDArray[np.uint8]:
    """IDX: two zero bytes, the element type, the number of dimensions, each size as a big-endian
    32-bit number, the elements.
    """
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes((0, 0, _BYTES_TYPE, dimensions)):
        raise DatasetError(f"{str(path)!r} is not an IDX file of bytes in {dimensions} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", dimensions, 4))
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise DatasetError(
            f"{str(path)!r} is damaged: {len(raw)} bytes where its header of "
            f"{' x '.join(map(str, shape))} makes {expected}"
        )
    return (
        np.frombuffer(raw, np.uint8, offset=header).reshape(shape).copy()
    )  # writable, as torch likes its arrays
