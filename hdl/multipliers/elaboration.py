# amaranth: UnusedElaboratable=no
"""A multiplier as an Amaranth component, and RTLIL text of components."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from ..circuits.adders import carry_chains
from ..circuits.columns import Columns
from ..circuits.dot_diagram import DotDiagram
from .families import FAMILIES
from .families.family import Configured
from .multiplier import Multiplier

__all__ = [
    "MultiplierComponent",
    "add_multiplier",
    "black_box",
    "component_rtlil",
    "dots",
    "merge_into",
    "product",
    "rtlil",
    "with_multiplier",
]

# Name of the module that a multiplier without a component is, beside the logic around it.
_OWN_MODULE = "own_multiplier"

_Operand = TypeVar("_Operand")


class _Spec(Configured, Protocol):
    """What is elaborated: a spec, of which this module need not know more."""

    @property
    def family(self) -> str: ...
    @property
    def swapped(self) -> bool: ...
    @property
    def straight(self) -> _Spec: ...


class MultiplierComponent(wiring.Component):
    """The circuit of a spec, combinational: ports `a`, `b` and `p` of width_a, width_b and width_p
    bits.
    """

    def __init__(self, spec: _Spec, *, carry_chains: bool = False) -> None:
        self.spec = spec
        self.carry_chains = carry_chains
        super().__init__(
            {"a": In(spec.width_a), "b": In(spec.width_b), "p": Out(spec.widths.product)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with carry_chains() if self.carry_chains else nullcontext():
            product = FAMILIES[self.spec.family].build(
                m, self.spec.straight, *_in_order(self.spec, self.a, self.b)
            )
        m.d.comb += self.p.eq(product)
        return m


@lru_cache(maxsize=64)  # a design is mapped, simulated, exported and drawn one after the other
def rtlil(spec: _Spec, name: str = "multiplier", *, carry_chains: bool = False) -> str:
    """RTLIL text of one flat module `name` with the ports a, b, p in this order. The same spec
    always gives the same text.

    `carry_chains` writes ripple-carry adders as `+`, for FPGAs.
    """
    return component_rtlil(MultiplierComponent(spec, carry_chains=carry_chains), name)


def component_rtlil(component: wiring.Component, name: str, *, clocked: bool = False) -> str:
    """RTLIL text of a component as module `name`, its ports in the order of its signature. The same
    component always gives the same text.

    A `clocked` one has the port `clk` first, no reset and no initial values: its submodules are
    modules of their own.
    """
    ports = list(component.signature.members)
    if clocked:
        domain = ClockDomain("sync", reset_less=True)
        fragment = Fragment.get(component, None)
        fragment.add_domains(domain)
        signals = [domain.clk, *(getattr(component, port) for port in ports)]
        text = amaranth_rtlil.convert(fragment, name=name, ports=signals, emit_src=False)
        ports.insert(0, "clk")
    else:
        text = amaranth_rtlil.convert(component, name=name, emit_src=False)
    dropped = ("# Generated", "attribute \\generator", "  attribute \\init")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(dropped))
    top, end, submodules = text.partition("\nend\n")
    top = re.sub(
        r"^(  wire width \d+ (?:input|output)) \d+  ?\\(\w+)$",
        lambda port: f"{port[1]} {ports.index(port[2]) + 1} \\{port[2]}",
        top,
        flags=re.M,
    )
    return top + end + submodules


def black_box(component: wiring.Component, module: str, *, clocked: bool = False) -> Instance:
    """An instance of the Verilog module `module`, wired to the ports of a component that it stands
    for.
    """
    ports = {
        f"{'i' if member.flow is In else 'o'}_{name}": getattr(component, name)
        for name, member in component.signature.members.items()
    }
    clock = {"i_clk": ClockSignal()} if clocked else {}
    return Instance(module, **clock, **ports)


def add_multiplier(
    m: Module, multiplier: Multiplier, module: str = "", *, name: str = "multiplier"
) -> wiring.Component:
    """Adds a multiplier to a module as its submodule `name`, a part of it or the Verilog module
    `module`; what comes back has its ports a, b, p.

    RTLIL text of the whole needs `with_multiplier`, where the multiplier is part of it.
    """
    inside = None if module else multiplier.component()
    if inside is not None:
        m.submodules[name] = inside
        return inside
    ports = wiring.Component(
        {"a": In(multiplier.width_a), "b": In(multiplier.width_b), "p": Out(multiplier.width_p)}
    )
    m.submodules[name] = black_box(ports, module or _OWN_MODULE)
    return ports


def with_multiplier(text: str, multiplier: Multiplier) -> str:
    """RTLIL text of a module to which the multiplier was added, with all that belongs to it."""
    if f"cell \\{_OWN_MODULE} " not in text:
        return text
    return text + multiplier.rtlil().replace(
        "module \\multiplier\n", f"module \\{_OWN_MODULE}\n", 1
    )


def merge_into(spec: _Spec, columns: Columns, a: Value, b: Value) -> bool:
    """Adds the partial products to `columns`; False where the product is no sum of them."""
    family, straight = FAMILIES[spec.family], spec.straight
    if family.array is None or not family.adds_array(straight):
        return False
    family.array(columns, straight, *_in_order(spec, a, b))
    return True


def product(spec: _Spec, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
    """Product values of operand values by the family's arithmetic rule, independent of the circuit;
    the arrays broadcast.
    """
    a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    return FAMILIES[spec.family].product(spec.straight, *_in_order(spec, a, b))


def dots(spec: _Spec) -> DotDiagram | None:
    """The partial products that the multiplier adds; None where it does not add an array of
    them.
    """
    diagram = FAMILIES[spec.family].dots(spec.straight)
    return diagram.exchanged() if diagram is not None and spec.swapped else diagram


def _in_order(spec: _Spec, a: _Operand, b: _Operand) -> tuple[_Operand, _Operand]:
    """The operands as the family's rule and circuit take them."""
    return (b, a) if spec.swapped else (a, b)
