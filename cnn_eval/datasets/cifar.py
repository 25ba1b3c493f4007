"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as they are distributed: python or binary batches.

Python batches are pickles; they are read by an unpickler that builds arrays, strings and containers of them and nothing else.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset, DatasetError, check_labels

__all__ = ["CIFAR10_CLASSES", "find_cifar"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class _Layout:
    """One of the two data sets on disk.

    Attributes:
        batches: file stems by split.
        label: key of the labels in a python batch; in a binary record they are the last of `label_bytes`.
        names: (python file, its key, text file) that name the classes; None where they are known.
    """

    name: str
    classes: int
    batches: dict[str, tuple[str, ...]]
    label: bytes
    label_bytes: int
    names: tuple[str, bytes, str] | None


_CIFAR10 = _Layout(
    name="CIFAR-10",
    classes=10,
    batches={"train": tuple(f"data_batch_{index}" for index in range(1, 6)), "test": ("test_batch",)},
    label=b"labels",
    label_bytes=1,
    names=None,
)
_CIFAR100 = _Layout(
    name="CIFAR-100",
    classes=100,
    batches={"train": ("train",), "test": ("test",)},
    label=b"fine_labels",
    label_bytes=2,
    names=("meta", b"fine_label_names", "fine_label_names.txt"),
)

#: MD5 of the distributed python batches, as the data sets' publisher and torchvision state them.
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}


def find_cifar(folder: Path, split: str) -> Dataset | None:
    """The batches of a split in `folder`, or None if there are none.

    Python batches whose checksums are not the published ones give a data set that says so in its name.

    Raises:
        DatasetError: a batch is damaged, or not one.
    """
    for layout in (_CIFAR10, _CIFAR100):
        for suffix, read in (("", _read_python), (".bin", _read_binary)):
            files = [folder / f"{stem}{suffix}" for stem in layout.batches[split]]
            if all(file.is_file() for file in files):
                images, labels = zip(*(read(file, layout) for file in files), strict=True)
                published = suffix == ".bin" or all(_md5(file) == _MD5[file.name] for file in files)
                name = layout.name if published else f"{layout.name} (not as published)"
                return Dataset(name, np.concatenate(images), np.concatenate(labels), _class_names(folder, layout))
    return None


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _class_names(folder: Path, layout: _Layout) -> tuple[str, ...]:
    if layout.names is None:
        return CIFAR10_CLASSES
    python, key, text = layout.names
    names: list[str] = []
    if (folder / python).is_file():
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in _unpickle(folder / python, layout).get(key, [])]
    elif (folder / text).is_file():
        names = (folder / text).read_text().split()
    return tuple(names) if len(names) == layout.classes else tuple(f"class {index}" for index in range(layout.classes))


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


def _unpickle(path: Path, layout: _Layout) -> dict[bytes, Any]:
    try:
        with path.open("rb") as file:
            return _unpickle_dictionary(file)
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DatasetError(f"{str(path)!r} is not a {layout.name} python batch: {error}") from error


def _unpickle_dictionary(file: IO[bytes]) -> dict[bytes, Any]:
    batch = _ArrayUnpickler(file, encoding="bytes").load()
    if not isinstance(batch, dict):
        raise pickle.UnpicklingError(f"holds a {type(batch).__name__}, not a dictionary")
    return batch


def _read_python(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = _unpickle(path, layout)
    try:
        data = np.asarray(batch[b"data"], dtype=np.uint8)
        labels = np.asarray(batch[layout.label], dtype=np.int64)
        images = data.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} is not a {layout.name} python batch: {error}") from error
    check_labels(path, labels, layout.classes)
    return images, labels


def _read_binary(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    raw, record = np.fromfile(path, dtype=np.uint8), layout.label_bytes + _PIXEL_BYTES
    if len(raw) == 0 or len(raw) % record:
        raise DatasetError(f"{str(path)!r} is not a {layout.name} binary batch: {len(raw)} bytes are not whole records of {record}")
    records = raw.reshape(-1, record)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    check_labels(path, labels, layout.classes)
    return records[:, layout.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
