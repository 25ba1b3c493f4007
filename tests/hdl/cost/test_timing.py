"""Static timing against OpenSTA 3.1, and by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hdl.cells.library import CellLibrary
from hdl.cost.mapped_netlist import MappedNetlist, MappedNetlistError
from hdl.cost.timing import FALL, RISE, analyze

LIBRARIES = {
    "sg13g2": "pdk/sg13g2_stdcell_typ_1p20V_25C.lib.gz",
    "sky130": "pdk/sky130_fd_sc_hd__tt_025C_1v80.lib.gz",
}
OUTPUT_LOAD_FF = {"sg13g2": 6.0, "sky130": 10.0}
INVERTERS = """
module chain (a, p);
  input a; output [1:0] p; wire n;
  sg13g2_inv_1 u0 (.A(a), .Y(n));
  sg13g2_inv_1 u1 (.A(n), .Y(p[1]));
  assign p[0] = 1'b0;
endmodule
"""


def oracle_rows(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "oracle/opensta" / name).open() as file:
        return [
            row
            for row in csv.DictReader(file)
            if (row["setup"], row["pin_caps"]) == ("ideal", "nominal")
        ]


def test_arrivals_equal_openstas(shared: Path) -> None:
    libraries = {name: CellLibrary.load(shared / path) for name, path in LIBRARIES.items()}
    arrivals = oracle_rows(shared, "arrivals.csv")
    checked = 0
    for row in oracle_rows(shared, "reference.csv"):
        if row["activity"] != "zero":
            continue
        design, library = row["design"], row["lib"]
        text = (shared / f"oracle/opensta/{design}.{library}.v").read_text()
        netlist = MappedNetlist.from_verilog(text, libraries[library], design)
        timing = analyze(netlist, output_load_ff=OUTPUT_LOAD_FF[library])
        assert netlist.area_um2 == pytest.approx(float(row["area_um2"]), rel=1e-9)
        assert timing.delay_ps == pytest.approx(1e3 * float(row["delay_ns"]), rel=1e-5)
        assert timing.critical_path[-1].arrival_ps == timing.delay_ps
        assert timing.critical_path[-1].edge == row["end_edge"]
        assert timing.critical_path[0].net == row["startpoint"]
        for arrival in arrivals:
            if (arrival["design"], arrival["lib"]) == (design, library):
                bit = int(arrival["output"].removeprefix("p[").removesuffix("]"))
                rise, fall = timing.arrival_ps[netlist.outputs["p"][bit]]
                assert rise == pytest.approx(1e3 * float(arrival["rise_max_ns"]), rel=1e-5)
                assert fall == pytest.approx(1e3 * float(arrival["fall_max_ns"]), rel=1e-5)
                checked += 1
    assert checked > 150


def test_two_inverters_by_hand() -> None:
    library = CellLibrary.load()
    netlist = MappedNetlist.from_verilog(INVERTERS, library, "chain")
    timing = analyze(netlist, input_slew_ps=30, output_load_ff=4)
    cell = library.cells["sg13g2_inv_1"]
    (arc,) = cell.outputs[0].arcs
    assert arc.rise_delay
    assert arc.fall_delay
    assert arc.rise_transition
    assert arc.fall_transition
    load = cell.inputs[0].capacitance_ff
    fall_n, rise_n = arc.fall_delay.at(30, load), arc.rise_delay.at(30, load)
    rise_p = fall_n + arc.rise_delay.at(arc.fall_transition.at(30, load), 4)
    fall_p = rise_n + arc.fall_delay.at(arc.rise_transition.at(30, load), 4)
    assert timing.arrival_ps[netlist.outputs["p"][1]].tolist() == pytest.approx(
        [float(rise_p), float(fall_p)]
    )
    assert timing.delay_ps == pytest.approx(float(max(rise_p, fall_p)))
    path = timing.critical_path
    assert [step.net for step in path] == ["a", "n", "p[1]"]
    assert [step.cell for step in path] == ["", "sg13g2_inv_1", "sg13g2_inv_1"]
    assert path[1].edge != path[0].edge == path[2].edge
    assert timing.arc_delay_ps[0, 0, [RISE, FALL]].tolist() == pytest.approx(
        [float(rise_n), float(fall_n)]
    )
    assert np.isnan(timing.arc_delay_ps[:, 1:]).all()


def test_a_design_without_cells_takes_no_time() -> None:
    text = "module m (a, p); input a; output [1:0] p; assign p = {1'b1, a}; endmodule"
    netlist = MappedNetlist.from_verilog(text, CellLibrary.load(), "m")
    assert netlist.area_um2 == 0
    assert analyze(netlist).delay_ps == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "sg13g2_dfrbp_1 u (.D(a), .Q(p));",
            "cell u is a sg13g2_dfrbp_1, not a combinational cell of sg13g2_compact",
        ),
        ("sg13g2_inv_1 u (.Y(p));", "input A of cell u is not connected"),
        (
            "sg13g2_inv_1 u (.A(q), .Y(p));",
            "cell u waits for a net without a driver; connect all its inputs",
        ),
        (
            "sg13g2_inv_1 u (.A(q), .Y(p)); sg13g2_inv_1 v (.A(p), .Y(q));",
            "cell [uv] lies on a loop; only combinational netlists",
        ),
        (
            "sg13g2_inv_1 u (.A(a), .Y(p)); sg13g2_inv_1 v (.A(q), .Y(p));",
            "cell v drives a net that has another driver",
        ),
        ("sg13g2_inv_1 u (.A(a), .Y(q));", "output net p has no driver"),
    ],
)
def test_netlists_that_cannot_be_timed(body: str, message: str) -> None:
    with pytest.raises(MappedNetlistError, match=message):
        MappedNetlist.from_verilog(
            f"module m (a, p); input a; output p; wire q; {body} endmodule", CellLibrary.load(), "m"
        )
