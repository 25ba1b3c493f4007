"""A search on machines that go away ends as one on this machine, byte for byte."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from machines import Machines, turn_off

from dse.api.exploring import explore as start
from dse.api.progress import Stage
from dse.engine import explore, recorded_search
from dse.evaluation.evaluation_store import EvaluationStore
from dse.evaluation.executor import ClusterLostError, Executor, LocalProcesses
from dse.evaluation.opening import open_executor
from reports.page import write_front_csv

EVALUATIONS, KILLS = 20, 5


def front(run: Path, executor: Executor) -> bytes:
    found = explore(recorded_search(run), run / "points.sqlite", executor=executor)
    write_front_csv(found, run / "front.csv")
    return (run / "front.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_search_on_machines_that_go_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_folder: Callable[[Path], Path]
) -> None:
    run, other = run_folder(tmp_path / "run"), run_folder(tmp_path / "other")
    kept: Counter[tuple[str, str]] = Counter()
    put = EvaluationStore.put

    def counted(store: EvaluationStore, design: str, result: dict[str, Any]) -> None:
        kept[store.bench.effort, design] += 1
        put(store, design, result)

    monkeypatch.setattr(EvaluationStore, "put", counted)
    moments = random.Random(1)
    waiting = sorted(moments.sample(range(1, EVALUATIONS - 2), KILLS), reverse=True)
    with Machines(tmp_path) as machines:
        machines.add_worker("--no-nanny")
        machines.add_worker("--no-nanny")

        def disturb(stage: Stage) -> None:
            while waiting and stage.done >= waiting[-1]:
                waiting.pop()
                time.sleep(moments.random() / 2)
                turn_off(machines.workers.pop(moments.randrange(2)))
                machines.add_worker("--no-nanny")
            if stage.done == EVALUATIONS - 2:
                turn_off(machines.scheduler)

        with pytest.raises(
            ClusterLostError,
            match=rf"^the scheduler {machines.address} went away; what was evaluated is kept, go "
            rf"on with dse explore --resume --out {run}$",
        ):
            start(
                "resnet8",
                families=("tm", "bam"),
                activation_bits=4,
                weight_bits=5,
                evaluations=EVALUATIONS,
                walks=0,
                out=run,
                cluster=machines.address,
                on_progress=disturb,
            )
    assert not waiting
    assert EVALUATIONS - 2 <= len(kept) < EVALUATIONS
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as threads,
        open_executor(cluster=threads.scheduler_address) as executor,
    ):
        found = front(run, executor)
    assert len(kept) > EVALUATIONS
    assert set(kept.values()) == {1}
    (other / "search.json").write_bytes((run / "search.json").read_bytes())
    assert found == front(other, LocalProcesses(2))
