"""Where work is done that can be shared out (evaluations, walks, emulations): by this machine, or
by those of a cluster. Whoever has such work asks an executor for a pool, and need not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from hdl.errors import MissingError

from .workers import TIME_LIMIT_S, Crew, Evaluate, Failure, WorkerPool

__all__ = [
    "Bench",
    "ClusterError",
    "ClusterLostError",
    "Executor",
    "Job",
    "LocalProcesses",
    "Pool",
]


class Bench(Protocol):
    """What all tasks of a job depend on: a value that is pickled, and files."""

    def files(self) -> Mapping[str, Path]:
        """Those that it reads: relative path on another machine -> path here."""

    def moved(self, folder: Path, kept: Path) -> Self:
        """The same on another machine.

        Args:
            folder: has the files.
            kept: for what outlives the job.
        """


_Bench = TypeVar("_Bench", bound=Bench)
#: Makes of a bench what a worker does: called once in every worker; picklable.
Job: TypeAlias = Callable[[_Bench], Evaluate]


class ClusterError(MissingError):
    """There is no cluster, or it cannot do the work."""


class ClusterLostError(ClusterError):
    """The scheduler or all of its workers went away while they were needed."""


class Pool(Protocol):
    """Workers for one job, used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        """Yields (task, result or failure) as results come in, in any order; each task once,
        however often it was begun. Messages call a task by its text up to the first tab.

        Raises:
            dse.evaluation.WorkerError: a worker's set-up failed.
            dse.evaluation.ClusterError: the cluster cannot do the work, or is lost.
        """


class Executor(Protocol):
    """Gives pools of workers."""

    def pool(
        self,
        bench: _Bench,
        job: Job[_Bench],
        *,
        time_limit_s: float = TIME_LIMIT_S,
        threaded: bool = False,
    ) -> Pool:
        """Workers that do `job` with a bench, where a task takes `time_limit_s` of processor time
        at most. They start with the first task.

        Args:
            threaded: a task takes all cores by itself, where it gets them. On this machine such
                tasks are done one after the other by this process, without a limit, and errors are
                raised.
        """


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine, used as a context manager; they end with it, or with this
    process.
    """

    count: int = 1
    crew: Crew = field(default_factory=Crew, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.crew.__exit__()

    def pool(
        self,
        bench: _Bench,
        job: Job[_Bench],
        *,
        time_limit_s: float = TIME_LIMIT_S,
        threaded: bool = False,
    ) -> Pool:
        if threaded:
            return _ThisProcess(partial(job, bench))
        return WorkerPool(
            self.count, partial(job, bench), time_limit_s=time_limit_s, crew=self.crew
        )


@dataclass(frozen=True)
class _ThisProcess:
    """A :class:`Pool` of this process alone."""

    set_up: Callable[[], Evaluate]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """There is nothing to end."""

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        evaluate = self.set_up()
        for task in tasks:
            yield task, evaluate(task)
