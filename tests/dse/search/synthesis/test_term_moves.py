"""All moves of a list at once: against making each move, by the family's rule and bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction import LossModel
from dse.search.synthesis.price_ladder import Workplace
from dse.search.synthesis.prices import Prices
from dse.search.synthesis.term_costs import estimated_costs
from dse.search.synthesis.term_moves import TermMove, moved, screen_moves, term_moves
from hdl.cells import CellLibrary
from hdl.multipliers import MultiplierSpec, Term, exact_terms, parse_terms, terms_text
from hdl.operands import OperandEncoding, Widths, code_values

W = Widths(4, 3)
LISTS = {
    False: "00+01|10+02|11+20+2.12|21|30+4.22+31+32+32",
    True: "00+01|10+02|12+11+20+2.21+4.31+22+30+31",
}
ENCODINGS = {False: OperandEncoding.SIGN_MAGNITUDE, True: OperandEncoding.TWOS_COMPLEMENT}


def spec(terms: tuple[Term, ...], signed: bool, widths: Widths = W) -> MultiplierSpec:
    text = terms_text(terms)
    return MultiplierSpec.make("terms", width=widths, signed=signed, sum=text)


@pytest.mark.parametrize("signed", [False, True])
def test_moves_are_all_different_and_within_the_family(signed: bool) -> None:
    terms = parse_terms("00+01|10+02+11+20" if signed else LISTS[False], W)
    moves = term_moves(terms, W, signed=signed)
    lists = [moved(terms, move) for move in moves]
    assert len(set(moves)) == len(moves)
    assert terms not in lists
    for one in lists:
        assert parse_terms(spec(one, signed).choice("sum"), W) == one
    there = set(lists)
    for place in range(len(terms)):  # whatever is dropped
        assert terms[:place] + terms[place + 1 :] in there


def test_moves_of_a_small_list_by_name() -> None:
    terms = parse_terms("00+01|10", Widths(2, 2))
    found = {terms_text(moved(terms, move)) for move in term_moves(terms, Widths(2, 2))}
    assert found == {
        "01|10", "00",  # dropped
        "1.00+01|10", "00+0.01|10", "00+2.01|10",  # in another column
        "00+01", "00+10", "00+01+10",  # left out, or on its own again
        "00|01|10", "1.00|01|10", "2.00|01|10",  # joined
        "00+01|10+11", "00+01|10|11",  # brought back
    }  # fmt: skip
    assert term_moves((), Widths(1, 1)) == [TermMove((), (Term(0, ((0, 0),)),))]


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load()


def workplace(signed: bool, widths: Widths, library: CellLibrary) -> Workplace:
    encoding = ENCODINGS[signed]
    profile = zoo.load_profile("resnet20", encoding, widths)
    loss = LossModel(profile, zoo.load_predictor("resnet20", encoding))
    return Workplace(loss, library, profile.operand_distribution())


def test_effects_are_those_of_the_changed_list(library: CellLibrary) -> None:
    place = workplace(False, W, library)
    terms = parse_terms(LISTS[False], W)
    exact = np.multiply.outer(*(code_values(width, signed=False) for width in W))
    before = spec(terms, False).multiply(*np.ix_(np.arange(16), np.arange(8))) - exact
    around = place.loss.around(before.astype(np.int32))
    found = screen_moves(
        terms, W, False, place.every_pair, place.drawn_pairs, around, Prices(library, (2.0, 1.0))
    )
    assert len(found.moves) > 60
    now_pp = float(around.drops_pp(np.zeros(1))[0])
    for move, lost_pp in zip(found.moves, found.lost_pp, strict=True):
        table = spec(moved(terms, move), False).multiply(*np.ix_(np.arange(16), np.arange(8)))
        d = (table - exact - before).ravel().astype(np.float64)
        effect = around.gradient @ d + ((around.components @ d) ** 2).sum()
        effect += around.variances @ d**2
        expected = float(around.drops_pp(np.array([effect]))[0]) - now_pp
        assert lost_pp == pytest.approx(expected, rel=1e-3, abs=1e-3), move


def added_bit_by_bit(
    terms: tuple[Term, ...], signed: bool, bits: np.ndarray, prices: Prices
) -> tuple[float, float]:
    """Area and energy by adding lists of bits, an operand pair a column of `bits`."""

    def toggles(bit: np.ndarray) -> float:
        return 2 * float(bit.mean()) * (1 - float(bit.mean()))

    xor_fj, plain_fj = prices.toggle_fj
    full = prices.area_um2(0b10010110, 3), prices.area_um2(0b11101000, 3)
    half = prices.area_um2(0b0110, 2), prices.area_um2(0b1000, 2)
    area = energy = 0.0
    columns: list[list[np.ndarray | None]] = [[] for _ in range(W.product)]
    constant = 0
    for term in terms:
        ands = [bits[i] & bits[W.a + j] for i, j in term.products]
        bit = np.bitwise_or.reduce(ands)
        pairs = len(ands) // 2
        area += pairs * prices.area_um2(0b1111100010001000, 4)
        area += (len(ands) % 2) * prices.area_um2(0b1000, 2)
        area += (pairs + len(ands) % 2 - 1) * prices.area_um2(0b1110, 2)
        energy += plain_fj * toggles(bit)
        energy += plain_fj * sum(map(toggles, ands)) / 2 if len(ands) > 1 else 0.0
        negative = term.sign(W, signed=signed) < 0
        columns[term.column].append(1 - bit if negative else bit)
        constant -= negative << term.column
    for column, waiting in enumerate(columns):
        carries = columns[column + 1] if column + 1 < W.product else None
        given = constant >> column & 1
        total = np.ones_like(bits[0]) if given else None
        while waiting:
            if total is None:
                total = waiting.pop(0)
                continue
            one, other = waiting.pop(0), waiting.pop(0) if waiting else None
            inputs = 2 + (other is not None) - given
            given = 0
            if inputs == 2:
                area += half[0] + (half[1] if carries is not None else 0)
            if inputs == 3:
                area += full[0] + (full[1] if carries is not None else 0)
            partial = total ^ one
            carry = total & one
            if other is not None:
                energy += xor_fj * toggles(partial)
                carry, partial = carry | partial & other, partial ^ other
            total = partial
            energy += xor_fj * toggles(total)
            if carries is not None:
                energy += plain_fj * toggles(carry)
                carries.append(carry)
    return area, energy


@pytest.mark.parametrize("signed", [False, True])
def test_costs_are_those_of_adding_bit_by_bit(signed: bool, library: CellLibrary) -> None:
    rng = np.random.default_rng(1)
    bits = (rng.random((W.product, 64)) < 0.3).astype(np.int64)
    words = (bits.astype(np.uint64) << np.arange(64, dtype=np.uint64)).sum(1, dtype=np.uint64)
    prices = Prices(library, (2.0, 1.0))
    terms = parse_terms("00+01|10+02+11+20+2.12+12+21+30+31+4.30|20|10", W)
    if signed:
        terms = tuple(term for term in terms if len(term.products) == 1)
    moves = [move for move in term_moves(terms, W, signed=signed) if not move.new]
    lists = np.array([[*range(len(terms))] for _ in range(len(moves) + 1)])
    for row, move in zip(lists, moves, strict=False):
        row[list(move.gone)] = len(terms)
    found = estimated_costs(terms, lists, W, signed, words[:, None], prices)
    expected = [
        added_bit_by_bit(one, signed, bits, prices)
        for one in (*(moved(terms, move) for move in moves), terms)
    ]
    np.testing.assert_allclose(np.array(found).T, expected, rtol=1e-9)


def test_estimates_say_what_mapping_holds(library: CellLibrary) -> None:
    """Not how much, but what costs less: over lists from exact to little."""
    place = workplace(False, W, library)
    exact = exact_terms(W)
    rng = np.random.default_rng(0)
    lists = [exact, *(tuple(sorted(rng.permutation(12)[:n])) for n in (10, 9, 7, 5, 3))]
    chosen = [exact, *([exact[k] for k in one] for one in lists[1:])]
    places = np.array([[*map(exact.index, one), *[12] * (12 - len(one))] for one in chosen])
    prices = Prices(library, (2.0, 1.0))
    estimated = estimated_costs(exact, places, W, False, place.drawn_pairs.bits, prices)
    mapped = [place.mapped(spec(tuple(one), False)) for one in chosen]
    real = [[made.netlist.area_um2, energy.energy_fj] for made, energy in mapped]
    for one, other in zip(estimated, np.array(real).T, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.95
