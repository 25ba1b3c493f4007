"""Event-driven simulation: toggle by toggle against Icarus Verilog with specify delays, and the
rules by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hdl.cells.library import CellLibrary
from hdl.cost.mapped_netlist import MappedNetlist
from hdl.cost.switching_activity import input_bits, simulate
from hdl.cost.synthesis import map_design
from hdl.cost.timing import Timing, analyze
from hdl.multipliers.spec import MultiplierSpec

HAZARD = """
module m (a, b, p);
  input a, b; output p; wire n;
  sg13g2_inv_1 u (.A(a), .Y(n));
  sg13g2_and2_1 v (.A(a), .B(n), .X(p));
endmodule
"""


def with_delays(netlist: MappedNetlist, delays_ps: dict[str, float]) -> Timing:
    """Timing in which every arc of an instance takes the same time."""
    timing = analyze(netlist)
    for gate, index in enumerate(netlist.gates.instance):
        timing.arc_delay_ps[gate] = delays_ps[netlist.instances[index].name]
    return timing


@pytest.mark.parametrize(
    ("inverter_ps", "and_ps", "toggles_of_p"), [(50, 20, 2), (20, 50, 0), (49, 50, 0), (51, 50, 2)]
)
def test_a_pulse_passes_when_it_is_longer_than_the_delay(
    inverter_ps: float, and_ps: float, toggles_of_p: int
) -> None:
    """a & !a: a rising input gives a pulse as long as the inverter's delay, which the AND lets pass
    only if its own delay is shorter.
    """
    netlist = MappedNetlist.from_verilog(HAZARD, CellLibrary.load(), "m")
    bits = input_bits(netlist, {"a": [0, 1], "b": [0, 0]})
    activity = simulate(
        netlist, with_delays(netlist, {"u": inverter_ps, "v": and_ps}), bits[:1], bits[1:]
    )
    (p,) = netlist.outputs["p"]
    assert activity.toggles[0, p] == toggles_of_p
    assert activity.settled_toggles[p] == 0
    assert activity.toggle_rates[netlist.inputs["a"][0]] == 1
    assert activity.probabilities[netlist.inputs["a"][0]] == 0.5


def test_settled_activity_is_that_of_the_product() -> None:
    netlist = map_design(
        MultiplierSpec.parse("exact:tree=dadda,width=6"), CellLibrary.load()
    ).netlist
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 64, (2, 301))
    bits = input_bits(netlist, {"a": a, "b": b})
    activity = simulate(netlist, analyze(netlist), bits[:-1], bits[1:], batches=3)
    product = a * b
    for bit, net in enumerate(netlist.outputs["p"]):
        settled = product >> bit & 1
        assert activity.settled_toggles[net] == np.abs(np.diff(settled)).sum()
        assert activity.ones[net] == settled[:-1].sum() + settled[1:].sum()
        assert activity.toggles[:, net].sum() >= activity.settled_toggles[net]
        assert activity.toggles[:, net].sum() % 2 == activity.settled_toggles[net] % 2
    whole = simulate(netlist, analyze(netlist), bits[:-1], bits[1:])
    assert np.array_equal(whole.toggles[0], activity.toggles.sum(axis=0))


def test_batches_split_evenly() -> None:
    netlist = MappedNetlist.from_verilog(HAZARD, CellLibrary.load(), "m")
    bits = input_bits(netlist, {"a": [0, 1, 0], "b": [0, 0, 0]})
    with pytest.raises(ValueError, match="3 operations do not split into 2 equal batches"):
        simulate(netlist, analyze(netlist), bits, bits, batches=2)


@pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
)
@pytest.mark.parametrize("spec", ["exact:tree=array,width=6", "exact:tree=dadda,width=6,signed=1"])
def test_glitches_equal_those_of_icarus_net_by_net(spec: str, tmp_path: Path) -> None:
    netlist = map_design(MultiplierSpec.parse(spec), CellLibrary.load()).netlist
    timing = analyze(netlist)
    rng = np.random.default_rng(3)
    before, after = rng.integers(0, 2, (2, 40, len(netlist.input_nets)), dtype=np.uint8)
    activity = simulate(netlist, timing, before, after)
    found = icarus_toggles(netlist, timing, before, after, tmp_path)
    assert activity.toggles.sum() > 1.2 * activity.settled_toggles.sum()
    different = [
        name
        for name, mine, theirs in zip(netlist.net_names, activity.toggles[0], found, strict=True)
        if mine != theirs
    ]
    assert different == []


def icarus_toggles(
    netlist: MappedNetlist,
    timing: Timing,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    folder: Path,
) -> list[int]:
    """Toggles of every net in Icarus Verilog, each gate being a module whose specify block has the
    delays of that gate's arcs.
    """
    gates, nets = netlist.gates, len(netlist.net_names)
    lines, instances = ["`timescale 1ps/1ps"], []
    for gate, (inputs, function) in enumerate(zip(gates.inputs, gates.functions, strict=True)):
        count = int((inputs >= 0).sum())
        pins = [f"i{pin}" for pin in range(count)]
        delays = np.rint(timing.arc_delay_ps[gate, :count]).astype(int)
        paths = " ".join(
            f"({pin} => o) = ({delays[i, 0]}, {delays[i, 1]});" for i, pin in enumerate(pins)
        )
        lines.append(
            f"module g{gate} ({', '.join(pins)}, o); input {', '.join(pins)}; output o; reg r;"
            f" wire [{2**count - 1}:0] t = {2**count}'d{function};"
            f" always @({' or '.join(pins)}) r = t[{{{', '.join(reversed(pins))}}}]; assign o = "
            f"r; specify {paths} endspecify endmodule"
        )
        instances.append(
            f"g{gate} u{gate} ({', '.join(f'w[{net}]' for net in inputs[:count])}, "
            f"w[{gates.output[gate]}]);"
        )
    operations, inputs_count = before.shape
    lines.append(
        f"module tb; wire [{nets - 1}:0] w; reg [{inputs_count - 1}:0] s, v "
        f"[0:{2 * operations - 1}]; integer c [0:{nets - 1}]; integer k;"
    )
    lines.append("reg counting = 0; assign w[0] = 0; assign w[1] = 1;")
    lines += [f"assign w[{net}] = s[{i}];" for i, net in enumerate(netlist.input_nets)]
    lines += instances
    lines += [f"always @(w[{net}]) if (counting) c[{net}] = c[{net}] + 1;" for net in range(nets)]
    lines.append(
        f'initial begin for (k = 0; k < {nets}; k = k + 1) c[k] = 0; $readmemb("vectors.txt", v);'
        f" for (k = 0; k < {2 * operations}; k = k + 2) begin"
        " counting = 0; s = v[k]; #50000 counting = 1; s = v[k + 1]; #50000 counting = 0; end"
        f' for (k = 0; k < {nets}; k = k + 1) $display("%0d", c[k]); end endmodule'
    )
    (folder / "tb.v").write_text("\n".join(lines))
    vectors = [row for pair in zip(before, after, strict=True) for row in pair]
    (folder / "vectors.txt").write_text("\n".join("".join(map(str, row[::-1])) for row in vectors))
    subprocess.run(
        ["iverilog", "-g2005", "-gspecify", "-o", "tb.vvp", "tb.v"],
        cwd=folder,
        check=True,
        timeout=60,
    )
    done = subprocess.run(
        ["vvp", "-n", "tb.vvp"], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return [int(line) for line in done.stdout.split()]
