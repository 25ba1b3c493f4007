"""Readers of image data, on files written by the test."""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnn_eval.datasets import (
    CIFAR10_CLASSES,
    Dataset,
    DatasetError,
    MissingDatasetError,
    load_dataset,
    normalize,
)

rng = np.random.default_rng(0)


def packed_jpeg(
    path: Path, count: int = 3, classes: tuple[str, ...] = ("cat", "dog"), **changes: np.ndarray
) -> Path:
    files, labels = [], np.arange(count) % len(classes)
    for index in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), (80 * index, 10, 200)).save(buffer, "JPEG", quality=95)
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offset = np.concatenate([[0], np.cumsum([len(file) for file in files])])
    arrays = {
        "jpeg": np.concatenate(files),
        "offset": offset,
        "label": labels,
        "classes": np.array(classes),
    }
    np.savez(path, **(arrays | changes))
    return path


def test_packed_jpeg(tmp_path: Path) -> None:
    data = load_dataset(packed_jpeg(tmp_path / "pets.npz"))
    assert (data.name, len(data), data.classes) == ("pets", 3, ("cat", "dog"))
    assert data.images.shape == (3, 32, 32, 3)
    assert data.labels.tolist() == [0, 1, 0]
    # JPEG is lossy, by a few levels on a flat color.
    assert np.abs(data.images[2].astype(int) - [160, 10, 200]).max() < 6


def test_the_cifar10_classes_are_recognized(tmp_path: Path) -> None:
    assert (
        load_dataset(packed_jpeg(tmp_path / "x.npz", classes=CIFAR10_CLASSES)).name
        == "CIFAR-10 (JPEG)"
    )


def test_reference_images(shared: Path) -> None:
    data = load_dataset(shared / "data" / "cifar10-jpeg-test.npz")
    assert (data.name, data.images.shape, data.classes) == (
        "CIFAR-10 (JPEG)",
        (5000, 32, 32, 3),
        CIFAR10_CLASSES,
    )


def pictures(*sizes: tuple[int, int]) -> dict[str, np.ndarray]:
    """Arrays of a packed JPEG of random pictures of such (width, height)."""
    files = []
    for width, height in sizes:
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    return {
        "jpeg": np.concatenate(files),
        "offset": np.cumsum([0, *map(len, files)]),
        "label": np.zeros(len(files), int),
    }


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
def test_packed_pictures_of_any_size_are_resized_and_cropped(
    tmp_path: Path, resampling: str
) -> None:
    """As torchvision's Resize(256) and CenterCrop(224): its documentation says that the longer side
    is 256 x longer / shorter.
    """
    arrays = pictures((300, 400), (512, 256), (224, 224), (90, 90))
    path = packed_jpeg(tmp_path / "any.npz", 4, **arrays)
    data = load_dataset(path, image_px=224, resampling=resampling)
    assert data.images.shape == (4, 224, 224, 3)
    offset = arrays["offset"]
    for index, resized in enumerate([(256, 341), (512, 256), (224, 224), (256, 256)]):
        file = io.BytesIO(arrays["jpeg"][offset[index] : offset[index + 1]].tobytes())
        picture = Image.open(file).resize(resized, Image.Resampling[resampling.upper()])
        left, top = ((side - 224) // 2 for side in resized)
        expected = np.asarray(picture)[top : top + 224, left : left + 224]
        np.testing.assert_array_equal(data.images[index], expected)


def test_packed_pictures_of_one_small_size_stay_as_they_are(tmp_path: Path) -> None:
    alike = packed_jpeg(tmp_path / "alike.npz", 2, **pictures((48, 40), (48, 40)))
    assert load_dataset(alike, image_px=32).images.shape == (2, 40, 48, 3)
    mixed = packed_jpeg(tmp_path / "mixed.npz", 2, **pictures((48, 40), (40, 48)))
    assert load_dataset(mixed, image_px=32).images.shape == (2, 32, 32, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": np.array([0, 5, 3, 9])},
        {"offset": np.array([0, 10])},
        {"offset": np.array([0, 100, 200, 10**9])},
        {"label": np.array([0, 1, 7])},
        {"jpeg": np.zeros(2000, np.uint8), "offset": np.array([0, 500, 1000, 2000])},
    ],
    ids=["backwards", "too few", "beyond the end", "label without a class", "no JPEG"],
)
def test_damaged_packed_jpeg(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    path = packed_jpeg(tmp_path / "bad.npz", **changes)
    with pytest.raises(DatasetError, match=r"bad.npz") as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


def test_truncated_file(tmp_path: Path) -> None:
    path = packed_jpeg(tmp_path / "cut.npz")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(
        DatasetError,
        match=r"^not a packed-JPEG \.npz of arrays.*cut\.npz' is not a numpy \.npz file",
    ):
        load_dataset(path)


def cifar_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8), rng.integers(0, 10, count)


