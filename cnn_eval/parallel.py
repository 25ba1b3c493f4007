"""Threads that share work, and memory that they keep."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["aligned", "run_threads", "scratch"]

_kept = threading.local()
_MOST_KEPT_BYTES = 32 << 20


def run_threads(work: Callable[[int], None], items: int, threads: int) -> None:
    """Calls work(0) .. work(items - 1), on up to `threads` threads, of which the caller's is
    one.
    """
    todo = iter(range(items))  # shared: each number goes to one thread

    def take() -> None:
        for item in todo:
            work(item)

    helpers = min(threads, items) - 1
    others = [_helpers(helpers, os.getpid()).submit(take) for _ in range(helpers)]
    take()
    for other in others:
        other.result()


@functools.cache
def _helpers(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that stay, since starting some takes as long as a small layer; a forked process needs
    its own.
    """
    return ThreadPoolExecutor(threads)


def scratch(name: str, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
    """Uninitialized memory of this thread's own that the next call for `name` hands out again, up
    to 32 MiB.

    Fresh memory costs a page fault every 4 KiB, which takes as long as the work that is done on it.
    """
    size = math.prod(shape) * np.dtype(kind).itemsize
    if size > _MOST_KEPT_BYTES:
        return aligned(shape, kind)
    kept: NDArray[np.uint8] | None = getattr(_kept, name, None)
    if kept is None or kept.size < size:
        kept = aligned((size,), np.uint8)
        setattr(_kept, name, kept)
    return kept[:size].view(kind).reshape(shape)


def aligned(shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
    """Uninitialized array on a cache line."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(kind).reshape(shape)
