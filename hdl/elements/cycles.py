"""Consecutive clock cycles of an element in the middle of dot products: its operands, and what its
registers hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..operands import OperandDistribution, OperandEncoding
from .datapath import stage_bits
from .element import DEFAULT_TERMS, Element
from .mac import MacSpec

__all__ = ["WEIGHT_STAYS", "DotProducts", "ElementCycles"]

#: Cycles for which a weight-stationary element keeps a weight: the pixels of a 16 x 16 output.
WEIGHT_STAYS = 256

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DotProducts:
    """The dot products of a network, layer by layer.

    Attributes:
        operands: operand codes as they travel to the element (`MacSpec.operand_widths`).
        terms: how many products make one sum, (L,).
        zero_after_zero: probability that an activation code is 0 where the one before it is: along
            the terms of a sum, and along the sums of consecutive output pixels, at one term;
            (2, L). None: consecutive operands are independent.
    """

    operands: OperandDistribution
    terms: NDArray[np.int64]
    zero_after_zero: NDArray[np.float64] | None = None

    @classmethod
    def uniform(cls, spec: MacSpec, terms: int = DEFAULT_TERMS) -> DotProducts:
        """All operand codes equally likely, both signs included."""
        return cls(OperandDistribution.uniform(spec.operand_widths), np.array([terms]))

    def of_multiplier(self, spec: MacSpec) -> OperandDistribution:
        """The operands as the multiplier inside sees them: without the sign beside a magnitude."""
        if spec.encoding is not OperandEncoding.SIGN_MAGNITUDE:
            return self.operands
        a, b = (
            table.reshape(len(self.terms), 2, -1).sum(axis=1)
            for table in (self.operands.a, self.operands.b)
        )
        return OperandDistribution(self.operands.weights, a, b, self.operands.name)

    def zero_runs(self, *, keeps_weights: bool) -> NDArray[np.float64] | None:
        """`zero_after_zero` of the sequences that an element sees, (L,): along pixels where weights
        stay, else along terms. At least what the share of zeros allows.
        """
        if self.zero_after_zero is None:
            return None
        zero = self.operands.a[:, 0]
        least = np.divide(2 * zero - 1, zero, out=np.zeros_like(zero), where=zero > 0.5)
        runs: NDArray[np.float64] = np.maximum(self.zero_after_zero[int(keeps_weights)], least)
        return runs

    def consecutive(
        self,
        rng: np.random.Generator,
        layers: NDArray[np.intp],
        anew: Sequence[NDArray[np.bool_]],
        *,
        keeps_weights: bool,
    ) -> list[tuple[Codes, Codes]]:
        """Operand codes of as many consecutive cycles as `anew` is long, each (n,) like `layers`.

        Whether an activation is zero depends on the one before it alone: a Markov chain of two
        states, whose share of zeros is the layer's. Where a cycle is `anew` (n,), nothing comes
        before it. All else is independent.
        """
        stays = self.zero_runs(keeps_weights=keeps_weights)
        if stays is None:
            return [self.operands.sample(rng, layers) for _ in anew]
        share = self.operands.a[:, 0]
        comes = np.divide(share * (1 - stays), 1 - share, out=np.zeros_like(share), where=share < 1)
        found: list[tuple[Codes, Codes]] = []
        for begins in anew:
            a, b = self._active.sample(rng, layers)
            chance = share[layers]
            if found:
                after = np.where(found[-1][0] == 0, stays[layers], comes[layers])
                chance = np.where(begins, chance, after)
            found.append((np.where(rng.random(len(layers)) < chance, 0, a), b))
        return found

    @cached_property
    def _active(self) -> OperandDistribution:
        """The operands where the activation is not zero."""
        return OperandDistribution(
            self.operands.weights,
            _without_zero(self.operands.a, self.operands.widths.a),
            self.operands.b,
            self.operands.name,
        )


class ElementCycles:
    """Draws pairs of consecutive cycles.

    Layers come as often as they take cycles: a dot product of N terms takes ceil(N / lanes), in the
    last of which the lanes without a term get zeros. The operands of a lane are consecutive as
    `DotProducts` says; those of different lanes are independent.
    """

    def __init__(self, element: Element, work: DotProducts, *, chained: bool = False) -> None:
        self._element, self._work, self._chained = element, work, chained
        element.lane.check_costed()
        self.steps = -(-work.terms // element.lanes)
        shares = work.operands.weights * self.steps / work.terms
        #: Cycles of one element for each product.
        self.cycles_per_product = float(shares.sum())
        self._layers = np.cumsum(shares / shares.sum())[:-1]
        a, b = (np.arange(1 << width) for width in element.lane.operand_widths)
        self._products = element.products(a[:, None], b)
        self._nonzero = _nonzero(work.operands, element)
        self._mask = (1 << element.sum_bits) - 1

    def draw(
        self, rng: np.random.Generator, count: int
    ) -> tuple[dict[str, Codes], dict[str, Codes]]:
        """Values of the inputs of `ElementDatapath` in one cycle and in the next, each (count,),
        with every pair from another dot product.
        """
        element, form = self._element, self._element.form
        layers = np.searchsorted(self._layers, rng.random(count), side="right")
        steps = self.steps[layers]
        step = (rng.random(count) * steps).astype(np.int64)
        if form.keeps_weights:
            # The element is the one of step `step` in a chain; all cycles are of its terms.
            turns = [step] * 4
        else:
            turns = [(step + ahead) % steps for ahead in (-1, 0, 1, 2)]
        pairs = self._pairs(rng, layers, turns)
        if form.keeps_weights:
            pairs = [(a, pairs[1][1]) for a, _ in pairs]
        flags = [self._flags(*pair) for pair in pairs]
        live = [a & b for a, b in flags]
        held = self._held(rng, layers, pairs, flags)
        sums = [self._products[pair] for pair in pairs]
        added = sums[0] if form.pipelined else sums[1]
        before, after = self._operands(held[1:3], flags[1:3], pairs[2:4])

        first = np.zeros(count, dtype=np.int64) if form.keeps_weights else np.equal(step, 0)
        sum_before = steps if not self._chained else 0 * steps  # which a drained element has not
        terms = np.minimum(
            np.where(first, sum_before, step) * element.lanes, self._work.terms[layers]
        )
        total = self._sums(rng, layers, terms)
        if form.keeps_weights:
            words = {"above_": (total, self._sums(rng, layers, terms))}
        else:
            last = np.equal(step + 1, steps)
            clear = [np.zeros_like(first)] * 2 if self._chained else [first, last]
            before["clear"], after["clear"] = (one.astype(np.int64) for one in clear)
            words = {"": (total, np.where(clear[0], 0, total) + added.sum(axis=1))}
            if self._chained:
                above = self._sums(rng, layers, terms)
                other = self._products[self._pairs(rng, layers, turns[1:2])[0]].sum(axis=1)
                words["above_"] = (above, above + other)
        for prefix, values in words.items():
            for state, value in zip((before, after), values, strict=True):
                for word, code in self._words(rng, value).items():
                    state[prefix + word] = code
        if form.pipelined:
            if self._chained and form.gated and element.lanes == 1:
                # The product holds while either operand is zero, the operands each for itself.
                held = self._held(rng, layers, pairs, [(one, one) for one in live])
            self._add_stages(before, after, held, live, sums)
        return before, after

    def _flags(self, a: Codes, b: Codes) -> tuple[Codes, Codes]:
        """Whether each register takes its operand, where registers hold for zeros: in a chained
        element for its own, else while neither is zero.
        """
        element = self._element
        if not self._chained:
            counts = element.counts(a, b).astype(np.int64)
            return counts, counts
        # Any code but zero, in the place of the other operand.
        return element.counts(a, 1).astype(np.int64), element.counts(1, b).astype(np.int64)

    def _pairs(
        self, rng: np.random.Generator, layers: NDArray[np.intp], turns: Sequence[Codes]
    ) -> list[tuple[Codes, Codes]]:
        """Operand codes (count, lanes) of consecutive cycles, which are of these steps; zeros where
        the layer has no term.
        """
        lanes, stays = self._element.lanes, self._element.form.keeps_weights
        # Another dot product begins.
        anew = [np.repeat((turn == 0) & (not stays), lanes) for turn in turns]
        drawn = self._work.consecutive(rng, np.repeat(layers, lanes), anew, keeps_weights=stays)
        found = []
        for turn, (a, b) in zip(turns, drawn, strict=True):
            terms = turn[:, None] * lanes + np.arange(lanes) < self._work.terms[layers][:, None]
            found.append((a.reshape(-1, lanes) * terms, b.reshape(-1, lanes) * terms))
        return found

    def _held(
        self,
        rng: np.random.Generator,
        layers: NDArray[np.intp],
        pairs: list[tuple[Codes, Codes]],
        flags: list[tuple[Codes, Codes]],
    ) -> list[tuple[Codes, Codes]]:
        """What the operand registers hold in each cycle: its operands, or where these are zero and
        the registers hold, the last that were not.
        """
        if not self._element.form.gated:
            return pairs
        lanes = self._element.lanes
        drawn_a, drawn_b = self._nonzero.sample(rng, np.repeat(layers, lanes))
        a, b = drawn_a.reshape(-1, lanes), drawn_b.reshape(-1, lanes)
        if self._element.form.keeps_weights:
            b = pairs[0][1]
        found = []
        for (new_a, new_b), (moves_a, moves_b) in zip(pairs, flags, strict=True):
            a = np.where(moves_a, new_a, a)
            b = new_b if self._element.form.keeps_weights else np.where(moves_b, new_b, b)
            found.append((a, b))
        return found

    def _operands(
        self,
        held: list[tuple[Codes, Codes]],
        flags: list[tuple[Codes, Codes]],
        coming: list[tuple[Codes, Codes]],
    ) -> tuple[dict[str, Codes], dict[str, Codes]]:
        """The registers of the operands with their flags, and where they may hold, unless these
        come from the neighbours, the operands that come next.
        """
        form, states = self._element.form, []
        places = np.arange(self._element.lanes)
        one = np.ones(len(held[0][0]), dtype=np.int64)
        for (a, b), (flags_a, flags_b), (next_a, next_b) in zip(held, flags, coming, strict=True):
            state: dict[str, Codes] = {}
            for lane in range(self._element.lanes):
                state |= {f"a{lane}": a[:, lane], f"b{lane}": b[:, lane]}
                if form.gated and not self._chained:
                    state[f"next_a{lane}"] = next_a[:, lane]
                    if not form.keeps_weights:
                        state[f"next_b{lane}"] = next_b[:, lane]
            if form.gated and self._chained:
                state["enable"] = (flags_a << places).sum(axis=1)
                state["enable_b"] = (flags_b << places).sum(axis=1)
            else:
                if form.gated:
                    state["next_enable"] = one
                state["live"] = (flags_a << places).sum(axis=1) if form.gated else one
            states.append(state)
        return states[0], states[1]

    def _add_stages(
        self,
        before: dict[str, Codes],
        after: dict[str, Codes],
        held: list[tuple[Codes, Codes]],
        live: list[Codes],
        sums: list[Codes],
    ) -> None:
        """The registers behind the lanes: they are a cycle late."""
        element = self._element
        mask = (1 << stage_bits(element)) - 1
        for state, pair, counts, products in zip(
            (before, after), held[:2], live[:2], sums[:2], strict=True
        ):
            if element.lanes == 1:
                state["stage"] = element.lane.product_codes(pair[0][:, 0], pair[1][:, 0])
            else:
                state["stage"] = products.sum(axis=1) & mask
            if not element.form.gated:
                state["working"] = np.ones(len(counts), dtype=np.int64)
            elif element.lanes == 1:
                state["working"] = counts[:, 0]

    def _words(self, rng: np.random.Generator, values: Codes) -> dict[str, Codes]:
        """Sums as the words of the accumulator; two words share a sum at random."""
        codes = values & self._mask
        if len(self._element.words) == 1:
            return {"total": codes}
        carries = rng.integers(0, self._mask, len(codes), endpoint=True)
        return {"total": (codes - carries) & self._mask, "carries": carries}

    def _sums(self, rng: np.random.Generator, layers: NDArray[np.intp], counts: Codes) -> Codes:
        """Sums of `counts` products, each of operands of its layer."""
        drawn = np.repeat(np.arange(len(layers)), counts)
        products = self._products[self._work.operands.sample(rng, layers[drawn])]
        return np.bincount(drawn, weights=products, minlength=len(layers)).astype(np.int64)


def _nonzero(operands: OperandDistribution, element: Element) -> OperandDistribution:
    """The operands of the pairs in which none is zero; as they are in a layer that has no others
    than zero.
    """
    a, b = (
        _without_zero(table, width)
        for table, width in zip((operands.a, operands.b), element.multiplier.widths, strict=True)
    )
    return OperandDistribution(operands.weights, a, b, operands.name)


def _without_zero(table: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    kept = np.where(np.arange(table.shape[1]) & (1 << width) - 1, table, 0)
    left = kept.sum(axis=1, keepdims=True)
    found: NDArray[np.float64] = np.where(left > 0, kept / np.where(left > 0, left, 1), table)
    return found
