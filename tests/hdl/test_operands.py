"""Operand codes, their values, and how often they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.errors import InputError
from hdl.operands import (
    OperandDistribution,
    OperandEncoding,
    OperandOrder,
    Widths,
    code_values,
    largest_product,
    operand_widths,
    values_of_codes,
)

TWO_LAYERS = OperandDistribution.from_counts(
    [3, 1], [[5, 3, 2, 0], [0, 0, 0, 1]], [[1, 1, 0, 0], [0, 0, 4, 4]], "two layers"
)


def test_values_of_codes() -> None:
    assert code_values(3, signed=False).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert code_values(3, signed=True).tolist() == [0, 1, 2, 3, -4, -3, -2, -1]


@given(st.integers(1, 32), st.data())
def test_a_signed_value_has_the_bits_of_its_code(bits: int, data: st.DataObject) -> None:
    code = data.draw(st.integers(0, (1 << bits) - 1))
    value = int(values_of_codes(code, bits, signed=True))
    assert value % (1 << bits) == code
    assert -(1 << bits - 1) <= value < 1 << bits - 1


def test_only_twos_complement_needs_a_signed_multiplier() -> None:
    assert [encoding for encoding in OperandEncoding if encoding.signed] == [
        OperandEncoding.TWOS_COMPLEMENT
    ]
    assert OperandEncoding("sign_magnitude") is OperandEncoding.SIGN_MAGNITUDE


def test_the_joint_probability_is_a_mixture_of_products() -> None:
    expected = 0.75 * np.outer([0.5, 0.3, 0.2, 0], [0.5, 0.5, 0, 0]) + 0.25 * np.outer(
        [0, 0, 0, 1], [0, 0, 0.5, 0.5]
    )
    np.testing.assert_allclose(TWO_LAYERS.joint(), expected)
    np.testing.assert_allclose(TWO_LAYERS.rows(1, 3), expected[1:3])
    assert TWO_LAYERS.widths == (2, 2)


def test_a_layer_by_itself() -> None:
    layers = [TWO_LAYERS.layer(index) for index in range(2)]
    assert [one.weights.tolist() for one in layers] == [[1.0], [1.0]]
    mixture = 0.75 * layers[0].joint() + 0.25 * layers[1].joint()
    np.testing.assert_allclose(mixture, TWO_LAYERS.joint())


def test_uniform_is_uniform() -> None:
    assert np.unique(OperandDistribution.uniform(4).joint()).tolist() == [1 / 256]


@pytest.mark.parametrize(
    ("weights", "a", "b", "message"),
    [
        ([1.0], [[0.5, 0.5]], [[0.5, 0.25, 0.25]], "shapes"),
        ([1.0], [[0.5, 0.25, 0.25]], [[0.5, 0.25, 0.25]], "shapes"),
        ([0.5, 0.5], [[0.5, 0.5]], [[0.5, 0.5]], "shapes"),
        ([1.0], [0.5, 0.5], [0.5, 0.5], "shapes"),
        ([0.5], [[0.5, 0.5]], [[0.5, 0.5]], "weights"),
        ([1.0], [[1.5, -0.5]], [[0.5, 0.5]], "a is not"),
        ([1.0], [[0.5, 0.5]], [[np.nan, 0.5]], "b is not"),
    ],
)
def test_what_is_no_distribution_is_refused(
    weights: list[float], a: list[list[float]], b: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^operand distribution 'x': .*{message}"):
        OperandDistribution(np.array(weights), np.array(a), np.array(b), "x")


def test_counts_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="a is not made of probabilities"):
        OperandDistribution.from_counts([1], [[0, 0]], [[1, 1]], "x")


def test_the_arrays_are_copies_that_stay_as_they_are() -> None:
    mine = np.full((1, 2), 0.5)
    made = OperandDistribution(np.ones(1), mine, mine, "x")
    mine[0, 0] = 9
    assert made.a[0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        made.a[0, 0] = 1


def test_transitions_follow_the_distribution_and_stay_within_a_layer() -> None:
    count = 200_000
    a0, b0, a1, b1 = TWO_LAYERS.sample_transitions(np.random.default_rng(7), count)
    for a, b in ((a0, b0), (a1, b1)):
        seen = np.zeros((4, 4))
        np.add.at(seen, (a, b), 1 / count)
        np.testing.assert_allclose(seen, TWO_LAYERS.joint(), atol=0.005)
        assert not seen[TWO_LAYERS.joint() == 0].any()
    # Code 3 of operand a is the second layer's alone.
    np.testing.assert_array_equal(a0 == 3, a1 == 3)
    # Independent within the layer: P(a0 = a1 = 0 | first layer) = 0.5^2.
    assert np.mean((a0 == 0) & (a1 == 0)) == pytest.approx(0.75 * 0.25, abs=0.005)


@pytest.mark.parametrize(
    ("text", "widths"), [("8", (8, 8)), ("8x5", (8, 5)), ("3x12", (3, 12)), ("6x6", (6, 6))]
)
def test_widths_and_their_text(text: str, widths: tuple[int, int]) -> None:
    read = Widths.parse(text)
    assert read == widths == Widths.of(widths)
    assert Widths.parse(str(read)) == read
    assert str(Widths(6, 6)) == "6"
    assert (read.product, read.exchanged()) == (sum(widths), widths[::-1])


@pytest.mark.parametrize("text", ["", "x", "8x", "x5", "8x5x2", "8 by 5"])
def test_what_are_no_widths(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Widths.parse(text)


def test_the_encoding_that_fits_a_multiplier() -> None:
    assert [OperandEncoding.fitting(signed=signed) for signed in (True, False)] == [
        "twos_complement",
        "sign_magnitude",
    ]
    both = (OperandEncoding.UNSIGNED, OperandEncoding.TWOS_COMPLEMENT)
    assert [OperandEncoding.fitting(signed=signed, among=both) for signed in (True, False)] == [
        "twos_complement",
        "unsigned",
    ]
    OperandEncoding.UNSIGNED.check(signed=False, name="exact")
    with pytest.raises(
        InputError,
        match=(
            r"^exact is an unsigned multiplier, and the encoding twos_complement needs a signed "
            r"one; change"
        ),
    ):
        OperandEncoding.TWOS_COMPLEMENT.check(signed=False, name="exact")


def test_operand_widths_of_quantized_networks() -> None:
    """As magnitudes, weights of n bits end at 2^(n-1) - 1: n - 1 bits; those of activations that
    are never negative use all of theirs.
    """
    assert operand_widths(OperandEncoding.SIGN_MAGNITUDE, 8, 8) == (8, 7)
    assert operand_widths(OperandEncoding.SIGN_MAGNITUDE, 3, 2) == (3, 1)
    assert (
        operand_widths(OperandEncoding.TWOS_COMPLEMENT, 8, 5)
        == operand_widths(OperandEncoding.UNSIGNED, 8, 5)
        == (8, 5)
    )


@pytest.mark.parametrize("signed", [False, True])
def test_the_largest_product_is_that_of_the_extreme_operands(signed: bool) -> None:
    for widths in (Widths(3, 3), Widths(5, 2), Widths(2, 6)):
        a, b = (code_values(width, signed=signed) for width in widths)
        assert largest_product(widths, signed=signed) == np.multiply.outer(a, b).max()


def test_transitions_of_operands_of_different_widths() -> None:
    uniform = OperandDistribution.uniform((5, 2))
    assert (uniform.widths, uniform.joint().shape) == ((5, 2), (32, 4))
    a0, b0, _, _ = uniform.sample_transitions(np.random.default_rng(2), 2000)
    assert (len(set(a0.tolist())), len(set(b0.tolist()))) == (32, 4)


def test_transitions_repeat_with_the_seed() -> None:
    first, second = (TWO_LAYERS.sample_transitions(np.random.default_rng(3), 100) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("operations", [2, 16])
def test_a_weight_stays_for_so_many_operations_on_average(operations: int) -> None:
    uniform, count = OperandDistribution.uniform(8), 100_000
    both = uniform.sample_transitions(np.random.default_rng(1), count)
    a0, b0, a1, b1 = uniform.sample_transitions(
        np.random.default_rng(1), count, OperandOrder(operations)
    )
    for same, one in zip((a0, b0, a1), both[:3], strict=True):
        assert np.array_equal(same, one)
    changed = (255 / 256) / operations
    assert np.mean(b0 != b1) == pytest.approx(changed, abs=5 * np.sqrt(changed / count))
    assert np.mean(a0 != a1) > 0.99
    assert np.array_equal(np.where(b0 != b1, both[3], b0), b1)


@pytest.mark.parametrize(
    ("text", "operations"),
    [("output-stationary", 1), ("weight-stationary=64", 64), ("weight-stationary=256", 256)],
)
def test_an_operand_order_and_its_text(text: str, operations: int) -> None:
    assert OperandOrder.parse(text) == OperandOrder(operations)
    assert str(OperandOrder(operations)) == text
    assert OperandOrder.parse("weight-stationary") == OperandOrder(256)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stationary",
        "output-stationary=4",
        "weight-stationary=",
        "weight-stationary=-1",
        "weight-stationary=1.5",
    ],
)
def test_what_is_no_operand_order_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"unknown operand order '.*'; use output-stationary, weight-stationary or"
    ):
        OperandOrder.parse(text)
    with pytest.raises(InputError, match="cannot stay for 0 operations; give 1 or more"):
        OperandOrder.parse("weight-stationary=0")
