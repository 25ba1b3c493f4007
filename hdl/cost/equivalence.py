"""Proof that a mapped netlist still computes what its RTL says, for every operand pair at once: by
ABC's equivalence checker `&cec`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .. import yosys
from ..yosys import gate_netlist
from .mapped_netlist import ONE, OPEN, ZERO, MappedNetlist

__all__ = ["Counterexample", "EquivalenceError", "counterexample"]

_GATE_COVERS = {
    "$_BUF_": "1 1",
    "$_NOT_": "0 1",
    "$_AND_": "11 1",
    "$_NAND_": "11 0",
    "$_OR_": "00 0",
    "$_NOR_": "00 1",
    "$_XOR_": "01 1\n10 1",
    "$_XNOR_": "01 0\n10 0",
    "$_ANDNOT_": "10 1",
    "$_ORNOT_": "01 0",
    "$_MUX_": "1-0 1\n-11 1",
}
"""The truth of each gate in BLIF, over its inputs A, B, S."""


class EquivalenceError(RuntimeError):
    """The question could not be decided: one line with the reason."""


@dataclass(frozen=True)
class Counterexample:
    """Operand codes for which the two differ, and the product code of either."""

    a: int
    b: int
    expected: int
    found: int

    def __str__(self) -> str:
        return f"operand codes {self.a} and {self.b} give {self.found}, not {self.expected}"


def counterexample(
    rtlil_text: str, mapped: MappedNetlist, *, subject: str = "", time_limit_s: float = 60
) -> Counterexample | None:
    """None when `mapped` is proven to compute what the RTLIL module `multiplier` does (ports a, b,
    p), else operands that tell them apart.

    Raises EquivalenceError when the ports differ or ABC reaches no verdict,
    gate_netlist.NetlistError and yosys.YosysError, which is also what becomes of the time limit.
    Netlists that keep the structure of the RTL take well under a second.
    """
    subject = subject or mapped.name
    gold = gate_netlist.gates(rtlil_text, subject=subject)
    ports = {name: len(nets) for name, nets in (mapped.inputs | mapped.outputs).items()}
    if ports != {"a": gold.widths.a, "b": gold.widths.b, "p": len(gold.p)}:
        raise EquivalenceError(
            f"{subject}: the netlist has the ports {ports}; compare netlists with the ports of "
            "the RTL"
        )
    script = [
        "read_blif gold.blif",
        "strash",
        "write_aiger gold.aig",
        "read_blif mapped.blif",
        "strash",
        "write_aiger mapped.aig",
    ]
    script += ["&read gold.aig", "&cec mapped.aig"]
    inputs = {"gold.blif": _gold_blif(gold), "mapped.blif": _mapped_blif(mapped)}
    said = yosys.run_abc(
        script, inputs=inputs, time_limit_s=time_limit_s, subject=f"proof of {subject}"
    )
    if "Networks are equivalent" in said:
        return None
    # ABC lists the inputs as one number: a in the low bits, then b.
    found = re.search(
        r"NOT EQUIVALENT(?s:.*)INPUT: a = \d+'h([0-9A-F]+)\.(?s:.*)z = \d+'h([0-9A-F]+) \(mapped\)",
        said,
    )
    if found is None:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        raise EquivalenceError(
            f"{subject}: ABC reached no verdict on the netlist (it said last: {last})"
        )
    a, b = int(found[1], 16) % (1 << gold.widths.a), int(found[1], 16) >> gold.widths.a
    return Counterexample(a, b, int(gold.evaluate(a, b)), int(found[2], 16))


def _gold_blif(gold: gate_netlist.GateNetlist) -> str:
    tables = (_names(gate.inputs, gate.output, _GATE_COVERS[gate.kind]) for gate in gold.gates)
    return _blif(gold.a, gold.b, gold.p, tables)


def _mapped_blif(mapped: MappedNetlist) -> str:
    tables = (
        _names(instance.inputs, net, _cover(pin.function, len(instance.inputs)))
        for instance in mapped.instances
        for net, pin in zip(instance.outputs, instance.cell.outputs, strict=True)
        if net != OPEN
    )
    return _blif(mapped.inputs["a"], mapped.inputs["b"], mapped.outputs["p"], tables)


def _blif(a: tuple[int, ...], b: tuple[int, ...], p: tuple[int, ...], tables: Iterable[str]) -> str:
    inputs = " ".join(f"n{net}" for net in (*a, *b))
    outputs = " ".join(f"p{bit}" for bit in range(len(p)))
    products = (_names((net,), f"p{bit}", "1 1") for bit, net in enumerate(p))
    constants = f".names n{ZERO}\n.names n{ONE}\n1"
    return "\n".join(
        [
            ".model m",
            f".inputs {inputs}",
            f".outputs {outputs}",
            constants,
            *tables,
            *products,
            ".end",
            "",
        ]
    )


def _names(inputs: Iterable[int], output: int | str, cover: str) -> str:
    name = output if isinstance(output, str) else f"n{output}"
    return f".names {' '.join(f'n{net}' for net in inputs)} {name}\n{cover}"


def _cover(function: int, inputs: int) -> str:
    """The rows of a truth table (bit m: value where input i equals bit i of m) that are 1."""
    rows = [m for m in range(1 << inputs) if function >> m & 1]
    return "\n".join(f"{''.join(str(m >> i & 1) for i in range(inputs))} 1" for m in rows)
