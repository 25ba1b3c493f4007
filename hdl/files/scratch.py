"""Temporary folders that outlive no process: what a killed one left is removed by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked_folder", "scratch_folder"]

_PREFIX = "ameliorate-"
_LOCK = ".lock"
#: A folder without a lock is being made, or was left while it was.
_MAKING_S = 600.0


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new folder, for the time being."""
    folder, lock = locked_folder(purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def locked_folder(purpose: str) -> tuple[Path, int]:
    """A new folder, and the lock that says it is in use: a descriptor, held until it is closed or
    this process ends, however that comes.
    """
    _sweep(f"{_PREFIX}{purpose}-")
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(
            lock
        )  # another process had the lock a moment earlier, and took the folder for abandoned


def _sweep(prefix: str) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_abandoned(Path(entry.path))


def _remove_abandoned(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - status.st_mtime > _MAKING_S:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
