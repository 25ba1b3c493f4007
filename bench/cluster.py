"""What a cluster costs: overhead of a task, efficiency of two workers, emulations, and many
workers, simulated.

    python -m bench.cluster [--empty 2000] [--designs 24] [--rounds 3] [--emulations 6]
        [--images 1000] [--machines 200] [--naps 10000]

Scheduler and workers are processes of this machine. An empty task does nothing: what it takes is
overhead. Designs are drawn from the search space and evaluated with nothing known before, by local
processes and by a cluster of as many workers in turn. Emulations are of ResNet-20, corrected, on
noise, which takes as long as pictures do: by this process with all its threads, and by a cluster of
as many workers as it has threads. The simulated machines are threads of four
workers, and sleep. Processor times (of this client, of the scheduler, of the workers without what
they do) hold on a busy machine, too; the others need an idle one. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.sleeping import EmptyBench, sleeper
from cnn_eval import zoo
from cnn_eval.datasets import Dataset, ImageRoles
from dse.evaluation import Executor, Failure, LocalProcesses, Pool, Workbench, open_executor
from dse.ground_truth import Emulation, request_text
from dse.search import DesignSpace
from hdl.operands import OperandEncoding, Widths

ROOT = Path(__file__).parents[1]
ENCODING = OperandEncoding.SIGN_MAGNITUDE
NOTHING = EmptyBench()
SLEEPER: Any = sleeper


class Machines:
    """A scheduler and workers, as processes in folders of their own."""

    def __init__(self, folder: Path, workers: int, threads: int) -> None:
        self._folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        self.address: str = json.loads(file.read_text())["address"]
        options = ("--no-nanny", "--nthreads", str(threads))
        self.workers = [self._start("worker", self.address, *options) for _ in range(workers)]

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--no-dashboard"],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def processor_times_s(self) -> tuple[float, float, float]:
        """Of this client, of the scheduler, and of the workers without their children."""
        workers = sum(_processor_time_s(worker) for worker in self.workers)
        return time.process_time(), _processor_time_s(self.scheduler), workers

    def work_s(self) -> float:
        """Processor time of the processes that do the work of workers without a nanny."""
        ours = {worker.pid for worker in self.workers}
        found = 0.0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[1]) in ours:
                    found += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        return found

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def _processor_time_s(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def cluster(workers: int, threads: int) -> Iterator[tuple[Machines, Executor]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        machines = Machines(Path(folder), workers, threads)
        try:
            with open_executor(cluster=machines.address) as executor:
                yield machines, executor
        finally:
            machines.close()


def seconds(pool: Pool, tasks: list[str]) -> float:
    """How long the tasks take."""
    started = time.perf_counter()
    results = dict(pool.run(tasks))
    taken = time.perf_counter() - started
    assert len(results) == len(tasks)
    assert not [result for result in results.values() if isinstance(result, Failure)]
    return taken


def overhead(count: int) -> None:
    tasks = [f"0 {number}" for number in range(count)]
    warm_up = [f"0.2 {number}" for number in range(16)]
    with LocalProcesses(2).pool(NOTHING, SLEEPER) as pool:
        seconds(pool, warm_up)
        local_s = seconds(pool, tasks)
    with cluster(2, 1) as (machines, executor), executor.pool(NOTHING, SLEEPER) as pool:
        seconds(pool, warm_up)
        before = machines.processor_times_s()
        cluster_s = seconds(pool, tasks)
        spent = np.subtract(machines.processor_times_s(), before)
    print(
        f"{count} empty tasks, two workers: {1e3 * cluster_s / count:.2f} ms a task on a cluster, "
        f"{1e3 * local_s / count:.2f} ms by local processes"
    )
    _print_processor_times(spent, count)


def efficiency(count: int, rounds: int) -> None:
    bench = Workbench(("resnet20",), (ENCODING,))
    space = DesignSpace.of(operands={ENCODING.signed: bench.widths(ENCODING)})
    specs = [str(spec) for spec in space.sample(count + 4, np.random.default_rng(1))]
    ratios, each_s = [], []
    with (
        cluster(2, 1) as (_, executor),
        executor.pool(bench, Workbench.evaluator) as there,
        LocalProcesses(2).pool(bench, Workbench.evaluator) as here,
    ):
        for pool in (there, here):
            seconds(pool, specs[:4])
        for number in range(rounds):
            order = (here, there) if number % 2 else (there, here)
            taken_s = {pool: seconds(pool, specs[4:]) for pool in order}
            ratios.append(taken_s[here] / taken_s[there])
            each_s.append(2 * taken_s[there] / count)
    shown = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(
        f"{count} designs, two workers: efficiency {statistics.median(ratios):.3f} of local "
        f"processes (rounds: {shown}); {statistics.median(each_s):.2f} s a design and worker"
    )


def emulations(count: int, images: int) -> None:
    rng = np.random.default_rng(1)
    shape = (images + 768, 32, 32, 3)
    classes = zoo.zoo_network("resnet20").classes
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    noise = Dataset("noise", pixels, rng.integers(0, len(classes), len(pixels)), classes)
    roles = ImageRoles(
        noise.head(images), noise.part(images, images + 512), noise.part(images + 512, len(noise))
    )
    emulation = Emulation(zoo.zoo_network("resnet20"), ENCODING, roles)
    space = DesignSpace.of(operands={ENCODING.signed: [Widths(8, 7)]})
    tables = [spec.table() for spec in space.sample(count, rng)]
    threads = os.cpu_count() or 1
    # Operand widths that a worker does not know yet are quantized, and corrected, with the first.
    first = [request_text(Widths(8, 7))] * threads
    first = [f"{number} {text}" for number, text in enumerate(first)]
    tasks = [request_text(table) for table in tables]
    files = sum(path.stat().st_size for path in emulation.files().values())
    print(
        f"an emulation on {len(emulation.images.judging)} images: what travels to each worker "
        f"{(len(pickle.dumps(emulation)) + files) / 1e6:.1f} MB, of it profiles {files / 1e6:.1f}; "
        f"a task {statistics.median(map(len, tasks)) / 1e3:.1f} kB (at most "
        f"{max(map(len, tasks)) / 1e3:.1f})"
    )
    with (
        cluster(threads, 1) as (machines, executor),
        executor.pool(emulation, Emulation.accuracies, time_limit_s=36_000) as there,
        LocalProcesses().pool(emulation, Emulation.accuracies, threaded=True) as here,
    ):
        for name, pool, work_s in (
            ("this process", here, time.process_time),
            (f"{threads} workers", there, machines.work_s),
        ):
            ready_s, before_s = seconds(pool, first), work_s()
            taken_s = seconds(pool, tasks)
            print(
                f"  {count} by {name}: {(work_s() - before_s) / count:.1f} s of processor time "
                f"each, {taken_s / count:.1f} s by the clock; {ready_s:.1f} s before, with one of "
                "exact products in every worker"
            )


def many(machines: int, naps: int) -> None:
    tasks = [f"1 {number}" for number in range(naps)]
    with cluster(4, machines // 4) as (found, executor), executor.pool(NOTHING, SLEEPER) as pool:
        started = time.perf_counter()
        seconds(pool, [f"1 {number}" for number in range(2 * machines)])
        ready_s = time.perf_counter() - started
        before = found.processor_times_s()
        taken_s = seconds(pool, tasks)
        spent = np.subtract(found.processor_times_s(), before)
    ideal_s = naps / machines
    print(
        f"{naps} tasks of 1 s on {machines} workers: {taken_s:.1f} s, {taken_s / ideal_s:.3f} of "
        f"the ideal {ideal_s:.0f} s; {ready_s:.1f} s until all workers had begun"
    )
    _print_processor_times(spent, naps)


def _print_processor_times(spent_s: np.ndarray[Any, Any], count: int) -> None:
    client, scheduler, workers = 1e3 * spent_s / count
    print(
        f"  processor time of a task: client {client:.2f} ms, scheduler {scheduler:.2f} ms, worker "
        f"{workers:.2f} ms beside its work"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("empty", 2000),
        ("designs", 24),
        ("rounds", 3),
        ("emulations", 6),
        ("images", 1000),
        ("machines", 200),
        ("naps", 10_000),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help="0 leaves it out")
    options = parser.parse_args()
    print(f"load of {os.cpu_count()} cores before: {os.getloadavg()[0]:.1f}")
    if options.empty:
        overhead(options.empty)
    if options.designs:
        efficiency(options.designs, options.rounds)
    if options.emulations:
        emulations(options.emulations, options.images)
    if options.naps:
        many(options.machines, options.naps)


if __name__ == "__main__":
    main()
