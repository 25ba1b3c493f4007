"""Products of two activations through tables, against slow lookups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CAPTURED, made

from cnn_eval.emulation.measurement import EmulationError, emulate, exact_first_and_last
from cnn_eval.emulation.table_convolution import PATHS, PairProducts, TableProduct
from cnn_eval.quantization.coding import OperandCoding
from cnn_eval.quantization.products import ExactProduct
from cnn_eval.quantization.quantized_network import quantize
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

ENCODINGS = list(OperandEncoding)


def random_table(coding: OperandCoding, seed: int = 0) -> ProductTable:
    """Exact products with errors at random."""
    signed = coding.encoding.signed
    exact = ProductTable.exact(8, signed)
    errors = np.random.default_rng(seed).integers(-900 * signed, 900, exact.products.shape)
    return ProductTable((exact.products + errors).astype(np.int32), signed, "random")


def looked_up(table: ProductTable, coding: OperandCoding, a: int, b: int) -> int:
    """One product by the definition of the number format."""
    match coding.encoding:
        case OperandEncoding.TWOS_COMPLEMENT:
            return int(table.products[a & 255, b & 255])
        case OperandEncoding.SIGN_MAGNITUDE:
            sign = (-1 if a < 0 else 1) * (-1 if b < 0 else 1)
            return sign * int(table.products[abs(a), abs(b)])
        case _:
            code_a, code_b = a + coding.zero_point, b + 128
            # What the zero points add is subtracted exactly.
            return int(table.products[code_a, code_b]) - code_a * code_b + a * b


@st.composite
def operands(draw: st.DrawFn) -> tuple[OperandCoding, torch.Tensor, torch.Tensor]:
    encoding, negative = draw(st.sampled_from(ENCODINGS)), draw(st.booleans())
    zero = draw(st.integers(1, 200)) if negative and encoding is OperandEncoding.UNSIGNED else 0
    coding = OperandCoding(
        encoding, 8, 7 if encoding.value == "sign_magnitude" else 8, negative, zero
    )
    batch = draw(st.sampled_from([((), ()), ((2,), (2,)), ((2, 3), (2, 3)), ((2, 1), (3,))]))
    rows, positions, columns = (draw(st.integers(1, most)) for most in (4, 19, 18))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    (low, high), (least, most) = coding.activation_range, coding.weight_range
    first = rng.integers(low, high + 1, (*batch[0], rows, positions))
    second = rng.integers(least, most + 1, (*batch[1], positions, columns))
    return coding, torch.from_numpy(first).float(), torch.from_numpy(second).float()


@settings(max_examples=40, deadline=None)
@given(operands(), st.sampled_from([None, *(path for path in PATHS if path != "low_rank")]))
def test_sums_are_looked_up_one_by_one(given_, path) -> None:
    coding, first, second = given_
    table = random_table(coding).for_operands([Widths(coding.width_a, coding.width_b)])
    sums = TableProduct(coding, PairProducts.of(coding.products(table.errors)), path=path)(
        first, second
    )
    batch = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    a = np.broadcast_to(first.int(), (*batch, *first.shape[-2:]))
    b = np.broadcast_to(second.int(), (*batch, *second.shape[-2:]))
    by_hand = np.zeros((*batch, a.shape[-2], b.shape[-1]), np.int64)
    for place in np.ndindex(by_hand.shape):
        *image, row, column = place
        by_hand[place] = sum(
            looked_up(table, coding, int(x), int(y))
            for x, y in zip(a[(*image, row)], b[(*image, slice(None), column)], strict=True)
        )
    assert torch.equal(sums.long(), torch.from_numpy(by_hand))


@settings(max_examples=20, deadline=None)
@given(operands())
def test_exact_tables_give_exact_sums_on_every_path(given_) -> None:
    coding, first, second = given_
    exact = torch.matmul(first.double(), second.double())
    assert torch.equal(ExactProduct(coding)(first, second).double(), exact)
    values = np.multiply.outer(coding.activation_values, coding.weight_values).astype(np.int32)
    for path in PATHS:
        product = TableProduct(coding, PairProducts.of(values), path=path)
        assert torch.equal(product(first, second).double(), exact)


def test_long_sums_are_exact() -> None:
    coding = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 8, 7, False)
    first, second = torch.full((1, 5001), 255.0), torch.full((5001, 1), 127.0)
    second[0] = 126.0
    assert ExactProduct(coding)(first, second).item() == 255 * (127 * 5001 - 1)


@pytest.mark.parametrize("name", ["encoder", "timm", "einsum"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.slow
def test_networks_multiply_activations_through_the_table(
    name: str, encoding: OperandEncoding
) -> None:
    model, x = made(CAPTURED[name])
    network = quantize(model, x, encoding)
    table = ProductTable.exact(8, encoding.signed)
    with torch.no_grad():
        expected, got = model(x), network(x)
        assert (got - expected).abs().max() < 0.1 * expected.std()
        assert torch.equal(emulate(network, table)(x), got)
        # A multiplier that gives zeros, in one product alone, changes the answer.
        product = next(iter(network.products))
        nothing = ProductTable(np.zeros((256, 256), np.int32), encoding.signed, "nothing")
        assert not torch.allclose(emulate(network, {product: nothing})(x), got)
    with pytest.raises(EmulationError, match="is emulated already"):
        emulate(emulate(network, table), table)
    first, *_, last = network.layers
    spared = exact_first_and_last(network, table)
    assert [name for name, given in spared.items() if given is None] == [first, last]
    assert set(spared) == {*network.layers, *network.products}
