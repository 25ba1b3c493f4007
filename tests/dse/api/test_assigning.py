"""A design for every layer, from a run to files that every command takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from small_run import ENCODING, NETWORK, write_images, write_run

import dse
from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from cnn_eval.deployment import Deployment
from dse.cli import main
from dse.ground_truth.emulator import Accuracy, Emulator
from dse.search import Assignment, AssignmentError
from hdl.errors import InputError
from hdl.operands import OperandEncoding

pytestmark = pytest.mark.slow

SPECS = ("exact:width=5x4", "exact:width=4x3", "tm:k=1,width=4x3")


class Made(NamedTuple):
    folder: Path
    data: Path
    assigned: dse.Assigned


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("assign")
    run = write_run(folder / "run", SPECS)
    data = write_images(folder / "images")
    return Made(
        folder,
        data,
        dse.assign(
            run,
            kinds=2,
            max_drop=2,
            out=folder / "out",
            data=data,
            recalibrate=1,
            verify=1,
            images=8,
        ),
    )


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: Made
) -> Callable[..., tuple[Any, str, str]]:
    """Runs a command in the folder: exit code, standard output, standard error."""
    monkeypatch.chdir(made.folder)

    def run(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr("sys.argv", ["dse", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


def test_files_of_a_front(made: Made) -> None:
    found, out = made.assigned, made.folder / "out"
    assert [Assignment.load(path) for path in found.files] == list(found.front)
    assert Assignment.load(out / "assignment.json") == found.pick
    rows = list(csv.DictReader((out / "assignments.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [path.name for path in found.files]
    last = found.front[-1]
    layers = [row.layer for row in last.layers]
    assert list(rows[0])[-len(layers) :] == layers
    assert [rows[-1][layer] for layer in layers] == [row.design for row in last.layers]
    assert float(rows[-1]["energy_nj"]) == pytest.approx(last.energy_nj, abs=1e-3)
    for end in ("svg", "png"):
        assert (out / f"assignments.{end}").stat().st_size > 1000


def test_the_last_ones_are_verified_on_images_that_nothing_learned_from(made: Made) -> None:
    front = made.assigned.front
    emulated = [one for one in front if one.emulated_images]
    assert emulated[-1] == front[-1]
    pick, trained = made.assigned.pick, zoo.zoo_network(NETWORK)
    roles = ImageRoles.of(load_dataset(made.data))
    half = len(roles.judging) // 2
    truth = zoo.ground_truth(trained, ENCODING, roles)
    sample = roles.judging.part(half, half + 8)
    measured = truth.measure(pick.tables(truth.names), sample).top1_pct
    assert (pick.emulated_top1_pct, pick.emulated_images) == (measured, 8)
    assert len([one for one in made.assigned.singles if one.emulated_images]) == 1


def emulating(
    monkeypatch: pytest.MonkeyPatch, drop_pp: Callable[[Assignment], float]
) -> Callable[..., dse.Assigned]:
    """`dse.assign` on images on which an assignment loses what `drop_pp` says."""

    def measure_all(
        emulator: Emulator,
        subjects: Sequence[tuple[Assignment | None, OperandEncoding]],
        *,
        on_progress: Callable[[int, str], None],
    ) -> list[Accuracy]:
        top1 = [90.0 if one is None else 90.0 - drop_pp(one) for one, _ in subjects]
        return [Accuracy(found, found) for found in top1]

    monkeypatch.setattr(Emulator, "measure_all", measure_all)
    return partial(dse.assign, kinds=2, max_drop=2, verify=1, images=8)


def test_a_pick_that_emulation_contradicts_gives_way(
    made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assign = emulating(monkeypatch, lambda one: one.predicted_drop_pp + 0.8)
    found = assign(made.folder / "run", data=made.data, out=tmp_path)
    assert found.keeps_limit
    assert found.pick != found.front[-1]
    assert Assignment.load(tmp_path / "assignment.json") == found.pick
    cheaper = [one for one in found.front if one.energy_nj < found.pick.energy_nj]
    assert cheaper
    for one in cheaper:
        assert one.emulated_drop_pp is not None
        assert one.emulated_drop_pp > 2


def test_a_single_design_that_holds_is_the_pick(
    made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assign = emulating(monkeypatch, lambda one: 5.0 if len(one.kinds) > 1 else 1.0)
    found = assign(made.folder / "run", data=made.data, out=tmp_path)
    assert found.keeps_limit
    assert len(found.pick.kinds) == 1
    assert found.pick == found.single


def test_what_none_keeps_is_said(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., tuple[Any, str, str]],
) -> None:
    emulating(monkeypatch, lambda one: 7.0 - 0.1 * len(one.kinds))
    status, out, _ = command(
        *("assign", "run", "--kinds", "2", "--max-drop", "2", "-o", "kept"),
        *("--data", "images", "--verify", "1", "--images", "8"),
    )
    assert status == 0
    assert (
        "none that was emulated loses at most 2 points, and this one loses least, 6.80 points "
        "emulated; allow more with --max-drop, or learn from more with --recalibrate\n"
    ) in out


def test_emulate_takes_an_assignment(made: Made, command) -> None:
    status, out, err = command(
        "emulate",
        "out/assignment.json",
        "exact:width=4x3",
        *("--network", NETWORK, "--data", "images", "--images", "5", "--json"),
    )
    assert status == 0, err
    found, exact = json.loads(out)
    assert found["multiplier"] == f"assignment of {len(made.assigned.pick.kinds)} kinds"
    assert found["exact_top1"] == exact["exact_top1"]
    assert (found["multiplied_pct"], found["images"]) == (100, 5)


def test_correct_takes_an_assignment(made: Made, command) -> None:
    status, out, err = command(
        *("correct", "out/assignment.json", "--network", NETWORK),
        *("--data", "images", "-o", "bundle"),
    )
    assert status == 0, err
    bundle = Deployment.load(made.folder / "bundle")
    pick = made.assigned.pick
    designs = {row.layer: row.design for row in pick.layers}
    assert {
        layer.name: bundle.tables[layer.multiplier].name.partition("@")[0]
        for layer in bundle.layers
    } == designs
    assert all(kind.design in out for kind in pick.kinds)


def test_export_writes_a_module_a_kind_and_the_layers(made: Made, command) -> None:
    status, _, err = command("export", "out/assignment.json", "-o", "hardware")
    assert status == 0, err
    folder, pick = made.folder / "hardware", made.assigned.pick
    about = json.loads((folder / "layers.json").read_text())
    rows = list(csv.DictReader((folder / "layers.csv").read_text().splitlines()))
    assert about["layers"] == [
        row | {name: int(row[name]) for name in ("width_a", "width_b", "macs")} for row in rows
    ]
    assert [row["design"] for row in rows] == [row.design for row in pick.layers]
    modules = {row["module"] for row in rows}
    assert len(modules) == len(pick.kinds)
    for module in modules:
        assert f"module {module}" in (folder / module / f"{module}.v").read_text()


def test_assign_prints_what_was_found(made: Made, command) -> None:
    status, out, err = command("assign", "run", "--kinds", "2", "--max-drop", "2", "-o", "plain")
    assert status == 0, err
    assert "plain: assignments by predicted drop" in out
    assert "proven" in out
    assert "against the best single design, " in out
    status, out, _ = command(
        *("assign", "run", "--kinds", "2", "--max-drop", "2", "-o", "plain", "--json"),
        *("--objective", "latency"),
    )
    shown = json.loads(out)
    assert (status, shown["deviation_pp"]) == (0, None)
    assert shown["front"][-1]["gap"] == 0
    assert shown["pick"]["keeps_limit"]
    assert len(shown["layers"]) == len(made.assigned.pick.layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("assign", "images", "--kinds", "2", "-o", "x"), "no run in 'images'"),
        (
            ("predict", "out/assignment.json", "--network", NETWORK),
            "'out/assignment.json' is a design for every layer, no multiplier; dse emulate, ",
        ),
        (
            ("export", "nowhere", "-o", "x"),
            "; nor is there a folder of a run that is called so",
        ),
        (("assign", "run", "--kinds", "9", "-o", "x"), "9 kinds, and the run's front has"),
        (
            ("assign", "run", "--kinds", "2", "--max-drop", "-1", "-o", "x"),
            "a drop of at most -1 points; give 0 to 100 with --max-drop",
        ),
        (
            ("assign", "run", "--kinds", "2", "--objective", "beauty", "-o", "x"),
            "unknown objective 'beauty'",
        ),
        (
            ("assign", "run", "--kinds", "2", "--verify", "3", "-o", "x"),
            "--verify 3 needs images; give them with --data PATH",
        ),
        (
            ("assign", "run", "--kinds", "2", "--recalibrate", "3", "-o", "x"),
            "--recalibrate 3 needs images",
        ),
        (
            ("assign", "run", "--kinds", "2", "--network", NETWORK, "-o", "x"),
            "--network is for images to run through; give --data, too",
        ),
        (
            ("emulate", "out/assignment.json", "--network", "resnet20", "--data", "images"),
            "the assignment is for the network 'resnet8', not for 'resnet20'; give --network resn",
        ),
        (
            (
                *("emulate", "out/assignment.json", "--network", NETWORK, "--data", "images"),
                *("--encoding", "unsigned"),
            ),
            "the assignment is in sign_magnitude, not in unsigned",
        ),
        (
            (
                *("emulate", "out/assignment.json", "--network", NETWORK, "--data", "images"),
                "--exact-first-last",
            ),
            "leave --exact-first-last away",
        ),
        (("export", "none.json", "-o", "x"), "none.json"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: tuple[str, ...], message: str, command, made: Made
) -> None:
    status, _, err = command(*arguments)
    lines = [line for line in err.splitlines() if line.startswith("dse:")]
    assert status in (2, 3)
    assert len(lines) == 1
    assert message in lines[0]
    assert not (made.folder / "x" / "assignment.json").exists()


def test_an_assignment_to_other_layers(made: Made, tmp_path: Path) -> None:
    pick = made.assigned.pick
    other = replace(pick, layers=(replace(pick.layers[0], layer="none"), *pick.layers[1:]))
    other.save(tmp_path / "other.json")
    with pytest.raises(AssignmentError, match="names the layer 'none', which 'resnet8' has not"):
        dse.emulate(str(tmp_path / "other.json"), network=NETWORK, data=made.data, images=4)


def test_a_limit_that_nothing_keeps(made: Made) -> None:
    run = made.folder / "run"
    without = json.loads((run / "run.json").read_text())
    points = without["front"]["points"]
    without["front"]["points"] = [one for one in points if one["predicted_drop_pp"] > 0.2]
    other = made.folder / "lossy"
    other.mkdir()
    (other / "run.json").write_text(json.dumps(without))
    (other / "search.json").write_text((run / "search.json").read_text())
    with pytest.raises(InputError, match=r"no assignment of 1 kind loses at most 0\.01"):
        dse.assign(other, kinds=1, max_drop=0.01, out=made.folder / "y")