def test_cifar10_python_batches(tmp_path: Path) -> None:
    for index in range(1, 6):
        images, labels = cifar_images(4)
        (tmp_path / f"data_batch_{index}").write_bytes(
            pickle.dumps({b"data": images.reshape(4, -1), b"labels": labels.tolist()})
        )
    data = load_dataset(tmp_path, split="train")
    assert (data.name, len(data)) == ("CIFAR-10 (not as published)", 20)
    np.testing.assert_array_equal(data.images[-4:], images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(data.labels[-4:], labels)


def test_a_python_batch_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 / 0",)

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Attack(), b"labels": [0]}))
    with pytest.raises(DatasetError, match=r"refuses to load builtins.eval"):
        load_dataset(tmp_path)


def test_cifar10_binary_batches(tmp_path: Path) -> None:
    images, labels = cifar_images(5)
    records = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(5, -1)], axis=1)
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(data.images, images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(data.labels, labels)
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(DatasetError, match="are not whole records of 3073"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("names", [True, False])
def test_cifar100_python_and_binary(tmp_path: Path, names: bool) -> None:
    images, _ = cifar_images(5)
    labels = np.array([0, 99, 7, 50, 3])
    (tmp_path / "test").write_bytes(
        pickle.dumps(
            {
                b"data": images.reshape(5, -1),
                b"fine_labels": labels.tolist(),
                b"coarse_labels": [0] * 5,
            }
        )
    )
    if names:
        (tmp_path / "meta").write_bytes(
            pickle.dumps({b"fine_label_names": [f"thing{i}".encode() for i in range(100)]})
        )
    python = load_dataset(tmp_path)
    assert python.name == "CIFAR-100 (not as published)"
    assert python.classes[99] == ("thing99" if names else "class 99")
    binary = tmp_path / "binary"
    binary.mkdir()
    coarse_and_fine = np.stack([np.zeros(5), labels], axis=1).astype(np.uint8)
    (binary / "test.bin").write_bytes(
        np.concatenate([coarse_and_fine, images.reshape(5, -1)], axis=1).tobytes()
    )
    (binary / "fine_label_names.txt").write_text("\n".join(f"thing{i}" for i in range(100)))
    read = load_dataset(binary)
    assert (read.name, read.classes[99]) == ("CIFAR-100", "thing99")
    for data in (python, read):
        np.testing.assert_array_equal(data.images, images.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(data.labels, labels)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, array.ndim))
        + b"".join(size.to_bytes(4, "big") for size in array.shape)
        + array.astype(np.uint8).tobytes()
    )


