"""What a multiplier family is: its parameters, its arithmetic rule and its circuit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from amaranth.hdl import Module, Value
from numpy.typing import NDArray

from ...circuits.columns import Columns
from ...circuits.dot_diagram import DotDiagram
from ...circuits.signs import magnitude, with_sign
from ...operands import Widths

__all__ = ["Configured", "Family", "IntArray", "Parameter", "SignedForm"]

IntArray = NDArray[np.int64]
Values = dict[str, int | str]
#: The canonical text of a multiplier that is part of another one, from its text and its operand
#: widths. Raises ValueError.
ReadPart = Callable[[str, Widths], str]


class SignedForm(StrEnum):
    """How a family multiplies two's complement operands."""

    BAUGH_WOOLEY = "baugh_wooley"
    """The rule acts on the signed partial products: the last row and the last column weigh
    negatively.
    """
    TWOS_COMPLEMENT = "twos_complement"
    """The rule itself is defined on two's complement operands."""
    SIGN_MAGNITUDE = "sign_magnitude"
    """The unsigned core multiplies the magnitudes (-2^(n-1) has the magnitude 2^(n-1)); the sign is
    applied to its product.
    """


class Configured(Protocol):
    """What the rule and the circuit of a family see of a spec: operand widths, signedness and
    parameter values.
    """

    @property
    def width_a(self) -> int: ...
    @property
    def width_b(self) -> int: ...
    @property
    def widths(self) -> Widths: ...
    @property
    def signed(self) -> bool: ...

    def integer(self, name: str) -> int:
        """Value of an integer parameter."""

    def choice(self, name: str) -> str:
        """Value of a choice or text parameter."""

    def part(self, name: str, widths: Widths) -> tuple[Family, Configured]:
        """The multiplier that a parameter names, for operands of these widths, and its family."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: an integer within bounds, one of a few choices, or a text with a
    spelling of its own.

    `default` is None for a parameter that every spec must give. Exactly one of `choices`, `bounds`,
    `text` and `part` is set: `bounds(widths)` gives the smallest and the largest integer;
    `text(widths, value)` gives the canonical spelling or raises ValueError; `part(widths)` are the
    operand widths of the multiplier that the value names.
    """

    name: str
    doc: str
    default: int | str | None = None
    choices: tuple[str, ...] = ()
    bounds: Callable[[Widths], tuple[int, int]] | None = None
    text: Callable[[Widths, str], str] | None = None
    part: Callable[[Widths], Widths] | None = None

    @property
    def is_text(self) -> bool:
        """Whether values are texts with a spelling of their own."""
        return self.text is not None or self.part is not None

    def spelling(self, widths: Widths) -> str:
        """What a value may look like at these widths, for messages and listings: `2..7`,
        `array|dadda`, or the text's description.
        """
        if self.bounds is not None:
            return "{}..{}".format(*self.bounds(widths))
        return "|".join(self.choices) if self.choices else self.doc

    def read(self, widths: Widths, value: int | str, read_part: ReadPart) -> int | str:
        """The value in its canonical type and spelling. Raises ValueError when it is not one of the
        parameter's values.
        """
        if self.part is not None:
            return read_part(str(value), self.part(widths))
        if self.text is not None:
            return self.text(widths, str(value))
        if self.choices:
            if str(value) not in self.choices:
                raise ValueError(f"not one of {self.spelling(widths)}")
            return str(value)
        number = int(value)
        assert self.bounds is not None
        low, high = self.bounds(widths)
        if not low <= number <= high:
            raise ValueError(f"outside {self.spelling(widths)}")
        return number


