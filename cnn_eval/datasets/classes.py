"""Classes by name: images labelled in the order that a network tells its classes apart in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .dataset import Dataset, DatasetError, read_data

__all__ = ["read_classes", "with_classes"]

_LIMIT_BYTES = 4 << 20


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of a network's outputs, in their order: a line each, empty ones left out. Raises
    DatasetError.
    """
    try:
        text = read_data(path, limit_bytes=_LIMIT_BYTES).decode()
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{str(path)!r} is not a text of class names; give one name a line, in the order of "
            "the network's outputs"
        ) from error
    names = tuple(name for line in text.splitlines() if (name := line.strip()))
    if len(set(names)) != len(names) or not names:
        twice = next((name for name in names if names.count(name) > 1), None)
        what = "is empty" if twice is None else f"names {twice!r} twice"
        raise DatasetError(f"{str(path)!r} {what}; give each of the network's classes one line")
    return names


def with_classes(data: Dataset, classes: tuple[str, ...]) -> Dataset:
    """`data` with labels that count in `classes`, each found by its name.

    Where none of the names is known, the data has to have as many classes, and they are taken to
    be in the same order.

    Raises:
        DatasetError: some of the names are known and some are not, or there are others, and more
            or fewer.
    """
    number = {name: index for index, name in enumerate(classes)}
    known = [name in number for name in data.classes]
    if all(known):
        places = np.array([number[name] for name in data.classes], dtype=np.int64)
        return replace(data, labels=places[data.labels], classes=classes)
    if any(known):
        raise DatasetError(
            f"{data.name!r} has a class {data.classes[known.index(False)]!r} that the network does "
            f"not tell apart, beside {sum(known)} that it does; rename it, or leave it out"
        )
    if len(data.classes) != len(classes):
        raise DatasetError(
            f"the network tells {len(classes)} classes apart, and {data.name!r} has "
            f"{len(data.classes)} of other names; give it images of its own classes"
        )
    return data
