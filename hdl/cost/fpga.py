"""What a multiplier costs in the logic of an FPGA: lookup tables and carry cells by Yosys, without
DSP blocks; delay by nextpnr.

Delay is the least clock period of the multiplier between registers on all its ports, after
placement and routing. It depends on the seed of the placement, so several are tried, and the median
is reported with the smallest and the largest.
"""

from __future__ import annotations

import json
import math
import re
import resource
import shutil
import signal
import statistics
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import yosys
from ..errors import InputError
from ..files import scratch_folder
from ..multipliers.multiplier import Multiplier

__all__ = ["TARGETS", "FpgaReport", "FpgaTarget", "PlacementError", "synthesize_fpga"]

TOP = "multiplier"
SEEDS = 5


class PlacementError(RuntimeError):
    """nextpnr refused or failed: one line with its own reason."""


@dataclass(frozen=True)
class FpgaTarget:
    """One FPGA family: its Yosys command, its cells, and the nextpnr program, device and device
    options (none: no nextpnr here).
    """

    title: str
    command: str
    luts: str
    carry: str
    nextpnr: str = ""
    device: str = ""
    options: tuple[str, ...] = ()


TARGETS: Mapping[str, FpgaTarget] = MappingProxyType(
    {
        "ice40": FpgaTarget(
            "Lattice iCE40",
            "synth_ice40",
            r"SB_LUT4",
            r"SB_CARRY",
            "nextpnr-ice40",
            "HX8K ct256",
            ("--hx8k", "--package", "ct256"),
        ),
        "ecp5": FpgaTarget(
            "Lattice ECP5",
            "synth_ecp5 -nodsp",
            r"LUT4",
            r"CCU2C",
            "nextpnr-ecp5",
            "LFE5U-25F, speed grade 6",
            ("--25k", "--package", "CABGA381", "--speed", "6"),
        ),
        "xilinx": FpgaTarget(
            "Xilinx 7 series", "synth_xilinx -nodsp -noiopad", r"LUT[1-6]", r"CARRY4"
        ),
    }
)
_DSP = re.compile(r"SB_MAC16|MULT\d+X\d+\w*|ALU54B|DSP48\w*")


@dataclass(frozen=True)
class FpgaReport:
    """Cells of a multiplier on an FPGA, and its delay between registers over several placements.

    `luts` counts lookup tables of any size, `carry_cells` the family's carry cells, `other_cells`
    the rest (wide multiplexers, inverters). Delays are None where nextpnr is missing, and `note`
    says so.
    """

    target: str
    luts: int
    carry_cells: int
    other_cells: int
    delay_ps: float | None
    delay_min_ps: float | None
    delay_max_ps: float | None
    seeds: int
    device: str
    yosys_version: str
    note: str


def synthesize_fpga(
    design: Multiplier | str,
    target: str,
    *,
    seeds: int = SEEDS,
    subject: str = "",
    time_limit_s: float = 120,
) -> FpgaReport:
    """Cells and delay of a multiplier, given itself or as RTLIL text with a top module `multiplier`
    and ports a, b, p.

    Raises InputError for an unknown target, hdl.yosys.YosysError, PlacementError.
    """
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}; use one of {', '.join(TARGETS)}")
    described = TARGETS[target]
    text = design if isinstance(design, str) else design.rtlil(carry_chains=True)
    name = subject or (TOP if isinstance(design, str) else str(design))
    inputs = {"design.il": text}
    commands = ["read_rtlil design.il", f"{described.command} -top {TOP}", "write_json cells.json"]
    netlist = yosys.run(
        commands,
        inputs=inputs,
        outputs=["cells.json"],
        time_limit_s=time_limit_s,
        subject=f"synthesis of {name}",
    )
    module = json.loads(netlist["cells.json"])["modules"][TOP]
    cells = Counter(cell["type"] for cell in module["cells"].values())
    used = [kind for kind in cells if _DSP.fullmatch(kind)]
    assert not used, f"{name}: {used[0]} cells although DSP blocks are off"
    luts = sum(count for kind, count in cells.items() if re.fullmatch(described.luts, kind))
    carry = cells[described.carry]
    delays, note = [], ""
    program = _program(described.nextpnr)
    if program:
        registered = _registered(
            text,
            described,
            [len(module["ports"][port]["bits"]) for port in "abp"],
            name,
            time_limit_s,
        )
        delays = [
            _period_ps(program, described, registered, seed, name, time_limit_s)
            for seed in range(1, seeds + 1)
        ]
    else:
        note = (
            f"no delay: {described.nextpnr} is not installed"
            if described.nextpnr
            else f"no delay: nextpnr does not place {described.title}"
        )
    return FpgaReport(
        target=target,
        luts=luts,
        carry_cells=carry,
        other_cells=sum(cells.values()) - luts - carry,
        delay_ps=statistics.median(delays) if delays else None,
        delay_min_ps=min(delays) if delays else None,
        delay_max_ps=max(delays) if delays else None,
        seeds=len(delays),
        device=described.device if delays else described.title,
        yosys_version=yosys.version(),
        note=note,
    )


