"""Integers of weights that are not the nearest ones (`learned_rounding.py` finds them), and their
file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdl.errors import InputError
from hdl.files import read_npz, words

from ..arrays import save_arrays

__all__ = ["Rounding", "RoundingError"]

_LIMIT_BYTES = 512 << 20


class RoundingError(InputError):
    """The file is not a rounding of weights."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """Learned integers of a network's weights.

    Attributes:
        differences: from the nearest integers, by largest weight integer (1, 3, 7, ...) and layer
            name, int8, (o, positions).
    """

    differences: Mapping[int, Mapping[str, NDArray[np.int8]]]

    def of(self, layer: str, largest: int) -> NDArray[np.int8] | None:
        """Differences of one layer's weights; None where nothing was learned for that range."""
        return self.differences.get(largest, {}).get(layer)

    def sha256(self) -> str:
        """Digest of all differences."""
        digest = hashlib.sha256()
        for key, array in self._arrays().items():
            digest.update(f"{key} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compressed ``.npz``, an array for each range and layer. The same rounding gives
        the same bytes.
        """
        save_arrays(path, self._arrays())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Rounding:
        """Inverse of :meth:`save`. Raises RoundingError: no file there, or not a rounding."""
        differences: dict[int, dict[str, NDArray[np.int8]]] = {}
        try:
            for key, array in read_npz(Path(path), limit_bytes=_LIMIT_BYTES).items():
                largest, _, layer = key.partition("/")
                if array.dtype != np.int8 or array.ndim != 2:
                    raise ValueError(f"{key!r} is not a matrix of int8")
                differences.setdefault(int(largest), {})[layer] = array
        except (InputError, ValueError) as error:
            raise RoundingError(
                f"{str(path)!r} is not a rounding of weights ({words(error)}); make one with `dse "
                "profile`"
            ) from error
        return cls(differences)

    def _arrays(self) -> dict[str, NDArray[np.int8]]:
        return {
            f"{largest}/{layer}": np.ascontiguousarray(array)
            for largest, layers in sorted(self.differences.items())
            for layer, array in layers.items()
        }
