"""Classes by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnn_eval.datasets import Dataset, DatasetError, read_classes, with_classes

CLASSES = ("tench", "goldfish", "shark")


def labelled(*classes: str) -> Dataset:
    """An image of each class."""
    count = len(classes)
    return Dataset("data", np.zeros((count, 1, 1, 3), np.uint8), np.arange(count), classes)


def test_labels_are_found_by_name() -> None:
    data = with_classes(labelled("shark", "tench"), CLASSES)
    assert (data.labels.tolist(), data.classes) == ([2, 0], CLASSES)


def test_other_names_of_as_many_classes_are_in_the_same_order() -> None:
    data = labelled("n01440764", "n01443537", "n01484850")
    assert with_classes(data, CLASSES) is data


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("a", "b"), "the network tells 3 classes apart, and 'data' has 2 of other names"),
        (("goldfish", "eel"), "'data' has a class 'eel' that the network does not tell apart"),
    ],
)
def test_classes_that_are_not_the_network_s(classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        with_classes(labelled(*classes), CLASSES)


def test_a_file_of_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("tench\n goldfish \n\nshark\n")
    assert read_classes(tmp_path / "names.txt") == CLASSES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names.txt' is empty; give each"),
        (b"a\nb\na\n", "names.txt' names 'a' twice"),
        (b"\xff\xfe", "names.txt' is not a text of class names"),
    ],
)
def test_a_file_without_names(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_classes(tmp_path / "names.txt")


def test_no_file_of_names(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"names\.txt"):
        read_classes(tmp_path / "names.txt")
