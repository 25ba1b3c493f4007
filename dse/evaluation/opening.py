"""Which executor a command or a call asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .executor import ClusterError, ClusterLostError, Executor, LocalProcesses

__all__ = ["open_executor", "resumable"]


@contextmanager
def open_executor(workers: int = 0, cluster: str = "") -> Iterator[Executor]:
    """So many local processes, one a core for 0; or the cluster whose scheduler has the address
    `cluster`, for example `tcp://192.168.1.10:8786`.

    Raises:
        dse.evaluation.ClusterError: no such scheduler, or dask.distributed is not installed.
    """
    if not cluster:
        with LocalProcesses(workers or os.cpu_count() or 1) as here:
            yield here
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


@contextmanager
def resumable(
    again: str = "what was emulated is kept, run the command again",
) -> Iterator[None]:
    """Says what is kept and how to go on where a cluster is lost inside."""
    try:
        yield
    except ClusterLostError as lost:
        raise ClusterLostError(f"{lost}; {again}") from lost
