"""How fast the catalogue is: RTL elaborated and the exhaustive product table made from its gates,
for every family's points.

    python -m bench.catalogue [--width 8] [--workers 2]

Every family, unsigned and signed: every value of each parameter with the others as usual
(wide-ranging constants and texts: one value). Prints one line a family and the total; the goal is
150 specs or more in under 60 s on 2 cores.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from hdl.multipliers import FAMILIES, Family, MultiplierSpec, exact_terms, rtlil, terms_text
from hdl.operands import Widths
from hdl.tables import ProductTable

_MOST_VALUES = 32


def catalogue_points(family: Family, width: int, signed: bool) -> list[str]:
    """Specs of a family, one parameter varied at a time."""
    usual: dict[str, int | str] = {}
    for parameter in family.parameters:
        if parameter.default is None and parameter.bounds is not None:
            usual[parameter.name] = sum(parameter.bounds(Widths.of(width))) // 2
        elif parameter.default is None and parameter.choices:
            usual[parameter.name] = parameter.choices[0]
        elif family.name == "terms" and parameter.default is None:
            usual[parameter.name] = terms_text(exact_terms(Widths.of(width))[4:])
        elif parameter.default is None:
            # the other text without a default: a mask of partial products
            usual[parameter.name] = f"{(1 << width * width) - 1 & ~0x0F:x}"
    settings = [usual]
    for parameter in family.parameters:
        if parameter.choices:
            settings += [usual | {parameter.name: choice} for choice in parameter.choices]
        elif parameter.bounds is not None:
            low, high = parameter.bounds(Widths.of(width))
            if high - low <= _MOST_VALUES:
                settings += [usual | {parameter.name: value} for value in range(low, high + 1)]
    specs = [
        MultiplierSpec.nearest(family.name, width=width, signed=signed, swapped=False, **values)
        for values in settings
    ]
    return list({str(spec): spec for spec in specs})


def make_table(text: str) -> tuple[str, float, float]:
    """(family, seconds of elaboration, seconds to the table)."""
    spec = MultiplierSpec.parse(text)
    start = time.perf_counter()
    circuit = rtlil(spec)
    elaborated = time.perf_counter()
    ProductTable.of_rtlil(circuit, signed=spec.signed, name=text)
    return spec.family, elaborated - start, time.perf_counter() - elaborated


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--width", type=int, default=8)
    arguments.add_argument("--workers", type=int, default=2)
    options = arguments.parse_args()
    families = [family for family in FAMILIES.values() if family.fits(Widths.of(options.width))]
    texts = [
        text
        for family in families
        for signed in (False, True)
        for text in catalogue_points(family, options.width, signed)
    ]
    start = time.perf_counter()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(make_table, texts, chunksize=8))
    wall_s = time.perf_counter() - start
    for family in families:
        times = [
            (elaboration, table) for name, elaboration, table in results if name == family.name
        ]
        elaboration_ms, table_ms = (
            1000 * sum(column) / len(times) for column in zip(*times, strict=True)
        )
        print(
            f"{family.name:12} {len(times):4} specs   RTL {elaboration_ms:6.1f} ms   gates and "
            f"table {table_ms:6.1f} ms"
        )
    print(
        f"{len(texts)} specs at {options.width} bits, {options.workers} workers: {wall_s:.1f} s, "
        "starting the workers included"
    )


if __name__ == "__main__":
    main()
