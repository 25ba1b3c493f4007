"""Operand codes of quantized integers, for every value of every encoding."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval.quantization.coding import OperandCoding
from hdl.operands import OperandEncoding

TWOS, MAGNITUDE, UNSIGNED = OperandEncoding.TWOS_COMPLEMENT, OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.UNSIGNED

CODINGS = [
    OperandCoding(encoding, width, negative, zero_point=(1 << width) // 3 if encoding is UNSIGNED and negative else 0)
    for encoding in OperandEncoding
    for width in (3, 8)
    for negative in (False, True)
]


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_exact_products_come_out_of_an_exact_multiplier(coding: OperandCoding) -> None:
    size = 1 << coding.width
    products = coding.products(np.zeros((size, size), np.int32))
    np.testing.assert_array_equal(products, np.multiply.outer(coding.activation_values, coding.weight_values))


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_hardware_arithmetic(coding: OperandCoding) -> None:
    """Each value pair by the words of the encoding, one by one."""
    size, half = 1 << coding.width, 1 << (coding.width - 1)
    table = np.random.default_rng(0).integers(-99, 99, (size, size)).astype(np.int32)
    codes = np.arange(size)
    values = np.where(codes < half, codes, codes - size) if coding.encoding is TWOS else codes
    got = coding.products(table - np.multiply.outer(values, values).astype(np.int32))
    for i, x in enumerate(coding.activation_values.tolist()):
        for j, w in enumerate(coding.weight_values.tolist()):
            if coding.encoding is TWOS:
                expected = table[x % size, w % size]
            elif coding.encoding is MAGNITUDE:
                expected = -table[abs(x), abs(w)] if (x < 0) != (w < 0) else table[abs(x), abs(w)]
            else:
                a, b = x + coding.zero_point, w + half
                # sum over k of (a - za)(b - zb): the accelerator adds up table[a, b] and corrects for the zero points exactly
                expected = table[a, b] - coding.zero_point * b - half * a + coding.zero_point * half
            assert got[i, j] == expected


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_fold_is_adjoint_to_products(coding: OperandCoding) -> None:
    rng = np.random.default_rng(1)
    size = 1 << coding.width
    errors = rng.integers(-50, 50, (size, size)).astype(np.int32)
    over_values = rng.integers(-9, 9, (len(coding.activation_values), len(coding.weight_values))).astype(float)
    effect = coding.products(errors) - coding.products(np.zeros_like(errors))
    assert (over_values * effect).sum() == (coding.fold(over_values) * errors).sum()


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_folded_histograms(coding: OperandCoding) -> None:
    p = np.random.default_rng(2).random(len(coding.activation_values))
    q = np.random.default_rng(3).random(len(coding.weight_values))
    outer = np.multiply.outer(coding.fold_activations(p, signed=True), coding.fold_weights(q, signed=True))
    np.testing.assert_allclose(outer, coding.fold(np.multiply.outer(p, q)), atol=1e-12)
    assert coding.fold_activations(p, signed=False).sum() == pytest.approx(p.sum())
    assert coding.fold_weights(q, signed=False).sum() == pytest.approx(q.sum())


def test_ranges() -> None:
    assert OperandCoding(TWOS, 8, True).activation_range == (-127, 127)
    assert OperandCoding(TWOS, 8, False).activation_range == (0, 127)
    assert OperandCoding(MAGNITUDE, 8, False).activation_range == (0, 255)
    assert OperandCoding(MAGNITUDE, 8, True).activation_range == (-127, 127)
    assert OperandCoding(UNSIGNED, 8, True, zero_point=100).activation_range == (-100, 155)
    assert all(coding.weight_range == (1 - (1 << (coding.width - 1)), (1 << (coding.width - 1)) - 1) for coding in CODINGS)


def test_refuses_what_is_no_coding() -> None:
    with pytest.raises(ValueError, match="2 to 8 bits, not 9"):
        OperandCoding(TWOS, 9, True)
    with pytest.raises(ValueError, match="zero point"):
        OperandCoding(TWOS, 8, True, zero_point=3)
