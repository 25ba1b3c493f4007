"""Elements: sums that are wide enough and no wider, what counts, and what is merged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.elements.columns import sum_columns
from hdl.elements.element import Element, merges, sum_bits
from hdl.errors import InputError
from hdl.multipliers.netlist import NetlistDesign, NetlistGate
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths


def element(form: str, text: str, encoding: OperandEncoding | None = None, terms: int = 256):
    return Element.make(form, MultiplierSpec.parse(text), encoding, terms=terms)


@settings(deadline=None)
@given(low=st.integers(-5000, 0), high=st.integers(0, 5000), terms=st.integers(1, 700))
def test_sums_fit_and_would_not_fit_into_less(low: int, high: int, terms: int) -> None:
    bits = sum_bits(low, high, terms, signed=True)
    assert -(1 << bits - 1) <= terms * low
    assert terms * high < 1 << bits - 1
    if bits > 1:
        assert terms * low < -(1 << bits - 2) or terms * high >= 1 << bits - 2
    unsigned = sum_bits(0, high, terms, signed=False)
    assert terms * high < 1 << unsigned
    assert unsigned == 0 or terms * high >= 1 << unsigned - 1


@pytest.mark.parametrize(
    ("text", "encoding", "terms", "bits"),
    [
        # 576 * 31 * 7 = 124,992 < 2^17; 576 * 255 * 127 = 18,653,760 < 2^25.
        ("exact:width=5x3", OperandEncoding.SIGN_MAGNITUDE, 576, 18),
        ("exact:width=8x7", OperandEncoding.SIGN_MAGNITUDE, 576, 26),
        # 256 * 255^2 = 16,646,400 < 2^24.
        ("exact", OperandEncoding.UNSIGNED, 256, 24),
        # 2 * (-8)^2 = 128 = 2^7 does not fit into 8 bits, 127 would.
        ("exact:width=4,signed=1", OperandEncoding.TWOS_COMPLEMENT, 2, 9),
        # The sum has room for a product at least.
        ("exact:width=4", OperandEncoding.UNSIGNED, 1, 8),
    ],
)
def test_widths_of_sums_by_hand(
    text: str, encoding: OperandEncoding, terms: int, bits: int
) -> None:
    one = element("mac", text, encoding, terms)
    assert one.sum_bits == bits
    assert one.safe_terms >= terms


def test_safe_terms_are_those_of_the_extreme_products() -> None:
    """511 sums of -15 * 15 stay above -2^16 * 2 = -131,072: 582 do."""
    one = element("mac:bits=18", "exact:width=4")
    assert one.safe_terms == (1 << 17) // 225
    approximate = element("mac:bits=16", "bam:h=1,v=3,width=4,comp=9", OperandEncoding.UNSIGNED)
    most = int(approximate.multiplier.table().products.max())
    assert approximate.safe_terms == 65535 // most


def test_a_sum_narrower_than_a_product_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"^mac:bits=7: a sum of 7 bits is narrower than the 8 of a product of exact:width=4; "
        r"sums of 256 products need 17$",
    ):
        element("mac:bits=7", "exact:width=4")


def test_where_registers_hold_zeros_have_no_product() -> None:
    """The constant of a broken array is added to zero operands, unless registers hold for them; a
    zero with a sign is one, too.
    """
    text = "bam:h=0,v=2,width=4,comp=5"
    a, b = np.array([0, 16, 3, 3, 3]), np.array([3, 3, 0, 16, 2])
    assert element("mac", text).products(a, b).tolist() == [5, -5, 5, -5, 4 + 5]
    assert element("mac:gate=zero", text).products(a, b).tolist() == [0, 0, 0, 0, 4 + 5]


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("exact:width=5x3", True),
        ("exact:width=5x3,signed=1", True),
        ("exact:kind=booth,width=5x4,signed=1", True),
        ("exact:kind=behavioural,width=4", False),
        ("compressor:kind=momeni2,cols=5,width=5,signed=1", True),
        ("terms:sum=00+01+10+2.11,width=2", True),
        # 15 * 15 + 63 goes beyond eight bits and wraps.
        ("bam:h=0,v=0,width=4,comp=63", False),
        # The sign is applied to a product of magnitudes.
        ("udm:width=4,signed=1", False),
        ("udm:width=4", True),
        ("mitchell:width=4", False),
        ("recursive:ll=udm,width=6x4", True),
    ],
)
def test_partial_products_merge_where_their_sum_does_not_wrap(text: str, merged: bool) -> None:
    assert merges(MultiplierSpec.parse(text)) is merged


def test_netlists_keep_their_products() -> None:
    gates = [NetlistGate("&", (0, 2)), NetlistGate("&", (1, 3))]
    assert not merges(NetlistDesign.of(Widths(2, 2), False, gates, [4, 5, "L", "L"]))


def test_what_is_merged_follows_the_form_and_the_format() -> None:
    text = "exact:width=4x3"
    assert element("dot:lanes=2", text, OperandEncoding.UNSIGNED).merged
    assert not element("dot:lanes=2", text).merged
    assert element("dot:lanes=2,rows=dots", text).merged
    assert not element("dot:lanes=2,rows=products", text, OperandEncoding.UNSIGNED).merged
    assert not element("mac", text, OperandEncoding.UNSIGNED).merged
    # A weight of zero would not take the product out of the sum.
    assert not element("dot:lanes=2,rows=dots,gate=zero", "bam:h=0,v=1,width=4,comp=1").merged


def test_columns_of_the_sum() -> None:
    """Three lanes of a 3 x 2 array of partial products, by hand; one word for the sum."""
    columns = sum_columns(element("dot:lanes=3", "exact:width=3x2", OperandEncoding.UNSIGNED, 8))
    assert [columns[f"lane {lane}"].tolist() for lane in range(3)] == [[1, 2, 2, 1, 0, 0, 0, 0]] * 3
    assert columns["constant"].sum() == 0
    assert columns["total"].tolist() == [1] * 8
    saved = sum_columns(element("mac:adder=carry_save", "exact:width=3x2"))
    assert list(saved) == ["lane 0", "total", "carries"]


def test_names_of_files_are_identifiers() -> None:
    one = element("dot:lanes=8,adder=carry_save,gate=zero", "exact:width=5x3", terms=576)
    assert one.identifier == "dot_lanes8_addercarry_save_gatezero_sum18_mul5x3u_exact"
    other = element("dot:lanes=8,bits=30", "exact:width=5x3", OperandEncoding.UNSIGNED)
    assert other.identifier == "dot_lanes8_sum30u_mul5x3u_exact"


def test_names_of_files_stay_short_and_different() -> None:
    terms = "00+01+10+02+11+20+12+21+30+22+31+40+32+41+50+42+51+52"
    form = "dot:lanes=8,adder=carry_save,gate=zero,stationary=weight,pipeline=1"
    names = [
        element(form, f"terms:sum={terms},tree={tree},width=6x3", terms=count).identifier
        for tree in ("array", "wallace")
        for count in (256, 576)
    ]
    assert len(set(names)) == 4
    for name in names:
        assert len(name) == 110
        assert name.startswith("dot_lanes8_addercarry_save_gatezero_pipeline1_stationaryweight_sum")
