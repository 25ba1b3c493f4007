"""The 1,797 handwritten digits that scikit-learn carries: real data on machines that have no other.

8x8 grey images of 17 levels (E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository, 1998).
"""

from __future__ import annotations

import numpy as np

from .dataset import Dataset, MissingDatasetError

__all__ = ["load_digits"]

#: The last images are the test split.
_TEST_IMAGES = 797


def load_digits(split: str) -> Dataset:
    """The first 1,000 ("train") or the last 797 ("test") digits. Raises MissingDatasetError without
    scikit-learn.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise MissingDatasetError(
            "the digits come with scikit-learn, which is not installed; pip install scikit-learn"
        ) from error
    content = datasets.load_digits()
    images = np.round(content.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = content.target.astype(np.int64)
    digits = Dataset("digits", images, labels, tuple(str(digit) for digit in range(10)))
    first_test = len(digits) - _TEST_IMAGES
    return digits.part(0, first_test) if split == "train" else digits.part(first_test, len(digits))
