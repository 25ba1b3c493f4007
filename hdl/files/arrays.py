"""Arrays of numpy files (`.npy`, `.npz`), whose size is checked before anything is allocated and
which cannot hold code.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .reading import FileError, read_bytes, words

__all__ = ["read_npy", "read_npz"]

_MOST_MEMBERS = 4096


def read_npy(path: Path | str, *, limit_bytes: int) -> NDArray[Any]:
    """The array of a `.npy` file of at most so many bytes, read-only. Raises FileError."""
    return _array(read_bytes(path, limit_bytes=limit_bytes), repr(str(path)))


def read_npz(
    path: Path | str, names: Iterable[str] | None = None, *, limit_bytes: int
) -> dict[str, NDArray[Any]]:
    """The arrays of those names, or all, of a `.npz` file; file and content are at most so many
    bytes each. Read-only. Raises FileError.
    """
    shown = repr(str(path))
    data = read_bytes(path, limit_bytes=limit_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            if len(members) != len(archive.infolist()) or len(members) > _MOST_MEMBERS:
                raise FileError(
                    f"{shown} holds {len(archive.infolist())} arrays, some of one name or more "
                    f"than {_MOST_MEMBERS}"
                )
            wanted = list(members) if names is None else list(names)
            for name in wanted:
                if name not in members:
                    raise FileError(
                        f"{shown} holds no array {name!r}; it has "
                        f"{words(', '.join(members)) or 'none'}"
                    )
            # A small file may announce any size.
            if sum(members[name].file_size for name in wanted) > limit_bytes:
                raise FileError(
                    f"{shown} unpacks to more than {limit_bytes >> 20} MiB, the most that is "
                    "read; is it the right file?"
                )
            return {
                name: _array(archive.read(members[name]), f"{shown}, array {name!r}")
                for name in wanted
            }
    except FileError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise FileError(
            f"{shown} is not a numpy .npz file ({words(error)}); save arrays with numpy.savez"
        ) from error


def _array(data: bytes, shown: str) -> NDArray[Any]:
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[
            version
        ]
        shape, fortran, dtype = read_header(stream)
        size = math.prod(shape)
    except (
        Exception
    ) as error:  # a header is parsed as Python, and makes the parser raise what it likes
        raise FileError(
            f"{shown} is not a numpy array ({words(error)}); save it with numpy.save"
        ) from error
    if dtype.hasobject:
        raise FileError(
            f"{shown} holds pickled objects, which could be code; save numbers with numpy.save"
        )
    held = len(data) - stream.tell()
    if any(length < 0 for length in shape) or size * dtype.itemsize != held or dtype.itemsize == 0:
        raise FileError(
            f"{shown} is damaged: {words(str(shape))} of {words(str(dtype))} do not take {held} "
            "bytes; save it again"
        )
    array = np.frombuffer(data, dtype, count=size, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")
