"""Commands that run a network of one's own on images: emulation, correction, profiles."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from small_run import write_images

from cnn_eval.deployment import Deployment
from cnn_eval.prediction import drop_error_pp
from cnn_eval.prediction.profile import NetworkProfile
from hdl.operands import Widths
from hdl.tables.product_table import ProductTable

EXPLORE = ("explore", "--network", "resnet20")


def test_images_of_other_classes_are_refused(dse) -> None:
    for name in ("a", "b"):
        Path("images", name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(Path("images", name, "0.png"))
    result = dse("emulate", "tm:k=2", "--network", "resnet20", "--data", "images")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "the network tells 10 classes apart, and 'images' has 2" in result.err
    result = dse(*EXPLORE, "--verify", "8", "--data", "images", "--skip", "2")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "the network tells 10 classes apart, and 'images' has 2" in result.err


@pytest.fixture
def own_network(dse) -> tuple[str, ...]:
    """A network of one's own and 600 random images of two classes, in the working folder."""
    Path("own.py").write_text(
        "from torch import nn\ndef make(channels=3):\n    layers = nn.Conv2d(channels, 4, 3), "
        "nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)\n    return "
        "nn.Sequential(*layers)\ndef gray(): return make(1)\n"
    )
    rng = np.random.default_rng(0)
    state = {
        "0.weight": rng.normal(size=(4, 3, 3, 3)),
        "0.bias": np.zeros(4),
        "4.weight": rng.normal(size=(2, 4)),
        "4.bias": np.zeros(2),
    }
    save_file({name: value.astype(np.float32) for name, value in state.items()}, "own.safetensors")
    save_file(
        {
            name: (value[:, :1] if name == "0.weight" else value).astype(np.float32).copy()
            for name, value in state.items()
        },
        "gray.st",
    )
    files = []
    for _ in range(600):
        jpeg = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(jpeg, "JPEG")
        files.append(np.frombuffer(jpeg.getvalue(), np.uint8))
    offset = np.cumsum([0, *map(len, files)])
    np.savez(
        "images.npz",
        jpeg=np.concatenate(files),
        offset=offset,
        label=np.arange(600) % 2,
        classes=np.array(["a", "b"]),
    )
    return "--network", "own.py:make", "--weights", "own.safetensors", "--data", "images.npz"


def test_emulate_several_multipliers_with_a_network_of_ones_own(
    dse, own_network: tuple[str, ...]
) -> None:
    exact = ProductTable.exact(8, False).products
    np.savez("many.npz", right=exact, nothing=np.zeros_like(exact))
    result = dse("emulate", "exact", "many.npz", *own_network, "--images", "40", "--json")
    rows = json.loads(result.out)
    assert [row["multiplier"] for row in rows] == [
        f"{name}@8x7" for name in ("exact", "right", "nothing")
    ]
    assert all(
        row["exact_top1"] == rows[0]["top1"] == rows[1]["top1"] and row["images"] == 40
        for row in rows
    )
    assert rows[2]["top1"] == 50.0  # biases alone decide, for every image alike
    spared = json.loads(
        dse(
            "emulate", "many.npz", *own_network, "--images", "40", "--json", "--exact-first-last"
        ).out
    )
    assert [row["top1"] for row in spared] == [
        rows[0]["top1"]
    ] * 2  # the network has no other layers
    lines = dse("emulate", "exact", "many.npz", *own_network, "--images", "40").out.splitlines()
    assert lines[0] == "own.py:make: emulated accuracy"
    assert lines[1].split()[:4] == ["multiplier", "top1", "float_top1", "exact_top1"]
    assert [line.split()[0] for line in lines[2:]] == ["exact@8x7", "right@8x7", "nothing@8x7"]


