"""What lists of terms cost before they are mapped: estimates that steer a walk; mapping decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hdl.multipliers import Term
from hdl.operands import Widths

from .prices import Prices

__all__ = ["estimated_costs", "term_bits"]

_Words = NDArray[np.uint64]
_Figures = NDArray[np.float64]

#: Truth tables (:class:`.circuit.Gate`): of one and of two partial products joined, and of adders.
_AND, _AND_OR, _OR = 0b1000, 0b1111_1000_1000_1000, 0b1110
_XOR, _PARITY, _MAJORITY = 0b0110, 0b1001_0110, 0b1110_1000


def term_bits(terms: Sequence[Term], widths: Widths, bits: _Words) -> _Words:
    """Whether each term is 1, 64 operand pairs a word, (terms, words).

    Args:
        bits: of the operands, those of a first, (operand bits, words).
    """
    found = np.zeros((len(terms), bits.shape[1]), np.uint64)
    for row, term in zip(found, terms, strict=True):
        for i, j in term.products:
            row |= bits[i] & bits[widths.a + j]
    return found


def estimated_costs(
    terms: Sequence[Term],
    lists: NDArray[np.intp],
    widths: Widths,
    signed: bool,
    bits: _Words,
    prices: Prices,
) -> tuple[_Figures, _Figures]:
    """Area and energy of lists of terms, (lists,) each: of the terms' gates, and of a chain of
    adders in every column. Operands of consecutive operations are taken to be independent.

    Args:
        lists: places in `terms`, (lists, most terms); `len(terms)` where there is none.
        bits: of operands as they come, (operand bits, words).
    """
    ones = np.concatenate([term_bits(terms, widths, bits), np.zeros_like(bits[:1])])
    columns = np.array([*(term.column for term in terms), -1])
    gates = np.array([*(_gates(term, widths, bits, prices) for term in terms), (0.0, 0.0)])
    area, energy = gates[lists].sum(1).T
    # What is subtracted is added as its complement, and a constant of its own.
    negative = np.array([*(term.sign(widths, signed=signed) < 0 for term in terms), False])
    ones[negative] = ~ones[negative]
    constants = -(negative[lists] << np.maximum(columns, 0)[lists]).sum(1)
    carried = np.zeros((len(lists), 0, bits.shape[1]), np.uint64)
    there = np.zeros(carried.shape[:2], bool)
    for column in range(widths.product):
        of_terms = columns[lists] == column
        most = int(of_terms.sum(1).max(initial=0))
        first = np.argsort(~of_terms, axis=1, kind="stable")[:, :most]
        of_terms = np.take_along_axis(of_terms, first, axis=1)
        places = np.where(of_terms, np.take_along_axis(lists, first, axis=1), len(terms))
        constant = (constants >> column & 1).astype(bool)[:, None]
        always = np.where(constant[..., None], ~np.uint64(0), np.uint64(0))
        always = np.broadcast_to(always, (len(lists), 1, bits.shape[1]))
        waiting = np.concatenate([always, ones[places], carried], axis=1)
        there = np.concatenate([constant, of_terms, there], axis=1)
        carried, there = _added(
            waiting, there, constant[:, 0], column == widths.product - 1, prices, area, energy
        )
    return area, energy


def _gates(term: Term, widths: Widths, bits: _Words, prices: Prices) -> tuple[float, float]:
    """Area and energy of a term's and gates and or gates."""
    pairs, single = divmod(len(term.products), 2)
    area = pairs * prices.area_um2(_AND_OR, 4) + single * prices.area_um2(_AND, 2)
    area += (pairs + single - 1) * prices.area_um2(_OR, 2)
    alone = [Term(term.column, (product,)) for product in term.products]
    toggles = float(_toggles(term_bits([term], widths, bits))[0])
    if len(alone) > 1:
        toggles += float(_toggles(term_bits(alone, widths, bits)).sum()) / 2
    return area, prices.toggle_fj[1] * toggles


def _added(
    waiting: _Words,
    there: NDArray[np.bool_],
    constant: NDArray[np.bool_],
    last: bool,
    prices: Prices,
    area: _Figures,
    energy: _Figures,
) -> tuple[_Words, NDArray[np.bool_]]:
    """Adds a column to one bit; its cost in place. What is carried into the next column, and
    whether it is there.

    Args:
        waiting: bits of the column, zero where there is none, (lists, bits, words).
        there: (lists, bits).
        constant: whether the first bit is a constant, which makes its adder a smaller one.
        last: nothing is carried from the last column.
    """
    order = np.argsort(~there, axis=1, kind="stable")
    waiting = np.take_along_axis(waiting, order[..., None], axis=1)
    count = there.sum(1)
    most = int(count.max(initial=0))
    xor_fj, plain_fj = prices.toggle_fj
    full, half = (
        prices.area_um2(parity, inputs) + (not last) * prices.area_um2(carry, inputs)
        for parity, carry, inputs in ((_PARITY, _MAJORITY, 3), (_XOR, _AND, 2))
    )
    total, carries, present = waiting[:, 0], [], []
    for place in range(1, most, 2):
        one = waiting[:, place]
        other = waiting[:, place + 1] if place + 1 < most else np.zeros_like(one)
        both, three = count > place, count > place + 1
        inputs = 1 + both + three - (constant & (place == 1))
        area += full * (inputs == 3) + half * (inputs == 2)
        partial = total ^ one
        carry = total & one | partial & other
        total = partial ^ other
        energy += xor_fj * (both * _toggles(total) + three * _toggles(partial))
        if not last:
            energy += plain_fj * both * _toggles(carry)
            carries.append(carry)
            present.append(both)
    if not carries:
        return waiting[:, :0], there[:, :0]
    return np.stack(carries, axis=1), np.stack(present, axis=1)


def _toggles(words: _Words) -> _Figures:
    """Toggles for an operation of bits (..., words) whose operands are independent, (...)."""
    one = np.bitwise_count(words).sum(-1) / (64 * words.shape[-1])
    toggles: _Figures = 2 * one * (1 - one)
    return toggles
