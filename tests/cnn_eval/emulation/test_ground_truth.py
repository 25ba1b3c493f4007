"""The ground truth of multipliers of any widths, with and without correction."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval.datasets import Dataset, normalize
from cnn_eval.datasets.dataset import SMALL_PX
from cnn_eval.emulation.ground_truth import GroundTruth
from cnn_eval.emulation.measurement import EmulationError, emulate, measure_top1
from cnn_eval.quantization.correction import Reference, corrected, derive_correction
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.product_table import ProductTable

NORMALIZATION = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
WIDEST, NARROW = Widths(8, 7), Widths(4, 3)


class Subject(NamedTuple):
    truth: GroundTruth
    data: Dataset
    correction: Dataset
    quantized: Counter[Widths]


def subject(*, correcting: bool, image_px: int = 6) -> Subject:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (90, image_px, image_px, 3)).astype(np.uint8)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * (image_px - 2) ** 2, 4),
    ).eval()
    x, times = normalize(images, *NORMALIZATION), Counter[Widths]()

    def quantized(widths: Widths) -> QuantizedNetwork:
        times[widths] += 1
        return quantize(
            model, x, OperandEncoding.SIGN_MAGNITUDE, widths=widths, normalization=NORMALIZATION
        )

    with torch.no_grad():
        labels = model(x).argmax(1).numpy()
    data = Dataset("noise", images, labels, tuple("abcd"))
    correction = data.part(50, 90)
    return Subject(
        GroundTruth(quantized, WIDEST, correction if correcting else None),
        data.head(50),
        correction,
        times,
    )


def logits(network: QuantizedNetwork, data: Dataset) -> torch.Tensor:
    with torch.inference_mode():
        return network(normalize(data.images, *NORMALIZATION))


def test_networks_are_quantized_once_for_each_width() -> None:
    truth, data, _, times = subject(correcting=True)
    for widths in (NARROW, WIDEST, NARROW):
        truth.measure(widths, data)
    assert times == {WIDEST: 1, NARROW: 1}


def test_on_large_images_a_table_is_corrected_as_exact_products_are() -> None:
    """To the exact network on the same few images, not to what normalizations have stored."""
    truth, *_ = subject(correcting=True, image_px=SMALL_PX + 2)
    table = ProductTable.of(MultiplierSpec.parse(f"exact:width={NARROW.a}x{NARROW.b}"))
    found, exact = truth.correction(table), truth.exact(NARROW)
    assert found is not None
    for name, layer in exact.multiplications.items():
        np.testing.assert_allclose(found.gains[name], layer.gain, rtol=1e-5)
        np.testing.assert_allclose(found.offsets[name], layer.offset, rtol=1e-4, atol=1e-5)
    widest = truth.exact(WIDEST).multiplications.values()
    assert all((layer.gain == 1).all() and (layer.offset == 0).all() for layer in widest)


@pytest.mark.parametrize("correcting", [False, True])
@pytest.mark.parametrize("widths", [WIDEST, NARROW])
def test_an_exact_multiplier_is_the_exact_network(correcting: bool, widths: Widths) -> None:
    truth, data, *_ = subject(correcting=correcting)
    table = ProductTable.of(MultiplierSpec.parse(f"exact:width={widths.a}x{widths.b}"))
    assert truth.exact(widths).corrected == truth.correcting == correcting
    if correcting and widths == WIDEST:
        # The exact network follows its normalizations alone, and has itself to follow in the last
        # layer.
        torch.testing.assert_close(
            logits(truth.network(table), data),
            logits(truth.exact(widths), data),
            rtol=1e-3,
            atol=1e-3,
        )
    else:
        assert torch.equal(logits(truth.network(table), data), logits(truth.exact(widths), data))
    assert truth.measure(table, data).top1_pct == truth.measure(widths, data).top1_pct


@pytest.mark.parametrize("most_kept_bytes", [1 << 30, -1])
def test_corrections_follow_the_widest_exact_network(
    most_kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnn_eval.emulation.ground_truth._MOST_KEPT_BYTES", most_kept_bytes)
    truth, data, correction, _ = subject(correcting=True)
    table = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=2,width=4x3"))
    wrong = emulate(truth.quantized(NARROW), table)
    images = normalize(correction.images, *NORMALIZATION)
    reference = Reference.of(truth.exact(WIDEST), images)
    expected = corrected(wrong, derive_correction(wrong, images, reference))
    assert torch.equal(logits(truth.network(table), data), logits(expected, data))
    assert truth.measure(table, data).top1_pct == measure_top1(expected, None, data).top1_pct
    # One derived before is taken as it is.
    kept = truth.correction(table)
    assert torch.equal(logits(truth.network(table, kept), data), logits(expected, data))


def test_without_images_nothing_is_corrected() -> None:
    truth, data, *_ = subject(correcting=False)
    table = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=2,width=4x3"))
    assert truth.correction(table) is None
    assert torch.equal(
        logits(truth.network(table), data), logits(emulate(truth.quantized(NARROW), table), data)
    )


def test_first_and_last_layer_may_stay_exact() -> None:
    truth, data, *_ = subject(correcting=False)
    table = ProductTable.of(MultiplierSpec.parse("bam:h=0,v=2,width=4x3"))
    # There are no other layers.
    assert torch.equal(
        logits(truth.network(table, exact_first_last=True), data), logits(truth.exact(NARROW), data)
    )


def test_signed_tables_are_refused() -> None:
    truth, data, *_ = subject(correcting=False)
    with pytest.raises(
        EmulationError,
        match="is signed 4x3, but encoding sign_magnitude of this network needs unsigned 4x3",
    ):
        truth.measure(ProductTable.of(MultiplierSpec.parse("exact:width=4x3,signed=1")), data)


@pytest.mark.parametrize("correcting", [False, True])
def test_a_multiplier_for_each_layer(correcting: bool) -> None:
    truth, data, correction, _ = subject(correcting=correcting)
    coarse = MultiplierSpec.parse("tm:k=1,width=4x3").table()
    fine = MultiplierSpec.parse("exact:width=8x7").table()
    assert truth.names == ("0", "4")
    tables = {"0": coarse, "4": fine}
    network = emulate(truth.quantized({"0": NARROW, "4": WIDEST}), tables)
    if correcting:
        x = normalize(correction.images, *NORMALIZATION)
        reference = Reference.of(truth.exact(WIDEST), x)
        network = corrected(network, derive_correction(network, x, reference))
    expected = logits(network, data)
    torch.testing.assert_close(logits(truth.network(tables), data), expected)
    assert truth.measure(tables, data).top1_pct == measure_top1(network, None, data).top1_pct
    # One and the same for all layers is nothing new.
    torch.testing.assert_close(
        logits(truth.network(dict.fromkeys(truth.names, coarse)), data),
        logits(truth.network(coarse), data),
    )


def test_exact_products_of_each_layers_own_widths() -> None:
    truth, data, *_ = subject(correcting=True)
    everywhere = truth.exact(dict.fromkeys(truth.names, NARROW))
    torch.testing.assert_close(logits(everywhere, data), logits(truth.exact(NARROW), data))
    mixed = truth.exact({"0": NARROW, "4": WIDEST})
    assert mixed.corrected
    assert not torch.equal(logits(mixed, data), logits(everywhere, data))
