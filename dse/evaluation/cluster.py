"""The workers of a dask.distributed scheduler as an executor.

Each thread of such a worker keeps a process that does the work, a `WorkerPool` of one: crashes,
hangs and limits are what they are with local processes, and the worker itself outlives them. If the
worker does go, the scheduler gives its tasks to others. What the process needs (`.freight`) travels
by value, once to each worker, which says when it lacks it.

Whoever reaches a scheduler's port can have its workers execute anything.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import threading
import time
import uuid
import warnings
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self, TypeVar

from distributed import Client, Future, KilledWorker, get_worker

from . import freight
from .executor import Bench, ClusterError, ClusterLostError, Job, Pool
from .workers import MOST_KILLS, TIME_LIMIT_S, Failure, WorkerError, WorkerPool, called

__all__ = ["Cluster"]

_Bench = TypeVar("_Bench", bound=Bench)

_CONNECT_S = 10.0
#: How long a scheduler without workers is waited for, and how often it is looked at.
_NO_WORKER_S, _LOOK_S = 300.0, 1.0
#: Short tasks lie ready for this time; a long one never lies behind another.
_AHEAD_S = 0.5
#: Freights that a worker keeps: evaluations and walks of a search or two.
_MOST_FREIGHTS = 4


class Cluster:
    """The workers of a scheduler, an :class:`dse.evaluation.Executor`. Used as a context manager.

    Args:
        address: `tcp://HOST:PORT`, or `tls://HOST:PORT` with the certificates that dask's
            configuration names.

    Raises:
        dse.evaluation.ClusterError: no scheduler answers there.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        # What dask would tell of a lost connection in pages is one line here.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            self.client = _Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ClusterError(
                f"--cluster {address}: no scheduler answers ({error or type(error).__name__}); "
                "start one with dask scheduler, and give the address that it prints"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close(timeout=_CONNECT_S)

    def pool(
        self,
        bench: _Bench,
        job: Job[_Bench],
        *,
        time_limit_s: float = TIME_LIMIT_S,
        threaded: bool = False,
    ) -> Pool:
        return _ClusterPool(self, bench, job, time_limit_s)


class _Client(Client):
    def __del__(self) -> None:
        # One that never came about would be closed where it is collected: perhaps while another
        # one starts, for a lock that its own thread holds.
        if self.status != "connecting":
            super().__del__()


@dataclass(frozen=True)
class _Freight:
    """What all tasks of a pool have in common, and travels once."""

    content: bytes
    release: Mapping[str, str]
    time_limit_s: float


