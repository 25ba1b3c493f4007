"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as they are distributed: python or binary batches.

Python batches are pickles; they are read by an unpickler that builds arrays of bytes, strings,
numbers and containers of them and nothing else, after a look through their instructions.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hdl.files import words

from .dataset import Dataset, DatasetError, check_labels, read_data

__all__ = ["CIFAR10_CLASSES", "find_cifar"]

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_PIXEL_BYTES = 3 * 32 * 32
_LIMIT_BYTES = 512 << 20


@dataclass(frozen=True)
class _Layout:
    """One of the two data sets on disk.

    Attributes:
        batches: file stems by split.
        label: key of the labels in a python batch; in a binary record they are the last of
            `label_bytes`.
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
    batches={
        "train": tuple(f"data_batch_{index}" for index in range(1, 6)),
        "test": ("test_batch",),
    },
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

    Python batches whose checksums are not the published ones give a data set that says so in its
    name.

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
                return Dataset(
                    name,
                    np.concatenate(images),
                    np.concatenate(labels),
                    _class_names(folder, layout),
                )
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
        found = _unpickle(folder / python, layout).get(key)
        names = [_text(name) for name in found] if isinstance(found, list) else []
    elif (folder / text).is_file():
        names = read_data(folder / text, limit_bytes=1 << 20).decode(errors="replace").split()
    return (
        tuple(names)
        if len(names) == layout.classes
        else tuple(f"class {index}" for index in range(layout.classes))
    )


def _text(name: object) -> str:
    return (
        name.decode(errors="replace")
        if isinstance(name, bytes)
        else name
        if isinstance(name, str)
        else ""
    )


#: What the published batches and those that Python 3 writes are made of. Among the others are those
#: that reserve memory as a number says.
_INSTRUCTIONS = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT",
    "BININT1", "BININT2", "LONG", "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_LIST",
    "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
    "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE",
}  # fmt: skip
_MOST_REMEMBERED = 1 << 20


def _empty_array(kind: object, shape: object, typecode: object) -> NDArray[np.uint8]:
    """Stands for numpy's maker of arrays, whose shape and content come afterwards and are checked
    then.
    """
    return np.empty(0, np.uint8)


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for the codecs: bytes as Python 3 writes them for Python 2."""
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Any name in the file that is not one of these is refused, and none of them makes anything
    larger than the file.
    """

    _KNOWN: ClassVar[dict[tuple[str, str], object]] = {
        ("numpy.core.multiarray", "_reconstruct"): _empty_array,
        ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        ("numpy", "ndarray"): None,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"refuses to load {module}.{name}")
        return self._KNOWN[module, name]


def _unpickle(path: Path, layout: _Layout) -> dict[bytes, Any]:
    content = read_data(path, limit_bytes=_LIMIT_BYTES)
    try:
        for instruction, argument, _ in pickletools.genops(content):
            if instruction.name not in _INSTRUCTIONS:
                raise pickle.UnpicklingError(f"refuses the instruction {instruction.name}")
            if "PUT" in instruction.name and int(argument or 0) > _MOST_REMEMBERED:
                raise pickle.UnpicklingError(f"remembers more than {_MOST_REMEMBERED} values")
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # the machine of pickles raises whatever the file makes it raise
        raise DatasetError(
            f"{str(path)!r} is not a {layout.name} python batch: {words(error)}"
        ) from error
    if not isinstance(batch, dict):
        raise DatasetError(
            f"{str(path)!r} is not a {layout.name} python batch: holds a {type(batch).__name__}, "
            "not a dictionary"
        )
    return batch


def _read_python(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    batch = _unpickle(path, layout)
    data, labels = batch.get(b"data"), batch.get(layout.label)
    # Lists within lists would be as many numbers as they like: what is converted is flat.
    flat = isinstance(labels, list) and all(
        isinstance(label, int) and 0 <= label < 1 << 31 for label in labels
    )
    shape = (len(labels) if isinstance(labels, list) else 0, _PIXEL_BYTES)
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or not flat
        or data.shape != shape
    ):
        wanted = (
            f"an array 'data' of {_PIXEL_BYTES} bytes an image and a list "
            f"{layout.label.decode()!r} of as many numbers"
        )
        raise DatasetError(
            f"{str(path)!r} is not a {layout.name} python batch: it has not {wanted}"
        )
    numbers = np.array(labels, dtype=np.int64)
    check_labels(path, numbers, layout.classes)
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), numbers


def _read_binary(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    raw, record = (
        np.frombuffer(read_data(path, limit_bytes=_LIMIT_BYTES), np.uint8),
        layout.label_bytes + _PIXEL_BYTES,
    )
    if len(raw) == 0 or len(raw) % record:
        raise DatasetError(
            f"{str(path)!r} is not a {layout.name} binary batch: {len(raw)} bytes are not whole "
            f"records of {record}"
        )
    records = raw.reshape(-1, record)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    check_labels(path, labels, layout.classes)
    return records[:, layout.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