def test_idx(tmp_path: Path) -> None:
    images, labels = rng.integers(0, 256, (6, 28, 28)), np.array([0, 3, 1, 2, 3, 0])
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    data = load_dataset(folder, split="train")
    assert (data.name, data.classes, data.channels) == ("letters", ("0", "1", "2", "3"), 1)
    np.testing.assert_array_equal(data.images[..., 0], images)
    np.testing.assert_array_equal(data.labels, labels)
    assert normalize(data.images, (0.5,), (0.25,)).shape == (6, 1, 28, 28)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            idx(np.zeros((2, 4, 4)))[:-3],
            idx(np.zeros(2)),
            "is damaged: 45 bytes where its header of 2 x 4 x 4 makes 48",
        ),
        (idx(np.zeros((2, 4, 4))), idx(np.zeros(3)), "has 3 labels for 2 images"),
        (idx(np.zeros(8)), idx(np.zeros(2)), "is not an IDX file of bytes in 3 dimensions"),
        (
            gzip.compress(idx(np.zeros((2, 4, 4))), mtime=0)[:-9],
            idx(np.zeros(2)),
            "is a damaged gzip file",
        ),
    ],
    ids=["cut", "other count", "other dimensions", "cut gzip"],
)
def test_damaged_idx(tmp_path: Path, images: bytes, labels: bytes, message: str) -> None:
    suffix = ".gz" if images[:2] == b"\x1f\x8b" else ""
    (tmp_path / f"t10k-images-idx3-ubyte{suffix}").write_bytes(images)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path)


def test_fashion_mnist() -> None:
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        with pytest.raises(MissingDatasetError, match="install Debian's dataset-fashion-mnist"):
            load_dataset("fashion-mnist")
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    data = load_dataset("fashion-mnist")
    assert (data.name, data.images.shape, data.classes[9]) == (
        "Fashion-MNIST",
        (10_000, 28, 28, 1),
        "Ankle boot",
    )
    # Published: the classes are balanced.
    assert np.bincount(data.labels).tolist() == [1000] * 10


def test_digits() -> None:
    pytest.importorskip("sklearn")
    train, test = (load_dataset("digits", split=split) for split in ("train", "test"))
    assert (len(train), len(test), train.images.shape[1:], train.images.max()) == (
        1000,
        797,
        (8, 8, 1),
        255,
    )
    # UCI's description of the whole set.
    counts = np.bincount(np.concatenate([train.labels, test.labels]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_grey_images_do_not_fit_a_color_network() -> None:
    with pytest.raises(DatasetError, match="the images' channels are 1, and the network takes 3"):
        normalize(np.zeros((1, 8, 8, 1), np.uint8), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))


def test_image_folder(tmp_path: Path) -> None:
    for name, size in (("cat", (40, 80)), ("dog", (32, 32))):
        (tmp_path / name).mkdir()
        Image.new("RGB", size, (1, 2, 3) if name == "cat" else (9, 9, 9)).save(
            tmp_path / name / "a.png"
        )
    data = load_dataset(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (2, 32, 32, 3)
    assert data.images[0].reshape(-1, 3).tolist() == [[1, 2, 3]] * 1024


def test_an_image_folder_of_imagenet_s_size(tmp_path: Path) -> None:
    """The shorter side becomes 256, the middle 224 x 224 of it stay; classes take turns."""
    ramp = np.repeat(
        np.linspace(0, 255, 512).astype(np.uint8)[:, None], 768, 1
    )  # from dark above to light below
    for name, pictures in (("cat", 1), ("dog", 3)):
        (tmp_path / name).mkdir()
        for index in range(pictures):
            Image.fromarray(ramp).save(tmp_path / name / f"{index}.png")
    data = load_dataset(tmp_path, image_px=224)
    assert data.labels.tolist() == [0, 1, 1, 1]
    assert data.images.shape == (4, 224, 224, 3)
    expected = 255 * (16 + 0.5 + np.arange(224)) / 256
    assert np.abs(data.images[0, :, 100, 0] - expected).max() < 2


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no data at .*nowhere"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no CIFAR batches, no IDX files and no class folders"):
        load_dataset(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"a\.png.*is not an image"):
        load_dataset(tmp_path)


def test_normalize_and_head() -> None:
    data = Dataset("x", np.array([[[[0, 51, 255]]]], np.uint8), np.array([0]), ("a",))
    expected = torch.tensor([(0 - 0.5) / 0.25, (0.2 - 0.5) / 0.5, (1 - 0.5) / 1]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalize(data.images, (0.5, 0.5, 0.5), (0.25, 0.5, 1.0)), expected)
    assert len(data.head(0)) == 0
    assert len(data.head(9)) == 1
