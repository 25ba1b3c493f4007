"""Where designs are evaluated and walks are done: by processes of this machine, or by those of a
cluster. Whoever has work to share asks an executor for a pool, and need not know which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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
    "open_executor",
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


@contextmanager
def open_executor(workers: int = 0, cluster: str = "") -> Iterator[Executor]:
    """So many local processes, one a core for 0; or the cluster whose scheduler has the address
    `cluster`, for example `tcp://192.168.1.10:8786`.

    Raises:
        dse.evaluation.ClusterError: no such scheduler, or dask.distributed is not installed.
    """
    if not cluster:
        yield LocalProcesses(workers or os.cpu_count() or 1)
        return
    try:
        from .cluster import Cluster
    except ModuleNotFoundError as error:
        raise ClusterError(
            f"--cluster {cluster} needs dask.distributed, here and on the workers ({error}); "
            "pip install 'ameliorate[cluster]'"
        ) from error
    with Cluster(cluster) as executor:
        yield executor
