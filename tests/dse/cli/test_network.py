"""Networks of one's own on the command line: from a file with a factory to a predictor that needs
neither the file nor images.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.zoo import load_profile, profile_suffix
from dse.api.exploring import namesakes, transfers
from dse.engine import Search
from dse.search import Budget
from dse.search.exploration import Exploration
from hdl.operands import OperandEncoding

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
    # Of all operand widths two, for speed.
    for bits in ("8", "4"):
        narrow = "--activation-bits", bits, "--weight-bits", bits
        assert dse("profile", *OWN, *narrow, "--out", "mine")[0] == 0
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
    few = "--evaluations", "16", "--walks", "0"
    small = "--families", "tm,bam", *few, "--zoo", "mine", "--out", "run"
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
            "dse: --network other.py:make is not the network 'grey' of the run in 'run'; leave "
            "it out, or give that one's file\n"
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_labels_are_found_by_the_names_of_the_network_s_classes(dse) -> None:
    own_network(
        "large",
        LARGE,
        {"0.weight": (2, 3, 32, 32), "0.bias": (2,), "3.weight": (2, 8), "3.bias": (2,)},
    )
    image_folder(320)
    Path("as_they_are.txt").write_text("dark\nlight\n")
    Path("swapped.txt").write_text("light\ndark\n")
    Path("others.txt").write_text("light\ndim\n")
    own = "--network", "large.py:make", "--weights", "large.safetensors", "--data", "images"
    command = "emulate", "exact", *own, "--images", "16", "--json"
    top1 = {}
    for labels in ("as_they_are.txt", "swapped.txt"):
        status, out, err = dse(*command, "--labels", labels)
        assert status == 0, err
        top1[labels] = json.loads(out)["float_top1"]
    assert top1["as_they_are.txt"] + top1["swapped.txt"] == 100
    status, _, err = dse(*command, "--labels", "others.txt")
    assert (status, err.count("\n")) == (2, 1)
    assert "'images' has a class 'dark' that the network does not tell apart, beside 1 that" in err


def test_published_networks_say_what_they_need(dse) -> None:
    status, _, err = dse("predict", "exact", "--network", "efficientnet-lite0")
    assert (status, err.count("\n")) == (3, 1)
    assert "no profile of network 'efficientnet-lite0' for sign_magnitude" in err
    status, _, err = dse("predict", "exact", "--network", "torchvision:vit_b_16")
    assert "no profile of network 'torchvision-vit_b_16'" in err
    status, _, err = dse("emulate", "exact", "--network", "torchvision:resnet18", *SMALL)
    assert (status, err) == (
        2,
        "dse: 'torchvision:resnet18' needs weights; give them with --weights FILE.safetensors\n",
    )


def test_a_search_says_which_resnet18_it_means() -> None:
    assert namesakes("resnet20,resnet8") == []
    assert namesakes("resnet18,resnet20") == [
        "resnet18: the zoo's, for images of 32 x 32 (CIFAR-10 (JPEG)); ImageNet's is --network "
        "torchvision:resnet18 --weights F.safetensors, with profiles in --zoo"
    ]


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


SMALL = ("--data", "digits", "--images", "16")
TRANSFORMER = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
        self.head = nn.Linear(8, 10)
    def forward(self, x):
        return self.head(self.layer(self.patches(x).flatten(2).mT).mean(1))
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.head = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)
    def forward(self, x):
        return self.head(self.rows(x[:, 0])[0][:, -1])
"""


@pytest.fixture
def transformers() -> None:
    """net.py with Net and Recurrent, and their weights."""
    pytest.importorskip("sklearn")
    Path("net.py").write_text(TRANSFORMER)
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(compile(TRANSFORMER, "net.py", "exec"), namespace)
    torch.manual_seed(0)
    for name in ("Net", "Recurrent"):
        save_torch_file(namespace[name]().state_dict(), f"{name}.safetensors")


