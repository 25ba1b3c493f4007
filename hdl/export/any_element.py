"""Export of an element of any form, as a project that other tools build.

Where products enter the sum, the multiplier is the module that `hdl.export.multiplier` exports, so
that another one with the same ports can take its place; where partial products do, the element is
one module.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..elements.datapath import ElementComponent
from ..elements.element import Element
from .element import BENCH_CYCLES, FORMATS, clocked_project, module_text, packed
from .multiplier import verilog
from .project import Project, write_project
from .texts import comment, written_by

__all__ = ["element_modules", "element_project", "expected_sums", "export_element"]


#: Cycles of a test bench of many lanes, whose simulation takes longer.
LEAST_CYCLES = 512


def element_modules(element: Element) -> dict[str, str]:
    """The element and, where its products enter the sum, its multiplier: Verilog-2001 texts by the
    names of the modules.
    """
    name, form = element.identifier, element.form
    module = "" if element.merged else element.multiplier.identifier
    late = "two edges" if form.pipelined else "one edge"
    start = "above_total" if form.keeps_weights else "zero where clear is 1, else to the sum before"
    lines = [
        f"At a clock edge the operands are registered; {late} later the products are added to",
        f"{start}.",
    ]
    if form.keeps_weights:
        lines.append("b is taken where load is 1, at an edge where enable is 0.")
    if form.gated:
        lines.append("Operands of which one is zero are not registered: their product is zero.")
    if len(element.words) > 1:
        lines.append(f"The sum is that of {' and '.join(element.words)}.")
    header = comment(
        f"{name}: {element}",
        "",
        *lines,
        f"Lane 0 has the lowest bits of a and b. Operands are {FORMATS[element.encoding]}.",
        f"Sums of up to {element.safe_terms} products cannot overflow. No reset.",
        written_by(),
    )
    component = ElementComponent(element, multiplier_module=module)
    own = {name: f"{header}\n{module_text(component, name, str(element))}"}
    return own if element.merged else {**own, module: verilog(element.multiplier)}


def element_project(element: Element) -> Project:
    """The element for other tools to build. Its tests apply random operands, many of them zero, and
    know the sum that every cycle must show.
    """
    rng = np.random.default_rng(element.sum_bits)
    widths, lanes, bits = element.lane.operand_widths, element.lanes, element.sum_bits
    cycles = max(BENCH_CYCLES // lanes, LEAST_CYCLES)
    a, b = (
        rng.integers(0, 1 << width, (cycles, lanes)) * (rng.random((cycles, lanes)) < 0.8)
        for width in widths
    )
    enable, clear = rng.random(cycles) < 0.9, rng.random(cycles) < 0.02
    load = rng.random(cycles) < 0.1
    known = 2 + element.form.pipelined
    enable[:known], clear[:known], load[:known] = False, True, True
    above = rng.integers(0, 1 << min(bits, 62), (cycles, len(element.words)))
    inputs: dict[str, tuple[int, list[int]]] = {
        "a": (lanes * widths.a, [packed(row, widths.a) for row in a.tolist()]),
        "b": (lanes * widths.b, [packed(row, widths.b) for row in b.tolist()]),
    }
    if element.form.keeps_weights:
        enable &= ~load
        inputs |= {"enable": (1, enable.tolist()), "load": (1, load.tolist())}
        for place, word in enumerate(element.words):
            inputs[f"above_{word}"] = (bits, above[:, place].tolist())
        loaded = np.maximum.accumulate(np.where(load, np.arange(cycles), 0))
        expected = expected_sums(element, a, b[loaded], enable, starts=above.sum(axis=1))
    else:
        inputs |= {"enable": (1, enable.tolist()), "clear": (1, clear.tolist())}
        expected = expected_sums(element, a, b, enable, clear=clear)
    checked = np.arange(cycles) >= known
    return clocked_project(
        element.identifier,
        str(element),
        element_modules(element),
        inputs,
        (),
        bits,
        [[value] for value in expected],
        checked,
        words=element.words,
    )


def expected_sums(
    element: Element,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    enable: NDArray[np.bool_],
    *,
    clear: NDArray[np.bool_] | None = None,
    starts: NDArray[np.int64] | None = None,
) -> list[int]:
    """The sum behind every clock edge, modulo 2^sum_bits, for the operands (cycles, lanes) and
    enables before it: with `clear` of an output-stationary element, with the sums from above as
    `starts` of a weight-stationary one, whose `b` are the weights that it holds by then.
    """
    added = element.products(a, b).sum(axis=1) * enable
    delay, mask = 1 + element.form.pipelined, (1 << element.sum_bits) - 1
    expected: list[int] = []
    for cycle in range(len(a)):
        if starts is not None:
            start = int(starts[cycle])
        else:
            assert clear is not None
            start = 0 if clear[cycle] or not expected else expected[-1]
        late = int(added[cycle - delay]) if cycle >= delay else 0
        expected.append((start + late) & mask)
    return expected


def export_element(element: Element, folder: Path | str) -> list[Path]:
    """Writes the project of the element into the folder `<identifier>` of `folder`. Raises
    hdl.export.ExportError.
    """
    return write_project(element_project(element), folder)
