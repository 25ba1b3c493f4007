"""Multipliers that multiply a short segment of each operand and shift the product back."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ...circuits.adders import digit_columns, ripple_add, wire
from ...circuits.columns import TREES, Columns, add_partial_products
from ...circuits.shifters import shifted_left
from ...operands import Widths
from .family import Configured, Family, IntArray, Parameter, SignedForm
from .logarithmic import leading_one_position

__all__ = ["DRUM", "ESSM", "ETM", "LODTRUNC", "SSM"]

_TREE = Parameter("tree", "addition of the partial products", "dadda", choices=tuple(TREES))


def _leading_segment(m: Module, value: Value, size: int, name: str) -> tuple[Value, Value]:
    """The `size` bits from the leading one down, and the bits below them as a binary number; the
    lowest bits if the one is among them.

    The value goes up by halving distances as long as its leading one stays inside; each row is as
    wide as the later rows can see. A value of up to `size` bits is its own segment.
    """
    steps = max(len(value) - size, 0).bit_length()
    if steps == 0:
        return value, Const(0, 0)
    top = size + (1 << steps) - 1
    digits: list[Value] = []
    for step in reversed(range(steps)):
        distance = 1 << step
        window = size + distance - 1
        occupied = wire(m, value[top - distance :].any(), f"{name}_level{step}")
        row = Signal(window, name=f"{name}_window{step}")
        m.d.comb += row.eq(Mux(occupied, value[distance:], value))
        value, top = row, window
        digits.insert(0, occupied)
    level = Signal(steps, name=f"{name}_level")
    m.d.comb += level.eq(Cat(digits))
    return value, level


def _shifted_product(
    m: Module, spec: Configured, a: Value, b: Value, level_a: Value, level_b: Value
) -> Value:
    """a * b * 2^(level_a + level_b)."""
    columns = Columns(m, len(a) + len(b))
    add_partial_products(columns, a, b, signed=False)
    core = columns.sum(spec.choice("tree"), name="core")
    distance = Cat(ripple_add(m, [*digit_columns(level_a, level_b), ()], "distance"))
    return shifted_left(m, core, distance, spec.widths.product, "product")


def _leading_rule(spec: Configured, a: IntArray, b: IntArray, *, unbiased: bool) -> IntArray:
    factors = []
    for operand in (a, b):
        dropped = np.maximum(leading_one_position(operand) + 1 - spec.integer("k"), 0)
        lowest_kept = 1 << dropped
        kept = operand - operand % lowest_kept
        factors.append(np.where((dropped > 0) & unbiased, kept | lowest_kept, kept))
    product: IntArray = factors[0] * factors[1]
    return product


def _leading_circuit(m: Module, spec: Configured, a: Value, b: Value, *, unbiased: bool) -> Value:
    size = spec.integer("k")
    segments: list[Value] = []
    levels: list[Value] = []
    for operand, name in ((a, "a"), (b, "b")):
        segment, level = _leading_segment(m, operand, size, name)
        if unbiased and len(operand) > size:
            lowest = wire(m, operand[0] | operand[size:].any(), f"{name}_lowest")
            segment = Cat(lowest, segment[1:])
        segments.append(segment)
        levels.append(level)
    return _shifted_product(m, spec, segments[0], segments[1], levels[0], levels[1])


DRUM = Family(
    name="drum",
    title="Dynamic range unbiased multiplier: k bits from the leading one, the lowest of them set",
    source="Hashemi, Bahar, Reda, ICCAD 2015, doi 10.1109/ICCAD.2015.7372600",
    # With two bits, the square of -2^(n-1) would reach beyond the signed products.
    parameters=(
        Parameter("k", "operand bits kept", bounds=lambda widths: (3, max(widths) - 1)),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _leading_rule(spec, a, b, unbiased=True),
    circuit=lambda m, spec, a, b: _leading_circuit(m, spec, a, b, unbiased=True),
    symmetric=True,
)


LODTRUNC = Family(
    name="lodtrunc",
    title="Leading-one truncation: k bits from the leading one, zeros below",
    source="DSM of Narayanamoorthy et al., IEEE TVLSI 2015, doi 10.1109/TVLSI.2014.2333366",
    parameters=(
        Parameter("k", "operand bits kept", bounds=lambda widths: (1, max(widths) - 1)),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _leading_rule(spec, a, b, unbiased=False),
    circuit=lambda m, spec, a, b: _leading_circuit(m, spec, a, b, unbiased=False),
    symmetric=True,
)


def _window_shifts(width: int, size: int, windows: int) -> tuple[int, ...]:
    """Where the windows of an operand begin: at the bottom, at the top, and one of three halfway;
    fewer in an operand that has no room.
    """
    beyond = max(width - size, 0)
    return tuple(sorted({0, beyond, *([beyond // 2] if windows == 3 else [])}))


def _static_rule(spec: Configured, a: IntArray, b: IntArray, windows: int) -> IntArray:
    """Each operand without the bits below the lowest of the windows that reaches up to its leading
    one.
    """
    size = spec.integer("m")
    factors: list[IntArray] = []
    for operand, width in zip((a, b), spec.widths, strict=True):
        shifts = _window_shifts(width, size, windows)
        ends = [(1 << size + shift) - 1 for shift in shifts[:-1]]
        shift = np.array(shifts)[np.searchsorted(ends, operand)]
        factors.append(operand >> shift << shift)
    product: IntArray = factors[0] * factors[1]
    return product


def _static_segment(
    m: Module, value: Value, size: int, shifts: tuple[int, ...], name: str
) -> tuple[Value, list[Value]]:
    """The selected window of `size` bits, and for each window whether it is the selected one. A
    value with one window is its own.
    """
    if len(shifts) == 1:
        return value, [Const(1, 1)]
    reaches = [
        wire(m, value[size + shift :].any(), f"{name}_beyond{shift}") for shift in shifts[:-1]
    ]
    chosen = [wire(m, ~reaches[0], f"{name}_window{shifts[0]}")]
    for shift, below, above in zip(shifts[1:], reaches, reaches[1:], strict=False):
        chosen.append(wire(m, below & ~above, f"{name}_window{shift}"))
    chosen.append(reaches[-1])
    segment = Signal(size, name=f"{name}_segment")
    for position in range(size):
        terms = []
        for index, shift in enumerate(shifts):
            bit = value[position + shift]
            # A bit beyond the next lower window is 0 while that one or a still lower one is
            # selected: the top window needs no mask there.
            if shift == shifts[-1] and position + shift >= size + shifts[index - 1]:
                terms.append(bit)
            else:
                terms.append(bit & chosen[index])
        m.d.comb += segment[position].eq(Cat(terms).any())
    return segment, chosen


def _static_circuit(m: Module, spec: Configured, a: Value, b: Value, windows: int) -> Value:
    size = spec.integer("m")
    shifts_a, shifts_b = (_window_shifts(width, size, windows) for width in spec.widths)
    segment_a, chosen_a = _static_segment(m, a, size, shifts_a, "a")
    segment_b, chosen_b = _static_segment(m, b, size, shifts_b, "b")
    columns = Columns(m, len(segment_a) + len(segment_b))
    add_partial_products(columns, segment_a, segment_b, signed=False)
    core = columns.sum(spec.choice("tree"), name="core")
    pairs: dict[int, list[Value]] = {}
    for shift_a, select_a in zip(shifts_a, chosen_a, strict=True):
        for shift_b, select_b in zip(shifts_b, chosen_b, strict=True):
            pairs.setdefault(shift_a + shift_b, []).append(select_a & select_b)
    selected = {
        distance: wire(m, Cat(both).any(), f"shift{distance}") for distance, both in pairs.items()
    }
    product = Signal(spec.widths.product, name="product")
    for position in range(len(product)):
        terms = [
            core[position - distance] & select
            for distance, select in selected.items()
            if 0 <= position - distance < len(core)
        ]
        m.d.comb += product[position].eq(Cat(terms).any())
    return product


SSM = Family(
    name="ssm",
    title="Static segments: the top m bits of an operand, or the bottom m where the rest is 0",
    source="Narayanamoorthy et al., IEEE TVLSI 2015, doi 10.1109/TVLSI.2014.2333366",
    parameters=(
        Parameter(
            "m",
            "operand bits kept",
            bounds=lambda widths: ((max(widths) + 1) // 2, max(widths) - 1),
        ),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _static_rule(spec, a, b, windows=2),
    circuit=lambda m, spec, a, b: _static_circuit(m, spec, a, b, windows=2),
    symmetric=True,
)


ESSM = Family(
    name="essm",
    title=(
        "Enhanced static segments: the top, middle or bottom m bits of an operand, whichever is "
        "the lowest to hold the leading one"
    ),
    source="Narayanamoorthy et al., IEEE TVLSI 2015, doi 10.1109/TVLSI.2014.2333366",
    parameters=(
        Parameter(
            "m",
            "operand bits kept",
            bounds=lambda widths: ((max(widths) + 2) // 3, max(widths) - 2),
        ),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=lambda spec, a, b: _static_rule(spec, a, b, windows=3),
    circuit=lambda m, spec, a, b: _static_circuit(m, spec, a, b, windows=3),
    symmetric=True,
)


def _etm_split(spec: Configured) -> int:
    """Bits of the low part of either operand."""
    return min(spec.widths) // 2 + spec.integer("offset")


def _etm_offsets(widths: Widths) -> tuple[int, int]:
    half = min(widths) // 2
    return 2 - half, min(widths) - 2 - half


def _etm_rule(spec: Configured, a: IntArray, b: IntArray) -> IntArray:
    low = _etm_split(spec)
    small = (a | b) >> low == 0
    either = (a | b) % (1 << low)
    ones = np.where(either > 0, (2 << low + leading_one_position(either)) - 1, 0)
    return np.where(small, a * b, ((a >> low) * (b >> low) << 2 * low) + ones)


def _etm_circuit(m: Module, spec: Configured, a: Value, b: Value) -> Value:
    low = _etm_split(spec)
    high_a, high_b = spec.width_a - low, spec.width_b - low
    large = wire(m, a[low:].any() | b[low:].any(), "large")
    factors = []
    for operand, high, name in ((a, high_a, "a"), (b, high_b, "b")):
        factor = Signal(max(low, high), name=f"{name}_factor")
        m.d.comb += factor.eq(operand[low:] | Mux(large, 0, operand[:low]))
        factors.append(factor)
    columns = Columns(m, len(factors[0]) + len(factors[1]))
    add_partial_products(columns, factors[0], factors[1], signed=False)
    core = columns.sum(spec.choice("tree"), name="core")
    reached = [wire(m, a[low - 1] | b[low - 1], f"reached{low - 1}")]
    for position in reversed(range(low - 1)):
        reached.insert(0, wire(m, reached[0] | a[position] | b[position], f"reached{position}"))
    ones = Cat([reached[0]] * low, reached)
    return Cat(Mux(large, ones, core[: 2 * low]), Mux(large, core[: high_a + high_b], 0))


ETM = Family(
    name="etm",
    title="Error-tolerant multiplier: the low halves multiply only while both high halves are 0",
    source="Kyaw, Goh, Yeo, EDSSC 2010, doi 10.1109/EDSSC.2010.5713751",
    parameters=(
        Parameter(
            "offset", "bits that the low parts have beyond half the width", 0, bounds=_etm_offsets
        ),
        _TREE,
    ),
    signed_form=SignedForm.SIGN_MAGNITUDE,
    rule=_etm_rule,
    circuit=_etm_circuit,
    symmetric=True,
)
