"""A multiplier as an Amaranth component, and RTLIL text of components."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike, NDArray

from ..circuits.adders import carry_chains
from ..circuits.dot_diagram import DotDiagram
from .families import FAMILIES
from .spec import MultiplierSpec

__all__ = ["Multiplier", "black_box", "component_rtlil", "dots", "product", "rtlil"]

_Operand = TypeVar("_Operand")


class Multiplier(wiring.Component):
    """Combinational multiplier with ports `a`, `b` and `p` (width_a, width_b and their sum bits); two's complement codes when signed."""

    def __init__(self, spec: MultiplierSpec, *, carry_chains: bool = False) -> None:
        self.spec = spec
        self.carry_chains = carry_chains
        super().__init__({"a": In(spec.width_a), "b": In(spec.width_b), "p": Out(spec.widths.product)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with carry_chains() if self.carry_chains else nullcontext():
            product = FAMILIES[self.spec.family].build(m, self.spec.straight, *_in_order(self.spec, self.a, self.b))
        m.d.comb += self.p.eq(product)
        return m


def rtlil(spec: MultiplierSpec, name: str = "multiplier", *, carry_chains: bool = False) -> str:
    """RTLIL text of one flat module `name` with the ports a, b, p in this order. The same spec always gives the same text.

    `carry_chains` writes ripple-carry adders as `+`, for FPGAs.
    """
    return component_rtlil(Multiplier(spec, carry_chains=carry_chains), name)


def component_rtlil(component: wiring.Component, name: str, *, clocked: bool = False) -> str:
    """RTLIL text of a component as module `name`, its ports in the order of its signature. The same component always gives the same text.

    A `clocked` one has the port `clk` first, no reset and no initial values: its submodules are modules of their own.
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
    """An instance of the Verilog module `module`, wired to the ports of a component that it stands for."""
    ports = {
        f"{'i' if member.flow is In else 'o'}_{name}": getattr(component, name) for name, member in component.signature.members.items()
    }
    clock = {"i_clk": ClockSignal()} if clocked else {}
    return Instance(module, **clock, **ports)


def product(spec: MultiplierSpec, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
    """Product values of operand values by the family's arithmetic rule, independent of the circuit; the arrays broadcast."""
    a, b = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
    return FAMILIES[spec.family].product(spec.straight, *_in_order(spec, a, b))


def dots(spec: MultiplierSpec) -> DotDiagram | None:
    """The partial products that the multiplier adds; None where it does not add an array of them."""
    diagram = FAMILIES[spec.family].dots(spec.straight)
    return diagram.exchanged() if diagram is not None and spec.swapped else diagram


def _in_order(spec: MultiplierSpec, a: _Operand, b: _Operand) -> tuple[_Operand, _Operand]:
    """The operands as the family's rule and circuit take them."""
    return (b, a) if spec.swapped else (a, b)