def test_emulate_narrow_and_wide_multipliers(dse, own_network: tuple[str, ...]) -> None:
    result = dse("emulate", "exact:width=4x3", "exact", *own_network, "--images", "40", "--json")
    assert result.status == 0, result.err
    narrow, wide = json.loads(result.out)
    assert narrow["exact_narrow_top1"] == narrow["top1"]
    assert wide["top1"] == wide["exact_narrow_top1"] == wide["exact_top1"] == narrow["exact_top1"]
    assert [narrow["multiplier"], wide["multiplier"]] == ["exact:width=4x3", "exact@8x7"]
    assert (wide["drop"], narrow["drop"]) == (0, narrow["exact_top1"] - narrow["top1"])
    assert narrow["drop_error"] == drop_error_pp(narrow["top1"], 40)


def test_correct_writes_a_bundle_that_reads_back(dse, own_network: tuple[str, ...]) -> None:
    result = dse("correct", "tm:k=2", *own_network, "-o", "bundle")
    assert result.status == 0, result.err
    assert "bundle: own with tm:k=2@8x7, 2 layers, 6 operations" in result.out
    bundle = Deployment.load(Path("bundle"))
    assert (bundle.network, [layer.name for layer in bundle.layers], bundle.tables[0].widths) == (
        "own",
        ["0", "4"],
        Widths(8, 7),
    )
    assert [operation.kind for operation in bundle.operations] == [
        "input",
        "multiply",
        "relu",
        "global_average",
        "flatten",
        "multiply",
    ]
    assert set(bundle.correction.gains) == {"0", "4"}


def test_what_a_bundle_has_no_word_for_is_refused_before_the_network_is_corrected(
    dse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def correction(*_: object) -> None:
        raise AssertionError("corrected for nothing")

    monkeypatch.setattr("cnn_eval.emulation.GroundTruth.correction", correction)
    images = str(write_images(tmp_path / "images", 800))
    result = dse("correct", "exact:width=4x3", "--network", "cct", "--data", images, "-o", "out")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "a bundle has no word for the operation" in result.err
    assert "write the network with these, or leave it to dse emulate" in result.err


@pytest.mark.slow
def test_profile_of_a_network_of_ones_own(dse, own_network: tuple[str, ...]) -> None:
    result = dse("profile", *own_network, "--out", "mine")
    assert result.status == 0, result.err
    assert "own.sign_magnitude.8x7.profile.npz: float" in result.out
    profile = NetworkProfile.load(Path("mine", "own.sign_magnitude.3x2.profile.npz"))
    assert (profile.widths, profile.corrected) == ((3, 2), True)
    assert (profile.network, [layer.name for layer in profile.layers], profile.chance_pct) == (
        "own",
        ["0", "4"],
        50.0,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("--network", "own.py:make"),
            2,
            r"'own\.py:make' needs weights; give them with --weights FILE\.safetensors",
        ),
        (
            ("--network", "resnet20", "--weights", "own.safetensors"),
            2,
            r"--weights goes with a network of your own",
        ),
        (
            ("--network", "own.py:other", "--weights", "own.safetensors"),
            2,
            r"'own\.py' has no function or class 'other'",
        ),
        (("--network", "own.py:make", "--weights", "absent"), 3, r"no weights at 'absent'"),
        (
            ("--network", "own.py:make", "--weights", "gray.st"),
            2,
            r"'gray\.st' does not fit 'own\.py:make'",
        ),
        (
            ("--network", "own.py:gray", "--weights", "gray.st"),
            2,
            r"network 'own' does not take images of 3x8x8",
        ),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_used(
    dse, own_network: tuple[str, ...], arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = dse("emulate", "exact", *arguments, "--data", "images.npz")
    assert (result.status, result.err.count("\n")) == (status, 1), result.err
    assert re.search(message, result.err)


def test_multipliers_that_do_not_fit_are_refused(dse, own_network: tuple[str, ...]) -> None:
    result = dse("emulate", "exact", "exact:signed=1", *own_network)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "signed and unsigned multipliers need different encodings" in result.err
