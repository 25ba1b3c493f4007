"""Cell libraries that are none."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from hostile.cases import Case, places, steps, write

UNITS = (
    "time_unit : 1ns; capacitive_load_unit (1, pf); voltage_unit : 1V; leakage_power_unit : "
    "1nW; nom_voltage : 1.2;"
)
TABLES = " ".join(
    f'{kind} (scalar) {{ values ("{{0}}"); }}'
    for kind in ("cell_rise", "rise_transition", "cell_fall", "fall_transition")
)


def liberty_text(
    head: str = UNITS,
    area: str = "1",
    capacitance: str = "0.01",
    value: str = "0.1",
    name: str = "inv",
    more: str = "",
) -> str:
    def cell(cell_name: str, inputs: str, expression: str) -> str:
        pins = " ".join(
            f"pin ({pin}) {{ direction : input; capacitance : {capacitance}; }}" for pin in inputs
        )
        arcs = " ".join(
            f"timing () {{ related_pin : {pin}; {TABLES.replace('{0}', value)} }}" for pin in inputs
        )
        output = f'pin (Y) {{ direction : output; function : "{expression}"; {arcs} }}'
        return f"cell ({cell_name}) {{ area : {area}; {pins} {output} {more} }}"

    return f"library (l) {{ {head} {cell(name, 'A', '!A')} {cell('nand2', 'AB', '!(A B)')} }}"


LIBERTY: dict[str, str] = {
    "no units": liberty_text("nom_voltage : 1.2;"),
    "no time unit": liberty_text(UNITS.replace("time_unit : 1ns;", "")),
    "no unit of capacitance": liberty_text(UNITS.replace("capacitive_load_unit (1, pf);", "")),
    "a unit of nothing": liberty_text(UNITS.replace("1ns", "0ns")),
    "a unit beyond all bounds": liberty_text(UNITS.replace("1ns", "1e300ns")),
    "a unit of something else": liberty_text(UNITS.replace("1ns", "1 fortnight")),
    "no voltage": liberty_text(UNITS.replace("nom_voltage : 1.2;", "")),
    "a negative voltage": liberty_text(UNITS.replace("1.2", "-1.2")),
    "a negative area": liberty_text(area="-1"),
    "an area that is no number": liberty_text(area="nan"),
    "an infinite area": liberty_text(area="inf"),
    "an absurd area": liberty_text(area="1e200"),
    "a negative capacitance": liberty_text(capacitance="-1"),
    "an infinite capacitance": liberty_text(capacitance="1e999"),
    "a delay that is no number": liberty_text(value="nan"),
    "an absurd delay": liberty_text(value="1e300"),
    "negative leakage": liberty_text(more="cell_leakage_power : -4;"),
    "a name with a command": liberty_text(name='"inv); exec -- touch x; ("'),
    "a name with a path": liberty_text(name='"../../inv"'),
    "groups without end": "library (l) {" * 5000,
    "half a million groups": "library (l) { " + "a () { } " * 600_000 + "}",
    "an expression of a megabyte": liberty_text().replace("!(A B)", "A&" * 500_000 + "A"),
    "too few values": liberty_text().replace(
        'values ("0.1")', 'index_1 ("1, 2"); index_2 ("1, 2"); values ("1, 2, 3")'
    ),
    "not Liberty": "this is no library",
    "cut short": liberty_text()[:-200],
}


def liberty() -> Iterator[Case]:
    command = ("synth", "drum:k=4", "--liberty", "it.lib")
    for name, text in LIBERTY.items():
        yield Case(f"liberty: {name}", command, write("it.lib", text))
    for name, make in places(".lib"):
        yield Case(f"liberty: {name}", command, make)
    yield Case(
        "liberty: a gzip bomb",
        command,
        steps(lambda: Path("it.lib").write_bytes(gzip.compress(bytes(200 << 20), 9))),
    )
    yield Case(
        "liberty: a cut gzip",
        command,
        write("it.lib", gzip.compress(liberty_text().encode())[:-20]),
    )
    yield Case(
        "liberty: for a search",
        ("explore", "--network", "resnet20", "--out", "r", "--liberty", "it.lib"),
        write("it.lib", "x"),
    )
