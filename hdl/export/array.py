"""Export of a systolic array as a project that other tools build: a module each for array, element
and, where products enter its sum, multiplier.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..elements.datapath import ElementComponent
from ..elements.element import Element
from ..elements.systolic import SystolicArray
from .element import FORMATS, clocked_project, module_text, packed
from .multiplier import verilog
from .project import Project, write_project
from .texts import comment, written_by

__all__ = ["array_identifier", "array_modules", "array_project", "export_array"]

BENCH_TILES = 4
#: Cycles that feed operands, for each tile.
BENCH_CYCLES = 64


def array_identifier(element: Element, rows: int, columns: int) -> str:
    """Verilog identifier and file name of an array: `array4x4_mac_sum24_mul8u_drum_k4`."""
    return f"array{rows}x{columns}_{element.identifier}"


def array_modules(element: Element, rows: int, columns: int) -> dict[str, str]:
    """The array, its element and, where products enter the sum, the multiplier: Verilog-2001 texts
    by the names of the modules. Raises InputError for sides out of range.
    """
    name, inner = array_identifier(element, rows, columns), f"chained_{element.identifier}"
    array = SystolicArray(element, rows, columns, element_module=inner)
    stays = "weight" if element.form.keeps_weights else "output"
    header = comment(
        f"{name}: {rows} x {columns} {stays}-stationary systolic array, {element}",
        "",
        *(_weights_stay if element.form.keeps_weights else _sums_stay)(element, rows, columns),
        f"Operands are {FORMATS[element.encoding]}. No reset.",
        written_by(),
    )
    about = comment(f"{inner}: {element}, for an array", "", written_by())
    module = "" if element.merged else element.multiplier.identifier
    component = ElementComponent(element, chained=True, multiplier_module=module)
    modules = {
        name: f"{header}\n{module_text(array, name, name)}",
        inner: f"{about}\n{module_text(component, inner, str(element))}",
    }
    return modules if element.merged else {**modules, module: verilog(element.multiplier)}


def _sums_stay(element: Element, rows: int, columns: int) -> list[str]:
    return [
        f"A matrix product ({rows} x K) @ (K x {columns}): K / {element.lanes} cycles with enable",
        f"1, in each of which a has {element.lanes} columns of the left matrix, b as many rows of",
        f"the right one; {_last(element, rows, columns)} cycles with enable 0; {rows} cycles with",
        f"drain 1, in which total shows the rows of the result, row {rows - 1} first.",
        "Row 0 and column 0, and in them lane 0, are in the lowest bits. The skew is inside.",
        f"After power-up: {2 * rows + columns} cycles with enable 0 and drain 1.",
        *_words(element),
    ]


def _weights_stay(element: Element, rows: int, columns: int) -> list[str]:
    terms, late = rows * element.lanes, 1 + element.form.pipelined
    return [
        f"A matrix product (P x {terms}) @ ({terms} x {columns}): {rows} cycles with load 1 and",
        f"enable 0, in which b has the weights of {element.lanes} terms, of row {rows - 1} first;",
        "P cycles with enable 1, in which a has a row of the left matrix;",
        f"{_last(element, rows, columns)} cycles with enable 0.",
        "Row 0 and column 0, and in them lane 0, are in the lowest bits.",
        "The skew of a is inside, that of sums is not. What above_total has of column j is added",
        f"to the products of what was fed j + {late} cycles before; then total has column j",
        f"of what was fed {rows - 1} + j + {late} cycles before.",
        *_words(element),
    ]


def _words(element: Element) -> list[str]:
    if len(element.words) == 1:
        return []
    return [f"The sum is that of {' and '.join(element.words)}."]


def _last(element: Element, rows: int, columns: int) -> int:
    """Cycles from the last operands that are fed until their products are added everywhere."""
    return rows + columns - 1 + element.form.pipelined


def array_project(element: Element, rows: int, columns: int) -> Project:
    """The array for other tools to build. Its tests are products of random matrices, many of their
    entries zero, one after the other. Raises InputError for sides out of range.
    """
    modules = array_modules(element, rows, columns)
    make = _tiles_of_weights if element.form.keeps_weights else _tiles_of_sums
    inputs, expected, checked = make(element, rows, columns)
    widths, lanes = element.lane.operand_widths, element.lanes
    bits = {"a": rows * lanes * widths.a, "b": columns * lanes * widths.b}
    bits |= {f"above_{word}": columns * element.sum_bits for word in element.words}
    return clocked_project(
        array_identifier(element, rows, columns),
        f"{rows} x {columns} array, {element}",
        modules,
        {port: (bits.get(port, 1), values) for port, values in inputs.items()},
        (),
        element.sum_bits,
        expected,
        np.array(checked),
        words=element.words,
    )


#: Inputs by port, the sums of the lowest row behind the edge, and whether these are compared, each
#: a value a cycle.
_Cycles = tuple[dict[str, list[int]], list[list[int]], list[bool]]


def _tiles_of_sums(element: Element, rows: int, columns: int) -> _Cycles:
    """Matrix products in an output-stationary array, which show when they are drained."""
    rng = np.random.default_rng(rows * columns)
    operand, lanes = element.lane.operand_widths, element.lanes
    cycles: list[tuple[int, int, int, int]] = [(0, 0, 0, 1)] * (2 * rows + columns)
    checked = [False] * len(cycles)
    expected: list[list[int]] = [[0] * columns] * len(cycles)

    def spend(cycle: tuple[int, int, int, int]) -> None:
        cycles.append(cycle)
        checked.append(False)
        expected.append([0] * columns)

    for _ in range(BENCH_TILES):
        steps = max(BENCH_CYCLES // lanes, lanes)
        a = _random(rng, (rows, steps, lanes), operand.a)
        b = _random(rng, (columns, steps, lanes), operand.b)
        sums = element.products(a[:, None], b[None]).sum(axis=(2, 3))
        for step in range(steps):
            left = packed(a[:, step].ravel().tolist(), operand.a)
            spend((left, packed(b[:, step].ravel().tolist(), operand.b), 1, 0))
        for _ in range(_last(element, rows, columns)):
            spend((0, 0, 0, 0))
        for row in reversed(range(rows)):
            # Before the edge that moves them on: the sums of the lowest row.
            checked[-1], expected[-1] = True, sums[row].tolist()
            spend((0, 0, 0, 1))
    ports = ("a", "b", "enable", "drain")
    return {port: [one[at] for one in cycles] for at, port in enumerate(ports)}, expected, checked


def _tiles_of_weights(element: Element, rows: int, columns: int) -> _Cycles:
    """Weights that are loaded, one matrix after the other, and activations that pass them; all the
    time random sums come in on top.
    """
    rng = np.random.default_rng(rows * columns)
    operand, lanes, bits = element.lane.operand_widths, element.lanes, element.sum_bits
    last = _last(element, rows, columns)
    once = rows + BENCH_CYCLES + last
    count = BENCH_TILES * once
    step, tile = np.arange(count) % once, np.arange(count) // once
    load = step < rows
    enable = ~load & (step < once - last) & (rng.random(count) < 0.9)
    a = _random(rng, (count, rows, lanes), operand.a)
    weights = _random(rng, (BENCH_TILES, rows, columns, lanes), operand.b)
    loaded = weights[tile, np.maximum(rows - 1 - step, 0)] * load[:, None, None]
    above = rng.integers(0, 1 << min(bits, 62), (len(element.words), count, columns))

    added = element.products(a[:, :, None], weights[tile]).sum(axis=(1, 3)) * enable[:, None]
    expected = [[0] * columns for _ in range(count)]
    known = 2 * rows + columns + 4
    for cycle in range(known, count):
        for j in range(columns):
            start = sum(int(word[cycle - (rows - 1), j]) for word in above)
            fed = cycle - (rows - 1) - j - 1 - element.form.pipelined
            expected[cycle][j] = start + int(added[fed, j])
    inputs = {
        "a": [packed(one.ravel().tolist(), operand.a) for one in a],
        "b": [packed(one.ravel().tolist(), operand.b) for one in loaded],
        "enable": enable.astype(int).tolist(),
        "load": load.astype(int).tolist(),
    }
    for word, values in zip(element.words, above, strict=True):
        inputs[f"above_{word}"] = [packed(one.tolist(), bits) for one in values]
    return inputs, expected, [cycle >= known for cycle in range(count)]


def _random(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> NDArray[np.int64]:
    """Operand codes, some of them zero."""
    return rng.integers(0, 1 << bits, shape) * (rng.random(shape) < 0.8)


def export_array(element: Element, rows: int, columns: int, folder: Path | str) -> list[Path]:
    """Writes the project of the array into the folder `<identifier>` of `folder`. Raises InputError
    and hdl.export.ExportError.
    """
    return write_project(array_project(element, rows, columns), folder)
