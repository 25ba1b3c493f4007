"""Emulations as tasks: what travels is enough, and where they are done changes no digit."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import LocalCluster
from machines import Machines, turn_off
from safetensors.torch import save_file

from cnn_eval import zoo
from cnn_eval.datasets import CIFAR10_CLASSES, Dataset, ImageRoles
from cnn_eval.emulation import EmulationError
from cnn_eval.networks import load_own_network
from cnn_eval.prediction import screened_top1_pct
from dse.evaluation import Executor, LocalProcesses, freight, open_executor
from dse.ground_truth.emulation import (
    Emulation,
    measured,
    request_text,
    requested,
    screened,
)
from dse.ground_truth.emulator import Emulator, Subject
from dse.search import Assignment, Kind, LayerDesign
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

FORMAT = OperandEncoding.SIGN_MAGNITUDE
#: As a user writes it: a class that no module has, when the file is read.
OWN_NETWORK = """
from torch import nn
from cnn_eval.networks import build_network

def built():
    return build_network("resnet8", classes=10, image_px=32, image_channels=3, seed=1)

class Mine(type(built())):
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        nn.Module.__init__(self)
        self.__dict__.update(built().__dict__)

    def forward(self, x):
        return super().forward(x)
"""
SIGNED = MultiplierSpec.parse("drum:k=4,signed=1")
COARSE = MultiplierSpec.parse("tm:k=3,width=8x7")


@pytest.fixture(scope="module")
def images() -> ImageRoles:
    rng = np.random.default_rng(1)
    noise = Dataset(
        "noise",
        rng.integers(0, 256, (60, 32, 32, 3)).astype(np.uint8),
        rng.integers(0, 10, 60),
        CIFAR10_CLASSES,
    )
    return ImageRoles(noise.head(12), noise.part(12, 44), noise.part(44, 60))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Executor]:
    """A cluster in this process, whose work is done by processes of their own."""
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as found,
        open_executor(cluster=found.scheduler_address) as executor,
    ):
        yield executor


@pytest.fixture
def mine(images: ImageRoles, tmp_path: Path) -> Emulation:
    """A network of the user's own file, which is gone, and with profiles in the user's folder."""
    folder, file, weights = tmp_path / "zoo", tmp_path / "mine.py", tmp_path / "mine.safetensors"
    folder.mkdir()
    file.write_text(OWN_NETWORK)
    shipped, _ = zoo.load_model("resnet8")
    save_file(shipped.state_dict(), weights)
    for widths in (Widths(8, 7), Widths(5, 4)):
        profile = zoo.load_profile("resnet8", FORMAT, widths)
        suffix = zoo.profile_suffix(FORMAT, widths, corrected=True)
        replace(profile, network="mine").save(folder / f"mine.{suffix}")
    rounding = zoo.rounding_path("resnet8")
    assert rounding is not None
    shutil.copy(rounding, folder / "mine.rounding.npz")
    network = load_own_network(f"{file}:Mine", weights)
    file.unlink()
    return Emulation(network, FORMAT, images, zoo_folder=folder)


def assignment(layers: list[str]) -> Assignment:
    """Two designs in turns."""
    specs = ["tm:k=2,width=8x7", "exact:width=5x4"]
    kinds = (Kind(specs[0], 8, 7, 1.0, 1.0), Kind(specs[1], 5, 4, 1.0, 1.0))
    rows = tuple(LayerDesign(one, specs[at % 2], 1, 1.0, 0.0) for at, one in enumerate(layers))
    return Assignment("resnet8", FORMAT, "noise", True, rows, kinds, (), (), 0.0)


def rows(path: Path) -> set[tuple[str, ...]]:
    return set(sqlite3.connect(path).execute("SELECT context, item, result FROM known"))


@pytest.mark.slow
def test_accuracies_and_corrections_are_the_same_to_the_last_digit(
    images: ImageRoles, cluster: Executor, tmp_path: Path
) -> None:
    """On a cluster's workers, whose processes have one thread, as here with one or with several."""
    network = zoo.zoo_network("resnet8")
    layers = [layer.name for layer in zoo.load_profile("resnet8", FORMAT).layers]
    subjects: list[tuple[Subject, OperandEncoding]] = [
        (None, FORMAT),
        (Widths(4, 3), FORMAT),
        (COARSE, FORMAT),
        (assignment(layers), FORMAT),
        (COARSE, FORMAT),
    ]
    threads, found, kept = torch.get_num_threads(), [], []
    states: list[int] = []
    for place, executor, count in (
        ("cluster", cluster, threads),
        ("one thread", LocalProcesses(), 1),
        ("three threads", LocalProcesses(), 3),
    ):
        store = tmp_path / f"{place}.sqlite"
        emulator = Emulator(network, images, images.judging, store, executor=executor)
        torch.set_num_threads(count)
        try:
            found.append(
                emulator.measure_all(subjects, on_progress=lambda done, name: states.append(done))
            )
        finally:
            torch.set_num_threads(threads)
        kept.append(rows(store))
    assert found[0] == found[1] == found[2]
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == 4
    assert states == 3 * [1, 2, 3, 4]  # of five, the fifth is the third again
    assert sum('"gains"' in result for _, _, result in kept[0]) == 2


