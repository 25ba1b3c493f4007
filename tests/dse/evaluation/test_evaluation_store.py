"""What an evaluation is kept by: the circuit and everything else it depends on, and nothing
besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.evaluation import workbench
from dse.evaluation.evaluation_store import EvaluationStore
from dse.evaluation.workbench import Evaluation, Workbench
from hdl.multipliers import MultiplierSpec, rtlil
from hdl.multipliers.imported import ImportedDesign
from hdl.operands import OperandEncoding

BENCH = Workbench(("resnet20",), (OperandEncoding.SIGN_MAGNITUDE,))
FIGURES = dict.fromkeys(
    (
        "area_um2",
        "delay_ps",
        "energy_fj",
        "leakage_nw",
        "er_pct",
        "me",
        "med",
        "nmed_pct",
        "mred_pct",
        "ame",
    ),
    1.0,
) | {
    "wce": 1,
    "width_a": 8,
    "width_b": 8,
    "encoding": "sign_magnitude",
    "effort": "fast",
    "readings": {"resnet20": {"features": [0.0], "exact_top1_pct": 80.0}},
}


def evaluated(bench: Workbench, design: str) -> dict[str, Any]:
    """Made-up figures of a real circuit."""
    return {"circuit": bench.circuit_digest(design), **FIGURES}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with EvaluationStore(tmp_path / "points.sqlite", BENCH) as store:
        for design in ("drum:k=4", "tm:k=2"):
            store.put(design, evaluated(BENCH, design))
    return tmp_path / "points.sqlite"


def known(path: Path, bench: Workbench = BENCH) -> set[str]:
    with EvaluationStore(path, bench) as store:
        return set(store.get(["drum:k=4", "tm:k=2", "tm:k=3"]))


def test_what_was_put_is_known(path: Path) -> None:
    assert known(path) == {"drum:k=4", "tm:k=2"}
    with EvaluationStore(path, BENCH) as store:
        assert store.get(["tm:k=2"]) == {"tm:k=2": Evaluation.from_dict(evaluated(BENCH, "tm:k=2"))}


def other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a comment in the sources of the families had changed."""
    monkeypatch.setattr(Workbench, "circuit_context", lambda bench: "other sources")


def test_another_circuit_under_the_same_name_is_not_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_sources(monkeypatch)
    circuits: Callable[..., str] = MultiplierSpec.rtlil
    stand_in = {"tm:k=2": "exact"}
    monkeypatch.setattr(
        MultiplierSpec,
        "rtlil",
        lambda spec: circuits(MultiplierSpec.parse(stand_in.get(str(spec), str(spec)))),
    )
    assert known(path) == {"drum:k=4"}


def test_changed_sources_of_the_same_circuits_lose_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_sources(monkeypatch)
    assert known(path) == {"drum:k=4", "tm:k=2"}


def test_a_warm_search_elaborates_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiplierSpec, "rtlil", None)
    with EvaluationStore(path, BENCH) as store:
        assert set(store.get(["drum:k=4", "tm:k=2"])) == {"drum:k=4", "tm:k=2"}


def test_designs_of_the_same_circuit_share_their_evaluation(tmp_path: Path) -> None:
    """Two own designs that hold the same circuit, by whatever names."""
    circuit = rtlil(MultiplierSpec.parse("tm:k=2"))
    designs = tuple(
        ImportedDesign(name, 8, 8, False, circuit) for name in ("one.v:top#1", "two.v:top#1")
    )
    bench = replace(BENCH, designs=designs)
    with EvaluationStore(tmp_path / "points.sqlite", bench) as store:
        store.put("one.v:top#1", evaluated(bench, "one.v:top#1"))
    with EvaluationStore(tmp_path / "points.sqlite", bench) as store:
        assert set(store.get(["one.v:top#1", "two.v:top#1", "tm:k=2"])) == {
            "one.v:top#1",
            "two.v:top#1",
            "tm:k=2",
        }
    changed = replace(
        bench,
        designs=(replace(designs[0], circuit=rtlil(MultiplierSpec.parse("tm:k=3"))), designs[1]),
    )
    with EvaluationStore(tmp_path / "points.sqlite", changed) as store:
        assert set(store.get(["one.v:top#1", "two.v:top#1"])) == {"two.v:top#1"}


@pytest.mark.parametrize(
    "change",
    [
        {"effort": "best"},
        {"delay_target_ps": 1500.0},
        {"seed": 1},
        {"networks": ("resnet8",), "corrected": False},
        {"networks": ("resnet20", "resnet8")},
        {"corrected": False},
    ],
    ids=str,
)
def test_figures_of_another_bench_are_others(change: dict[str, Any]) -> None:
    assert replace(BENCH, **change).context() != BENCH.context()


@pytest.mark.parametrize("computation", ["COST_VERSION", "METRICS_VERSION", "FEATURES_VERSION"])
def test_figures_of_another_computation_are_others(
    computation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = BENCH.context()
    monkeypatch.setattr(workbench, computation, getattr(workbench, computation) + 1)
    assert BENCH.context() != before


def test_the_context_does_not_depend_on_names_or_caches(tmp_path: Path) -> None:
    assert replace(BENCH, yosys_cache=tmp_path / "yosys.sqlite").context() == BENCH.context()


_DESIGNS = {
    "sign_magnitude": ("exact:width=8x7", "drum:k=4,width=8x7", "bam:h=0,v=2,width=5x3"),
    "twos_complement": ("bam:h=1,v=5,comp=12,signed=1",),
}
RECORDED = Path(__file__).with_name("figures_by_version.json")


def test_figures_change_with_their_versions() -> None:
    """Whoever changes what a computation comes to raises its version, and records anew what
    `record` below writes.
    """
    recorded = json.loads(RECORDED.read_text())
    now = figures()
    if recorded["tools"] != now["tools"]:
        pytest.skip(f"recorded with {recorded['tools']}, here are {now['tools']}")
    assert now["versions"] == recorded["versions"], (
        f"a version was raised: write {RECORDED.name} anew, see record()"
    )
    for design, values in recorded["figures"].items():
        for name, value in values.items():
            assert now["figures"][design][name] == pytest.approx(value, rel=1e-6), (
                f"{design}: {name} changed under the same version"
            )


def figures() -> dict[str, Any]:
    """Figures of a few designs, and the versions of what made them."""
    from cnn_eval.prediction import FEATURES_VERSION
    from hdl import yosys
    from hdl.cost import COST_VERSION
    from hdl.tables import METRICS_VERSION

    found = {}
    for encoding, designs in _DESIGNS.items():
        evaluate = Workbench(
            ("resnet20",), (OperandEncoding(encoding),), corrected=encoding == "sign_magnitude"
        ).evaluator()
        for design in designs:
            result = evaluate(design)
            found[design] = {
                name: value
                for name, value in result.items()
                if name not in ("circuit", "encoding", "effort", "readings")
            } | result["readings"]["resnet20"]
    versions = {"cost": COST_VERSION, "metrics": METRICS_VERSION, "features": FEATURES_VERSION}
    return {"tools": {"yosys": yosys.version()}, "versions": versions, "figures": found}


def record() -> None:
    """Writes what the test holds figures against: `python -c "import runpy; runpy.run_path('THIS
    FILE')['record']()"`.
    """
    RECORDED.write_text(json.dumps(figures(), indent=1) + "\n")
