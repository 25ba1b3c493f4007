"""Files written beside their place and renamed: whole, or not at all; never through a link to
somewhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

from .reading import MissingFileError, words

__all__ = ["check_writable", "writable_file", "writable_folder", "write_whole"]


def write_whole(path: Path | str, content: bytes | str, *, durable: bool = False) -> None:
    """Puts a file at `path`, in the place of what is there; a `durable` one survives a power
    failure, too. Text is UTF-8.

    Raises MissingFileError.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{_own_mark()}.new")
    try:
        _remove_abandoned(path)
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        # What is there, a link included, was removed; what came since then is not written to.
        with open(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb"
        ) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise MissingFileError(
            f"{str(path)!r} cannot be written ({words(error)}); choose another place or free some "
            "space"
        ) from error


def _own_mark() -> str:
    return f"{os.getpid()}-{threading.get_ident()}"


def _remove_abandoned(path: Path) -> None:
    """Removes what a process left that was killed while it wrote this file."""
    for other in os.listdir(path.parent):
        found = re.fullmatch(r"(.*)\.(\d{1,9})-\d+\.new", other)
        if found is not None and found[1] == f".{path.name}" and not _lives(int(found[2])):
            with contextlib.suppress(OSError):
                (path.parent / other).unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def writable_folder(path: Path | str, option: str) -> Path:
    """The folder, made where it is missing, after trying to write there. Raises MissingFileError,
    which names the `option` to change.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / f".writable-{_own_mark()}"
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        trial.unlink()
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"cannot write to the output folder {str(path)!r} ({words(error)}); choose another "
            f"with {option}"
        ) from error
    return path


def check_writable(path: Path | str, option: str) -> None:
    """Tries to write in a folder, which may not exist yet, and leaves no trace. Raises as
    :func:`writable_folder`.
    """
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        writable_folder(path, option)
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def writable_file(path: Path | str, option: str) -> Path:
    """The path of a file to write, after trying to write in its folder. Raises MissingFileError,
    which names the `option` to change.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise MissingFileError(
            f"cannot write the file {str(path)!r} (it is {what}); choose another with {option}"
        )
    if not path.parent.is_dir():
        raise MissingFileError(
            f"cannot write the file {str(path)!r} (there is no such folder); choose another with "
            f"{option}"
        )
    writable_folder(path.parent, option)
    return path
