"""Worker processes that evaluate designs: a crash, a hang or a kill costs one attempt, never the
run.

A busy machine changes no result: the limit of a task counts the worker's own processor time (what
Yosys takes has limits of its own), and a worker that something else ended does its task again.

Standard-library only, so that a new process is ready to import what it evaluates with in its own
time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Self

__all__ = [
    "MOST_KILLS",
    "TIME_LIMIT_S",
    "Evaluate",
    "Failure",
    "WorkerError",
    "WorkerPool",
    "called",
]

#: What a worker does: a task, such as a design's text, to a JSON-like result.
Evaluate = Callable[[str], dict[str, Any]]

#: How often a task is begun over which workers crash, or are killed from outside.
_CRASHES, MOST_KILLS = 2, 10
#: Processor time of a task, where its pool says nothing else.
TIME_LIMIT_S = 300.0
_LEAST_PATIENCE_S = 7200.0
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

#: Threads start workers one after the other: what surrounds a start is of the whole process.
_STARTING = threading.Lock()


class WorkerError(RuntimeError):
    """The workers cannot start: their set-up failed."""


@dataclass(frozen=True)
class Failure:
    """Why a task has no result, in one line."""

    reason: str


def called(task: str) -> str:
    """What messages call a task: its text up to the first tab."""
    return task.partition("\t")[0]


@dataclass
class _Worker:
    process: Any  # multiprocessing's SpawnProcess
    connection: Connection
    task: str | None = None
    started: float = 0.0


class WorkerPool:
    """A fixed number of worker processes, used as a context manager.

    Args:
        set_up: picklable; called once in every new worker, returns the function that does the
            tasks.
        time_limit_s: processor time of a task; one that takes more is killed with its worker and
            reported as a failure.
        patience_s: the same by the clock, for a worker that waits for something that never comes;
            None: twice the limit, and two hours at least.
    """

    def __init__(
        self,
        count: int,
        set_up: Callable[[], Evaluate],
        *,
        time_limit_s: float = TIME_LIMIT_S,
        patience_s: float | None = None,
    ) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self._set_up, self._time_limit_s = set_up, time_limit_s
        self._patience_s = patience_s or max(2 * time_limit_s, _LEAST_PATIENCE_S)
        self._needs_main = b"__main__" in pickle.dumps(set_up)
        self._count = count
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            self._stop(worker)
        self._workers.clear()

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        """Yields (task, result or failure) as results come in, in any order.

        Raises:
            WorkerError: a worker's set-up failed.
        """
        waiting = deque(tasks)
        attempts: dict[str, int] = {}
        while len(self._workers) < min(self._count, len(waiting)):
            self._workers.append(self._start())
        while waiting or any(worker.task is not None for worker in self._workers):
            for worker in self._workers:
                if worker.task is None and waiting:
                    self._assign(worker, waiting.popleft())
            yield from self._collect(waiting, attempts)

    def _collect(
        self, waiting: deque[str], attempts: dict[str, int]
    ) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        """Waits for the next message, death or time-out of any busy worker."""
        busy = [worker for worker in self._workers if worker.task is not None]
        deadline = min(worker.started for worker in busy) + self._patience_s
        ready = wait(
            [worker.connection for worker in busy], timeout=max(0.0, deadline - time.monotonic())
        )
        for worker in busy:
            task = worker.task
            assert task is not None
            if worker.connection in ready:
                try:
                    status, value = worker.connection.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    code = worker.process.exitcode
                    self._replace(worker)
                    attempts[task] = attempts.get(task, 0) + 1
                    if code == -signal.SIGPROF:
                        yield (
                            task,
                            Failure(f"{called(task)}: not done within {self._time_limit_s:g} s"),
                        )
                    elif attempts[task] < (MOST_KILLS if -code in _FROM_OUTSIDE else _CRASHES):
                        waiting.appendleft(task)
                    else:
                        yield (
                            task,
                            Failure(
                                f"{called(task)}: the worker process died {attempts[task]} times "
                                f"over it (exit code {code})"
                            ),
                        )
                    continue
                if status == "unusable":
                    raise WorkerError(value)
                worker.task = None
                yield task, value if status == "done" else Failure(value)
            elif time.monotonic() - worker.started > self._patience_s:
                self._replace(worker)
                yield task, Failure(f"{called(task)}: not done within {self._patience_s:g} s")

    def _assign(self, worker: _Worker, task: str) -> None:
        worker.task, worker.started = task, time.monotonic()
        with contextlib.suppress(
            OSError
        ):  # it died while idle: its closed pipe is found, and counted, when results are collected
            worker.connection.send(task)

    def _start(self) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=_serve,
            args=(theirs, self._set_up, self._time_limit_s),
            name="dse-worker",
            daemon=True,  # whoever ends without closing the pool does not wait for it
        )
        around = contextlib.nullcontext() if self._needs_main else _without_main()
        with _STARTING, _one_thread_each(), around:
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, worker: _Worker) -> None:
        self._stop(worker)
        self._workers[self._workers.index(worker)] = self._start()

    @staticmethod
    def _stop(worker: _Worker) -> None:
        worker.connection.close()
        worker.process.kill()
        worker.process.join()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Processes started inside do not import the program that starts them: a script that searches
    need not guard against being imported.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside use one thread: there are as many of them as cores, and libraries
    read this when they are imported.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(dict.fromkeys(variables, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, set_up: Callable[[], Evaluate], time_limit_s: float) -> None:
    """A worker's life: set up once, then task after task until the parent closes the pipe or
    dies.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the parent decides what becomes of us
    try:
        evaluate = set_up()
    except Exception as error:
        evaluate, unusable = None, str(error) or type(error).__name__
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if evaluate is None:
            connection.send(("unusable", unusable))
            continue
        signal.setitimer(signal.ITIMER_PROF, time_limit_s)  # then SIGPROF ends this process
        try:
            reply: tuple[str, Any] = ("done", evaluate(task))
        except Exception as error:
            reply = ("failed", f"{called(task)}: {error or type(error).__name__}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            connection.send(reply)
        except OSError:
            return
