"""A network trained on for a design of a run, or for an assignment."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_run import NETWORK, write_images, write_run

import dse
from cnn_eval import zoo
from dse.search import Assignment
from hdl.errors import InputError

pytestmark = pytest.mark.slow

SPECS = ("exact:width=5x4", "tm:k=1,width=4x3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("retrain")
    write_run(made / "run", SPECS)
    images = write_images(made / "images")
    content = (images / "test_batch.bin").read_bytes()
    for number in range(1, 6):
        (images / f"data_batch_{number}.bin").write_bytes(content[: 3073 * 32])
    return made


def retrained(folder: Path, design: str, name: str, run: Path | None = None) -> dse.Retrained:
    return dse.retrain(
        design,
        network=NETWORK,
        data=folder / "images",
        test=folder / "images",
        run=run,
        epochs=1,
        out=folder / "out",
        name=name,
    )


def test_a_design_of_a_run_becomes_a_row_of_it(folder: Path) -> None:
    run = folder / "run"
    found = retrained(folder, SPECS[1], "tuned", run)
    before = zoo.load_model(NETWORK)[0].state_dict()
    after, card = zoo.load_model("tuned", folder=folder / "out")
    assert any(not before[name].equal(value) for name, value in after.state_dict().items())
    assert f"fine-tuned to {SPECS[1]} under sign_magnitude" in card.recipe
    *front, row = csv.DictReader((run / "front.csv").read_text().splitlines())
    assert {one["retrained"] for one in front} == {"0"}
    assert (row["spec"], row["retrained"]) == (SPECS[1], "1")
    assert float(row["emulated_drop_pp"]) == pytest.approx(found.drop_pp, abs=0.005)
    assert float(row["emulated_top1_pct"]) == pytest.approx(found.top1_after_pct, abs=0.005)
    assert "trained on with these designs" in (run / "report.html").read_text()
    # Again, in the place of the row before.
    retrained(folder, SPECS[1], "tuned", run)
    (again,) = dse.load_run(run).exploration.retrained
    assert again.name == SPECS[1]


def test_an_assignment(folder: Path) -> None:
    assigned = dse.assign(folder / "run", kinds=2, max_drop=2, out=folder / "assigned")
    path = folder / "assigned" / "assignment.json"
    found = retrained(folder, str(path), "tuned-layers")
    # What stands in its place before training is what every command measures.
    judged = dse.emulate(str(path), network=NETWORK, data=folder / "images", images=found.images)
    assert Assignment.load(path) == assigned.pick
    assert found.top1_before_pct == judged.top1_pct
    assert found.exact_before_pct == judged.exact_top1_pct


@pytest.mark.parametrize(
    ("design", "network", "message"),
    [
        ("drum:k=3,width=4x3", NETWORK, "is not on the front of"),
        ("", "resnet20", "--network resnet20: the run in .* is for 'resnet8'; give that one"),
    ],
)
def test_what_is_not_of_the_run(folder: Path, design: str, network: str, message: str) -> None:
    images = folder / "images"
    with pytest.raises(InputError, match=message):
        dse.retrain(
            design, network=network, data=images, test=images, run=folder / "run", out=folder
        )


def test_nothing_to_train_for(folder: Path) -> None:
    images = folder / "images"
    with pytest.raises(InputError, match="no multiplier to train for"):
        dse.retrain(network=NETWORK, data=images, test=images, out=folder)
