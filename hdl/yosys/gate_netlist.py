"""Gates of an RTL module, and what the module computes: evaluated 64 operand pairs at a time in
every word.

Yosys reduces the RTL to simple gates (`techmap; simplemap`, without technology mapping or
restructuring), and numpy evaluates them one by one on arrays of 64-bit words, each bit of a word
belonging to another operand pair.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..operands import Widths
from .runs import run

__all__ = ["MAX_EXHAUSTIVE_BITS", "Gate", "GateNetlist", "NetlistError", "gates"]

MAX_EXHAUSTIVE_BITS = 24
"""Operands of up to this many bits together have all their pairs evaluated (2^24 products)."""

ZERO, ONE = 0, 1
"""Nets 0 and 1 are the constants."""

_CHUNK_WORDS = 1 << 13
_WORD = np.dtype("<u8")
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_LOW_BIT_PATTERNS = [np.uint64(sum(1 << k for k in range(64) if k >> bit & 1)) for bit in range(6)]
_INPUT_PINS: Mapping[str, tuple[str, ...]] = {
    "$_BUF_": ("A",),
    "$_NOT_": ("A",),
    **dict.fromkeys(
        ("$_AND_", "$_NAND_", "$_OR_", "$_NOR_", "$_XOR_", "$_XNOR_", "$_ANDNOT_", "$_ORNOT_"),
        ("A", "B"),
    ),
    "$_MUX_": ("A", "B", "S"),
}


class NetlistError(InputError):
    """A module that is no combinational multiplier: one line with the module, the culprit and the
    next step.
    """


class Gate(NamedTuple):
    """One gate: a Yosys cell type such as `$_AND_`, its input nets in the order A, B, S, and its
    output net.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True, eq=False)