@dataclass(frozen=True)
class Family:
    """A family of multipliers.

    `rule(spec, a, b)` is the arithmetic in numpy, independent of the circuit: operand values in,
    product values out (int64, broadcast). `circuit(m, spec, a, b)` adds the circuit to an Amaranth
    module: operands of `width_a` and `width_b` bits in, the bits of the product out, as many as
    both together; it may be left out for a family with an `array(columns, spec, a, b)`, which adds
    bits whose sum is the product, modulo what the output holds, to columns: the circuit is then
    the tree of the spec that adds them. All see unsigned operands when `signed_form` is
    SIGN_MAGNITUDE; the other forms look at `spec.signed`. No spec that they get is swapped.
    `dots(spec)` are the partial products that the circuit adds; None where it does not add an array
    of them. `widths` are the bits that an operand may have; see `fits`. `coupled(widths, values)`
    maps a complete set of individually valid parameters to the nearest jointly valid one.
    `check(spec)` raises InputError where parameters do not go with the signedness. `symmetric` says
    that a*b and b*a are equal for every parameter value where both operands have the same width.
    """

    name: str
    title: str
    source: str
    parameters: tuple[Parameter, ...]
    signed_form: SignedForm
    rule: Callable[[Configured, IntArray, IntArray], IntArray]
    circuit: Callable[[Module, Configured, Value, Value], Value] | None = None
    array: Callable[[Columns, Configured, Value, Value], None] | None = None
    symmetric: bool = False
    widths: range = range(2, 17)
    dots: Callable[[Configured], DotDiagram | None] = lambda spec: None
    coupled: Callable[[Widths, Values], Values] = lambda widths, values: values
    check: Callable[[Configured], None] = lambda spec: None

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def fits(self, widths: Widths) -> bool:
        """Whether the family has multipliers of these operand widths: each is one of `widths`, and
        every parameter has a value.
        """
        return all(width in self.widths for width in widths) and self.missing_at(widths) is None

    def missing_at(self, widths: Widths) -> Parameter | None:
        """A parameter that has no value at these widths, if there is one."""
        bounded = (
            (parameter, parameter.bounds(widths))
            for parameter in self.parameters
            if parameter.bounds is not None
        )
        return next((parameter for parameter, (low, high) in bounded if low > high), None)

    def nearest(
        self, widths: Widths, values: Mapping[str, int | str], read_part: ReadPart
    ) -> Values:
        """The valid parameters nearest to `values`: defaults filled in, integers clipped to their
        bounds, couplings applied.

        Raises ValueError where a required parameter is missing or a choice or text has no valid
        reading.
        """
        complete: Values = {}
        for parameter in self.parameters:
            value = values.get(parameter.name, parameter.default)
            if value is None:
                raise ValueError(f"{parameter.name} is missing")
            if parameter.bounds is not None:
                low, high = parameter.bounds(widths)
                value = min(max(int(value), low), high)
            complete[parameter.name] = parameter.read(widths, value, read_part)
        return self.coupled(widths, complete)

    def product(self, spec: Configured, a: IntArray, b: IntArray) -> IntArray:
        """Product values by the rule, wrapped to the width_a + width_b bits of the circuit's
        output.
        """
        if spec.signed and self.signed_form is SignedForm.SIGN_MAGNITUDE:
            product = self.rule(spec, np.abs(a), np.abs(b))
            product = np.where((a < 0) ^ (b < 0), -product, product)
        else:
            product = self.rule(spec, a, b)
        modulus = 1 << spec.widths.product
        lowest = -(modulus >> 1) if spec.signed else 0
        return (product - lowest) % modulus + lowest

    def build(self, m: Module, spec: Configured, a: Value, b: Value) -> Value:
        """Adds the circuit to `m`; the value is the code of the product."""
        if spec.signed and self.signed_form is SignedForm.SIGN_MAGNITUDE:
            product = self._core(
                m, spec, magnitude(m, a, "a_magnitude"), magnitude(m, b, "b_magnitude")
            )
            return with_sign(m, product, a[-1] ^ b[-1])
        return self._core(m, spec, a, b)

    def _core(self, m: Module, spec: Configured, a: Value, b: Value) -> Value:
        if self.circuit is not None:
            return self.circuit(m, spec, a, b)
        assert self.array is not None, f"{self.name} has neither a circuit nor an array"
        columns = Columns(m, spec.widths.product)
        self.array(columns, spec, a, b)
        return columns.sum(spec.choice("tree"))

    def adds_array(self, spec: Configured) -> bool:
        """Whether the product is the sum of the bits that `array` adds for these operands."""
        negates = spec.signed and self.signed_form is SignedForm.SIGN_MAGNITUDE
        return self.array is not None and self.dots(spec) is not None and not negates
