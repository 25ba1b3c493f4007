"""Image classification data from files that the user has: nothing is ever downloaded.

Recognized by what is on disk:

* packed JPEG: an ``.npz`` with ``jpeg`` (all files, concatenated), ``offset`` (n + 1), ``label``
  and ``classes``; images of any size, resized and center-cropped, or all of one small size;
* CIFAR-10 and CIFAR-100, python batches (``data_batch_1`` ... ``test_batch``; ``train``, ``test``)
  or binary ones (``.bin``);
* IDX files (``train-images-idx3-ubyte`` ..., gzipped or not): MNIST, Fashion-MNIST;
* an image folder, as ImageNet's: one subfolder a class, images of any size, resized and
  center-cropped;

and by name: ``fashion-mnist``, where Debian's package puts it, and ``digits``, which scikit-learn
carries.
"""

from __future__ import annotations

import os
from pathlib import Path

from .accuracy import resized, top1_pct
from .cifar import CIFAR10_CLASSES, find_cifar
from .classes import read_classes, with_classes
from .dataset import Dataset, DatasetError, MissingDatasetError, images_per_batch, normalize
from .digits import load_digits
from .files import RESAMPLING, load_image_folder, load_packed_jpeg
from .idx import fashion_mnist_folder, find_idx
from .roles import ImageRoles

__all__ = [
    "CIFAR10_CLASSES",
    "RESAMPLING",
    "Dataset",
    "DatasetError",
    "ImageRoles",
    "MissingDatasetError",
    "images_per_batch",
    "load_dataset",
    "normalize",
    "read_classes",
    "resized",
    "top1_pct",
    "with_classes",
]


def load_dataset(
    path: str | os.PathLike[str],
    *,
    split: str = "test",
    image_px: int = 32,
    resampling: str = "bilinear",
) -> Dataset:
    """Reads the data at `path`, in whichever of this module's layouts it is, or the data of that
    name.

    Args:
        split: "train" or "test"; packed JPEG and image folders hold one split each and ignore it.
        image_px: image folders and packed JPEGs are resized and cropped to this size; packed ones
            that all have one size of up to 64 pixels are not.
        resampling: how they are resized, one of :data:`RESAMPLING`.

    Raises:
        MissingDatasetError: nothing is there.
        DatasetError: what is there cannot be read.
    """
    path = Path(path)
    if not path.exists():
        if str(path) == "digits":
            return load_digits(split)
        if str(path) != "fashion-mnist":
            raise MissingDatasetError(
                f"no data at {str(path)!r}; give a packed-JPEG .npz, a folder of CIFAR batches, "
                "IDX files or images, or one of the names fashion-mnist and digits"
            )
        path = fashion_mnist_folder()
    if path.is_file():
        return load_packed_jpeg(path, image_px, resampling)
    return (
        find_cifar(path, split)
        or find_idx(path, split)
        or load_image_folder(path, image_px, resampling)
    )
