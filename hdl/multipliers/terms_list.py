"""Lists of terms: partial-product arrays as free as they come, and their text.

A term is 2^column times the OR of one or more partial products a[i] & b[j]; a list of terms is
their sum. A multiplier that leaves partial products out, joins some by an or gate, or adds some in
another column is a list of terms (family `terms`).

In a text, a partial product is two hexadecimal digits, `ij` for a[i] & b[j]. `|` joins those of a
term, `+` joins terms, and a term that is not added in the column i + j of its first partial product
begins with its column in decimal and a dot: `00+01+10+02|11|20+4.21`. The empty list is `0`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..circuits.columns import cell_weight
from ..circuits.dot_diagram import Dot
from ..errors import InputError
from ..operands import Widths, values_of_codes
from .multiplier import Multiplier

__all__ = [
    "Term",
    "as_terms",
    "exact_terms",
    "moved_terms",
    "parse_terms",
    "summed_terms",
    "term_values",
    "terms_text",
]

_TERM = re.compile(r"(?:(\d{1,2})\.)?([0-9a-f]{2}(?:\|[0-9a-f]{2})*)", re.ASCII)
_EXAMPLE = (
    "write terms such as 00+01+10+02|11|20+4.21: ij is a[i] & b[j] in hexadecimal digits, | joins "
    "by or, COLUMN. precedes what is added elsewhere than in column i + j"
)
_NOTHING = "0"
#: Four times as many as there are partial products of the widest operands.
_MOST_TERMS = 1024
#: Of both operands together, where all products are compared.
_MOST_BITS = 24


@dataclass(frozen=True, order=True)
class Term:
    """2^column times the OR of partial products (i, j), the bits a[i] and b[j]. They are sorted and
    each is there once. Raises ValueError where there is none.
    """

    column: int
    products: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.products or self.column < 0:
            raise ValueError(f"no term: column {self.column}, products {self.products}")
        object.__setattr__(self, "products", tuple(sorted(set(self.products))))

    @property
    def in_place(self) -> bool:
        """Whether it is one partial product in the column of its own weight."""
        return len(self.products) == 1 and self.column == sum(self.products[0])

    def sign(self, widths: Widths, *, signed: bool) -> int:
        """1, or -1 where its partial products weigh negatively. Raises InputError where some do and
        others do not.
        """
        signs = {1 if cell_weight(widths, signed, j, i) > 0 else -1 for i, j in self.products}
        if len(signs) > 1:
            raise InputError(
                f"{str(self)!r} joins partial products of either sign, which signed operands do "
                f"not allow; split it, or leave signed=1 away"
            )
        return signs.pop()

    def __str__(self) -> str:
        column = f"{self.column}." if self.column != sum(self.products[0]) else ""
        return column + "|".join(f"{i:x}{j:x}" for i, j in self.products)


def parse_terms(text: str, widths: Widths) -> tuple[Term, ...]:
    """The terms of a text, in canonical order: by column, then by partial products.

    Raises InputError, with an example, where the text is none of operands of these widths.
    """
    if text == _NOTHING:
        return ()
    pieces = text.split("+", _MOST_TERMS)
    if len(pieces) > _MOST_TERMS:
        raise InputError(f"more than {_MOST_TERMS} terms; leave some out")
    return tuple(sorted(_parse_term(piece, widths) for piece in pieces))


def terms_text(terms: Iterable[Term]) -> str:
    """The canonical text of a list; equal lists, whatever their order, have equal texts."""
    return "+".join(map(str, sorted(terms))) or _NOTHING


def exact_terms(widths: Widths) -> tuple[Term, ...]:
    """The exact multiplier: every partial product in its column."""
    return tuple(sorted(_alone(i, j) for i in range(widths.a) for j in range(widths.b)))


def term_values(term: Term, widths: Widths, *, signed: bool = False) -> NDArray[np.int32]:
    """What a term adds to the product of every pair of operand codes, shape (2^width_a, 2^width_b),
    indexed [a code, b code].

    See :func:`summed_terms` for the sum over a list.
    """
    a, b = np.arange(1 << widths.a)[:, None], np.arange(1 << widths.b)
    values = np.zeros((len(a), len(b)), dtype=bool)
    for i, j in term.products:
        values |= (a >> i & 1).astype(bool) & (b >> j & 1).astype(bool)
    return values * np.int32(term.sign(widths, signed=signed) << term.column)


def summed_terms(
    terms: Iterable[Term], widths: Widths, *, signed: bool = False
) -> NDArray[np.int32]:
    """The product of every pair of operand codes, (2^width_a, 2^width_b): the sum over the list,
    modulo 2^(width_a + width_b).
    """
    total = np.zeros((1 << widths.a, 1 << widths.b), np.int64)
    for term in terms:
        total += term_values(term, widths, signed=signed)
    codes = total & (1 << widths.product) - 1
    return values_of_codes(codes, widths.product, signed=signed).astype(np.int32)


def as_terms(multiplier: Multiplier) -> tuple[Term, ...] | None:
    """The multiplier as a list of terms, by its partial products and or gates; None where it is
    none: it adds something else, nobody knows what it adds, or there are too many products to make
    sure, past 24 bits of both operands together.
    """
    array, widths = multiplier.dots(), multiplier.widths
    if array is None or array.columns != widths.product or widths.product > _MOST_BITS:
        return None
    exchanged = array.rows[0].startswith("a")

    def product(row: int, weight: int) -> tuple[int, int]:
        return (row, weight - row) if exchanged else (weight - row, row)

    joined = {dot for cell in array.cells for dot in cell.dots}
    found: list[tuple[int, tuple[Dot, ...]]] = [
        *((dot.weight, (dot,)) for dot in array.kept if dot not in joined),
        *((cell.weight, cell.dots) for cell in array.cells if cell.dots),
    ]
    terms = []
    for column, dots in found:
        products = tuple(product(dot.row, dot.weight) for dot in dots)
        if any(not (0 <= i < widths.a and 0 <= j < widths.b) for i, j in products):
            return None
        terms.append(Term(column, products))
    try:
        summed = summed_terms(terms, widths, signed=multiplier.signed)
    except InputError:  # of either sign
        return None
    codes = (np.arange(1 << width) for width in widths)
    same = np.array_equal(summed, multiplier.multiply(*np.ix_(*codes)))
    return tuple(sorted(terms)) if same else None


def moved_terms(
    terms: Sequence[Term], widths: Widths, rng: np.random.Generator, *, signed: bool = False
) -> tuple[Term, ...]:
    """A neighbour of a list, by one move: a term dropped, two joined by an or, one moved by a
    column, a joined partial product on its own again, or one that is nowhere brought back.
    """
    for kind in rng.permutation(len(_MOVES)):
        moved = _MOVES[kind](list(terms), widths, rng, signed)
        if moved is not None:
            return tuple(sorted(moved))
    return tuple(terms)


def _alone(i: int, j: int) -> Term:
    return Term(i + j, ((i, j),))


def _parse_term(text: str, widths: Widths) -> Term:
    found = _TERM.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(f"{text!r} is no term; {_EXAMPLE}")
    products = tuple((int(pair[0], 16), int(pair[1], 16)) for pair in found[2].split("|"))
    for i, j in products:
        if i >= widths.a or j >= widths.b:
            raise InputError(
                f"{text!r}: {i:x}{j:x} is no partial product of {widths.a}x{widths.b} bits; "
                f"{_EXAMPLE}"
            )
    column = sum(min(products)) if found[1] is None else int(found[1])
    if column >= widths.product:
        raise InputError(
            f"{text!r}: the product of {widths.a}x{widths.b} bits has no column {column}; "
            f"{_EXAMPLE}"
        )
    return Term(column, products)


_Move = Callable[[list[Term], Widths, np.random.Generator, bool], list[Term] | None]


def _drop(
    terms: list[Term], widths: Widths, rng: np.random.Generator, signed: bool
) -> list[Term] | None:
    if not terms:
        return None
    del terms[int(rng.integers(len(terms)))]
    return terms


def _join(
    terms: list[Term], widths: Widths, rng: np.random.Generator, signed: bool
) -> list[Term] | None:
    """Two terms of the same sign in the same column or in neighbouring ones; the or is added in
    either's.
    """
    if not terms:
        return None
    one = terms.pop(int(rng.integers(len(terms))))
    near = [
        place
        for place, other in enumerate(terms)
        if abs(other.column - one.column) <= 1
        and other.sign(widths, signed=signed) == one.sign(widths, signed=signed)
    ]
    if not near:
        return None
    other = terms.pop(near[int(rng.integers(len(near)))])
    column = (one, other)[int(rng.integers(2))].column
    return [*terms, Term(column, one.products + other.products)]


def _shift(
    terms: list[Term], widths: Widths, rng: np.random.Generator, signed: bool
) -> list[Term] | None:
    if not terms:
        return None
    place, step = int(rng.integers(len(terms))), int(rng.choice((-1, 1)))
    column = terms[place].column + step
    if not 0 <= column < widths.product:
        return None
    terms[place] = Term(column, terms[place].products)
    return terms


def _split(
    terms: list[Term], widths: Widths, rng: np.random.Generator, signed: bool
) -> list[Term] | None:
    joined = [place for place, term in enumerate(terms) if len(term.products) > 1]
    if not joined:
        return None
    term = terms.pop(joined[int(rng.integers(len(joined)))])
    products = list(term.products)
    alone = products.pop(int(rng.integers(len(products))))
    return [*terms, Term(term.column, tuple(products)), _alone(*alone)]


def _restore(
    terms: list[Term], widths: Widths, rng: np.random.Generator, signed: bool
) -> list[Term] | None:
    there = {product for term in terms for product in term.products}
    gone = [(i, j) for i in range(widths.a) for j in range(widths.b) if (i, j) not in there]
    return [*terms, _alone(*gone[int(rng.integers(len(gone)))])] if gone else None


_MOVES: tuple[_Move, ...] = (_drop, _join, _shift, _split, _restore)
