"""Lists of terms: their texts, their values, and random steps among them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from family_checks import term_lists
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.errors import InputError
from hdl.multipliers.spec import MultiplierSpec
from hdl.multipliers.terms_list import (
    Term,
    as_terms,
    exact_terms,
    moved_terms,
    parse_terms,
    summed_terms,
    term_values,
    terms_text,
)
from hdl.operands import Widths, code_values
from hdl.tables import ProductTable

W3 = Widths(3, 3)
operands = st.builds(Widths, st.integers(1, 6), st.integers(1, 6))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("00", "00"),
        ("11+10+00", "00+10+11"),
        ("00+01+10+11|02|20+4.21", "00+01+10+02|11|20+4.21"),
        ("20|02|20", "02|20"),
        ("2.02+3.21+ 03.22", "02+21+3.22"),
        ("1.22+00+00", "00+00+1.22"),
        ("12|21", "12|21"),
        ("2.12|01", "2.01|12"),
        ("1.12|01", "01|12"),
    ],
)
def test_canonical_texts(text: str, canonical: str) -> None:
    assert terms_text(parse_terms(text, W3)) == canonical


@given(st.data(), operands, st.booleans())
def test_texts_read_back_and_do_not_tell_the_order(
    data: st.DataObject, widths: Widths, signed: bool
) -> None:
    terms = data.draw(term_lists(widths, signed=signed))
    text = terms_text(terms)
    assert Counter(parse_terms(text, widths)) == Counter(terms)
    assert terms_text(data.draw(st.permutations(terms))) == text
    assert terms_text(parse_terms(text.upper(), widths)) == text
    assert not set(text) & set(",:= ")


def test_digits_reach_to_the_sixteenth_bit() -> None:
    terms = parse_terms("ff+2.0f|f0", Widths(16, 16))
    assert terms == (Term(2, ((0, 15), (15, 0))), Term(30, ((15, 15),)))
    assert terms_text(exact_terms(Widths(16, 16))).count("+") == 255


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no term; write terms such as 00+01+10+02|11|20+4.21: "),
        ("00+", "'' is no term; write"),
        ("0z", "'0z' is no term; write"),
        ("00||01", "'00||01' is no term; write"),
        ("000", "'000' is no term; write"),
        ("-1.00", "'-1.00' is no term; write"),
        ("1.2.00", "'1.2.00' is no term; write"),
        ("00+02|30", "'02|30': 30 is no partial product of 3x3 bits; write"),
        ("00+03", "'03': 03 is no partial product of 3x3 bits; write"),
        ("6.00", "'6.00': the product of 3x3 bits has no column 6; write"),
        ("٣.00", "'٣.00' is no term; write"),
        ("+".join(["00"] * 1025), "more than 1024 terms; leave some out"),
    ],
)
def test_refusals_show_the_spelling(text: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse_terms(text, W3)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("column", "products"), [(0, ()), (-1, ((0, 0),))])
def test_terms_that_are_none(column: int, products: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match="no term"):
        Term(column, products)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("widths", [(1, 1), (4, 4), (5, 3), (2, 6), (8, 7)])
def test_values_of_the_exact_terms_sum_to_the_product(
    widths: tuple[int, int], signed: bool
) -> None:
    shape = Widths(*widths)
    values = [term_values(term, shape, signed=signed) for term in exact_terms(shape)]
    assert all(part.dtype == np.int32 for part in values)
    a, b = (code_values(width, signed=signed) for width in widths)
    np.testing.assert_array_equal(sum(values), np.multiply.outer(a, b))


def test_values_by_hand() -> None:
    term = Term(4, ((2, 0), (0, 1)))
    expected = [
        [16 * bool((a & 4 and b & 1) or (a & 1 and b & 2)) for b in range(4)] for a in range(8)
    ]
    np.testing.assert_array_equal(term_values(term, Widths(3, 2)), expected)
    np.testing.assert_array_equal(
        term_values(Term(4, ((2, 0),)), Widths(3, 2), signed=True),
        [[-16 * bool(a & 4 and b & 1) for b in range(4)] for a in range(8)],
    )


def test_signs() -> None:
    for products, sign in ((((0, 0),), 1), (((2, 0), (0, 2)), -1), (((2, 2), (1, 1)), 1)):
        assert Term(0, products).sign(W3, signed=True) == sign
        assert Term(0, products).sign(W3, signed=False) == 1
    mixed = Term(2, ((2, 0), (1, 1)))
    assert mixed.sign(W3, signed=False) == 1
    with pytest.raises(InputError, match=r"^'11\|20' joins partial products of either sign"):
        mixed.sign(W3, signed=True)


@settings(deadline=None, max_examples=40)
@given(st.data(), operands, st.booleans(), st.integers(0, 2**32 - 1))
def test_a_move_leads_to_a_valid_neighbour(
    data: st.DataObject, widths: Widths, signed: bool, seed: int
) -> None:
    terms = data.draw(term_lists(widths, signed=signed, most=8))
    first, second = (
        moved_terms(terms, widths, np.random.default_rng(seed), signed=signed) for _ in range(2)
    )
    assert first == second == parse_terms(terms_text(first), widths)
    assert all(term.sign(widths, signed=signed) for term in first)
    assert abs(len(first) - len(terms)) <= 1
    before, after = Counter(terms), Counter(first)
    assert sum((before - after).values()) <= 2
    assert sum((after - before).values()) <= 2


def test_every_kind_of_move_comes() -> None:
    start = parse_terms("00+01+02|11+20", W3)
    rng = np.random.default_rng(0)
    texts = {terms_text(moved_terms(start, W3, rng)) for _ in range(600)}
    assert {
        "00+01+02|11",  # dropped
        "00+01+02|11|20",  # joined in a column
        "00+01|20+02|11",  # joined in the lower of two columns
        "00+2.01|20+02|11",  # and in the higher
        "00+01+1.20+02|11",  # moved down
        "00+01+02|11+3.20",  # moved up
        "00+01+02+11+20",  # split
        "00+01+10+02|11+20",  # brought back
    } <= texts
    for terms in ((), (Term(0, ((0, 0),)),)):
        assert moved_terms(terms, Widths(1, 1), rng) != terms


@pytest.mark.parametrize(
    "text",
    [
        "exact:width=5x3",
        "exact:tree=wallace,width=4x3,signed=1",
        "bam:h=1,v=3,width=6x5",
        "bam:h=1,v=3,width=6x5,swap=1",
        "tm:k=2,width=5x4",
        "sdlc:d=3,exact=5,width=6x4",
        "terms:sum=00+01|10+02+2.02+11|20+4.30+30|11,width=4x3",
        "terms:sum=00+01+10+11+20+3.02+12+21+13|23+22+31+40+32+33+6.41+42+43,width=5x4,signed=1",
        "terms:sum=00+01|10+02+3.21,width=4x3,swap=1",
        "terms:sum=0,width=4x3",
    ],
)
def test_multipliers_are_the_lists_that_they_are_written_as(text: str) -> None:
    multiplier = MultiplierSpec.parse(text)
    terms = as_terms(multiplier)
    assert terms is not None
    np.testing.assert_array_equal(
        summed_terms(terms, multiplier.widths, signed=multiplier.signed),
        ProductTable.of(multiplier).products,
    )


@pytest.mark.parametrize(
    "text",
    [
        "drum:k=3,width=5",  # adds no array
        "booth_r4:kind=r4abe1,p=6,signed=1",  # other partial products
        "mitchell:width=5",
        "bam:h=0,v=3,comp=4,width=5",  # and a constant
    ],
)
def test_what_adds_something_else_is_no_list(text: str) -> None:
    assert as_terms(MultiplierSpec.parse(text)) is None
