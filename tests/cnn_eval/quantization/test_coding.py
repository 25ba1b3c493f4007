"""Operand codes of quantized integers, for every value of every encoding."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval.quantization.coding import OperandCoding
from hdl.operands import OperandEncoding

TWOS, MAGNITUDE, UNSIGNED = (
    OperandEncoding.TWOS_COMPLEMENT,
    OperandEncoding.SIGN_MAGNITUDE,
    OperandEncoding.UNSIGNED,
)

CODINGS = [
    OperandCoding(
        encoding,
        *widths,
        negative,
        zero_point=(1 << widths[0]) // 3 if encoding is UNSIGNED and negative else 0,
    )
    for encoding in OperandEncoding
    for widths in ((3, 3), (5, 2), (2, 6), (8, 8), (8, 7))
    for negative in (False, True)
]


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_exact_products_come_out_of_an_exact_multiplier(coding: OperandCoding) -> None:
    products = coding.products(np.zeros((1 << coding.width_a, 1 << coding.width_b), np.int32))
    np.testing.assert_array_equal(
        products, np.multiply.outer(coding.activation_values, coding.weight_values)
    )


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_hardware_arithmetic(coding: OperandCoding) -> None:
    """Each value pair by the words of the encoding, one by one."""
    size_a, size_b, half = 1 << coding.width_a, 1 << coding.width_b, 1 << (coding.width_b - 1)
    table = np.random.default_rng(0).integers(-99, 99, (size_a, size_b)).astype(np.int32)
    values = [
        np.where((codes := np.arange(size)) < size // 2, codes, codes - size)
        if coding.encoding is TWOS
        else np.arange(size)
        for size in table.shape
    ]
    got = coding.products(table - np.multiply.outer(*values).astype(np.int32))
    for i, x in enumerate(coding.activation_values.tolist()):
        for j, w in enumerate(coding.weight_values.tolist()):
            if coding.encoding is TWOS:
                expected = table[x % size_a, w % size_b]
            elif coding.encoding is MAGNITUDE:
                expected = -table[abs(x), abs(w)] if (x < 0) != (w < 0) else table[abs(x), abs(w)]
            else:
                a, b = x + coding.zero_point, w + half
                # sum over k of (a - za)(b - zb): the accelerator adds up table[a, b] and corrects
                # for the zero points exactly
                expected = table[a, b] - coding.zero_point * b - half * a + coding.zero_point * half
            assert got[i, j] == expected


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_fold_is_adjoint_to_products(coding: OperandCoding) -> None:
    rng = np.random.default_rng(1)
    errors = rng.integers(-50, 50, (1 << coding.width_a, 1 << coding.width_b)).astype(np.int32)
    over_values = rng.integers(
        -9, 9, (len(coding.activation_values), len(coding.weight_values))
    ).astype(float)
    effect = coding.products(errors) - coding.products(np.zeros_like(errors))
    assert (over_values * effect).sum() == (coding.fold(over_values) * errors).sum()


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_folded_histograms(coding: OperandCoding) -> None:
    p = np.random.default_rng(2).random(len(coding.activation_values))
    q = np.random.default_rng(3).random(len(coding.weight_values))
    outer = np.multiply.outer(
        coding.fold_activations(p, signed=True), coding.fold_weights(q, signed=True)
    )
    np.testing.assert_allclose(outer, coding.fold(np.multiply.outer(p, q)), atol=1e-12)
    assert coding.fold_activations(p, signed=False).sum() == pytest.approx(p.sum())
    assert coding.fold_weights(q, signed=False).sum() == pytest.approx(q.sum())


def small_codings() -> list[OperandCoding]:
    """Every coding of up to four bits that multiplies anything."""
    found = []
    for encoding in OperandEncoding:
        least_a, least_b = (2 if encoding is TWOS else 1), (1 if encoding is MAGNITUDE else 2)
        for a in range(least_a, 5):
            for b in range(least_b, 5):
                zero_points = range(1, (1 << a) - 1) if encoding is UNSIGNED else (0,)
                found += [OperandCoding(encoding, a, b, False)]
                found += [
                    OperandCoding(encoding, a, b, True, zero_point=zero) for zero in zero_points
                ]
    return found


def test_codes_of_all_small_widths_are_in_range_and_of_one_value_each() -> None:
    for coding in small_codings():
        for values, (codes, signs), width in (
            (coding.activation_values, coding.activation_codes(), coding.width_a),
            (coding.weight_values, coding.weight_codes(), coding.width_b),
        ):
            assert codes.min() >= 0
            assert codes.max() < 1 << width
            assert len({*zip(codes.tolist(), signs.tolist(), strict=True)}) == len(values)
            assert 0 in values
        assert (coding.weight_values == -coding.weight_values[::-1]).all()
        assert (coding.activation_range[0] < 0) == coding.negative


def test_folds_of_all_small_widths_are_adjoint() -> None:
    """Entry by entry: what a pair of codes adds to the errors of value pairs is what these give
    back to it.
    """
    for coding in small_codings():
        codes = np.eye(1 << coding.width_a + coding.width_b).reshape(
            -1, 1 << coding.width_a, 1 << coding.width_b
        )
        forth = coding.value_errors(codes).reshape(len(codes), -1)  # [code pair, value pair]
        values = np.eye(forth.shape[1]).reshape(
            -1, len(coding.activation_values), len(coding.weight_values)
        )
        np.testing.assert_array_equal(coding.fold(values).reshape(forth.shape[1], -1), forth.T)


def test_ranges() -> None:
    assert OperandCoding(TWOS, 8, 8, True).activation_range == (-127, 127)
    assert OperandCoding(TWOS, 8, 8, False).activation_range == (0, 127)
    assert OperandCoding(TWOS, 5, 3, False).activation_range == (0, 15)
    assert OperandCoding(TWOS, 5, 3, False).weight_range == (-3, 3)
    assert OperandCoding(MAGNITUDE, 8, 7, False).activation_range == (0, 255)
    assert OperandCoding(MAGNITUDE, 8, 7, False).weight_range == (-127, 127)
    assert OperandCoding(MAGNITUDE, 4, 3, True).activation_range == (-15, 15)
    assert OperandCoding(MAGNITUDE, 4, 3, True).weight_range == (-7, 7)
    assert OperandCoding(UNSIGNED, 8, 4, True, zero_point=100).activation_range == (-100, 155)
    assert OperandCoding(UNSIGNED, 8, 4, True, zero_point=100).weight_range == (-7, 7)


@pytest.mark.parametrize("encoding", [TWOS, MAGNITUDE])
def test_integers_of_both_signs_are_bytes(encoding: OperandEncoding) -> None:
    coding = OperandCoding(encoding, 8, 8, True)
    assert coding.activation_range == coding.weight_range == (-127, 127)


def test_refuses_what_is_no_coding() -> None:
    with pytest.raises(ValueError, match="1 to 8 bits, not 9"):
        OperandCoding(TWOS, 8, 9, True)
    with pytest.raises(ValueError, match="zero point"):
        OperandCoding(TWOS, 8, 8, True, zero_point=3)


@pytest.mark.parametrize(
    ("encoding", "widths"), [(TWOS, (1, 4)), (TWOS, (4, 1)), (UNSIGNED, (4, 1))]
)
def test_one_bit_with_a_sign_is_only_zero(
    encoding: OperandEncoding, widths: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="leave nothing but 0"):
        OperandCoding(encoding, *widths, False)
