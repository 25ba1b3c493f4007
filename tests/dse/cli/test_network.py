"""Networks of one's own on the command line: from a file with a factory to a predictor that needs
neither the file nor images.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cnn_eval.prediction.profile import NetworkProfile
from dse.cli import main
from dse.search.exploration import Exploration

GREY = """
from torch import nn
def make():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10))
    model.mean, model.std = (0.3,), (0.4,)
    return model
"""
LARGE = """
from torch import nn
def make():
    model = nn.Sequential(
        nn.Conv2d(3, 2, 32, stride=32), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4, 2)
    )
    model.image_px = 64
    return model
"""
OWN = ("--network", "grey.py:make", "--weights", "grey.safetensors", "--data", "digits")
# A few of the multipliers that predictors are calibrated on, for speed.


@pytest.fixture
def dse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs a command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["dse", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, captured.out, captured.err

    return run


def own_network(name: str, source: str, shapes: dict[str, tuple[int, ...]]) -> None:
    """NAME.py and NAME.safetensors with random weights, in the working folder."""
    rng = np.random.default_rng(0)
    Path(f"{name}.py").write_text(source)
    save_file(
        {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()},
        f"{name}.safetensors",
    )


def image_folder(images: int) -> None:
    """Images of two classes, 100 x 80 pixels, dark and light."""
    for label, name in enumerate(("dark", "light")):
        Path("images", name).mkdir(parents=True)
        for index in range(images // 2):
            Image.new("RGB", (100, 80), (200 * label + index % 50,) * 3).save(
                Path("images", name, f"{index:03}.png")
            )


@pytest.mark.slow
def test_from_an_own_network_to_predictions(dse) -> None:
    pytest.importorskip("sklearn")
    own_network(
        "grey",
        GREY,
        {"0.weight": (4, 1, 3, 3), "0.bias": (4,), "3.weight": (10, 36), "3.bias": (10,)},
    )
    status, _, err = dse("calibrate", *OWN, "--out", "mine")
    assert (status, err.count("\n")) == (3, 1)
    assert "no profile of network 'grey' for sign_magnitude" in err
    assert dse("profile", *OWN, "--out", "mine")[0] == 0
    profile = NetworkProfile.load(Path("mine", "grey.sign_magnitude.8x7.profile.npz"))
    assert (profile.mean, profile.test_images, profile.calibration_images) == ((0.3,), 221, 256)
    status, out, err = dse(
        "calibrate", *OWN, "--out", "mine", "--images", "250", "--multipliers", "10"
    )
    assert status == 0, err
    assert "grey.sign_magnitude.predictor.json: 10 multipliers on 250 images" in out

    # The same multiplications under the scales of the profile and of emulation.
    logged = [
        json.loads(line)
        for line in Path("mine", "grey.sign_magnitude.emulated.jsonl").read_text().splitlines()[1:]
    ]
    last = logged[-1]
    emulated = json.loads(
        dse("emulate", last["name"], *OWN, "--images", "250", "--zoo", "mine", "--json")[1]
    )
    # Calibrations learn from smoothed accuracies, whose level is a little different.
    assert last["top1_pct"] == pytest.approx(emulated["top1"], abs=2)

    # A search that emulates needs the network itself.
    small = "--families", "tm,bam", "--evaluations", "24", "--zoo", "mine", "--out", "run"
    status, out, err = dse(
        "explore", *OWN, *small, "--recalibrate", "2", "--verify", "2", "--images", "200"
    )
    assert status == 0, err
    exploration = Exploration.load(Path("run"))
    assert exploration.network == "grey"
    assert sum(point.emulated_drop_pp is not None for point in exploration.front.points) >= 1
    own_network(
        "other",
        GREY,
        {"0.weight": (4, 1, 3, 3), "0.bias": (4,), "3.weight": (10, 36), "3.bias": (10,)},
    )
    other = "--network", "other.py:make", "--weights", "other.safetensors"
    status, _, err = dse("explore", "--resume", "--out", "run", *other)
    assert (status, err) == (
        2,
        (
            "dse: --network other.py:make is not the network 'grey' of the run in 'run'; give that "
            "one's file\n"
        ),
    )

    # From here on, the folder is all that is needed.
    Path("grey.py").unlink()
    exact, coarse = (
        json.loads(dse("predict", spec, "--network", "grey", "--zoo", "mine", "--json")[1])
        for spec in ("exact", "tm:k=6")
    )
    assert exact["predicted_top1"] == pytest.approx(profile.exact_top1_pct, abs=1)
    assert coarse["ame"] > exact["ame"] == 0
    status, _, err = dse(
        "explore",
        "--network",
        "grey",
        "--zoo",
        "mine",
        "--out",
        "run",
        "--verify",
        "2",
        "--data",
        "digits",
    )
    assert (status, err.count("\n")) == (3, 1)
    assert "no weights for network 'grey'" in err


def test_image_folders_are_read_at_the_network_s_size(dse) -> None:
    own_network(
        "large",
        LARGE,
        {"0.weight": (2, 3, 32, 32), "0.bias": (2,), "3.weight": (2, 8), "3.bias": (2,)},
    )
    image_folder(640)
    own = "--network", "large.py:make", "--weights", "large.safetensors", "--data", "images"
    status, out, err = dse("emulate", "exact", *own, "--images", "16", "--json")
    assert status == 0, err
    assert json.loads(out)["images"] == 16
    status, _, err = dse("emulate", "exact", *own, "--image-px", "96")
    assert (status, err.count("\n")) == (2, 1)
    assert "network 'large' does not take images of 3x96x96" in err


def test_each_own_network_of_a_study_has_its_weights(dse) -> None:
    status, _, err = dse("study", "--networks", "resnet8,grey.py:make", "--data", "digits")
    assert (status, err) == (
        2,
        (
            "dse: networks of your own: 1, --weights: 0; give --weights once for each, in their "
            "order\n"
        ),
    )


def test_training_goes_on_from_weights_of_the_same_network_alone(dse) -> None:
    data = "--data", "digits", "--test", "digits"
    status, _, err = dse("train", "--network", "vgg11", "--start", "resnet20", *data)
    assert (status, err.count("\n")) == (2, 1)
    assert (
        "--start resnet20: resnet20 with 10 classes cannot go on as vgg11 with 10; start from "
        "weights of the same network"
    ) in err
