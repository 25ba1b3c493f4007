"""Where designs are evaluated and walks are done: by processes of this machine, or by those of a
cluster. Whoever has work to share asks an executor for a pool, and need not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hdl.errors import MissingError

from .workers import TIME_LIMIT_S, Evaluate, Failure, WorkerPool

if TYPE_CHECKING:
    from .workbench import Workbench

__all__ = [
    "ClusterError",
    "ClusterLostError",
    "Executor",
    "Job",
    "LocalProcesses",
    "Pool",
]

#: Makes of a workbench what a worker does: called once in every worker; picklable.
Job: TypeAlias = "Callable[[Workbench], Evaluate]"


class ClusterError(MissingError):
    """There is no cluster, or it cannot do the work."""


class ClusterLostError(ClusterError):
    """The scheduler or all of its workers went away while they were needed."""


class Pool(Protocol):
    """Workers for one job, used as a context manager."""

    def __enter__(self) -> Pool: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        """Yields (task, result or failure) as results come in, in any order; each task once,
        however often it was begun.

        Raises:
            dse.evaluation.WorkerError: a worker's set-up failed.
            dse.evaluation.ClusterError: the cluster cannot do the work, or is lost.
        """


class Executor(Protocol):
    """Gives pools of workers."""

    def pool(self, bench: Workbench, job: Job, *, time_limit_s: float = TIME_LIMIT_S) -> Pool:
        """Workers that do `job` with a bench, where a task takes `time_limit_s` of processor time
        at most. They start with the first task.
        """


@dataclass(frozen=True)
class LocalProcesses:
    """Processes of this machine."""

    count: int

    def pool(self, bench: Workbench, job: Job, *, time_limit_s: float = TIME_LIMIT_S) -> Pool:
        return WorkerPool(self.count, partial(job, bench), time_limit_s=time_limit_s)