def _program(name: str) -> str | None:
    """Where nextpnr is, under its own name or that of its WebAssembly build."""
    return (shutil.which(name) or shutil.which(f"yowasp-{name}")) if name else None


def _registered(
    text: str, target: FpgaTarget, widths: Sequence[int], name: str, time_limit_s: float
) -> str:
    """Yosys JSON of the multiplier between registers on its operands and its product."""
    top_a, top_b, top_p = (width - 1 for width in widths)
    wrapper = f"""\
module registered (input clk, input [{top_a}:0] a, input [{top_b}:0] b, output reg [{top_p}:0] p);
  reg [{top_a}:0] a_in;
  reg [{top_b}:0] b_in;
  wire [{top_p}:0] product;
  {TOP} inside (.a(a_in), .b(b_in), .p(product));
  always @(posedge clk) begin
    a_in <= a;
    b_in <= b;
    p <= product;
  end
endmodule
"""
    commands = [
        "read_rtlil design.il",
        "read_verilog -nodpi registered.v",
        f"{target.command} -top registered",
        "delete t:$scopeinfo",
        "write_json out.json",
    ]
    inputs = {"design.il": text, "registered.v": wrapper}
    return yosys.run(
        commands,
        inputs=inputs,
        outputs=["out.json"],
        time_limit_s=time_limit_s,
        subject=f"synthesis of {name}",
    )["out.json"]


def _period_ps(
    program: str, target: FpgaTarget, netlist: str, seed: int, name: str, time_limit_s: float
) -> float:
    """Least clock period after one placement and routing."""
    with scratch_folder("nextpnr") as folder:
        Path(folder, "design.json").write_text(netlist, encoding="utf-8")
        options = [
            "--json",
            "design.json",
            "--report",
            "report.json",
            "--seed",
            str(seed),
            "--timing-allow-fail",
            "--quiet",
        ]
        # Processor time is what counts, as in runs of Yosys; the clock ends what sleeps.
        seconds = math.ceil(time_limit_s)
        try:
            done = subprocess.run(
                [program, *target.options, *options],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=20 * seconds,
                check=False,
                preexec_fn=partial(resource.setrlimit, resource.RLIMIT_CPU, (seconds, seconds + 1)),
            )
        except subprocess.TimeoutExpired as error:
            raise PlacementError(
                f"{name}: {target.nextpnr} took longer than {20 * seconds:g} s and was stopped"
            ) from error
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            raise PlacementError(
                f"{name}: {target.nextpnr} took longer than {time_limit_s:g} s and was stopped"
            )
        report = Path(folder, "report.json")
        if done.returncode or not report.is_file():
            errors = [
                line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line
            ] or ["no report"]
            raise PlacementError(f"{name}: {target.nextpnr} failed ({errors[-1].strip()})")
        clocks: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["fmax"]
    return float(round(1e6 / min(float(clock["achieved"]) for clock in clocks.values())))
