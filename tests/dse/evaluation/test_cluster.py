"""Work on a cluster comes to what it comes to on this machine: scheduler and workers are processes
with other folders, which are killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster, Security
from machines import Machines, turn_off
from obedient import EmptyBench, broken, obedient

from dse.evaluation import cluster, freight
from dse.evaluation.cluster import Cluster
from dse.evaluation.executor import (
    ClusterError,
    ClusterLostError,
    Executor,
    LocalProcesses,
)
from dse.evaluation.opening import open_executor
from dse.evaluation.workers import Failure, WorkerError

NOTHING = EmptyBench()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with Machines(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def threads() -> Iterator[str]:
    """The address of a cluster in this process."""
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as found:
        yield found.scheduler_address


def done(executor: Executor, tasks: list[str], time_limit_s: float = 60) -> dict[str, Any]:
    with executor.pool(NOTHING, obedient, time_limit_s=time_limit_s) as pool:
        results = list(pool.run(tasks))
    assert len(results) == len(tasks)
    return {
        task: result if isinstance(result, Failure) else result["task"] for task, result in results
    }


@pytest.mark.slow
def test_a_task_comes_to_the_same_on_a_cluster(threads: str, tmp_path: Path) -> None:
    tasks = ["work a", "die-once {}", "raise c", "die d", "loop e", "work f"]
    here, there = ([task.format(tmp_path / place) for task in tasks] for place in ("here", "there"))
    with Cluster(threads) as executor:
        of_cluster = done(executor, there, 0.5)
    of_processes = done(LocalProcesses(2), here, 0.5)
    assert of_cluster.pop(there[1]) == there[1]
    assert of_processes.pop(here[1]) == here[1]
    assert of_cluster == of_processes
    assert [task for task in tasks if isinstance(of_cluster.get(task), Failure)] == [
        "raise c",
        "die d",
        "loop e",
    ]


def test_a_pool_is_used_again_and_nothing_is_sent_for_nothing(threads: str) -> None:
    with Cluster(threads) as executor, executor.pool(NOTHING, obedient) as pool:
        assert list(pool.run([])) == []
        assert dict(pool.run(["work a"])).keys() == {"work a"}
        many = [f"work {number}" for number in range(40)]
        assert dict(pool.run(many)).keys() == set(many)
        abandoned = pool.run(many)
        next(abandoned)
        abandoned.close()  # type: ignore[attr-defined]
        assert dict(pool.run(["work b"])).keys() == {"work b"}


def test_a_failed_set_up_is_told_with_the_worker(threads: str) -> None:
    with (
        Cluster(threads) as executor,
        executor.pool(NOTHING, broken) as pool,
        pytest.raises(WorkerError, match=r"^worker inproc://\S+: cell library is unreadable$"),
    ):
        list(pool.run(["a", "b"]))


def test_another_version_is_refused(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = freight.release()
    with Cluster(threads) as executor, executor.pool(NOTHING, obedient) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(freight, "release", lambda: {**there, "numpy": "1.0", "yosys": "9"})
            pool._pack()  # type: ignore[attr-defined]
        with pytest.raises(
            ClusterError,
            match=rf"^worker inproc://\S+ has numpy {there['numpy']}, yosys missing; here it is "
            r"numpy 1\.0, yosys 9, and results may differ: install the same on both$",
        ):
            list(pool.run(["work a"]))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense://x", "tls://127.0.0.1:9"]
)
def test_no_scheduler_is_one_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.2)
    with pytest.raises(
        ClusterError,
        match=rf"^--cluster {address}: no scheduler answers \(.+\); start one with dask scheduler, "
        "and give the address that it prints$",
    ):
        Cluster(address)


def test_a_scheduler_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_NO_WORKER_S", 0.1)
    monkeypatch.setattr(cluster, "_LOOK_S", 0.1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty,
        Cluster(empty.scheduler_address) as executor,
        pytest.raises(ClusterLostError, match=r"has had no worker for 0\.1 s: start some with"),
    ):
        done(executor, ["work a"])


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "dse.evaluation.cluster")
    with (
        pytest.raises(ClusterError, match=r"needs dask\.distributed.*pip install 'ameliorate\[cl"),
        open_executor(cluster="tcp://127.0.0.1:9"),
    ):
        pass


def test_a_large_freight_says_nothing(threads: str) -> None:
    """Warnings are errors here, and dask warns of what is larger than 10 MB."""
    with Cluster(threads) as executor:
        large = partial(obedient, beside=os.urandom(12 << 20))
        with executor.pool(NOTHING, large) as pool:
            ((_, result),) = pool.run(["work a"])
        assert not isinstance(result, Failure)


def test_processes_are_the_default() -> None:
    with open_executor(3) as executor:
        assert executor == LocalProcesses(3)
    with open_executor() as executor:
        assert executor == LocalProcesses(os.cpu_count() or 1)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")
def test_certificates_are_those_of_the_configuration(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cluster"
    command = [*make.split(), "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    names = {"ca-file": certificate}
    for role in ("scheduler", "worker", "client"):
        names |= {f"{role}.key": key, f"{role}.cert": certificate}
    settings = {f"distributed.comm.tls.{name}": path for name, path in names.items()}
    with (
        dask.config.set({**settings, "distributed.comm.require-encryption": True}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tls",
            security=Security(),
            dashboard_address=":0",
        ) as found,
    ):
        assert found.scheduler_address.startswith("tls://")
        with Cluster(found.scheduler_address) as executor:
            assert done(executor, ["work a"]) == {"work a": "work a"}


@pytest.mark.slow
def test_a_machine_that_goes_costs_its_tasks_only(machines: Machines, tmp_path: Path) -> None:
    machines.add_worker()
    machines.add_worker()
    files = [tmp_path / "a", tmp_path / "b"]
    works = [f"work {number}" for number in range(20)]
    tasks = [*works[:4], *(f"wait-once {file}" for file in files), *works[4:]]

    def disturb() -> None:
        while not all(file.exists() for file in files):
            time.sleep(0.1)
        turn_off(machines.workers[0])
        turn_off(machines.workers[1])
        machines.add_worker()

    disturbing = threading.Thread(target=disturb, daemon=True)
    with Cluster(machines.address) as executor, executor.pool(NOTHING, obedient) as pool:
        disturbing.start()
        known = dict(pool.run(tasks))
    disturbing.join()
    assert known.keys() == set(tasks)
    assert not [result for result in known.values() if isinstance(result, Failure)]
    folders = {result["folder"] for result in known.values() if not isinstance(result, Failure)}
    assert all(Path(folder).parent == tmp_path for folder in folders)


def test_a_result_that_goes_with_its_worker_is_made_again(tmp_path: Path) -> None:
    other = f"after {tmp_path / 'a'}"
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as found,
        Cluster(found.scheduler_address) as executor,
        executor.pool(NOTHING, obedient) as pool,
    ):
        results = pool.run(["work a", other])
        assert next(results)[0] == "work a"
        (tmp_path / "a").touch()
        ((_, future),) = pool._running.values()  # type: ignore[attr-defined]
        future.exception()
        for worker in found.workers.values():
            found.sync(worker.close)
        while future.status == "finished":
            time.sleep(0.01)
        found.scale(3)
        assert [task for task, _ in results] == [other]


@pytest.mark.slow
def test_a_lost_scheduler_is_one_line(machines: Machines, tmp_path: Path) -> None:
    machines.add_worker()
    with Cluster(machines.address) as executor, executor.pool(NOTHING, obedient) as pool:
        results = pool.run(["work a", f"wait-once {tmp_path / 'b'}"])
        assert next(results)[0] == "work a"
        turn_off(machines.scheduler)
        with pytest.raises(
            ClusterLostError, match=rf"^the scheduler {machines.address} went away$"
        ):
            next(results)
