"""Cell libraries of two gates, as text that tests change."""

from __future__ import annotations

__all__ = ["INVERTER", "NAND", "OF_A", "OF_B", "TABLES", "library_text"]

TABLES = " ".join(
    f'{name} (t) {{ values ("2"); }}'
    for name in ("cell_rise", "rise_transition", "cell_fall", "fall_transition")
)
OF_A, OF_B = (f"timing () {{ related_pin : {pin}; {TABLES} }}" for pin in "AB")
INVERTER = (
    "cell (inv) { area : 2; pin (A) { direction : input; capacitance : 3; }"
    f' pin (Y) {{ direction : output; function : "!A"; {OF_A} }} }}'
)
NAND = (
    "cell (nand) { area : 3; pin (A) { direction : input; capacitance : 3; } pin (B) { direction "
    ": input; capacitance : 4; }"
    f' pin (Y) {{ direction : output; function : "(A B)\'"; {OF_A} {OF_B} }} }}'
)


def library_text(*cells: str, head: str = "") -> str:
    units = (
        "time_unit : 10ps; capacitive_load_unit (0.1, pf); leakage_power_unit : 1uW; "
        "voltage_unit : 100mV; nom_voltage : 9;"
    )
    return f"library (demo) {{ {units} lu_table_template (t) {{ }} {head} {' '.join(cells)} }}"