@pytest.mark.slow
def test_a_calibration_measures_the_same_on_a_cluster(
    images: ImageRoles, cluster: Executor
) -> None:
    emulation = Emulation(zoo.zoo_network("resnet8"), FORMAT, images)
    asked = [Widths(8, 7), COARSE.table()]
    there = dict(screened(emulation, 10.0, cluster)(asked))
    assert there == {
        index: screened_top1_pct(emulation.truth, one, images.judging, 10.0)
        for index, one in enumerate(asked)
    }
    with pytest.raises(EmulationError, match=r"^emulating drum:k=4,signed=1.*: .*; do it without"):
        list(
            screened(emulation, 10.0, cluster)([MultiplierSpec.parse("drum:k=4,signed=1").table()])
        )


def test_what_travels_is_all_that_an_emulation_depends_on(mine: Emulation, tmp_path: Path) -> None:
    task = request_text(COARSE.table())
    content = freight.packed(mine, Emulation.accuracies)
    here = mine.accuracies()(task)
    # What was made of it does not travel.
    assert len(freight.packed(mine, Emulation.accuracies)) == len(content)
    assert mine.zoo_folder is not None
    shutil.rmtree(mine.zoo_folder)
    assert freight.unpacked(content, tmp_path / "worker")(task) == here
    assert {path.name for path in (tmp_path / "worker").rglob("*") if path.is_file()} == {
        "mine.rounding.npz",
        "mine.sign_magnitude.5x4.profile.npz",
        "mine.sign_magnitude.8x7.profile.npz",
    }


@pytest.mark.slow
def test_a_machine_that_goes_costs_its_emulations_only(mine: Emulation, tmp_path: Path) -> None:
    """Its own network on machines that never saw it, one of which goes amid emulations."""
    designs = [MultiplierSpec.parse(f"tm:k={k},width=8x7") for k in range(1, 4)]
    tasks = {request_text(design.table()): design.name for design in designs}
    found = {}
    with Machines(tmp_path) as machines:
        machines.add_worker()
        with open_executor(cluster=machines.address) as executor:
            for name, row in measured(mine, Emulation.accuracies, tasks, executor):
                found[name] = row
                if len(found) == 1:
                    turn_off(machines.workers[0])
                    machines.add_worker()
    assert found == {name: mine.accuracies()(task) for task, name in tasks.items()}


@pytest.mark.parametrize("signed", [False, True])
def test_a_table_comes_out_as_it_went_in(signed: bool) -> None:
    rng = np.random.default_rng(3)
    low = -(1 << 11) if signed else 0
    table = ProductTable(rng.integers(low, 1 << 11, (64, 32)).astype(np.int32), signed, "any\tname")
    found = requested(request_text(table))
    assert isinstance(found, ProductTable)
    assert (found.sha256, found.name, found.signed) == (table.sha256, "any\tname", signed)
    assert request_text(table).startswith("any name\t")
    assert requested(request_text(Widths(5, 4))) == Widths(5, 4)
    other = COARSE.table()
    by_layer = requested(request_text({"a": table, "b": other, "c": table}))
    assert isinstance(by_layer, dict)
    assert [one.sha256 for one in by_layer.values()] == [table.sha256, other.sha256, table.sha256]
    assert by_layer["a"] is by_layer["c"]