class GateNetlist:
    """A multiplier as gates in topological order. Nets are numbered from 0; `a`, `b` and `p` list
    the nets of each port from bit 0 up.
    """

    gates: tuple[Gate, ...]
    a: tuple[int, ...]
    b: tuple[int, ...]
    p: tuple[int, ...]

    @property
    def widths(self) -> Widths:
        """Bits of the operands."""
        return Widths(len(self.a), len(self.b))

    def evaluate(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
        """Product codes of operand codes (integers from 0 to 2^width - 1); the two arrays
        broadcast. Any widths.
        """
        a, b = np.broadcast_arrays(np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64))
        for name, codes, width in zip("ab", (a, b), self.widths, strict=True):
            if codes.size and (codes.min() < 0 or codes.max() >> width):
                raise ValueError(
                    f"codes of the {width}-bit operand {name} lie between 0 and {(1 << width) - 1}"
                )
        products = np.empty(a.size, dtype=np.int64)
        flat_a, flat_b = a.ravel(), b.ravel()
        for start in range(0, a.size, 64 * _CHUNK_WORDS):
            chunk = slice(start, min(start + 64 * _CHUNK_WORDS, a.size))
            operands = zip((flat_a, flat_b), self.widths, strict=True)
            inputs = [
                _pack(operand[chunk] >> bit & 1)
                for operand, width in operands
                for bit in range(width)
            ]
            products[chunk] = _unpack(self._outputs(inputs), chunk.stop - start, np.dtype(np.int64))
        return products.reshape(a.shape)

    def evaluate_all(self) -> NDArray[np.int32]:
        """Product codes of all operand pairs: int32, shape (2^width_a, 2^width_b), indexed [a code,
        b code].

        Raises ValueError past MAX_EXHAUSTIVE_BITS bits of both operands together.
        """
        bits = self.widths.product
        if bits > MAX_EXHAUSTIVE_BITS:
            raise ValueError(
                f"all pairs of operands of {bits} bits together are too many; up to "
                f"{MAX_EXHAUSTIVE_BITS} can be enumerated"
            )
        pairs = 1 << bits
        words = -(-pairs // 64)
        products = np.empty(64 * words, dtype=np.int32)
        for start in range(0, words, _CHUNK_WORDS):
            index = np.arange(start, min(start + _CHUNK_WORDS, words), dtype=np.uint64)
            counter = [_counter_bit(index, bit) for bit in range(bits)]
            outputs = self._outputs(counter[self.widths.b :] + counter[: self.widths.b])
            products[64 * start : 64 * (start + len(index))] = _unpack(
                outputs, 64 * len(index), np.dtype(np.int32)
            )
        return products[:pairs].reshape(1 << self.widths.a, 1 << self.widths.b)

    def _outputs(self, inputs: Sequence[NDArray[np.uint64]]) -> list[NDArray[np.uint64]]:
        """The words of each bit of p, from those of the bits of a and then b; every array has the
        same length.
        """
        program = self._program
        words = len(inputs[0])
        values = np.empty((program.slots, words), dtype=_WORD)
        values[ZERO], values[ONE] = 0, _ALL
        for slot, bits in zip(program.inputs, inputs, strict=True):
            values[slot] = bits
        for kind, operands, output in program.steps:
            _compute(kind, [values[slot] for slot in operands], values[output])
        return [values[slot] for slot in program.outputs]

    @functools.cached_property
    def _program(self) -> _Program:
        """The gates on as few rows as are alive at once: a row is free again after the last gate
        that reads its net.
        """
        last_use = {
            net: position for position, gate in enumerate(self.gates) for net in gate.inputs
        }
        kept = {ZERO, ONE, *self.p}
        row_of = {net: row for row, net in enumerate(dict.fromkeys((ZERO, ONE, *self.a, *self.b)))}
        inputs = tuple(row_of[net] for net in (*self.a, *self.b))
        free: list[int] = []
        rows = len(row_of)
        steps = []
        for position, gate in enumerate(self.gates):
            if free:
                row = free.pop()
            else:
                row, rows = rows, rows + 1
            operands = tuple(row_of[net] for net in gate.inputs)
            row_of[gate.output] = row
            steps.append(Gate(gate.kind, operands, row))
            dying = {net for net in gate.inputs if last_use[net] == position} | (
                {gate.output} - last_use.keys()
            )
            free.extend(sorted(row_of[net] for net in dying - kept))
        return _Program(rows, inputs, tuple(steps), tuple(row_of[net] for net in self.p))


class _Program(NamedTuple):
    slots: int
    inputs: tuple[int, ...]
    steps: tuple[Gate, ...]
    outputs: tuple[int, ...]


def gates(
    rtlil_text: str, *, top: str = "multiplier", subject: str = "", untrusted: bool = False
) -> GateNetlist:
    """The gates of the module `top` with the ports a (m bits), b (n bits) and p (m + n bits or
    more). Undefined bits are read as 0.

    `subject` names the design in messages; `untrusted` is as `hdl.yosys.run` takes it. Raises
    NetlistError when it is no combinational multiplier, YosysError when Yosys refuses it.
    """
    commands = [
        "read_rtlil in.il",
        f"hierarchy -check -top {top}",
        "proc",
        "flatten -noscopeinfo",
        "opt",
        "techmap",
        "simplemap",
        "opt",
    ]
    commands += ["setundef -zero -undriven", "opt_clean", "write_json out.json"]
    what = subject or "gates of a multiplier"
    text = run(
        commands,
        inputs={"in.il": rtlil_text},
        outputs=["out.json"],
        subject=what,
        untrusted=untrusted,
    )["out.json"]
    return _from_json(json.loads(text)["modules"][top], subject or f"module {top}")


def _from_json(module: Mapping[str, Any], subject: str) -> GateNetlist:
    ports = {name: (port["direction"], port["bits"]) for name, port in module["ports"].items()}
    width_a, width_b, width_p = (len(ports[name][1]) if name in ports else 0 for name in "abp")
    directions = {name: direction for name, (direction, _) in ports.items()}
    if directions != {"a": "input", "b": "input", "p": "output"} or not (
        width_a and width_b and width_p >= width_a + width_b
    ):
        found = (
            ", ".join(
                f"{direction} {name}[{len(bits)}]" for name, (direction, bits) in ports.items()
            )
            or "no ports"
        )
        raise NetlistError(
            f"{subject}: ports are {found}; a multiplier has inputs a of m bits and b of n bits, "
            "and output p of m+n bits"
        )
    a, b, p = ([_net(bit) for bit in ports[name][1]] for name in ("a", "b", "p"))
    drivers: dict[int, Gate] = {}
    for name, cell in module["cells"].items():
        kind = cell["type"]
        if kind not in _INPUT_PINS:
            raise NetlistError(
                f"{subject}: {name} is a {kind}; a multiplier is made of combinational gates only"
            )
        pins = {pin: _net(bits[0]) for pin, bits in cell["connections"].items()}
        drivers[pins["Y"]] = Gate(kind, tuple(pins[pin] for pin in _INPUT_PINS[kind]), pins["Y"])
    return GateNetlist(
        tuple(_topological(drivers, {ZERO, ONE, *a, *b}, p, subject)), tuple(a), tuple(b), tuple(p)
    )


def _net(bit: int | str) -> int:
    """Net of a bit in Yosys's JSON, which numbers nets from 2 and writes constants as text."""
    if isinstance(bit, int):
        return bit
    return ONE if bit == "1" else ZERO


def _topological(
    drivers: Mapping[int, Gate], known: set[int], wanted: Iterable[int], subject: str
) -> Iterable[Gate]:
    done, open_nets = set(known), set[int]()
    for net in wanted:
        stack = [net]
        while stack:
            current = stack[-1]
            if current in done:
                stack.pop()
                continue
            if current not in drivers:
                raise NetlistError(
                    f"{subject}: bit {current} of the netlist has no driver; connect every bit of "
                    "the design"
                )
            gate = drivers[current]
            missing = [operand for operand in gate.inputs if operand not in done]
            if not missing:
                stack.pop()
                open_nets.discard(current)
                done.add(current)
                yield gate
            elif any(operand in open_nets for operand in missing):
                raise NetlistError(
                    f"{subject}: there is a combinational loop; a multiplier has none"
                )
            else:
                open_nets.add(current)
                stack.extend(missing)


def _compute(kind: str, operands: Sequence[NDArray[np.uint64]], out: NDArray[np.uint64]) -> None:
    """Writes the words of one gate to `out`, which is none of the operands."""
    match kind, operands:
        case "$_AND_", [a, b]:
            np.bitwise_and(a, b, out=out)
        case "$_OR_", [a, b]:
            np.bitwise_or(a, b, out=out)
        case "$_XOR_", [a, b]:
            np.bitwise_xor(a, b, out=out)
        case "$_NOT_", [a]:
            np.invert(a, out=out)
        case "$_MUX_", [a, b, s]:
            np.bitwise_xor(a, b, out=out)
            out &= s
            out ^= a
        case "$_NAND_", [a, b]:
            np.bitwise_and(a, b, out=out)
            np.invert(out, out=out)
        case "$_NOR_", [a, b]:
            np.bitwise_or(a, b, out=out)
            np.invert(out, out=out)
        case "$_XNOR_", [a, b]:
            np.bitwise_xor(a, b, out=out)
            np.invert(out, out=out)
        case "$_ANDNOT_", [a, b]:
            np.invert(b, out=out)
            out &= a
        case "$_ORNOT_", [a, b]:
            np.invert(b, out=out)
            out |= a
        case "$_BUF_", [a]:
            out[:] = a
        case _:
            raise AssertionError(f"{kind} with {len(operands)} inputs")


def _counter_bit(index: NDArray[np.uint64], bit: int) -> NDArray[np.uint64]:
    """Bit `bit` of the pair number 64 w + k for every word w of `index` and bit k of the word."""
    if bit < len(_LOW_BIT_PATTERNS):
        return np.full(len(index), _LOW_BIT_PATTERNS[bit], dtype=_WORD)
    return (index >> np.uint64(bit - 6) & np.uint64(1)) * _ALL


def _pack(bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Words of a sequence of 0 and 1, the first in the lowest bit, padded with 0."""
    octets = np.packbits(bits.astype(np.uint8), bitorder="little")
    return np.pad(octets, (0, -len(octets) % 8)).view(_WORD)


def _unpack(words: Sequence[NDArray[np.uint64]], count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The first `count` integers whose bits, from bit 0 up, are given as words."""
    # Eight rows of bits become one row of bytes at a time: byte-wide work is the cheapest that
    # numpy has for this.
    values = np.zeros(count, dtype=dtype)
    for low in range(0, len(words), 8):
        octet = np.zeros(count, dtype=np.uint8)
        for bit, row in enumerate(words[low : low + 8]):
            octet |= np.unpackbits(row.view(np.uint8), count=count, bitorder="little") << np.uint8(
                bit
            )
        values |= octet.astype(dtype) << low
    return values
