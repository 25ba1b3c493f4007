"""What ships: complete, loadable, and as accurate as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnn_eval import zoo
from cnn_eval.datasets import load_dataset, top1_pct
from cnn_eval.emulation.measurement import emulate, measure_top1
from cnn_eval.networks.architectures import build_network
from cnn_eval.prediction.architectural_error import features
from cnn_eval.quantization import ExactConvolution, QuantizationError, quantize_as
from cnn_eval.zoo import ModelCard, ZooError, shipped_network
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

NETWORKS = ("resnet20", "resnet18")
SMALLER = ("mobilenet", "cct")
ENCODINGS = (OperandEncoding.TWOS_COMPLEMENT, OperandEncoding.SIGN_MAGNITUDE)
CARD = ModelCard(
    "resnet8",
    ("a", "b", "c"),
    32,
    (0.5, 0.4, 0.3),
    (0.2, 0.2, 0.2),
    "noise",
    33.3,
    10,
    "not at all",
)


@pytest.mark.parametrize("name", [*NETWORKS, *SMALLER])
def test_models_load(name: str) -> None:
    model, card = zoo.load_model(name)
    assert (card.network, len(card.classes), card.data) == (name, 10, "CIFAR-10 (JPEG)")
    assert not model.training
    with torch.no_grad():
        assert torch.isfinite(model(torch.zeros(1, 3, 32, 32))).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_profiles_and_predictors_belong_together(name: str, encoding: OperandEncoding) -> None:
    corrected = zoo.is_corrected(name, encoding)
    profile, predictor = (
        load(name, encoding, corrected=corrected) for load in (zoo.load_profile, zoo.load_predictor)
    )
    assert (profile.corrected, predictor.corrected) == (corrected, corrected)
    assert (
        (profile.network, profile.encoding)
        == (predictor.network, OperandEncoding(predictor.encoding))
        == (name, encoding)
    )
    assert predictor.exact_top1_pct == profile.exact_top1_pct
    assert abs(profile.exact_top1_pct - profile.float_top1_pct) < 0.7
    assert predictor.multipliers >= 30
    assert (
        predictor.predict(
            features(profile, np.zeros([1 << width for width in profile.widths], np.int32))
        ).drop_pp
        < 0.01
    )


@pytest.mark.slow
def test_resnet20_is_as_accurate_as_it_says(shared: Path) -> None:
    model, card = zoo.load_model("resnet20")
    data = load_dataset(shared / "data" / "cifar10-jpeg-test.npz")
    assert len(data) == card.test_images
    assert top1_pct(model, data, (card.mean, card.std)) == pytest.approx(
        card.float_top1_pct, abs=0.1
    )
    assert card.float_top1_pct > 84


@pytest.mark.parametrize("name", SMALLER)
def test_others_are_about_as_accurate_as_they_say(name: str, shared: Path) -> None:
    model, card = zoo.load_model(name)
    data = load_dataset(shared / "data" / "cifar10-jpeg-test.npz").head(400)
    found = top1_pct(model, data, (card.mean, card.std))
    assert card.float_top1_pct > 84
    assert abs(found - card.float_top1_pct) < 5  # the standard deviation is 1.7


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_resnet20_emulated_with_exact_products(shared: Path, encoding: OperandEncoding) -> None:
    network = shipped_network("resnet20", encoding, corrected=False)
    data = load_dataset(shared / "data" / "cifar10-jpeg-test.npz").head(400)
    exact = ProductTable.exact(8, encoding.signed)
    assert (
        measure_top1(network, exact, data).top1_pct
        == measure_top1(network, None, data).top1_pct
        > 84
    )
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(emulate(network, exact)(x), network(x))


def test_saving(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_network("resnet8", classes=3).eval()
    zoo.save_model(model, CARD, tmp_path / "mine.safetensors")
    loaded, card = zoo.load_model("mine", folder=tmp_path)
    assert card == CARD
    state = loaded.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            step = tensor.flatten(1).abs().amax(1).view(-1, *[1] * (tensor.ndim - 1)) / 127
            assert ((state[name] - tensor).abs() <= 0.501 * step).all()
        else:
            assert torch.equal(state[name], tensor)
    # Eight bits again change nothing.
    zoo.save_model(loaded, CARD, tmp_path / "again.safetensors")
    again, _ = zoo.load_model("again", folder=tmp_path)
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-6, atol=0)


def test_saving_whole_weights(tmp_path: Path) -> None:
    model = build_network("resnet8", classes=3).eval()
    zoo.save_model(model, CARD, tmp_path / "mine.safetensors", eight_bits=False)
    loaded, _ = zoo.load_model("mine", folder=tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_the_users_folder_comes_first(tmp_path: Path) -> None:
    model = build_network("resnet8", classes=3)
    zoo.save_model(model, CARD, tmp_path / "resnet20.safetensors")
    assert zoo.load_model("resnet20", folder=tmp_path)[1] == CARD
    assert zoo.weights_path("resnet18", folder=tmp_path).parent == Path(zoo.__file__).parent


def test_errors_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        ZooError,
        match=(
            r"no weights for network 'alexnet': there is .*resnet18, resnet20, .*vgg11; train "
            r"it with `dse train`, or"
        ),
    ):
        zoo.load_model("alexnet")
    with pytest.raises(
        ZooError,
        match=r"no profile of network 'resnet20' for unsigned: there is .*resnet20\.sign_magnitude",
    ):
        zoo.load_profile("resnet20", OperandEncoding.UNSIGNED)
    with pytest.raises(
        ZooError,
        match=(
            r"no predictor for network 'vgg11' and unsigned: there is .* make it with `dse "
            r"calibrate`"
        ),
    ):
        zoo.load_predictor("vgg11", OperandEncoding.UNSIGNED, folder=tmp_path)


def test_a_network_without_a_predictor_gets_one_from_the_others(tmp_path: Path) -> None:
    encoding = OperandEncoding.SIGN_MAGNITUDE
    with pytest.raises(ZooError, match="no profile of network 'mine'"):
        zoo.load_predictor("mine", encoding, corrected=False, folder=tmp_path)
    profile = zoo.load_profile("resnet20", encoding, corrected=False)
    replace(profile, network="mine").save(
        tmp_path / "mine.sign_magnitude.8x7.uncorrected.profile.npz"
    )
    predictor = zoo.load_predictor("mine", encoding, corrected=False, folder=tmp_path)
    assert (predictor.network, predictor.exact_top1_pct, predictor.multipliers) == (
        "mine",
        profile.exact_top1_pct,
        0,
    )
    assert {"resnet20", "resnet8", "vgg11"} <= set(predictor.transferred_from)
    # The user's own calibration of a shipped network stands before the shipped one.
    own = replace(zoo.load_predictor("vgg11", encoding, corrected=False), network="vgg11 of mine")
    own.save(tmp_path / "vgg11.sign_magnitude.uncorrected.predictor.json")
    assert (
        "vgg11 of mine"
        in zoo.load_predictor("mine", encoding, corrected=False, folder=tmp_path).transferred_from
    )
    own.save(tmp_path / "mine.sign_magnitude.uncorrected.predictor.json")
    assert zoo.load_predictor("mine", encoding, corrected=False, folder=tmp_path) == own


def test_operand_widths_that_a_network_is_profiled_for(tmp_path: Path) -> None:
    encoding = OperandEncoding.SIGN_MAGNITUDE
    widths = zoo.profile_widths("resnet20", encoding)
    assert widths[0] == Widths(8, 7)
    assert {Widths(5, 4), Widths(4, 3), Widths(3, 2)} < set(widths)
    assert zoo.profile_widths("resnet20", encoding, corrected=False) == [Widths(8, 7)]
    with pytest.raises(
        ZooError,
        match=(
            r"no profile of network 'resnet20' for sign_magnitude with 7x1-bit operands: there "
            r"is .*4x3"
        ),
    ):
        zoo.load_profile("resnet20", encoding, Widths(7, 1))
    zoo.load_profile("resnet20", encoding, Widths(4, 3)).save(
        tmp_path / "resnet20.sign_magnitude.7x1.profile.npz"
    )
    with pytest.raises(ZooError, match="not what its name says"):
        zoo.load_profile("resnet20", encoding, Widths(7, 1), folder=tmp_path)


def test_learned_weights_belong_to_their_profiles() -> None:
    network = shipped_network("resnet20", OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3))
    layer = network.layers["layer1.0.conv1"]
    assert isinstance(layer.sums, ExactConvolution)
    assert layer.sums.weight.abs().max() <= 7
    model, _ = zoo.load_model("resnet20")
    profile = zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3))
    with pytest.raises(
        QuantizationError, match="made with learned weights, and the rounding given is another"
    ):
        quantize_as(model, profile)


def test_damaged_weights(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(ZooError, match=r"a\.safetensors' does not hold weights"):
        zoo.load_model("a", folder=tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(ZooError, match=r"b\.safetensors' does not hold weights"):
        zoo.load_model("b", folder=tmp_path)
    zoo.save_model(build_network("resnet20", classes=3), CARD, tmp_path / "c.safetensors")
    with pytest.raises(ZooError, match=r"c\.safetensors' does not fit the architecture 'resnet8'"):
        zoo.load_model("c", folder=tmp_path)
