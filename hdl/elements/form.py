"""How an element is built around its multiplier, and the text that says it: `mac`, or
`dot:lanes=8,adder=prefix,gate=zero`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InputError

__all__ = ["ElementForm"]

KINDS = ("mac", "dot")
MIN_LANES, MAX_LANES = 2, 32
MAX_BITS = 64
#: Option -> its values, the first of which is the default.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "rows": ("auto", "dots", "products"),
    "adder": ("ripple", "prefix", "carry_save"),
    "gate": ("none", "zero"),
    "pipeline": ("0", "1"),
    "stationary": ("output", "weight"),
}


@dataclass(frozen=True)
class ElementForm:
    """The form of an element; `parse(str(form)) == form`. Raises InputError.

    Attributes:
        kind: `mac`, a multiplier and an accumulator, or `dot`, `lanes` multipliers whose partial
            products meet in one compressor tree with one accumulator.
        lanes: products a cycle.
        rows: what enters the tree of a `dot`: the partial products (`dots`), where the multiplier
            adds an array of them, or its products; `auto`: products where signs stand beside
            magnitudes, since these would have to flip every partial product.
        adder: of the sum: `ripple`, `prefix`, or `carry_save`, where the accumulator is two words
            whose sum counts.
        gate: `zero`: the operand registers of a lane hold while an operand is zero, and its product
            counts as zero.
        pipeline: whether a register parts the products from the accumulator.
        stationary: `output`: the element keeps the sum, and both operands change; `weight`: it
            keeps the weights, and adds to the sum that comes from its neighbour.
        bits: width of the sum; 0: as many as the dot products need.
    """

    kind: str = "mac"
    lanes: int = 1
    rows: str = "auto"
    adder: str = "ripple"
    gate: str = "none"
    pipeline: str = "0"
    stationary: str = "output"
    bits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            close = difflib.get_close_matches(self.kind, KINDS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(
                f"no element is called {self.kind!r}; {hint}there are {', '.join(KINDS)}"
            )
        if self.kind == "dot" and not MIN_LANES <= self.lanes <= MAX_LANES:
            raise InputError(
                f"a dot element of {self.lanes} lanes is outside {MIN_LANES}..{MAX_LANES}; write "
                "for example dot:lanes=8"
            )
        if self.kind == "mac" and (self.lanes, self.rows) != (1, "auto"):
            raise InputError("mac has one lane and one product; lanes and rows are of dot")
        for name, values in CHOICES.items():
            if (value := getattr(self, name)) not in values:
                raise InputError(
                    f"{name}={value} of an element is not {'|'.join(values)}; write "
                    f"{_usage(self.kind)}"
                )
        if not 0 <= self.bits <= MAX_BITS:
            raise InputError(
                f"a sum of {self.bits} bits is outside 1..{MAX_BITS}; leave bits= away to have as "
                "many as the dot products need"
            )

    @classmethod
    def parse(cls, text: str) -> ElementForm:
        """Reads `mac`, `mac:gate=zero`, `dot:lanes=8,adder=prefix`, ... Raises InputError."""
        kind, colon, rest = text.strip().partition(":")
        usage = _usage(kind if kind in KINDS else "dot")
        given: dict[str, Any] = {}
        for item in rest.split(",") if colon else []:
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not value or key not in _keys(kind):
                raise InputError(
                    f"{text!r}: {item!r} is not an option of an element; write {usage}"
                )
            if key in given:
                raise InputError(f"{text!r}: {key} comes twice; write {usage}")
            if key in ("lanes", "bits"):
                if not (value.isascii() and value.isdecimal() and len(value) < 4):
                    raise InputError(f"{text!r}: {key}={value} is not a number; write {usage}")
                given[key] = int(value)
            else:
                given[key] = value
        if kind == "dot" and "lanes" not in given:
            raise InputError(f"{text!r}: lanes is missing; write {usage}")
        return cls(kind, **given)

    @property
    def gated(self) -> bool:
        """Whether registers hold while an operand is zero."""
        return self.gate == "zero"

    @property
    def pipelined(self) -> bool:
        return self.pipeline == "1"

    @property
    def keeps_weights(self) -> bool:
        """Whether the element is weight-stationary."""
        return self.stationary == "weight"

    def __str__(self) -> str:
        defaults = ElementForm()
        shown = [
            f"{one.name}={getattr(self, one.name)}"
            for one in fields(self)
            if one.name != "kind" and getattr(self, one.name) != getattr(defaults, one.name)
        ]
        return f"{self.kind}:{','.join(shown)}" if shown else self.kind


def _keys(kind: str) -> tuple[str, ...]:
    return (*(("lanes", "rows") if kind != "mac" else ()), *tuple(CHOICES)[1:], "bits")


def _usage(kind: str) -> str:
    shown = [f"[{name}={'|'.join(CHOICES[name])}]" for name in _keys(kind) if name in CHOICES]
    lanes = [f"lanes={MIN_LANES}..{MAX_LANES}"] if kind == "dot" else []
    return f"{kind}:{','.join([*lanes, *shown, '[bits=1..64]'])}"
