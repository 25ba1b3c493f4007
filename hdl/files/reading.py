"""Bytes of regular files, up to a limit."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from pathlib import Path

from ..errors import InputError, MissingError

__all__ = ["FileError", "MissingFileError", "check_regular", "read_bytes", "unzip", "words"]

_LONGEST_REASON = 240
_PIECE_BYTES = 1 << 20


class FileError(InputError):
    """A file that is not what it should be: one line with its path and what is wrong with it."""


class MissingFileError(FileError, MissingError):
    """A file that is absent, or cannot be read or written."""


def read_bytes(path: Path | str, *, limit_bytes: int) -> bytes:
    """The content of a regular file. Raises FileError: absent, unreadable, a pipe or a device, or
    larger than the limit.
    """
    check_regular(path, limit_bytes=limit_bytes)
    try:
        # What changes between the check and this: a pipe does not block.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if content is None or len(content) > limit_bytes:
        raise _too_large(path, limit_bytes)
    return content


def check_regular(path: Path | str, *, limit_bytes: int) -> None:
    """Raises FileError where `path` is no regular file of at most so many bytes; opens nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise MissingFileError(f"{_shown(path)} cannot be read (it is a folder); give a file")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{_shown(path)} is a pipe, a socket or a device; give a file")
    if status.st_size > limit_bytes:
        raise _too_large(path, limit_bytes)


def unzip(data: bytes, path: Path | str, *, limit_bytes: int) -> bytes:
    """What gzipped `data`, of the file `path`, holds; other data as it is. Raises FileError."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        # Counted before it is kept: a bomb takes time, but no room.
        size = 0
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while size <= limit_bytes and (piece := file.read(_PIECE_BYTES)):
                size += len(piece)
        if size > limit_bytes:
            raise _too_large(path, limit_bytes)
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(
            f"{_shown(path)} is a damaged gzip file ({words(error)}); fetch it again"
        ) from error


def words(error: BaseException | str) -> str:
    """What an error says, as one printable line of bearable length."""
    text = (
        error
        if isinstance(error, str)
        else getattr(error, "strerror", None) or str(error) or type(error).__name__
    )
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def _shown(path: Path | str) -> str:
    return repr(str(path))


def _unreadable(path: Path | str, error: Exception) -> MissingFileError:
    return MissingFileError(
        f"{_shown(path)} cannot be read ({words(error)}); check the path and its permissions"
    )


def _too_large(path: Path | str, limit_bytes: int) -> FileError:
    limit = f"{limit_bytes >> 20} MiB" if limit_bytes >= 1 << 20 else f"{limit_bytes} bytes"
    return FileError(
        f"{_shown(path)} holds more than {limit}, the most that is read; is it the right file?"
    )
