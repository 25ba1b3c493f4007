"""All small changes of a list of terms at once: what each does to the network, and what it saves.

The product is the sum of the terms, so that a change moves it by the terms that come less those
that go: exact, on every operand pair. The loss is a quadratic form of few components near a list
(:class:`cnn_eval.prediction.LocalLoss`), and the effects of all changes are one product of
matrices. What they save is estimated from the gates of the terms and from a serial addition of
their columns, all lists at once, with bits as they come under the network's operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnn_eval.prediction import LocalLoss
from hdl.multipliers import Term
from hdl.operands import Widths, values_of_codes

from .pairs import Pairs, unpacked
from .prices import Prices
from .term_costs import estimated_costs, term_bits

__all__ = ["ScreenedMoves", "TermMove", "moved", "screen_moves", "term_moves"]


class TermMove(NamedTuple):
    """A change of a list of terms: the places of those that go, and those that come."""

    gone: tuple[int, ...]
    new: tuple[Term, ...]


def moved(terms: Sequence[Term], move: TermMove) -> tuple[Term, ...]:
    """The list after a move."""
    kept = (term for place, term in enumerate(terms) if place not in move.gone)
    return tuple(sorted((*kept, *move.new)))


def term_moves(terms: Sequence[Term], widths: Widths, *, signed: bool = False) -> list[TermMove]:
    """Every move of a list, each once.

    A term is dropped, or goes a column up or down; two of neighbouring columns or of the same one
    are joined by an or, in either's column or in the next one; a joined partial product is left
    out, or on its own again; one that is nowhere comes back, on its own or into a term.
    """
    signs = [term.sign(widths, signed=signed) for term in terms]
    there = {product for term in terms for product in term.products}
    absent = [
        Term(i + j, ((i, j),))
        for i in range(widths.a)
        for j in range(widths.b)
        if (i, j) not in there
    ]
    moves = [TermMove((), (term,)) for term in absent]
    for place, term in enumerate(terms):
        moves.append(TermMove((place,), ()))
        moves += _shifted(place, term, widths)
        moves += _taken_apart(place, term)
        moves += [
            TermMove((place,), (Term(term.column, term.products + other.products),))
            for other in absent
            if abs(other.column - term.column) <= 1
            and other.sign(widths, signed=signed) == signs[place]
        ]
    for (first, one), (second, other) in combinations(enumerate(terms), 2):
        if abs(one.column - other.column) > 1 or signs[first] != signs[second]:
            continue
        columns = {one.column, other.column, max(one.column, other.column) + 1}
        moves += [
            TermMove((first, second), (Term(column, one.products + other.products),))
            for column in sorted(columns)
            if column < widths.product
        ]
    return list(dict.fromkeys(moves))


def _shifted(place: int, term: Term, widths: Widths) -> Iterator[TermMove]:
    for column in (term.column - 1, term.column + 1):
        if 0 <= column < widths.product:
            yield TermMove((place,), (Term(column, term.products),))


def _taken_apart(place: int, term: Term) -> Iterator[TermMove]:
    if len(term.products) == 1:
        return
    for product in term.products:
        left = Term(term.column, tuple(one for one in term.products if one != product))
        yield TermMove((place,), (left,))
        alone = Term(sum(product), (product,))
        yield TermMove((place,), (min(left, alone), max(left, alone)))


@dataclass(frozen=True, eq=False)
class ScreenedMoves:
    """All moves of a list of terms, and what they come to.

    Attributes:
        lost_pp: estimated loss of accuracy, beyond that of the list as it is, (moves,).
        area, energy: shares of the list's own that remain, by estimate, (moves,).
    """

    moves: list[TermMove]
    lost_pp: NDArray[np.float32]
    area: NDArray[np.float32]
    energy: NDArray[np.float32]


def screen_moves(
    terms: Sequence[Term],
    widths: Widths,
    signed: bool,
    pairs: Pairs,
    drawn: Pairs,
    loss: LocalLoss,
    prices: Prices,
) -> ScreenedMoves:
    """Judges every move of a list.

    Args:
        pairs: that effects are summed over.
        drawn: operand pairs as they come, for the activity of bits.
        loss: around the list's errors.
    """
    moves = term_moves(terms, widths, signed=signed)
    new = list(dict.fromkeys(term for move in moves for term in move.new))
    known = [*terms, *new]
    place = {term: len(terms) + number for number, term in enumerate(new)}
    lists = np.full((len(moves) + 1, len(terms) + 2), len(known))
    lists[:, : len(terms)] = np.arange(len(terms))  # the last row stays the list as it is
    for row, move in zip(lists, moves, strict=False):
        row[list(move.gone)] = len(known)
        row[len(terms) : len(terms) + len(move.new)] = [place[term] for term in move.new]
    effects = _effects(known, len(terms), lists, widths, signed, pairs, loss)
    lost_pp = loss.drops_pp(effects[:-1]) - loss.drops_pp(np.zeros(1))
    area, energy = estimated_costs(known, lists, widths, signed, drawn.bits, prices)
    left_area, left_energy = (
        (cost[:-1] / max(cost[-1], 1e-9)).astype(np.float32) for cost in (area, energy)
    )
    return ScreenedMoves(moves, lost_pp, left_area, left_energy)


def _effects(
    terms: Sequence[Term],
    own: int,
    lists: NDArray[np.intp],
    widths: Widths,
    signed: bool,
    pairs: Pairs,
    loss: LocalLoss,
) -> NDArray[np.float32]:
    """What each list, in place of the last one, adds to the loss's Q, (lists,).

    Args:
        own: terms of the last list, the first of `terms`; others lack some of these.
    """
    bits = unpacked(term_bits(terms, widths, pairs.bits), len(pairs))
    weights = [term.sign(widths, signed=signed) << term.column for term in terms]
    values = np.zeros((len(terms) + 1, len(pairs)), np.int32)
    values[:-1] = bits * np.array(weights, np.int32).reshape(-1, 1)
    left = (lists[:, :own] < len(terms)).astype(np.float32) @ values[:own].astype(np.float32)
    sums = left.astype(np.int64) + values[lists[:, own:]].sum(1)
    codes = sums & (1 << widths.product) - 1
    products = values_of_codes(codes, widths.product, signed=signed)
    changes = (products - products[-1]).astype(np.float32)
    linear = changes @ loss.gradient[pairs.index] + changes**2 @ loss.variances[pairs.index]
    projected = changes @ loss.components[:, pairs.index].T
    effects: NDArray[np.float32] = linear + (projected**2).sum(1)
    return effects
