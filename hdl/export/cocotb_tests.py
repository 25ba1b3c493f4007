"""cocotb tests of exported designs: Python texts, which read what they apply and expect from a file
beside them.

cocotb 2 runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..operands import Widths
from .project import CLOCK

__all__ = ["clocked_test", "combinational_test"]

_HEAD = '''\
"""cocotb test of {name}: {what}.

By hand, with Icarus Verilog or the simulator that the variable SIM names: python test_{name}.py
"""

from pathlib import Path

import cocotb
from cocotb.triggers import Timer

HERE = Path(__file__).resolve().parent
VECTORS = HERE / "{name}.hex"
'''

_RUN = '''\


def run():
    """Builds the design, runs the test, and fails where that fails."""
    import os

    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner(os.environ.get("SIM", "icarus"))
    sources = [HERE / file for file in {sources}]
    folder = HERE / "sim_build"
    runner.build(sources=sources, hdl_toplevel="{name}", build_dir=folder, always=True)
    results = runner.test(
        hdl_toplevel="{name}", test_module="test_{name}", build_dir=folder, test_dir=HERE
    )
    tests, failed = get_results(results)
    raise SystemExit(0 if tests and not failed else 1)


if __name__ == "__main__":
    run()
'''

_COMBINATIONAL = '''\
WIDTH_A, WIDTH_B, WIDTH_P = {widths.a}, {widths.b}, {width_p}
COLUMNS = {columns}


def parts(word, bits):
    """A hexadecimal word cut into COLUMNS numbers, the first in the lowest bits."""
    value = int(word, 16)
    return [value >> bits * column & (1 << bits) - 1 for column in range(COLUMNS)]


def pairs():
    """Operand codes a and b and the code of their product."""
    for row, line in enumerate(VECTORS.read_text().split("\\n")[:-1]):
        *operands, products = line.split()
        for column, product in enumerate(parts(products, WIDTH_P)):
            if operands:
                if column == 0:
                    codes = parts(operands[0], WIDTH_A + WIDTH_B)
                yield codes[column] >> WIDTH_B, codes[column] & (1 << WIDTH_B) - 1, product
            else:
                yield row, column, product


@cocotb.test()
async def products(dut):
    wrong = []
    for a, b, product in pairs():
        dut.a.value, dut.b.value = a, b
        await Timer(1, "ns")
        if dut.p.value != product:
            wrong.append(f"a={{a:x}} b={{b:x}} p={{dut.p.value}} expected={{product:0{width_p}b}}")
    assert not wrong, f"{{len(wrong)}} products are wrong, the first: {{wrong[0]}}"
'''

_CLOCKED = """\
# A line of the file is a cycle. From the highest bits down: whether the sum of the outputs is
# compared after the clock edge, what it is then, and the inputs before the edge.
INPUTS = {inputs}
OUTPUTS, TOTAL_BITS, SUM_BITS = {outputs}, {total_bits}, {sum_bits}


def sum_of(values):  # sum by sum; None where a bit is neither 0 nor 1
    if not all(value.is_resolvable for value in values):
        return None
    places = range(0, TOTAL_BITS, SUM_BITS)
    sums = [sum(int(value) >> place for value in values) % (1 << SUM_BITS) for place in places]
    return sum(one << place for one, place in zip(sums, places))


@cocotb.test()
async def sums(dut):
    wrong = []
    dut.{clock}.value = 0
    for cycle, line in enumerate(VECTORS.read_text().split()):
        word = int(line, 16)
        for port, bits in reversed(INPUTS.items()):
            getattr(dut, port).value = word & (1 << bits) - 1
            word >>= bits
        await Timer(5, "ns")
        dut.{clock}.value = 1
        await Timer(5, "ns")
        dut.{clock}.value = 0
        total, compared = word & (1 << TOTAL_BITS) - 1, word >> TOTAL_BITS
        found = [getattr(dut, port).value for port in OUTPUTS]
        if compared and sum_of(found) != total:
            wrong.append(f"cycle {{cycle}} total={{found}} expected={{total:0{total_bits}b}}")
    assert not wrong, f"{{len(wrong)}} sums are wrong, the first: {{wrong[0]}}"
"""


def combinational_test(
    name: str, sources: Sequence[str], widths: Widths, width_p: int, columns: int, what: str
) -> str:
    """A test of a multiplier. The file beside it has a line for a row of `columns` products, with
    or without their operands in front; without, row and column are the operands' codes.
    """
    body = _COMBINATIONAL.format(widths=widths, width_p=width_p, columns=columns)
    return _HEAD.format(name=name, what=what) + body + _run(name, sources)


def clocked_test(
    name: str,
    sources: Sequence[str],
    inputs: Mapping[str, int],
    outputs: Sequence[str],
    total_bits: int,
    sum_bits: int,
) -> str:
    """A test of a clocked design with the sum of some outputs, each of which has sums of `sum_bits`
    side by side. The file beside it has a line for each cycle.
    """
    body = _CLOCKED.format(
        inputs=dict(inputs),
        outputs=list(outputs),
        total_bits=total_bits,
        sum_bits=sum_bits,
        clock=CLOCK,
    )
    what = "the sums of every cycle"
    return _HEAD.format(name=name, what=what) + body + _run(name, sources)


def _run(name: str, sources: Sequence[str]) -> str:
    return _RUN.format(name=name, sources=list(sources))
