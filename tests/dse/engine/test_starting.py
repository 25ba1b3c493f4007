"""Tests of dse.engine.starting: which exact multipliers take part."""

from __future__ import annotations

from itertools import product

import pytest

from dse.engine.starting import exact_specs
from dse.evaluation import Workbench
from dse.search.space import DesignSpace
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

WIDEST = {False: Widths(8, 7), True: Widths(8, 8)}
NARROW = {False: Widths(8, 3), True: Widths(5, 4)}
AND = [{"tree": tree} for tree in ("array", "wallace", "dadda", "serial")]
KINDS = [*AND, *({"kind": "booth", **one} for one in AND), {"kind": "behavioural"}]


def rivals(
    signed: bool, *, swap: bool = False, objectives: tuple[str, ...] = ("area", "power")
) -> set[str]:
    space = DesignSpace.of(operands={signed: [WIDEST[signed], NARROW[signed]]}, swap=swap)
    return set(map(str, exact_specs(space, WIDEST, objectives)))


def all_kinds(widths: Widths, *, signed: bool, orders: tuple[bool, ...] = (False,)) -> set[str]:
    return {
        str(MultiplierSpec.make("exact", width=widths, signed=signed, swapped=swapped, **kind))
        for kind, swapped in product(KINDS, orders)
    }


@pytest.mark.parametrize("signed", [False, True])
def test_the_widest_are_of_all_kinds_and_others_of_the_cheap_ones(signed: bool) -> None:
    found = rivals(signed)
    assert found > all_kinds(WIDEST[signed], signed=signed)
    narrow = found - all_kinds(WIDEST[signed], signed=signed)
    assert narrow < all_kinds(NARROW[signed], signed=signed)
    assert found < rivals(signed, objectives=("area", "delay"))


def test_signed_ones_come_exchanged_where_the_space_has_these() -> None:
    assert rivals(False, swap=True) == rivals(False)
    more = rivals(True, swap=True) - rivals(True)
    assert more
    assert all("swap=1" in text for text in more)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["sign_magnitude", "twos_complement"])
def test_no_kind_is_much_cheaper_than_those_that_take_part(encoding: str) -> None:
    """In area and in energy."""
    signed = OperandEncoding(encoding).signed
    orders = (False, True) if signed else (False,)
    evaluate = Workbench(("resnet20",), (OperandEncoding(encoding),), effort="best").evaluator()
    costs = {
        text: evaluate(text) for text in all_kinds(NARROW[signed], signed=signed, orders=orders)
    }
    for cost in ("area_um2", "energy_fj"):
        cheapest = min(found[cost] for found in costs.values())
        among = min(costs[text][cost] for text in rivals(signed, swap=True) if text in costs)
        assert among <= 1.04 * cheapest
