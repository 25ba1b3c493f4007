"""Fine-tuning through a table: forward it is emulation, backward it has the gradients it says, and
it wins accuracy back.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import TimmTransformer, made
from torch import nn

from cnn_eval.datasets import Dataset, load_dataset, normalize
from cnn_eval.emulation.ground_truth import GroundTruth
from cnn_eval.emulation.measurement import emulate, measure_top1
from cnn_eval.networks.fine_tuning import GRADIENTS, fine_tune, table_network
from cnn_eval.networks.trained import TrainedNetwork
from cnn_eval.networks.training import Recipe, channel_statistics, train
from cnn_eval.prediction.profile import NetworkProfile
from cnn_eval.profiling.profile_from_images import profile_network
from cnn_eval.quantization.quantized_network import quantize, quantize_as
from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small layers: threads would wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_network(channels: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def profiled(
    model: nn.Module, data: Dataset, test: Dataset, encoding: OperandEncoding
) -> NetworkProfile:
    mean, std = channel_statistics(data)
    quantized = quantize(
        model.eval(), normalize(data.images, mean, std), encoding, normalization=(mean, std)
    )
    return profile_network(quantized, "small", data.head(32), test, float_top1_pct=0.0)


def noise(count: int) -> Dataset:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return Dataset("noise", images, rng.integers(0, 10, count), tuple("abcdefghij"))


def measured_by(
    model: nn.Module, *profiles: NetworkProfile, correction: Dataset | None = None
) -> GroundTruth:
    """The network with the profiles' scales; the first profile is of the widest operands."""
    by_widths = {profile.widths: profile for profile in profiles}
    return GroundTruth(
        lambda widths: quantize_as(model, by_widths[widths]), profiles[0].widths, correction
    )


@functools.cache
def on_noise(encoding: OperandEncoding) -> tuple[nn.Module, Dataset, NetworkProfile]:
    model, data = small_network(3), noise(48)
    return model, data, profiled(model, data, data, encoding)


@pytest.mark.parametrize(
    "encoding",
    [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT, OperandEncoding.UNSIGNED],
)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_forward_is_emulation(encoding: OperandEncoding, gradient: str) -> None:
    model, data, profile = on_noise(encoding)
    table = ProductTable.of(MultiplierSpec.parse(f"bam:h=1,v=6,signed={encoding.signed:d}"))
    x = normalize(data.images, profile.mean, profile.std)
    network = table_network(model, measured_by(model, profile), table, gradient=gradient).eval()
    expected = emulate(quantize_as(model, profile), table)(x)
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, rtol=0, atol=0)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)  # with gradients on
    assert list(network.state_dict()) == list(model.state_dict())


def test_products_of_two_activations_are_refused() -> None:
    model, x = made(TimmTransformer)
    encoding = OperandEncoding.SIGN_MAGNITUDE
    truth = GroundTruth(
        lambda widths: quantize(model, x, encoding, widths=widths), Widths(8, 7), None
    )
    table = ProductTable.of(MultiplierSpec.parse("exact:width=8x7"))
    with pytest.raises(InputError, match=r"^layer 'matmul' multiplies two activations.*without"):
        table_network(model, truth, table)


def test_layers_have_multipliers_of_their_own() -> None:
    """An assignment of two widths: what is trained forward is what is measured."""
    model, data, wide = on_noise(OperandEncoding.SIGN_MAGNITUDE)
    images = normalize(data.images, wide.mean, wide.std)
    narrow = profile_network(
        quantize(
            model,
            images,
            wide.encoding,
            widths=Widths(5, 3),
            normalization=(wide.mean, wide.std),
        ),
        "small",
        data.head(32),
        data,
        float_top1_pct=0.0,
    )
    truth = measured_by(model, wide, narrow)
    tables = {
        "0": ProductTable.of(MultiplierSpec.parse("tm:k=1,width=5x3")),
        "5": ProductTable.of(MultiplierSpec.parse("bam:h=0,v=4")),
    }
    network = table_network(model, truth, tables).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), truth.network(tables)(images), rtol=0, atol=0)
    assert not torch.equal(network(images), truth.network(tables["5"])(images))


def layer_gradient(table: ProductTable, gradient: str) -> torch.Tensor:
    """d sum(y^2) / d weight of one linear layer."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    data = Dataset(
        "noise",
        np.random.default_rng(2).integers(0, 256, (64, 2, 2, 3)).astype(np.uint8),
        np.arange(64) % 4,
        tuple("abcd"),
    )
    profile = profiled(model, data, data, OperandEncoding.SIGN_MAGNITUDE)
    network = table_network(model, measured_by(model, profile), table, gradient=gradient)
    network(normalize(data.images[:8], profile.mean, profile.std)).square().sum().backward()
    gradient_of_weight = network.get_parameter("1.weight").grad
    assert gradient_of_weight is not None
    return gradient_of_weight


def test_exact_tables_have_the_float_gradient_nearly() -> None:
    plain = layer_gradient(ProductTable.exact(), "straight_through")
    smoothed = layer_gradient(ProductTable.exact(), "smoothed")
    torch.testing.assert_close(plain, smoothed)


def test_a_gain_is_seen_by_the_smoothed_gradient_alone() -> None:
    # A multiplier that halves every product: the true slope of the error is -1/2 of the product's.
    exact = ProductTable.exact()
    half = ProductTable(exact.products // 2, False, "half")
    plain = layer_gradient(half, "straight_through")
    smoothed = layer_gradient(half, "smoothed")
    torch.testing.assert_close(smoothed, plain / 2, rtol=0.05, atol=0.05 * float(plain.abs().max()))


@pytest.mark.slow
def test_accuracy_comes_back(tmp_path: Path) -> None:
    """Digits: a small network loses much to a coarse multiplier and gets most of it back."""
    pytest.importorskip("sklearn")
    data, test = load_dataset("digits", split="train"), load_dataset("digits")
    model, normalization = small_network(1), channel_statistics(data)
    recipe = Recipe(stages=((8, 12),), batch=32, peak_learning_rate=0.05, crop_px=0, flip=False)
    train(model, data, test, recipe, normalization, tmp_path / "plain")
    profile = profiled(model, data, test, OperandEncoding.SIGN_MAGNITUDE)
    table = ProductTable.of(MultiplierSpec.parse("perforate:j=5,k=2"))
    quantized = quantize_as(model, profile)
    exact, approximate = (measure_top1(quantized, used, test).top1_pct for used in (None, table))
    recipe = Recipe(stages=((8, 2),), batch=32, peak_learning_rate=0.02, crop_px=0, flip=False)
    tuned = fine_tune(
        TrainedNetwork("small", model, *normalization, 8),
        lambda network: measured_by(network.model, profile),
        table,
        data,
        test,
        tmp_path / "tuned",
        recipe=recipe,
    )
    before, after = tuned.before_pct, tuned.after_pct
    assert (tuned.exact_before_pct, before) == (exact, approximate)
    assert exact - before > 4
    assert exact - after < (exact - before) / 2
    # What comes back is the plain network with other weights.
    assert [type(module) for module in tuned.network.model.children()] == [
        type(module) for module in model.children()
    ]
    assert measure_top1(quantize_as(tuned.network.model, profile), table, test).top1_pct == after


def test_an_unknown_gradient_is_refused() -> None:
    model, data = small_network(3), noise(48)
    profile = profiled(model, data, data, OperandEncoding.SIGN_MAGNITUDE)
    with pytest.raises(
        InputError, match="unknown gradient 'exact'; use one of straight_through, smoothed"
    ):
        table_network(model, measured_by(model, profile), ProductTable.exact(), gradient="exact")
