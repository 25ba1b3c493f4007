"""A user's own network, and every way in which it can be none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnn_eval.datasets import Dataset
from cnn_eval.networks import (
    MissingOwnNetworkError,
    OwnNetworkError,
    load_own_network,
)
from cnn_eval.zoo import zoo_network
from hdl.operands import OperandEncoding

MODULE = """
from dataclasses import dataclass
from torch import nn
from neighbour import CHANNELS

@dataclass
class Shape:
    channels: int = CHANNELS

class Tiny(nn.Sequential):
    mean, std, image_px = (0.4, 0.5, 0.6), (0.2, 0.2, 0.25), 48
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, Shape().channels, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(CHANNELS, 2),
        )

def normalized():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model.fold_batch_norm = True
    return model
def bare(): return nn.Sequential(nn.Conv2d(3, 4, 3))
def number(): return 7
def failing(): raise ValueError("no\\nluck")
def needy(classes): return Tiny()
def gray():
    model = Tiny()
    model.mean = (0.5,)
    return model
def word():
    model = Tiny()
    model.mean = "light"
    return model
def large():
    model = Tiny()
    model.image_px = "large"
    return model
def flat():
    model = Tiny()
    model.std = (0, 1, 1)
    return model
constant = 3
"""


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(MODULE)
    (tmp_path / "neighbour.py").write_text("CHANNELS = 4\n")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    state = tiny().state_dict()
    save_file(state, tmp_path / "own.safetensors")
    save_file({"0.weight": state["0.weight"]}, tmp_path / "part.safetensors")
    save_file(state | {"4.bias": torch.tensor([0.0, torch.nan])}, tmp_path / "nan.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    return tmp_path


def test_the_factory_s_network_with_the_file_s_weights(folder: Path) -> None:
    own = load_own_network(f"{folder}/own.py:Tiny", folder / "own.safetensors")
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(own.model(x), tiny()(x))
    assert (own.name, own.mean, own.std, own.image_px) == (
        "own",
        (0.4, 0.5, 0.6),
        (0.2, 0.2, 0.25),
        48,
    )
    assert not own.model.training


def test_without_a_normalization_images_stay_in_0_to_1(folder: Path) -> None:
    save_file(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict(), folder / "bare.safetensors")
    own = load_own_network(f"{folder}/own.py:bare", folder / "bare.safetensors")
    assert (own.mean, own.std, own.image_px) == ((), (), 32)
    for channels in (3, 1):
        images = np.zeros((4, 8, 8, channels), np.uint8)
        data = Dataset("data", images, np.zeros(4, np.int64), ("a", "b"))
        model = nn.Sequential(nn.Conv2d(channels, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        quantized = replace(own, model=model).quantized(data, OperandEncoding.SIGN_MAGNITUDE)
        assert (quantized.mean, quantized.std) == ((0,) * channels, (1,) * channels)


def test_batch_normalization_is_folded_where_the_network_asks_for_it(
    folder: Path, tmp_path: Path
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    nn.init.uniform_(model[1].weight)
    save_file(model.state_dict(), tmp_path / "normalized.safetensors")
    network = load_own_network(f"{folder}/own.py:normalized", tmp_path / "normalized.safetensors")
    assert isinstance(network.model.get_submodule("1"), nn.Identity)
    x = torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network.model(x), model.eval()(x))


def test_a_network_of_the_zoo() -> None:
    network = zoo_network("resnet8-fashion")
    assert (network.name, network.image_px, len(network.mean), network.classes[1]) == (
        "resnet8-fashion",
        28,
        1,
        "Trouser",
    )


@pytest.mark.parametrize(
    ("reference", "weights", "missing", "message"),
    [
        (
            "own.py",
            "own",
            False,
            r"own\.py': name the function that makes the network too, as in module\.py:factory",
        ),
        ("absent.py:Tiny", "own", True, r"no file '.*absent\.py'"),
        ("own.py:Tinny", "own", False, r"has no function or class 'Tinny'"),
        ("own.py:constant", "own", False, r"has no function or class 'constant'"),
        (
            "broken.py:make",
            "own",
            False,
            r"cannot be loaded \(ModuleNotFoundError: No module named 'nothing_of_this_name'\)",
        ),
        ("own.py:number", "own", False, r"made a int; it must return a torch\.nn\.Module"),
        (
            "own.py:failing",
            "own",
            False,
            r"fails when it is called without arguments \(ValueError: no luck\)",
        ),
        (
            "own.py:needy",
            "own",
            False,
            r"fails when it is called without arguments \(TypeError: .*classes",
        ),
        (
            "own.py:gray",
            "own",
            False,
            r"mean is \(0\.5,\) and std \(0\.2, 0\.2, 0\.25\); both need one number",
        ),
        ("own.py:word", "own", False, r"its mean is not a list of numbers"),
        ("own.py:large", "own", False, r"its image_px is 'large'"),
        ("own.py:flat", "own", False, r"std is .* it must be positive"),
        ("own.py:Tiny", "absent", True, r"no weights at '.*absent\.safetensors'"),
        ("own.py:Tiny", "text", False, r"text\.safetensors' is not a safetensors file"),
        (
            "own.py:Tiny",
            "part",
            False,
            r"part\.safetensors' does not fit '.*own\.py:Tiny': .*Missing key\(s\) in state_dict",
        ),
        (
            "own.py:Tiny",
            "nan",
            False,
            r"nan\.safetensors': '4\.bias' is not finite in 1 of 4 tensors",
        ),
    ],
)
def test_errors_are_one_line(
    folder: Path, reference: str, weights: str, missing: bool, message: str
) -> None:
    with pytest.raises(OwnNetworkError, match=message) as caught:
        load_own_network(f"{folder}/{reference}", folder / f"{weights}.safetensors")
    assert isinstance(caught.value, MissingOwnNetworkError) == missing
    assert "\n" not in str(caught.value)