class _ClusterPool:
    """A :class:`dse.evaluation.Pool`; what travels is packed when there are tasks."""

    def __init__(self, cluster: Cluster, bench: Bench, job: Job[Any], time_limit_s: float) -> None:
        self._address, self._client = cluster.address, cluster.client
        self._bench, self._job, self._time_limit_s = bench, job, time_limit_s
        self._name = ""  # of the freight, when it is packed
        self._freight: Future[Any] | None = None
        self._running: dict[Hashable, tuple[str, Future[Any]]] = {}  # a future's key: task, future
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self._there, self._looked_s, self._worked_s = 0, 0.0, 0.0  # threads, and by the clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._freight = None  # which is forgotten there, too

    def run(self, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
        if not (waiting := deque(tasks)):
            return
        self._pack()
        begun_s = self._worked_s = time.monotonic()
        done, deaths = 0, Counter[str]()
        try:
            while waiting or self._running:
                ahead = int(_AHEAD_S * done / (time.monotonic() - begun_s))
                room = self._threads() + ahead - len(self._running)
                self._begin([waiting.popleft() for _ in range(min(room, len(waiting)))])
                for task, status, value in self._outcomes():
                    if status == "done":
                        done += 1
                        yield task, value
                    elif status == "lacking":
                        self._begin([task], self._freight, [value])
                    elif status == "gone":
                        waiting.appendleft(task)
                    elif status == "died":
                        deaths[task] += value
                        if deaths[task] < MOST_KILLS:
                            waiting.appendleft(task)
                        else:
                            yield (
                                task,
                                Failure(f"{called(task)}: {deaths[task]} workers died over it"),
                            )
                    elif status == "unlike":
                        raise ClusterError(value)
                    else:
                        raise WorkerError(value)
        finally:
            with suppress(ClusterLostError), self._watched():
                self._client.cancel([future for _, future in self._running.values()])
            self._running.clear()

    def _pack(self) -> None:
        if self._freight is None:
            content = freight.packed(self._bench, self._job)
            beside = freight.release(), self._time_limit_s
            digest = hashlib.sha256(repr(beside).encode() + content)
            self._name = f"dse-freight-{digest.hexdigest()}"
            # A task, not scattered data: it is done again where all workers that hold it are gone.
            with self._watched():
                self._freight = self._client.submit(_Freight, content, *beside, key=self._name)

    def _begin(
        self,
        tasks: Sequence[str],
        brought: Future[Any] | None = None,
        workers: Sequence[str] | None = None,
    ) -> None:
        """Has tasks done; with the freight by the workers that lack it, while they live: otherwise
        it is those that have it which get them all.
        """
        if not tasks:
            return
        # Keys of this run alone: what others asked under the same name is none of ours.
        run = uuid.uuid4().hex
        keys = [f"dse-{run}-{number}" for number in range(len(tasks))]
        with self._watched():
            futures = self._client.map(
                _do,
                tasks,
                key=keys,
                pure=False,
                workers=workers,
                allow_other_workers=workers is not None,
                name=self._name,
                brought=brought,
            )
        for task, future in zip(tasks, futures, strict=True):
            self._running[future.key] = task, future
            future.add_done_callback(self._ended.put)

    def _outcomes(self) -> list[tuple[str, str, Any]]:
        """(task, status, value) of what has ended since the last time; nothing after `_LOOK_S`.

        Raises:
            dse.evaluation.ClusterError: a worker cannot take tasks, or the scheduler is lost.
        """
        arrived = []
        with suppress(Empty):
            arrived.append(self._ended.get(timeout=_LOOK_S))
            while True:
                arrived.append(self._ended.get_nowait())
        ours = [future for future in arrived if future.key in self._running]
        done = [future.key for future in ours if future.status == "finished"]
        with self._watched():
            values = self._client.gather([self._running[key][1] for key in done])
        known = dict(zip(done, values, strict=True))
        outcomes = []
        for future in ours:
            task, _ = self._running.pop(future.key)
            if future.key in known:
                outcomes.append((task, *known[future.key]))
            elif future.status in ("lost", "pending"):
                outcomes.append((task, "gone", None))  # it had ended; its worker went with it
            elif future.status != "error":
                raise self._lost()
            elif isinstance(error := future.exception(), KilledWorker):
                outcomes.append((task, "died", error.allowed_failures + 1))
            else:
                raise ClusterError(
                    f"--cluster {self._address}: it cannot take our tasks ({type(error).__name__}: "
                    f"{error}); install the same ameliorate[cluster] there as here"
                )
        return outcomes

    def _threads(self) -> int:
        """How many tasks the workers can do at once, as of late. Raises ClusterLostError."""
        now_s = time.monotonic()
        if now_s > self._looked_s + _LOOK_S:
            with self._watched():
                self._there = self._client.scheduler_info(n_workers=0)["total_threads"]
            self._looked_s = now_s
            if self._there:
                self._worked_s = now_s
        if now_s > self._worked_s + _NO_WORKER_S:
            raise ClusterLostError(
                f"the scheduler {self._address} has had no worker for {_NO_WORKER_S:g} s: start "
                f"some with dask worker {self._address}"
            )
        return self._there

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raises ClusterLostError for the many errors that dask has for a lost connection; what it
        says of large freights is not for the user.
        """
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                yield
        except Exception as error:
            if self._client.status == "running" and not isinstance(error, CancelledError | OSError):
                raise
            raise self._lost() from error

    def _lost(self) -> ClusterLostError:
        return ClusterLostError(f"the scheduler {self._address} went away")


#: What this process has as a worker: freights by name, and one process for each thread.
_freights: dict[str, _Freight] = {}
_guard = threading.Lock()
_own = threading.local()


def _do(task: str, name: str, brought: _Freight | None) -> tuple[str, Any]:
    """Done by a worker: ("done", what came of the task), or why it is no worker for it."""
    with _guard:
        if brought is not None:
            _freights[name] = brought
            for oldest in list(_freights)[:-_MOST_FREIGHTS]:
                del _freights[oldest]
        found = _freights.get(name)
    if found is None:
        return "lacking", get_worker().address
    if freight.release() != found.release:
        return "unlike", _difference(found.release, freight.release())
    try:
        ((_, result),) = _pool(name, found).run([task])
    except WorkerError as error:
        return "unusable", f"worker {get_worker().address}: {error}"
    return "done", result


def _pool(name: str, found: _Freight) -> WorkerPool:
    """This thread's process for a freight; that for another one ends."""
    if getattr(_own, "name", "") != name:
        if hasattr(_own, "pool"):
            _own.pool.__exit__()
        # A worker is the daemon of a nanny, as which it may not have processes.
        multiprocessing.current_process().daemon = False
        folder = Path(get_worker().local_directory) / "dse"
        set_up = partial(freight.unpacked, found.content, folder)
        _own.name, _own.pool = name, WorkerPool(1, set_up, time_limit_s=found.time_limit_s)
    pool: WorkerPool = _own.pool
    return pool


def _difference(client: Mapping[str, str], worker: Mapping[str, str]) -> str:
    names = [name for name in {**client, **worker} if client.get(name) != worker.get(name)]
    ours, theirs = (
        ", ".join(f"{name} {versions.get(name, 'missing')}" for name in names)
        for versions in (client, worker)
    )
    return (
        f"worker {get_worker().address} has {theirs}; here it is {ours}, and results may differ: "
        "install the same on both"
    )
