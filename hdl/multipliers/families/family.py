"""What a multiplier family is: its parameters, its arithmetic rule and its circuit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from amaranth.hdl import Module, Value
from numpy.typing import NDArray

from ...circuits.dot_diagram import DotDiagram
from ...circuits.signs import magnitude, with_sign

if TYPE_CHECKING:
    from ..spec import MultiplierSpec

__all__ = ["Family", "IntArray", "Parameter", "SignedForm"]

IntArray = NDArray[np.int64]
Values = dict[str, int | str]


class SignedForm(StrEnum):
    """How a family multiplies two's complement operands."""

    BAUGH_WOOLEY = "baugh_wooley"
    """The rule acts on the signed partial products: row and column n-1 weigh negatively."""
    TWOS_COMPLEMENT = "twos_complement"
    """The rule itself is defined on two's complement operands."""
    SIGN_MAGNITUDE = "sign_magnitude"
    """The unsigned core multiplies the magnitudes (-2^(n-1) has the magnitude 2^(n-1)); the sign is applied to its product."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: an integer within bounds, one of a few choices, or a text with a spelling of its own.

    `default` is None for a parameter that every spec must give. Exactly one of `choices`, `bounds` and `text` is set:
    `bounds(width)` gives the smallest and the largest integer; `text(width, value)` gives the canonical spelling or raises ValueError.
    """

    name: str
    doc: str
    default: int | str | None = None
    choices: tuple[str, ...] = ()
    bounds: Callable[[int], tuple[int, int]] | None = None
    text: Callable[[int, str], str] | None = None

    def spelling(self, width: int) -> str:
        """What a value may look like at this width, for messages and listings: `2..7`, `array|dadda`, or the text's description."""
        if self.bounds is not None:
            return "{}..{}".format(*self.bounds(width))
        return "|".join(self.choices) if self.choices else self.doc

    def read(self, width: int, value: int | str) -> int | str:
        """The value in its canonical type and spelling. Raises ValueError when it is not one of the parameter's values."""
        if self.text is not None:
            return self.text(width, str(value))
        if self.choices:
            if str(value) not in self.choices:
                raise ValueError(f"not one of {self.spelling(width)}")
            return str(value)
        number = int(value)
        assert self.bounds is not None
        low, high = self.bounds(width)
        if not low <= number <= high:
            raise ValueError(f"outside {self.spelling(width)}")
        return number


@dataclass(frozen=True)
class Family:
    """A family of multipliers.

    `rule(spec, a, b)` is the arithmetic in numpy, independent of the circuit: operand values in, product values out (int64, broadcast).
    `circuit(m, spec, a, b)` adds the circuit to an Amaranth module: two `width`-bit operands in, the `2 * width` product bits out.
    Both see unsigned operands when `signed_form` is SIGN_MAGNITUDE; the other forms look at `spec.signed`.
    `dots(spec)` are the partial products that the circuit adds; None where it does not add an array of them.
    `coupled(width, values)` maps a complete set of individually valid parameters to the nearest jointly valid one.
    `symmetric` says that a*b and b*a are equal for every parameter value.
    """

    name: str
    title: str
    source: str
    parameters: tuple[Parameter, ...]
    signed_form: SignedForm
    rule: Callable[[MultiplierSpec, IntArray, IntArray], IntArray]
    circuit: Callable[[Module, MultiplierSpec, Value, Value], Value]
    symmetric: bool = False
    widths: range = range(4, 17)
    dots: Callable[[MultiplierSpec], DotDiagram | None] = lambda spec: None
    coupled: Callable[[int, Values], Values] = lambda width, values: values

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def nearest(self, width: int, values: Mapping[str, int | str]) -> Values:
        """The valid parameters nearest to `values`: defaults filled in, integers clipped to their bounds, couplings applied.

        Raises ValueError where a required parameter is missing or a choice or text has no valid reading.
        """
        complete: Values = {}
        for parameter in self.parameters:
            value = values.get(parameter.name, parameter.default)
            if value is None:
                raise ValueError(f"{parameter.name} is missing")
            if parameter.bounds is not None:
                low, high = parameter.bounds(width)
                value = min(max(int(value), low), high)
            complete[parameter.name] = parameter.read(width, value)
        return self.coupled(width, complete)

    def product(self, spec: MultiplierSpec, a: IntArray, b: IntArray) -> IntArray:
        """Product values by the rule, wrapped to the 2*width bits of the circuit's output."""
        if spec.signed and self.signed_form is SignedForm.SIGN_MAGNITUDE:
            product = self.rule(spec, np.abs(a), np.abs(b))
            product = np.where((a < 0) ^ (b < 0), -product, product)
        else:
            product = self.rule(spec, a, b)
        modulus = 1 << 2 * spec.width
        lowest = -(modulus >> 1) if spec.signed else 0
        return (product - lowest) % modulus + lowest

    def build(self, m: Module, spec: MultiplierSpec, a: Value, b: Value) -> Value:
        """Adds the circuit to `m`; the value is the product's 2*width-bit code."""
        if spec.signed and self.signed_form is SignedForm.SIGN_MAGNITUDE:
            product = self.circuit(m, spec, magnitude(m, a, "a_magnitude"), magnitude(m, b, "b_magnitude"))
            return with_sign(m, product, a[-1] ^ b[-1])
        return self.circuit(m, spec, a, b)
