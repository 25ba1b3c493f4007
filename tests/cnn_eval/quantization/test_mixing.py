"""Layers taken from networks of other operand widths."""

from __future__ import annotations

import pytest
import torch
from small_networks import CAPTURED, OptionAResNet, made

from cnn_eval.quantization import (
    QuantizationError,
    QuantizedLayer,
    QuantizedNetwork,
    mixed,
    quantize,
)
from hdl.operands import OperandEncoding, Widths

WIDE, NARROW = Widths(8, 7), Widths(3, 2)


def quantized(widths: Widths | dict[str, Widths]) -> QuantizedNetwork:
    model, x = made(OptionAResNet)
    return quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, widths=widths)


def test_it_is_the_network_that_was_quantized_to_these_widths() -> None:
    _, x = made(OptionAResNet)
    wide, narrow = quantized(WIDE), quantized(NARROW)
    found = mixed(wide, {"second": narrow})
    expected = quantized({"first": WIDE, "second": NARROW, "fc": WIDE})
    with torch.inference_mode():
        torch.testing.assert_close(found(x), expected(x))
        assert not torch.equal(found(x), wide(x))
    # Neither of the networks changes with it.
    found.layers["second"].weight_scale.zero_()
    assert narrow.layers["second"].weight_scale.abs().min() > 0
    assert isinstance(wide.layers["second"], QuantizedLayer)
    assert wide.layers["second"].coding.width_a == 8


def test_products_of_two_activations() -> None:
    model, x = made(CAPTURED["timm"])
    wide, narrow = (
        quantize(model, x, OperandEncoding.SIGN_MAGNITUDE, widths=widths)
        for widths in (WIDE, NARROW)
    )
    name = next(iter(wide.products))
    assert mixed(wide, {name: narrow}).products[name].coding == narrow.products[name].coding


def test_an_unknown_layer() -> None:
    wide = quantized(WIDE)
    with pytest.raises(QuantizationError, match="no layer 'third' in the network; its layers are"):
        mixed(wide, {"third": wide})
