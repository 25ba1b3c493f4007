"""FPGA cells and delays."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from family_checks import example

from hdl.cost import fpga
from hdl.cost.fpga import synthesize_fpga
from hdl.errors import InputError
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.yosys import gate_netlist

EXACT = MultiplierSpec.parse("exact")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "luts", "carry"),
    [("ice40", 134, 14), ("ecp5", 217, 8), ("xilinx", 95, 4)],
    ids=["ice40", "ecp5", "xilinx"],
)
def test_the_exact_multiplier(
    target: str, luts: int, carry: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures of a Dadda tree written by hand with a final `+`, by Yosys 0.70; other trees and
    versions move them by some 10 %.
    """
    monkeypatch.setattr(fpga, "_program", lambda name: None)
    report = synthesize_fpga(EXACT, target)
    assert report.luts == pytest.approx(luts, rel=0.15)
    assert report.carry_cells == carry
    assert (report.delay_ps, report.seeds) == (None, 0)
    missing = f"nextpnr-{target} is not installed"
    reason = "nextpnr does not place Xilinx 7 series" if target == "xilinx" else missing
    assert report.note == f"no delay: {reason}"


@pytest.mark.skipif(shutil.which("nextpnr-ice40") is None, reason="nextpnr-ice40 is not installed")
def test_delay_between_registers() -> None:
    small, large = (
        synthesize_fpga(MultiplierSpec.parse(text), "ice40", seeds=2)
        for text in ("tm:k=2,width=4", "exact:width=6x7")
    )
    for report in (small, large):
        assert report.note == ""
        assert report.delay_ps is not None
        assert report.delay_min_ps is not None
        assert report.delay_max_ps is not None
        assert report.delay_min_ps <= report.delay_ps <= report.delay_max_ps
        assert (report.seeds, report.device) == (2, "HX8K ct256")
    assert 1000 < small.delay_max_ps < large.delay_min_ps < 30000


@pytest.mark.parametrize(
    "spec",
    [
        example("exact"),
        example("exact", width=6, signed=True),
        example("mitchell", width=6),
        example("drum"),
        example("ssm", width=(6, 4)),
    ],
    ids=str,
)
def test_carry_chains_compute_the_same(spec: MultiplierSpec) -> None:
    gates, chains = (
        gate_netlist.gates(rtlil(spec, carry_chains=chained)).evaluate_all()
        for chained in (False, True)
    )
    np.testing.assert_array_equal(gates, chains)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^unknown target 'stratix'; use one of ice40, ecp5, xilinx$"
    ):
        synthesize_fpga(EXACT, "stratix")
