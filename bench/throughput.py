"""Full evaluations per minute: RTL, product table, error metrics, mapped area, delay, energy, AME;
and the same from the store.

    python -m bench.throughput [--designs 48] [--workers 2] [--seed 1]

Designs are drawn from the search space, families taking turns; each is evaluated by worker
processes as `dse explore` does it, with nothing known before. Shares of the steps are of processor
time, Yosys included, so that they and the processor time of a design hold on a busy machine, too;
the rates need an idle one. Linux only.
"""

from __future__ import annotations

import argparse
import functools
import os
import pkgutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnn_eval import zoo
from dse.evaluation import EvaluationStore, Failure, Workbench, WorkerPool, design_point
from dse.search import DesignSpace
from hdl.operands import OperandEncoding

NETWORK, ENCODING = "resnet20", OperandEncoding.SIGN_MAGNITUDE
WARM_ROUNDS = 200

#: Step -> the functions that do it, by the module that calls them.
STEPS = {
    "RTL": ("dse.evaluation.workbench.rtlil",),
    "table": ("dse.evaluation.workbench.ProductTable.of_rtlil",),
    "error metrics": ("dse.evaluation.workbench.error_metrics",),
    "mapping and timing": ("hdl.cost.synthesis.map_design",),
    "energy": ("hdl.cost.synthesis.operation_energy",),
    "AME": ("dse.evaluation.workbench.ame", "dse.evaluation.workbench.features"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bench = Workbench((NETWORK,), (ENCODING,))
    space = DesignSpace.of(operands={ENCODING.signed: bench.widths(ENCODING)})
    specs = [
        str(spec)
        for spec in space.sample(
            arguments.designs + arguments.workers, np.random.default_rng(arguments.seed)
        )
    ]
    warm_up, specs = specs[: arguments.workers], specs[arguments.workers :]

    results: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = dict.fromkeys([*STEPS, "other"], 0.0)
    with WorkerPool(arguments.workers, partial(timed_evaluator, bench)) as pool:
        started = time.perf_counter()
        list(pool.run(warm_up))
        ready = time.perf_counter()
        for spec, result in pool.run(specs):
            if isinstance(result, Failure):
                print(f"failed: {result.reason}")
                continue
            for step, of_step in result.pop("seconds").items():
                seconds[step] += of_step
            results[spec] = result
        done = time.perf_counter()
    each_s = sum(seconds.values()) / len(results)
    print(
        f"cold: {60 * len(results) / (done - ready):.0f} evaluations a minute with "
        f"{arguments.workers} workers"
    )
    print(f"start: {ready - started:.1f} s until every worker has evaluated its first design")
    print(
        f"processor time: {each_s:.3f} s a design, {60 * arguments.workers / each_s:.0f} a minute "
        f"on {arguments.workers} idle cores"
    )
    for step, of_step in seconds.items():
        print(
            f"  {step:<20} {100 * of_step / sum(seconds.values()):5.1f} %  "
            f"{1e3 * of_step / len(results):6.1f} ms"
        )
    print(f"warm: {warm_rate(bench, results):.0f} points a minute, one process")


def warm_rate(bench: Workbench, results: dict[str, dict[str, Any]]) -> float:
    """Design points a minute from the store."""
    predictors = {NETWORK: {str(ENCODING): zoo.load_predictor(NETWORK, ENCODING)}}
    with (
        tempfile.TemporaryDirectory() as folder,
        EvaluationStore(Path(folder) / "points.sqlite", bench) as store,
    ):
        for spec, result in results.items():
            store.put(spec, result)
        started = time.perf_counter()
        for _ in range(WARM_ROUNDS):
            known = store.get(results)
            baseline = next(iter(known.values()))
            points = [
                design_point(bench.multiplier(spec), evaluation, baseline, predictors)
                for spec, evaluation in known.items()
            ]
            assert len(points) == len(results)
        return 60 * WARM_ROUNDS * len(results) / (time.perf_counter() - started)


def timed_evaluator(bench: Workbench) -> Callable[[str], dict[str, Any]]:
    """The bench's evaluator, which also tells the processor time of each step under `seconds`; runs
    in a worker.
    """
    evaluate = bench.evaluator()
    stopwatch = _Stopwatch()
    for step, functions in STEPS.items():
        for path in functions:
            owner, name = _find(path)
            setattr(owner, name, stopwatch.timed(step, getattr(owner, name)))

    def evaluate_and_time(spec: str) -> dict[str, Any]:
        stopwatch.seconds = dict.fromkeys([*STEPS, "other"], 0.0)
        with stopwatch.step("other"):
            result = evaluate(spec)
        return result | {"seconds": stopwatch.seconds}

    return evaluate_and_time


class _Stopwatch:
    """Processor time by step; time in a step inside another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner_s = [0.0]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = _processor_time_s()
        self._inner_s.append(0.0)
        yield
        spent = _processor_time_s() - started
        self.seconds[name] += spent - self._inner_s.pop()
        self._inner_s[-1] += spent

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            with self.step(name):
                return function(*arguments, **options)

        return call


def _processor_time_s() -> float:
    """Of this process, its living children (Yosys), and theirs that have ended."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _find(path: str) -> tuple[Any, str]:
    """`package.room.module.name` or `package.room.module.object.name` -> the owner of the name, and
    the name.
    """
    owner, _, name = path.rpartition(".")
    return pkgutil.resolve_name(owner), name


if __name__ == "__main__":
    main()