def test_emulation_says_what_is_multiplied(dse, transformers: None) -> None:
    own = "--network", "net.py:Net", "--weights", "Net.safetensors", *SMALL
    status, out, err = dse("emulate", "exact", *own, "--json", "--exact-first-last")
    assert status == 0, err
    found = json.loads(out)
    assert found["exact_layers"] == ["patches", "head"]
    # Of 4 tokens: patches 8x16, queries, keys, values and outputs 8x8 each, two products of two
    # heads 4x4x4, two linear layers 8x8; and the head.
    ends, inside = 4 * 8 * 16 + 80, 4 * 4 * 64 + 2 * 2 * 64 + 2 * 4 * 64
    assert found["multiplied_pct"] == pytest.approx(100 * inside / (ends + inside))
    status, out, err = dse("emulate", "exact", *own)
    assert status == 0, err
    shown = dict(line.split(maxsplit=1) for line in out.splitlines()[1:])
    assert (shown["exact_layers"], shown["multiplied_pct"]) == ("none", "100")
    assert abs(float(shown["float_top1"]) - float(shown["exact_top1"])) <= 25


def test_what_cannot_be_quantized_is_refused_at_once(dse, transformers: None) -> None:
    own = "--network", "net.py:Recurrent", "--weights", "Recurrent.safetensors"
    expected = (
        "dse: layer 'rows' (LSTM) multiplies in a way that cannot be quantized; take convolutions, "
        "linear layers, matrix products or attention in its place\n"
    )
    for command in (("emulate", "exact", *own, *SMALL), ("profile", *own, "--data", "digits")):
        status, _, err = dse(*command)
        assert (status, err) == (2, expected)


@pytest.mark.slow
def test_products_of_two_activations_are_profiled(dse, transformers: None) -> None:
    own = "--network", "net.py:Net", "--weights", "Net.safetensors"
    bits = "--activation-bits", "8", "--weight-bits", "8"
    status, out, err = dse("profile", *own, *bits, "--data", "digits", "--out", "mine")
    assert status == 0, err
    profile = NetworkProfile.load(Path(out.split(":")[0]))
    products = {layer.name for layer in profile.layers if layer.second_scale}
    assert products == {f"layer.self_attn.attention.{name}" for name in ("scores", "mixed")}


def test_a_search_without_emulations_of_its_network_says_so(tmp_path: Path) -> None:
    profile = load_profile("resnet8", OperandEncoding.SIGN_MAGNITUDE)
    suffix = profile_suffix(OperandEncoding.SIGN_MAGNITUDE, profile.widths, corrected=True)
    replace(profile, network="fresh").save(tmp_path / f"fresh.{suffix}")
    search = Search(
        "fresh", (OperandEncoding.SIGN_MAGNITUDE,), Budget.parse("area"), zoo_folder=tmp_path
    )
    (line,) = transfers(search)
    assert line.startswith("fresh in sign_magnitude is predicted from ")
    assert "`dse calibrate` measures it" in line
    assert transfers(replace(search, network="resnet8", zoo_folder=None)) == []


def test_an_onnx_file_is_a_network(dse) -> None:
    pytest.importorskip("sklearn")
    onnx = pytest.importorskip("onnx", reason="ONNX files need the package onnx")
    helper, rng = onnx.helper, np.random.default_rng(0)
    weights = {"w": (4, 1, 3, 3), "v": (144, 10)}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="/first/Conv"),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Flatten", ["b"], ["c"]),
            helper.make_node("Gemm", ["c", "v"], ["y"], name="/fc/Gemm"),
        ],
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 10])],
        [
            onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(made, {"mean": "0.3", "std": "0.4"})
    onnx.save(made, "net.onnx")
    status, out, err = dse(
        "emulate", "exact", "--network", "net.onnx", *SMALL, "--json", "--exact-first-last"
    )
    assert status == 0, err
    assert json.loads(out)["exact_layers"] == ["first_Conv", "fc_Gemm"]
    status, _, err = dse("emulate", "exact", "--network", "net.onnx", "--weights", "w.st", *SMALL)
    assert (status, err) == (2, "dse: 'net.onnx' holds its weights; leave out --weights\n")
    Path("net.onnx").write_bytes(b"\xff")
    status, _, err = dse("emulate", "exact", "--network", "net.onnx", *SMALL)
    assert (status, err.count("\n")) == (2, 1)
    assert "'net.onnx' is not an ONNX file" in err
