"""The family of all arrays of terms: gates, rule, and the families that it contains."""

from __future__ import annotations

import numpy as np
import pytest
from family_checks import WIDTHS_AND_SIGNS, assert_gates_follow_the_rule, term_lists
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.circuits.columns import TREES
from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.spec import MultiplierSpec, SpecError
from hdl.multipliers.terms_list import Term, exact_terms, term_values, terms_text
from hdl.operands import Widths
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates

#: Joined within and across columns, moved up and down, repeated, one partial product in two terms.
FREE = "00+0.10+02|11|20+03|12|30+13|31+22+4.21+5.22+33+33+7.33"


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize(("width", "signed"), WIDTHS_AND_SIGNS)
def test_gates_follow_the_rule(width: int, signed: bool, tree: str) -> None:
    texts = ["0", terms_text(exact_terms(Widths.of(width)))]
    texts += [FREE] if width > 4 or not signed else ["00+02|11|20+03|13|31+5.33+7.22+22"]
    for text in texts:
        assert_gates_follow_the_rule(
            MultiplierSpec.make("terms", width=width, signed=signed, sum=text, tree=tree)
        )


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    widths=st.builds(Widths, st.integers(1, 6), st.integers(1, 6)),
    signed=st.booleans(),
    swapped=st.booleans(),
    tree=st.sampled_from(list(TREES)),
)
def test_any_list_is_what_its_terms_add_up_to(
    data: st.DataObject, widths: Widths, signed: bool, swapped: bool, tree: str
) -> None:
    terms = data.draw(term_lists(widths, signed=signed))
    spec = MultiplierSpec.make(
        "terms", width=widths, signed=signed, sum=terms_text(terms), tree=tree
    )
    total = np.zeros((1 << widths.a, 1 << widths.b), dtype=np.int64)
    for term in terms:
        total += term_values(term, widths, signed=signed)
    modulus, lowest = 1 << widths.product, -(1 << widths.product >> 1) if signed else 0
    expected = (total - lowest) % modulus + lowest
    if swapped:
        spec, expected = spec.exchanged(), expected.T
    np.testing.assert_array_equal(ProductTable.of(spec).products, expected)
    assert_gates_follow_the_rule(spec)
    assert MultiplierSpec.parse(str(spec)) == spec
    assert expected[0, 0] == 0


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("widths", [(1, 1), (1, 5), (4, 7), (8, 8)])
def test_the_exact_list_is_exact(widths: tuple[int, int], signed: bool) -> None:
    text = terms_text(exact_terms(Widths(*widths)))
    table = ProductTable.of(MultiplierSpec.make("terms", width=widths, signed=signed, sum=text))
    assert not table.errors.any()


@pytest.mark.parametrize("signed", [False, True])
def test_a_mask_is_a_list(signed: bool) -> None:
    mask = 0x1F3E7C9B5 & (1 << 30) - 1
    kept = [
        Term(row + column, ((column, row),))
        for row in range(5)
        for column in range(6)
        if mask >> 6 * row + column & 1
    ]
    listed = MultiplierSpec.make("terms", width=(6, 5), signed=signed, sum=terms_text(kept))
    masked = MultiplierSpec.make("mask", width=(6, 5), signed=signed, bits=f"{mask:x}")
    np.testing.assert_array_equal(
        ProductTable.of(listed).products, ProductTable.of(masked).products
    )


def test_or_gates_of_a_cluster_are_a_list() -> None:
    """Logic compression of two rows joins the partial products of each column."""
    rows = [Term(0, ((0, 0),)), Term(4, ((3, 1),))]
    joined = [Term(column, ((column, 0), (column - 1, 1))) for column in (1, 2, 3)]
    spec = MultiplierSpec.make("terms", width=(4, 2), sum=terms_text([*rows, *joined]))
    a, b = np.arange(16)[:, None], np.arange(4)
    np.testing.assert_array_equal(ProductTable.of(spec).products, (a * (b & 1)) | (a * (b & 2)))


@pytest.mark.parametrize("signed", [False, True])
def test_sixteen_bits_in_samples(signed: bool) -> None:
    rng = np.random.default_rng(0)
    terms = [term for term in exact_terms(Widths(16, 16)) if term.column > 9]
    terms += [Term(9, ((9, 0), (0, 9), (4, 5))), Term(31, ((15, 15),)), Term(12, ((3, 2),))]
    spec = MultiplierSpec.make("terms", width=16, signed=signed, sum=terms_text(terms))
    low = -(1 << 15) if signed else 0
    a, b = rng.integers(low, low + (1 << 16), (2, 2000))
    codes = gates(rtlil(spec)).evaluate(a & 65535, b & 65535)
    np.testing.assert_array_equal(codes, product(spec, a, b) & (1 << 32) - 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("terms", "'terms': sum is missing; write terms:sum=terms joined by +, "),
        ("terms:sum=00+0z", "'terms:sum=00+0z': sum: '0z' is no term; write terms such as 00+01"),
        (
            "terms:sum=00+50,width=5x8",
            (
                "'terms:sum=00+50,width=5x8': sum: '50': 50 is no partial product of 5x8 bits; "
                "write terms"
            ),
        ),
        (
            "terms:sum=00+70|11,signed=1",
            "terms: '11|70' joins partial products of either sign, which signed",
        ),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        MultiplierSpec.parse(text)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_nearest_refuses_as_well() -> None:
    with pytest.raises(SpecError, match=r"^terms: '99': 99 is no partial product of 8x8 bits"):
        MultiplierSpec.nearest("terms", sum="99")
    with pytest.raises(SpecError, match="either sign"):
        MultiplierSpec.nearest("terms", sum="70|11", signed=True, swapped=True)
