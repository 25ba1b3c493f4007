from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dse.evaluation.workers import Crew, Evaluate, Failure, WorkerError, WorkerPool


def obedient(folder: Path) -> Evaluate:
    """Does as the task's text says."""

    def evaluate(task: str) -> dict[str, Any]:
        action, _, name = task.partition(" ")
        first_time = not (folder / name).exists()
        (folder / name).touch()
        if action == "die" or (action == "die-once" and first_time):
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if action == "hang":
            time.sleep(60)
        if action == "loop":
            while True:
                pass
        if action == "suspend" and first_time:
            os.kill(os.getpid(), signal.SIGSTOP)
        if action == "raise":
            raise ValueError("no such family")
        return {"task": task, "threads": os.environ["OMP_NUM_THREADS"]}

    return evaluate


def broken() -> Evaluate:
    raise OSError("cell library is unreadable")


def counting(folder: Path, job: str) -> Evaluate:
    """Tells who does a task of which job, after how many set-ups of that job."""
    set_ups = folder / f"{job} {os.getpid()}"
    with set_ups.open("a") as file:
        file.write(".")

    def evaluate(task: str) -> dict[str, Any]:
        if task == "hang":
            time.sleep(60)
        return {"job": job, "worker": os.getpid(), "set-ups": len(set_ups.read_text())}

    return evaluate


def test_results_come_for_every_task(tmp_path: Path) -> None:
    tasks = [f"work {index}" for index in range(7)]
    with WorkerPool(2, partial(obedient, tmp_path)) as pool:
        assert dict(pool.run(tasks)) == {task: {"task": task, "threads": "1"} for task in tasks}
        assert dict(pool.run(["work again"])).keys() == {"work again"}
        assert dict(pool.run([])) == {}


@pytest.mark.slow
def test_faults_cost_their_own_task_only(tmp_path: Path) -> None:
    tasks = ["work a", "die-once b", "raise c", "die d", "loop e", "work f", "crash g"]
    with WorkerPool(2, partial(obedient, tmp_path), time_limit_s=0.5) as pool:
        results = dict(pool.run(tasks))
    assert [task for task in tasks if not isinstance(results[task], Failure)] == [
        "work a",
        "die-once b",
        "work f",
    ]
    assert results["raise c"] == Failure("raise c: no such family")
    assert results["die d"] == Failure(
        "die d: the worker process died 10 times over it (exit code -9)"
    )
    assert results["loop e"] == Failure("loop e: not done within 0.5 s")
    assert results["crash g"] == Failure(
        "crash g: the worker process died 2 times over it (exit code -11)"
    )


@pytest.mark.slow
def test_the_clock_ends_what_waits_forever_and_not_what_waits_long(tmp_path: Path) -> None:
    with WorkerPool(1, partial(obedient, tmp_path), time_limit_s=0.5, patience_s=2) as pool:
        assert dict(pool.run(["hang a"])) == {"hang a": Failure("hang a: not done within 2 s")}
    with WorkerPool(1, partial(obedient, tmp_path), time_limit_s=0.5) as pool:
        results = pool.run(["suspend b"])
        waker = threading.Timer(3, lambda: os.kill(pool._workers[0].process.pid, signal.SIGCONT))
        waker.start()
        assert dict(results).keys() == {"suspend b"}
        waker.join()


def test_a_failed_set_up_is_told_once() -> None:
    with (
        WorkerPool(2, broken) as pool,
        pytest.raises(WorkerError, match=r"^cell library is unreadable$"),
    ):
        list(pool.run(["a", "b", "c"]))


def only_result(pool: WorkerPool, task: str = "work") -> dict[str, Any]:
    ((_, result),) = pool.run([task])
    assert not isinstance(result, Failure)
    return result


def test_pools_of_a_crew_take_turns_with_its_workers(tmp_path: Path) -> None:
    with Crew() as crew:
        pools = {job: WorkerPool(1, partial(counting, tmp_path, job), crew=crew) for job in "abc"}
        found = [only_result(pools[job]) for job in "abaabcba"]
    assert len({one["worker"] for one in found}) == 1
    # Two jobs are remembered; c took the place of a.
    set_ups = [f"{one['job']}{one['set-ups']}" for one in found]
    assert set_ups == ["a1", "b1", "a1", "a1", "b1", "c1", "b1", "a2"]
    with pytest.raises(ProcessLookupError):
        os.kill(found[0]["worker"], 0)


def test_whoever_is_busy_when_a_run_ends_early_works_for_nobody_else(tmp_path: Path) -> None:
    with Crew() as crew, WorkerPool(2, partial(counting, tmp_path, "a"), crew=crew) as pool:
        for task, _ in pool.run(["work", "hang"]):
            assert task == "work"
            break
        assert dict(pool.run(["one", "two"])).keys() == {"one", "two"}


def test_a_worker_that_died_idle_is_replaced(tmp_path: Path) -> None:
    with Crew() as crew, WorkerPool(1, partial(counting, tmp_path, "a"), crew=crew) as pool:
        first = only_result(pool)["worker"]
        os.kill(first, signal.SIGKILL)
        assert only_result(pool)["worker"] != first


def test_a_set_up_that_failed_leaves_no_worker_behind(tmp_path: Path) -> None:
    with Crew() as crew:
        with WorkerPool(1, broken, crew=crew) as pool, pytest.raises(WorkerError):
            list(pool.run(["a"]))
        with WorkerPool(1, partial(counting, tmp_path, "a"), crew=crew) as pool:
            assert dict(pool.run(["work"])).keys() == {"work"}
