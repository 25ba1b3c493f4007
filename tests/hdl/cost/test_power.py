"""Power against OpenSTA 3.1 with the same activities, and the energy per operation that follows
from simulation.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hdl.cells.library import CellLibrary
from hdl.cost.mapped_netlist import MappedNetlist
from hdl.cost.power import estimate, operation_energy
from hdl.cost.timing import analyze
from hdl.errors import InputError
from hdl.operands import OperandDistribution, OperandOrder

LIBRARIES = {
    "sg13g2": "pdk/sg13g2_stdcell_typ_1p20V_25C.lib.gz",
    "sky130": "pdk/sky130_fd_sc_hd__tt_025C_1v80.lib.gz",
}
OUTPUT_LOAD_FF = {"sg13g2": 6.0, "sky130": 10.0}
OPERATIONS = 4096
PERIOD_S = 10e-9

AND = """
module m (a, b, p);
  input [3:0] a, b; output [7:0] p;
  sg13g2_and2_1 u (.A(a[0]), .B(b[0]), .X(p[0]));
  assign p[7:1] = 0;
endmodule
"""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_power_equals_openstas(shared: Path) -> None:
    libraries = {name: CellLibrary.load(shared / path) for name, path in LIBRARIES.items()}
    folder = shared / "oracle/opensta"
    reference = [
        row
        for row in rows(folder / "reference.csv")
        if (row["setup"], row["pin_caps"]) == ("ideal", "nominal")
    ]
    assert len(reference) == 26
    for row in reference:
        name, library = f"{row['design']}.{row['lib']}", libraries[row["lib"]]
        netlist = MappedNetlist.from_verilog(
            (folder / f"{name}.v").read_text(), library, row["design"]
        )
        timing = analyze(netlist, output_load_ff=OUTPUT_LOAD_FF[row["lib"]])
        activity = {entry["net"]: entry for entry in rows(folder / f"{name}.activity.csv")}
        toggles, ones = np.zeros(len(netlist.net_names)), np.zeros(len(netlist.net_names))
        for net, net_name in enumerate(netlist.net_names):
            if net > 1:
                toggles[net] = int(activity[net_name][f"toggles_{row['activity']}"]) / OPERATIONS
                ones[net] = int(activity[net_name]["ones"]) / OPERATIONS
                assert timing.load_ff[net] == pytest.approx(
                    1e3 * float(activity[net_name]["load_nominal_pF"]), abs=1e-6
                )
        power = estimate(netlist, timing, toggles, ones)
        assert power.internal_fj == pytest.approx(
            1e15 * PERIOD_S * float(row["internal_W"]), rel=1e-5
        )
        assert power.switching_fj == pytest.approx(
            1e15 * PERIOD_S * float(row["switching_W"]), rel=1e-5
        )
        assert power.leakage_nw == pytest.approx(1e9 * float(row["leakage_W"]), rel=1e-5)
        assert power.toggle_energy_fj @ toggles == pytest.approx(power.energy_fj)
        if row["activity"] == "inertial":
            instances = {
                entry["instance"]: entry for entry in rows(folder / f"{name}.instpower.csv")
            }
            for index, instance in enumerate(netlist.instances):
                expected = instances[instance.name]
                internal = 1e15 * PERIOD_S * float(expected["internal_nominal_W"])
                assert power.instance_internal_fj[index] == pytest.approx(
                    internal, rel=1e-4, abs=1e-4
                )


def test_energy_of_one_gate_under_known_operands() -> None:
    """a[0] is 1 with probability 1/2 and b[0] always: the output toggles every other operation, and
    so does a[0].
    """
    library = CellLibrary.load()
    netlist = MappedNetlist.from_verilog(AND, library, "m")
    a, b = np.zeros((1, 16)), np.zeros((1, 16))
    a[0, :2], b[0, 1] = 0.5, 1
    timing = analyze(netlist, output_load_ff=10)
    energy = operation_energy(
        netlist, timing, OperandDistribution(np.ones(1), a, b, "half"), relative_error=0.02
    )
    power = library.cells["sg13g2_and2_1"].outputs[0].powers[0]
    assert power.related == 0
    assert power.rise is not None
    assert power.fall is not None
    per_toggle = 0.5 * 10 * 1.2**2 + 0.5 * (power.rise.at(20, 10) + power.fall.at(20, 10))
    assert energy.energy_fj == pytest.approx(float(0.5 * per_toggle), rel=0.05)
    assert energy.settled_fj == pytest.approx(energy.energy_fj)
    assert energy.standard_error_fj <= 0.02 * energy.energy_fj


@pytest.mark.parametrize(("operations", "toggles"), [(1, 3 / 8), (2, 5 / 16), (10**6, 1 / 4)])
def test_a_weight_that_stays_saves_toggles(operations: int, toggles: float) -> None:
    """a[0] and b[0] are 1 with probability 1/2: their AND moves in 3 of 8 operations, in 1 of 4
    when b[0] stays.
    """
    netlist = MappedNetlist.from_verilog(AND, CellLibrary.load(), "m")
    bit = np.zeros((1, 16))
    bit[0, :2] = 0.5
    operands, timing = OperandDistribution(np.ones(1), bit, bit, "bits"), analyze(netlist)
    energy = operation_energy(
        netlist, timing, operands, order=OperandOrder(operations), relative_error=0.02
    )
    output = netlist.output_nets[0]
    assert energy.activity.toggle_rates[output] == pytest.approx(toggles, rel=0.05)
    assert energy.activity.probabilities[output] == pytest.approx(0.25, rel=0.05)
    assert energy.standard_error_fj < 0.02 * energy.energy_fj


def test_the_standard_error_is_honest() -> None:
    """Over many seeds, energies scatter as much as their standard errors say."""
    library = CellLibrary.load()
    netlist = MappedNetlist.from_verilog(AND, library, "m")
    timing = analyze(netlist)
    runs = [
        operation_energy(
            netlist, timing, OperandDistribution.uniform(4), seed=seed, relative_error=0.05
        )
        for seed in range(40)
    ]
    mean = np.mean([run.energy_fj for run in runs])
    scores = [(run.energy_fj - mean) / run.standard_error_fj for run in runs]
    assert 0.7 < np.std(scores) < 1.4
    again = operation_energy(
        netlist, timing, OperandDistribution.uniform(4), seed=7, relative_error=0.05
    )
    assert again.energy_fj == runs[7].energy_fj


def test_the_sample_grows_until_the_error_is_small_and_no_further_than_its_bound() -> None:
    library = CellLibrary.load()
    netlist = MappedNetlist.from_verilog(AND, library, "m")
    timing = analyze(netlist)
    rare = np.full((1, 16), 0.0)
    rare[0, :2] = 0.999, 0.001
    bounded = operation_energy(
        netlist, timing, OperandDistribution(np.ones(1), rare, rare, "rare"), relative_error=1e-6
    )
    assert bounded.activity.operations == 16384
    short = operation_energy(netlist, timing, OperandDistribution.uniform(4), relative_error=0.5)
    assert short.activity.operations == 1024


def test_a_circuit_at_rest_uses_no_energy() -> None:
    netlist = MappedNetlist.from_verilog(AND, CellLibrary.load(), "m")
    still = np.zeros((1, 16))
    still[0, 3] = 1
    energy = operation_energy(
        netlist, analyze(netlist), OperandDistribution(np.ones(1), still, still, "still")
    )
    assert (energy.energy_fj, energy.standard_error_fj) == (0, 0)
    assert energy.power.leakage_nw > 0


def test_operands_of_another_width_are_refused() -> None:
    netlist = MappedNetlist.from_verilog(AND, CellLibrary.load(), "m")
    with pytest.raises(
        InputError, match=r"m: inputs a\[4\], b\[4\] do not fit operands of 8 bits \(uniform\)"
    ):
        operation_energy(netlist, analyze(netlist), OperandDistribution.uniform(8))
