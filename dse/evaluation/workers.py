"""Worker processes that evaluate designs: a crash, a hang or a kill costs one attempt, never the
run.

A busy machine changes no result: the limit of a task counts the worker's own processor time (what
Yosys takes has limits of its own), and a worker that something else ended does its task again.

A process takes longer to start than most tasks take, so that pools that follow each other share
a :class:`Crew` of them.

Standard-library only, so that a new process is ready to import what it evaluates with in its own
time.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Self, TypeVar

__all__ = [
    "MOST_KILLS",
    "TIME_LIMIT_S",
    "Crew",
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

#: Jobs that a worker is set up for at a time: a search goes between two, evaluations and walks.
_MOST_JOBS = 2

#: Threads start workers one after the other: what surrounds a start is of the whole process.
_STARTING = threading.Lock()
_NUMBERS = itertools.count()


class WorkerError(RuntimeError):
    """The workers cannot start: their set-up failed."""


@dataclass(frozen=True)
class Failure:
    """Why a task has no result, in one line."""

    reason: str


def called(task: str) -> str:
    """What messages call a task: its text up to the first tab."""
    return task.partition("\t")[0]


@dataclass(frozen=True)
class _Order:
    """What a worker is sent.

    Attributes:
        job: number of the pool that sends it.
        set_up: how the worker gets ready for that job, pickled; None: it is.
    """

    job: int
    set_up: bytes | None
    time_limit_s: float
    task: str


@dataclass
class _Worker:
    """A worker as its parent sees it.

    Attributes:
        knows_main: whether it has imported the program that started it.
        jobs: what it is set up for, by number, the latest last.
    """

    process: Any  # multiprocessing's SpawnProcess
    connection: Connection
    knows_main: bool
    jobs: dict[int, None] = field(default_factory=dict)
    task: str | None = None
    started: float = 0.0

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


class Crew:
    """Idle worker processes, used as a context manager: pools take them from here, and leave them
    here.
    """

    def __init__(self) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self._idle: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        while self._idle:
            self._idle.pop().stop()

    def take(self, job: int, *, needs_main: bool) -> _Worker:
        """An idle worker, one that is set up for the job if there is one; else a new one."""
        fitting = [worker for worker in self._idle if worker.knows_main or not needs_main]
        if not fitting:
            return self._start(needs_main)
        found = next((worker for worker in fitting if job in worker.jobs), fitting[0])
        self._idle.remove(found)
        return found

    def leave(self, worker: _Worker) -> None:
        self._idle.append(worker)

    def _start(self, needs_main: bool) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=_serve,
            args=(theirs,),
            name="dse-worker",
            daemon=True,  # whoever ends without closing the crew does not wait for it
        )
        around = contextlib.nullcontext() if needs_main else _without_main()
        with _STARTING, _one_thread_each(), around:
            process.start()
        theirs.close()
        return _Worker(process, ours, knows_main=needs_main)


class WorkerPool:
    """A fixed number of worker processes for one job, used as a context manager.

    Args:
        set_up: picklable; called once in every worker, returns the function that does the tasks.
        time_limit_s: processor time of a task; one that takes more is killed with its worker and
            reported as a failure.
        patience_s: the same by the clock, for a worker that waits for something that never comes;
            None: twice the limit, and two hours at least.
        crew: where idle workers come from and go to; None: they end with the pool.
    """

    def __init__(
        self,
        count: int,
        set_up: Callable[[], Evaluate],
        *,
        time_limit_s: float = TIME_LIMIT_S,
        patience_s: float | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._set_up, self._time_limit_s = pickle.dumps(set_up), time_limit_s
        self._patience_s = patience_s or max(2 * time_limit_s, _LEAST_PATIENCE_S)
        self._needs_main = b"__main__" in self._set_up
        self._count, self._number = count, next(_NUMBERS)
        self._crew, self._owns_crew = crew or Crew(), crew is None
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._release()
        if self._owns_crew:
            self._crew.__exit__()

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        """Yields (task, result or failure) as results come in, in any order.

        Raises:
            WorkerError: a worker's set-up failed.
        """
        waiting = deque(tasks)
        attempts: dict[str, int] = {}
        try:
            while len(self._workers) < min(self._count, len(waiting)):
                self._workers.append(self._another())
            while waiting or any(worker.task is not None for worker in self._workers):
                for worker in self._workers:
                    if worker.task is None and waiting:
                        self._assign(worker, waiting.popleft())
                yield from self._collect(waiting, attempts)
        finally:
            self._release()

    def _release(self) -> None:
        """Leaves idle workers to the crew; whoever is busy works for nobody any more."""
        while self._workers:
            worker = self._workers.pop()
            if worker.task is None:
                self._crew.leave(worker)
            else:
                worker.stop()

    def _another(self) -> _Worker:
        return self._crew.take(self._number, needs_main=self._needs_main)

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
        set_up = None if self._number in worker.jobs else self._set_up
        _note(worker.jobs, self._number, None)
        with contextlib.suppress(
            OSError
        ):  # it died while idle: its closed pipe is found, and counted, when results are collected
            worker.connection.send(_Order(self._number, set_up, self._time_limit_s, task))

    def _replace(self, worker: _Worker) -> None:
        worker.stop()
        self._workers[self._workers.index(worker)] = self._another()


_Value = TypeVar("_Value")


def _note(jobs: dict[int, _Value], number: int, value: _Value) -> None:
    """A job becomes the latest of a worker's, which forgets what it knew long ago: told by parent
    and worker alike.
    """
    jobs.pop(number, None)
    jobs[number] = value
    for oldest in list(jobs)[:-_MOST_JOBS]:
        del jobs[oldest]


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


def _serve(connection: Connection) -> None:
    """A worker's life: task after task until the parent closes the pipe or dies."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the parent decides what becomes of us
    jobs: dict[int, Evaluate] = {}
    while True:
        try:
            order: _Order = connection.recv()
        except (EOFError, OSError):
            return
        try:
            evaluate = jobs[order.job] if order.set_up is None else pickle.loads(order.set_up)()
        except Exception as error:
            reply: tuple[str, Any] = ("unusable", str(error) or type(error).__name__)
        else:
            _note(jobs, order.job, evaluate)
            reply = _done(evaluate, order)
        try:
            connection.send(reply)
        except OSError:
            return


def _done(evaluate: Evaluate, order: _Order) -> tuple[str, Any]:
    signal.setitimer(signal.ITIMER_PROF, order.time_limit_s)  # then SIGPROF ends this process
    try:
        return "done", evaluate(order.task)
    except Exception as error:
        return "failed", f"{called(order.task)}: {error or type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
