"""Full and half adders placed as library cells before technology mapping.

ABC takes exclusive-ors apart and rarely finds the cheapest adder again. Here Yosys finds the adders
of a gate netlist (`extract_fa`), and each becomes cells. Where the library has a small full-adder
cell, that is the cell. Otherwise the sum takes two exclusive-or cells and the carry one inverting
cell: AND-AND-NOR for a full adder, NAND or NOR for a half adder. Such a carry comes out inverted
when the operands are true, and true when the operands are inverted, so a tree needs no inverters
when the adders of neighbouring columns take opposite polarities; sums come in either polarity at no
cost. The rest of the logic, and inverters where polarities clash, is left to ABC.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..cells.library import CellLibrary
from .adder_polarity import (
    Adder,
    AdderNetlist,
    Literal,
    carry_polarity,
    choose_polarities,
    given_polarities,
    sum_polarity,
)

__all__ = ["FIND_ADDERS", "FIND_FULL_ADDERS", "AdderCells", "adder_cells", "placed_verilog"]

FIND_FULL_ADDERS = ("simplemap", "extract_fa -fa", "opt_clean -purge")
FIND_ADDERS = ("simplemap", "extract_fa", "opt_clean -purge")
"""Yosys commands that find the full adders, or these and the half adders, in a design of simple
gates.
"""

_XOR, _XNOR, _NAND, _NOR = 0b0110, 0b1001, 0b0111, 0b0001
_SUM, _CARRY, _AND = 0b10010110, 0b11101000, 0b1000
_AND_AND_NOR = sum(1 << m for m in range(16) if not (m & 3 == 3 or m >> 2 == 3))
_GATES = {
    "$_BUF_": "{A}",
    "$_NOT_": "~{A}",
    "$_AND_": "{A} & {B}",
    "$_NAND_": "~({A} & {B})",
    "$_OR_": "{A} | {B}",
    "$_NOR_": "~({A} | {B})",
    "$_XOR_": "{A} ^ {B}",
    "$_XNOR_": "~({A} ^ {B})",
    "$_ANDNOT_": "{A} & ~{B}",
    "$_ORNOT_": "{A} | ~{B}",
    "$_MUX_": "{S} ? {B} : {A}",
}


@dataclass(frozen=True)
class _PlacedCell:
    """A cell, its input pins in the order in which an adder fills them, and its output pins in the
    order of the functions asked for.
    """

    name: str
    area_um2: float
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class AdderCells:
    """The cells that adders are made of; `full` (sum, carry) is None where a full adder is smaller
    from single cells.
    """

    xor: _PlacedCell
    xnor: _PlacedCell
    carry: _PlacedCell
    nand: _PlacedCell
    nor: _PlacedCell
    conjunction: _PlacedCell
    full: _PlacedCell | None


def adder_cells(library: CellLibrary) -> AdderCells | None:
    """The smallest cells of each kind, or None where the library lacks one."""
    wanted = (2, _XOR), (2, _XNOR), (4, _AND_AND_NOR), (2, _NAND), (2, _NOR), (2, _AND)
    found = [
        cell
        for inputs, function in wanted
        if (cell := _smallest(library, inputs, (function,))) is not None
    ]
    if len(found) < len(wanted):
        return None
    xor, xnor, carry, nand, nor, conjunction = found
    full = _smallest(library, 3, (_SUM, _CARRY))
    if full is not None and full.area_um2 >= 2 * xor.area_um2 + carry.area_um2:
        full = None
    return AdderCells(xor, xnor, carry, nand, nor, conjunction, full)


def _smallest(library: CellLibrary, inputs: int, functions: tuple[int, ...]) -> _PlacedCell | None:
    cells = [
        cell
        for cell in library.cells.values()
        if cell.mappable and (len(cell.inputs), len(cell.outputs)) == (inputs, len(functions))
    ]
    for cell in sorted(cells, key=lambda cell: (cell.area_um2, cell.name)):
        for order in itertools.permutations(range(inputs)):
            pins = {_permuted(output.function, order): output.name for output in cell.outputs}
            if set(pins) == set(functions):
                outputs = tuple(pins[function] for function in functions)
                return _PlacedCell(
                    cell.name, cell.area_um2, tuple(cell.inputs[i].name for i in order), outputs
                )
    return None


def _permuted(function: int, order: tuple[int, ...]) -> int:
    """The truth table when input order[k] is taken as variable k."""
    return sum(
        (function >> sum((m >> k & 1) << pin for k, pin in enumerate(order)) & 1) << m
        for m in range(1 << len(order))
    )


def placed_verilog(json_text: str, module: str, cells: AdderCells) -> str | None:
    """Verilog of a design in which the adders found by `FIND_ADDERS` (Yosys JSON) are instances of
    cells; None when there are none.
    """
    netlist = _read(json.loads(json_text)["modules"][module], inverting=cells.full is None)
    if not netlist.adders:
        return None
    if netlist.inverting:
        choose_polarities(netlist)
    return _verilog(netlist, module, cells)


def _read(module: dict[str, Any], *, inverting: bool) -> AdderNetlist:
    ports = {name: (port["direction"], port["bits"]) for name, port in module["ports"].items()}
    gates: list[tuple[str, dict[str, int | str], int]] = []
    inverters: dict[int, int | str] = {}
    found = []
    for cell in module["cells"].values():
        pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
        if cell["type"] == "$fa":
            found.append(pins)
            continue
        output = pins.pop("Y")
        gates.append((cell["type"], pins, output))
        if cell["type"] == "$_NOT_":
            inverters[output] = pins["A"]
    used = {bit for direction, bits in ports.values() if direction == "output" for bit in bits}
    used.update(bit for _, pins, _ in gates for bit in pins.values())
    used.update(pins[pin] for pins in found for pin in "ABC")
    netlist = AdderNetlist(inverting, ports, gates, [])
    netlist.outputs = {
        bit
        for direction, bits in ports.values()
        if direction == "output"
        for bit in bits
        if isinstance(bit, int)
    }
    for pins in found:
        adder = _adder(pins, inverters, used)
        if adder is None:
            gates += _as_logic(pins, used)
        else:
            netlist.adders.append(adder)
    for index, adder in enumerate(netlist.adders):
        for net, complement in adder.operands:
            netlist.readers.setdefault(net, []).append((index, complement))
        if adder.carry is not None:
            netlist.carry_of[adder.carry[0]] = index
        if adder.sum is not None:
            netlist.sum_of[adder.sum[0]] = index
    return netlist


def _adder(
    pins: dict[str, int | str], inverters: Mapping[int, int | str], used: set[int | str]
) -> Adder | None:
    """The adder of a `$fa` cell, or None when it is better treated as logic: constant or repeated
    operands, or a carry without a sum.
    """
    literals = [_literal(pins[pin], inverters) for pin in "ABC"]
    variable = [literal for literal in literals if isinstance(literal[0], int)]
    constants = [literal[0] == "1" for literal in literals if not isinstance(literal[0], int)]
    if (
        len(variable) < 2
        or pins["Y"] not in used
        or len({net for net, _ in variable}) < len(variable)
    ):
        return None
    # x + y + 1 has the carry of the complements, complemented, and the complemented exclusive-or.
    flipped = constants == [True]
    operands = tuple((int(net), complement != flipped) for net, complement in variable)
    carry = (int(pins["X"]), flipped) if pins["X"] in used else None
    return Adder(operands, (int(pins["Y"]), flipped), carry)


def _literal(bit: int | str, inverters: Mapping[int, int | str]) -> tuple[int | str, bool]:
    complement = False
    while isinstance(bit, int) and bit in inverters:
        bit, complement = inverters[bit], not complement
    if not isinstance(bit, int):
        return ("1" if (bit == "1") != complement else "0"), False
    return bit, complement


def _as_logic(
    pins: dict[str, int | str], used: set[int | str]
) -> list[tuple[str, dict[str, int | str], int]]:
    operands = {pin: pins[pin] for pin in "ABC"}
    logic = (("carry", pins["X"]), ("sum", pins["Y"]))
    return [(kind, operands, int(net)) for kind, net in logic if net in used]


def _verilog(netlist: AdderNetlist, module: str, cells: AdderCells) -> str:
    names = ", ".join(netlist.ports)
    lines = [f"module {module} ({names});"]
    for name, (direction, bits) in netlist.ports.items():
        lines.append(f"{direction} [{len(bits) - 1}:0] {name};")
        if direction == "input":
            lines += [f"wire n{bit} = {name}[{i}];" for i, bit in enumerate(bits)]
    for kind, pins, output in netlist.gates:
        lines.append(
            f"wire n{output} = {_expression(kind, {pin: _bit(bit) for pin, bit in pins.items()})};"
        )
    depth = _depths(netlist)
    for index, adder in enumerate(netlist.adders):
        lines += _instances(netlist, index, adder, cells, depth)
    given = given_polarities(netlist)
    wanted: set[Literal] = {
        (net, complement != adder.inverted)
        for adder in netlist.adders
        for net, complement in adder.operands
    }
    # Gates and output ports read every net true.
    wanted.update((net, False) for net, inverted in given.items() if inverted)
    for net, inverted in sorted(wanted):
        if given.get(net, False) != inverted:
            lines.append(f"wire {_net(net, inverted)} = ~{_net(net, not inverted)};")
    for name, (direction, bits) in netlist.ports.items():
        if direction == "output":
            lines += [f"assign {name}[{i}] = {_bit(bit)};" for i, bit in enumerate(bits)]
    return "\n".join([*lines, "endmodule\n"])


def _instances(
    netlist: AdderNetlist, index: int, adder: Adder, cells: AdderCells, depth: Mapping[int, int]
) -> list[str]:
    # The operand that comes last passes one exclusive-or only.
    ordered = sorted(adder.operands, key=lambda literal: (depth.get(literal[0], 0), literal))
    operands = [_net(net, complement != adder.inverted) for net, complement in ordered]
    assert adder.sum is not None
    sum_net, sum_complement = adder.sum
    sum_inverted = sum_polarity(netlist, sum_net)
    total = _net(sum_net, sum_inverted)
    carry = (
        _net(adder.carry[0], carry_polarity(netlist, adder.carry[0]))
        if adder.carry is not None
        else ""
    )
    lines = [f"wire {name};" for name in (total, carry) if name]
    first, second, *last = operands
    if cells.full is not None and last:
        return [*lines, _instance(cells.full, f"a{index}", operands, [total, carry])]
    half = [first, second]
    if last:
        lines.append(f"wire x{index};")
        lines.append(_instance(cells.xor, f"x{index}_cell", half, [f"x{index}"]))
        half = [f"x{index}", last[0]]
    # The cells see complemented operands when the adder is inverted: with three of them so is their
    # exclusive-or.
    complemented = (adder.inverted and bool(last)) != sum_complement
    lines.append(
        _instance(
            cells.xnor if complemented != sum_inverted else cells.xor,
            f"s{index}_cell",
            half,
            [total],
        )
    )
    if carry and last:
        lines.append(
            _instance(cells.carry, f"c{index}_cell", [first, second, f"x{index}", last[0]], [carry])
        )
    elif carry:
        cell = (
            cells.conjunction
            if not netlist.inverting
            else cells.nor
            if adder.inverted
            else cells.nand
        )
        lines.append(_instance(cell, f"c{index}_cell", [first, second], [carry]))
    return lines


def _instance(cell: _PlacedCell, name: str, inputs: list[str], outputs: list[str]) -> str:
    pins = [
        f".{pin}({net})"
        for pin, net in zip((*cell.inputs, *cell.outputs), (*inputs, *outputs), strict=True)
    ]
    return f"{cell.name} {name} ({', '.join(pins)});"


def _depths(netlist: AdderNetlist) -> dict[int, int]:
    """Adders and gates between the inputs and each net, counted in exclusive-or delays."""
    sources: dict[int, tuple[list[int], int]] = {}
    for kind, pins, output in netlist.gates:
        sources[output] = (
            [bit for bit in pins.values() if isinstance(bit, int)],
            0 if kind == "$_NOT_" else 1,
        )
    for adder in netlist.adders:
        for result in (adder.sum, adder.carry):
            if result is not None:
                sources[result[0]] = [net for net, _ in adder.operands], 2
    depth: dict[int, int] = {}
    for root in sources:
        stack = [root]
        while stack:
            net = stack[-1]
            inputs, own = sources.get(net, ([], 0))
            missing = [bit for bit in inputs if bit not in depth]
            if net in depth or not missing:
                depth.setdefault(net, own + max((depth[bit] for bit in inputs), default=0))
                stack.pop()
            else:
                stack += missing
    return depth


def _expression(kind: str, pins: Mapping[str, str]) -> str:
    if kind == "carry":
        return "{A} & {B} | {C} & ({A} | {B})".format_map(pins)
    if kind == "sum":
        return "{A} ^ {B} ^ {C}".format_map(pins)
    return _GATES[kind].format_map(pins)


def _net(net: int, inverted: bool) -> str:
    return f"m{net}" if inverted else f"n{net}"


def _bit(bit: int | str) -> str:
    return f"n{bit}" if isinstance(bit, int) else "1'b1" if bit == "1" else "1'b0"
