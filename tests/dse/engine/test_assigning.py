"""What designs cost and lose in each layer, and the assignments that come of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run import ENCODING, NETWORK, write_run

from cnn_eval import zoo
from dse.engine import recorded_search
from dse.engine.assigning import LayerChoices, layer_choices, recalibrated
from dse.evaluation import Workbench
from dse.ground_truth.emulator import Accuracy
from dse.search import Assignment, Exploration, InfeasibleError
from hdl.errors import InputError
from hdl.operands import OperandEncoding, Widths

SPECS = ("exact:width=8x7", "exact:width=5x4", "exact:width=4x3", "tm:k=1,width=4x3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("assigning") / "run", SPECS)


def bench() -> Workbench:
    return Workbench((NETWORK,), (ENCODING,))


@pytest.fixture(scope="module")
def choices(folder: Path) -> LayerChoices:
    return layer_choices(Exploration.load(folder), recorded_search(folder), bench())


def column(choices: LayerChoices, spec: str) -> int:
    return [point.spec for point in choices.points].index(spec)


def test_layers_add_up_to_the_network(choices: LayerChoices) -> None:
    profile = zoo.load_profile(NETWORK, ENCODING)
    assert choices.layers == tuple(layer.name for layer in profile.layers)
    assert choices.macs.tolist() == [layer.macs for layer in profile.layers]
    assert {point.spec for point in choices.points} == set(SPECS)
    for index, point in enumerate(choices.points):
        energy = choices.macs @ choices.energies_fj[:, index] / choices.macs.sum()
        assert energy == pytest.approx(point.energy_fj)
        assert choices.losses_pp[:, index].sum() == pytest.approx(point.predicted_drop_pp)
    # The same circuit takes different energies under the operands of different layers.
    exact = choices.energies_fj[:, column(choices, SPECS[0])]
    assert exact.max() > 1.2 * exact.min()
    assert (choices.losses_pp[:, column(choices, SPECS[0])] == 0).all()


def test_a_sensitive_layer_loses_more(folder: Path, choices: LayerChoices) -> None:
    first, *others = choices.layers
    sensitive = layer_choices(
        Exploration.load(folder),
        recorded_search(folder),
        bench(),
        sensitivities=lambda encoding: {first: 3.0, **dict.fromkeys(others, 0.5)},
    )
    np.testing.assert_allclose(sensitive.losses_pp.sum(axis=0), choices.losses_pp.sum(axis=0))
    lossy = choices.losses_pp[0] > 0
    assert lossy.sum() == 3
    odds = [
        one.losses_pp[0, lossy] / one.losses_pp[1:, lossy].sum(axis=0)
        for one in (sensitive, choices)
    ]
    np.testing.assert_allclose(odds[0], 6 * odds[1])


def test_a_front_of_assignments(choices: LayerChoices) -> None:
    alone = choices.singles(100)
    limit = alone[-2].predicted_drop_pp
    front = choices.front(2, limit)
    drops, energies = (
        [getattr(one, name) for one in front] for name in ("predicted_drop_pp", "energy_nj")
    )
    assert drops == sorted(drops)
    assert energies == sorted(energies, reverse=True)
    assert drops[-1] <= limit + 1e-9
    # A single design is an assignment, too.
    assert energies[-1] <= min(one.energy_nj for one in alone if one.predicted_drop_pp <= limit)
    for one in front:
        assert len(one.kinds) <= 2
        assert {row.design for row in one.layers} == {kind.design for kind in one.kinds}
        assert [row.layer for row in one.layers] == list(choices.layers)
    with_more = choices.front(3, limit)
    assert with_more[-1].energy_nj <= front[-1].energy_nj
    with pytest.raises(InputError, match="unknown objective 'area'"):
        choices.front(2, limit, "area")
    worse = replace(choices, losses_pp=choices.losses_pp + 1)
    with pytest.raises(InfeasibleError, match="no assignment of 2 kinds loses at most 1;"):
        worse.front(2, 1)


def test_the_least_latency_is_another_objective(choices: LayerChoices) -> None:
    fast = choices.front(2, 1.0, "latency")[-1]
    assert fast.latency_us <= choices.front(2, 1.0)[-1].latency_us


def test_what_cannot_be_assigned(folder: Path) -> None:
    exploration, search = Exploration.load(folder), recorded_search(folder)
    with pytest.raises(InputError, match="5 kinds, and the run's front has 4 designs in sign_mag"):
        layer_choices(exploration, search, bench(), kinds=5)
    with pytest.raises(InputError, match="the run is for resnet8, vgg11, and an assignment is for"):
        layer_choices(replace(exploration, others=("vgg11",)), search, bench())


class Oracle:
    """Emulates by a law: layers lose twice what is predicted."""

    images = 1000

    def __init__(self, choices: LayerChoices) -> None:
        self.asked: list[Assignment] = []
        self.losses_pp = {
            (layer, point.spec): 2 * choices.losses_pp[row, index]
            for row, layer in enumerate(choices.layers)
            for index, point in enumerate(choices.points)
        }

    def measure_exact(self, encoding: OperandEncoding, widths: Widths | None = None) -> Accuracy:
        return Accuracy(90.0, 88.0)

    def measure_all(self, subjects: list[tuple[Any, OperandEncoding]], *, on_progress: Any) -> Any:
        for done, (assignment, _) in enumerate(subjects):
            on_progress(done, f"an assignment of {len(assignment.kinds)} kinds")
            yield self.measure_assignment(assignment)

    def measure_assignment(self, assignment: Assignment) -> Accuracy:
        self.asked.append(assignment)
        drop = sum(self.losses_pp[row.layer, row.design] for row in assignment.layers)
        return Accuracy(90.0 - drop, 88.0 - drop)


def test_losses_learn_from_emulated_assignments(choices: LayerChoices) -> None:
    oracle = Oracle(choices)
    stages: list[tuple[int, int]] = []
    learned = recalibrated(
        choices,
        oracle,  # type: ignore[arg-type]
        2,
        1.0,
        "energy",
        6,
        on_progress=lambda done, total, doing: stages.append((done, total)),
    )
    assert 3 <= len(oracle.asked) <= 6
    assert stages == [(index, 6) for index in range(len(oracle.asked))]
    assert len({one.layers for one in oracle.asked}) == len(oracle.asked)
    pick = learned.front(2, 1.0)[-1]
    truth = oracle.measure_assignment(pick).top1_pct
    before = choices.front(2, 1.0)[-1]
    assert abs(90 - truth - pick.predicted_drop_pp) < 0.15
    assert abs(oracle.measure_assignment(before).top1_pct - 90 + before.predicted_drop_pp) > 0.5
