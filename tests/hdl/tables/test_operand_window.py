"""Operand bits that reach the product, against the definitions of the families and against a scan
in plain loops.
"""

from __future__ import annotations

import numpy as np
import pytest

from hdl.multipliers.elaboration import product
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import code_values
from hdl.tables.operand_window import window_of
from hdl.tables.product_table import ProductTable


def table(text: str) -> ProductTable:
    spec = MultiplierSpec.parse(text)
    a, b = (code_values(width, signed=spec.signed) for width in spec.widths)
    return ProductTable(product(spec, a[:, None], b).astype(np.int32), spec.signed, text)


def test_an_exact_multiplier_sees_every_bit() -> None:
    bits = window_of(table("exact"), "a")
    below = np.tri(8, dtype=bool)
    assert (bits.influence[below] == 1).all()
    assert np.isnan(bits.influence[~below]).all()
    assert (bits.reads == -1).all()


@pytest.mark.parametrize(
    "text", ["drum:k=3", "drum:k=5,signed=1", "lodtrunc:k=2", "lodtrunc:k=4,width=6", "mitchw:f=3"]
)
@pytest.mark.parametrize("operand", ["a", "b"])
def test_windows_from_the_leading_one(text: str, operand: str) -> None:
    spec = MultiplierSpec.parse(text)
    kept = spec.integer("f") + 1 if spec.family == "mitchw" else spec.integer("k")
    bits = window_of(table(text), operand)  # type: ignore[arg-type]
    assert bits.influence.shape == (spec.width_a - spec.signed,) * 2
    for leading, (influence, reads) in enumerate(zip(bits.influence, bits.reads, strict=True)):
        lowest = max(leading + 1 - kept, 0)
        forced = int(spec.family == "drum" and lowest > 0)  # the lowest bit of the window, set
        expected = [0] * (lowest + forced) + [1] * (leading + 1 - lowest - forced)
        assert (influence[: leading + 1] > 0).tolist() == expected
        assert reads[:lowest].tolist() == [0] * lowest
        assert reads[lowest : leading + 1].tolist() == [1] * forced + [-1] * (
            leading + 1 - lowest - forced
        )


def test_operands_may_differ() -> None:
    perforated = table("perforate:j=1,k=2,width=4")
    assert (window_of(perforated, "a").influence[np.tri(4, dtype=bool)] > 0).all()
    b = window_of(perforated, "b")
    assert (b.influence[3] > 0).tolist() == [True, False, False, True]
    assert b.reads[3].tolist() == [-1, 0, 0, -1]


def test_shares_are_counted_pair_by_pair() -> None:
    etm = table("etm:width=4")
    products, found = etm.products, window_of(etm, "b").influence
    for leading in range(4):
        for bit in range(leading + 1):
            pairs = [(a, b) for b in range(1 << leading, 2 << leading) for a in range(1, 16)]
            assert found[leading, bit] == pytest.approx(
                np.mean([products[a, b] != products[a, b ^ 1 << bit] for a, b in pairs])
            )
    assert 0 < found[3, 0] < 1


def test_what_is_read_stays_open_where_a_product_with_one_does_not_tell() -> None:
    bits = window_of(table("dralm:t=4"), "a")
    assert bits.influence[7].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert (bits.reads[7] == -1).all()
