"""Threads that share work, and their memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cnn_eval.parallel import aligned, run_threads, scratch


def test_work_is_done_once_by_as_many_threads_as_asked() -> None:
    for items, threads in ((1, 1), (5, 1), (1, 3), (7, 3)):
        done: list[int] = []
        run_threads(done.append, items, threads)
        assert sorted(done) == list(range(items))


def test_errors_in_threads_are_raised() -> None:
    def fail(item: int) -> None:
        raise ArithmeticError(str(item))

    with pytest.raises(ArithmeticError, match=r"[01]"):
        run_threads(fail, 2, 2)


def test_scratch_is_kept_by_name_and_grows() -> None:
    small = scratch("test", (3, 5), np.int32)
    assert small.shape == (3, 5)
    again = scratch("test", (7,), np.uint8)
    assert np.shares_memory(small, again)
    assert scratch("test", (1000, 1000), np.int32).size == 1_000_000
    assert not np.shares_memory(
        scratch("test", (9 << 20,), np.int32), scratch("test", (9 << 20,), np.int32)
    )  # more than is kept
    assert not np.shares_memory(scratch("test", (7,), np.uint8), scratch("other", (7,), np.uint8))


def test_scratch_is_a_thread_s_own() -> None:
    mine, others = scratch("test", (7,), np.uint8), []
    thread = threading.Thread(target=lambda: others.append(scratch("test", (7,), np.uint8)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, others[0])


@pytest.mark.parametrize("shape", [(), (1,), (33, 7)])
def test_aligned_arrays_begin_on_a_cache_line(shape: tuple[int, ...]) -> None:
    array = aligned(shape, np.int16)
    assert array.shape == shape
    assert array.ctypes.data % 64 == 0
