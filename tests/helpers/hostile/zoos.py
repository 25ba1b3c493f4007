"""Weights, profiles, predictors and checkpoints that are none."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnn_eval import zoo
from hostile.cases import NETWORK, TRAIN, Case, nothing, steps, write
from hostile.images import packed
from hostile.runs import NAN
from hostile.tables import Code, archive, npy


def zoo_file(kind: str) -> Path:
    """The network's `safetensors`, `profile.npz` of the widest unsigned operands, or
    `predictor.json`, as they ship.
    """
    folder = Path(zoo.__file__).parent
    if kind == "safetensors":
        return folder / f"{NETWORK}.{kind}"
    found = [
        path
        for path in folder.glob(f"{NETWORK}.sign_magnitude.*{kind}")
        if "uncorrected" not in path.name
    ]
    return max(found, key=lambda path: (re.findall(r"\d+", path.name), path.name))


def predictor(change: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    def make() -> None:
        document = json.loads(zoo_file("predictor.json").read_text())
        change(document)
        write(f"zoo/{zoo_file('predictor.json').name}", json.dumps(document))()

    return make


def profile(change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Callable[[], None]:
    """A profile with its description (a dictionary) or its arrays changed."""

    def make() -> None:
        with np.load(zoo_file("profile.npz"), allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        change(about, arrays)
        arrays["about"] = np.array(json.dumps(about))
        Path("zoo").mkdir()
        np.savez(f"zoo/{zoo_file('profile.npz').name}", **arrays)

    return make


def weights(change: Callable[[dict[str, Any], dict[str, str]], Any]) -> Callable[[], None]:
    """Weights of a network with their tensors or their card changed."""

    def make() -> None:
        from safetensors import safe_open
        from safetensors.numpy import save_file

        with safe_open(zoo_file("safetensors"), framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            card = dict(file.metadata())
        change(tensors, card)
        Path("zoo").mkdir()
        save_file(tensors, f"zoo/{NETWORK}.safetensors", metadata=card)

    return make


def with_card(**changes: Any) -> Callable[[], None]:
    def change(tensors: dict[str, Any], card: dict[str, str]) -> None:
        card["card"] = json.dumps(json.loads(card["card"]) | changes)

    return weights(change)


def first(tensors: dict[str, Any], kind: type[np.generic]) -> str:
    return next(key for key, tensor in tensors.items() if tensor.dtype == kind)


PREDICTORS: dict[str, Callable[[], None]] = {
    "not JSON": write(f"zoo/{zoo_file('predictor.json').name}", "{"),
    "a list": write(f"zoo/{zoo_file('predictor.json').name}", "[]"),
    "an unknown key": predictor(lambda document: document.update(surprise=1)),
    "a key that is missing": predictor(lambda document: document.pop("law")),
    "no number in the law": predictor(
        lambda document: document["law"].update(dict.fromkeys(document["law"], NAN))
    ),
    "a spread of words": predictor(lambda document: document.update(spread_pp="wide")),
    "a negative spread": predictor(
        lambda document: document.update(spread_pp=[-1.0] * len(document["spread_pp"]))
    ),
    "an accuracy of 900 %": predictor(lambda document: document.update(exact_top1_pct=900.0)),
    "a calibration of one number": predictor(lambda document: document.update(calibration=[[1]])),
    "a format of the future": predictor(lambda document: document.update(format=10**9)),
}
PROFILES: dict[str, Callable[[], None]] = {
    "not numpy": write(f"zoo/{zoo_file('profile.npz').name}", "PK"),
    "two of its layers": profile(lambda about, arrays: about.update(layers=about["layers"][:2])),
    "an unknown key": profile(lambda about, arrays: about.update(surprise=1)),
    "a key that is missing": profile(lambda about, arrays: about.pop("exact_top1_pct")),
    "an accuracy that is no number": profile(
        lambda about, arrays: about.update(exact_top1_pct=NAN)
    ),
    "an accuracy of 900 %": profile(lambda about, arrays: about.update(exact_top1_pct=900.0)),
    "operands of a thousand bits": profile(
        lambda about, arrays: about.update({key: 1000 for key in about if key.startswith("width")})
    ),
    "negative multiplications": profile(lambda about, arrays: about["layers"][0].update(macs=-5)),
    "another network": profile(lambda about, arrays: about.update(network="../../outside/owned")),
    "margins that are no numbers": profile(
        lambda about, arrays: arrays.update(margins=np.full_like(arrays["margins"], np.nan))
    ),
    "histograms that are no numbers": profile(
        lambda about, arrays: arrays.update(
            activations_0=np.full_like(arrays["activations_0"], np.nan)
        )
    ),
    "a negative histogram": profile(
        lambda about, arrays: arrays.update(activations_0=-arrays["activations_0"])
    ),
    "a histogram of three values": profile(
        lambda about, arrays: arrays.update(activations_0=np.ones(3, np.float32) / 3)
    ),
    "margins of another shape": profile(
        lambda about, arrays: arrays.update(margins=np.zeros((7, 7), np.float32))
    ),
    "components of another shape": profile(
        lambda about, arrays: arrays.update(components=np.zeros((3, 5), np.int8))
    ),
    "pickled code": archive("it.npz", {}),
}
CARDS: dict[str, Callable[[], None]] = {
    "no card": weights(lambda tensors, card: card.clear()),
    "a card that is no JSON": weights(lambda tensors, card: card.update(card="{")),
    "an unknown key": with_card(surprise=1),
    "another architecture": with_card(network="__import__"),
    "images of no size": with_card(image_px=0),
    "images of a billion pixels a side": with_card(image_px=10**9),
    "a mean that is no number": with_card(mean=["a", "b", "c"]),
    "a deviation of zero": with_card(std=[0.0, 0.0, 0.0]),
    "no classes": with_card(classes=[]),
    "weights that are no numbers": weights(
        lambda tensors, card: tensors.update(
            {first(tensors, np.float32): np.full_like(tensors[first(tensors, np.float32)], np.nan)}
        )
    ),
    "a weight of another shape": weights(
        lambda tensors, card: tensors.update({first(tensors, np.int8): np.zeros((2, 2), np.int8)})
    ),
    "a weight that is missing": weights(lambda tensors, card: tensors.pop(first(tensors, np.int8))),
    "scales that are missing": weights(
        lambda tensors, card: tensors.pop(next(key for key in tensors if key.endswith(".scale")))
    ),
    "a header of 100 megabytes": write(
        f"zoo/{NETWORK}.safetensors", struct.pack("<Q", 100_000_000) + b"{" * 1000
    ),
    "a header beyond the file": write(f"zoo/{NETWORK}.safetensors", struct.pack("<Q", 1 << 62)),
}


def zoos() -> Iterator[Case]:
    predict = ("predict", "drum:k=4", "--network", NETWORK, "--zoo", "zoo")
    for name, make in PREDICTORS.items():
        yield Case(f"predictor: {name}", predict, make)
    for name, make in PROFILES.items():
        if name == "pickled code":
            members = {"about.npy": npy(np.array([Code()], dtype=object))}
            make = steps(Path("zoo").mkdir, archive(f"zoo/{zoo_file('profile.npz').name}", members))
        yield Case(f"profile: {name}", predict, make)
    emulate = (
        "emulate",
        "drum:k=4",
        "--network",
        NETWORK,
        "--zoo",
        "zoo",
        "--data",
        "digits",
        "--images",
        "4",
    )
    for name, make in CARDS.items():
        yield Case(f"weights: {name}", emulate, make)
    yield Case("zoo: a folder that is none", (*predict[:-1], "nowhere"), nothing)
    for network in (
        "../../etc/passwd",
        "/etc/passwd",
        f"{NETWORK}\0",
        f"{NETWORK}/../{NETWORK}",
        "\x1b[2J",
        "x" * 10_000,
    ):
        yield Case(
            f"zoo: network {network[:20]!r}", ("predict", "drum:k=4", "--network", network), nothing
        )


def checkpoint(**changes: Any) -> Callable[[], None]:
    record = {"recipe": {}, "epoch": 1, "tensors": "epoch1.safetensors", "log": []}
    return write(f"zoo/{NETWORK}.checkpoints/checkpoint.json", json.dumps(record | changes))


CHECKPOINTS: dict[str, Callable[[], None]] = {
    "not JSON": write(f"zoo/{NETWORK}.checkpoints/checkpoint.json", "{"),
    "another recipe": checkpoint(),
    "tensors elsewhere": checkpoint(tensors="../../../outside/tensors.safetensors"),
    "an unknown key": checkpoint(surprise=1),
    "an epoch with a fraction": checkpoint(epoch=0.5),
}


def trainings() -> Iterator[Case]:
    command = (*TRAIN, "--out", "zoo", "--epochs", "1")
    for name, make in CHECKPOINTS.items():
        yield Case(f"checkpoint: {name}", command, make)
    emulated = ("calibrate", "--network", NETWORK, "--data", "it.npz", "--out", "zoo")
    yield Case("emulated accuracies: too few images", emulated, packed())
