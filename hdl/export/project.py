"""A design as a folder that other tools build: Verilog and its tests, timing constraints, and what
FuseSoC, LibreLane and OpenROAD-flow-scripts want to know.

Formats: FuseSoC's core description files (CAPI2), LibreLane's JSON configuration of the flow
Classic, a config.mk of OpenROAD-flow-scripts, and Synopsys Design Constraints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .texts import ExportError, comment, one_line, write_texts

__all__ = ["CLOCK", "Project", "write_project"]

CLOCK = "clk"
"""Port of the clock of designs that have one."""

PERIOD_NS = 10

_NAME = re.compile(r"[A-Za-z]\w{0,127}", re.ASCII)


@dataclass(frozen=True)
class Project:
    """A design and its tests, whatever the design is.

    Attributes:
        name: of the top module, and of the files.
        title: what it is, in a line from anywhere.
        modules: Verilog texts by the names of their modules, one each.
        inputs: bits of each input port, the clock's left out.
        clocked: whether there is a clock, the port CLOCK.
        bench: Verilog text of the module `<name>_tb`, which checks the design.
        cocotb_test: Python text of the cocotb test.
        vectors: what the cocotb test reads, the file `<name>.hex`.
    """

    name: str
    title: str
    modules: Mapping[str, str]
    inputs: Mapping[str, int]
    clocked: bool
    bench: str
    cocotb_test: str
    vectors: str

    def __post_init__(self) -> None:
        for name in (self.name, *self.modules, *self.inputs):
            if not _NAME.fullmatch(name):  # they go into makefiles and Tcl as they are
                raise ValueError(f"{name!r} is no name for a file and a Verilog module")

    @property
    def sources(self) -> list[str]:
        """Names of the Verilog files of the design, the top module's first."""
        return [f"{self.name}.v", *(f"{name}.v" for name in self.modules if name != self.name)]

    def texts(self) -> dict[str, str]:
        """The files of the project by their names: the top module, its test bench, its constraints,
        and all others.
        """
        name = self.name
        modules = {f"{module}.v": text for module, text in self.modules.items()}
        return {
            f"{name}.v": modules.pop(f"{name}.v"),
            f"{name}_tb.v": self.bench,
            f"{name}.sdc": _constraints(self),
            **modules,
            f"test_{name}.py": self.cocotb_test,
            f"{name}.hex": self.vectors,
            f"{name}.core": _fusesoc_core(self),
            "config.json": _librelane_configuration(self),
            "config.mk": _openroad_configuration(self),
        }


def write_project(project: Project, folder: Path | str) -> list[Path]:
    """Writes the project's files into the folder `<name>` of `folder`, made if absent, and returns
    their paths in the order of `Project.texts`. Raises hdl.export.ExportError.
    """
    own = Path(folder) / project.name
    if own.is_symlink():
        raise ExportError(
            f"{str(own)!r} leads to somewhere else; remove the link, a design is written into a "
            "folder of its own"
        )
    return write_texts(project.texts(), own)


def _fusesoc_core(project: Project) -> str:
    """Targets `lint` (Verilator) and `sim` (Icarus Verilog; with `--tool verilator`, that)."""
    name = project.name
    verilog = {"file_type": "verilogSource-2005"}
    description: dict[str, Any] = {
        "name": f"ameliorate:designs:{name}:0",
        "description": one_line(project.title),
        "filesets": {
            "rtl": {"files": project.sources, **verilog},
            "bench": {"files": [f"{name}_tb.v"], **verilog},
        },
        "targets": {
            "default": {"filesets": ["rtl"], "toplevel": name},
            "lint": {
                "filesets": ["rtl"],
                "toplevel": name,
                "flow": "lint",
                "flow_options": {"tool": "verilator", "verilator_options": ["-Wall"]},
            },
            "sim": {
                "filesets": ["rtl", "bench"],
                "toplevel": f"{name}_tb",
                "flow": "sim",
                "flow_options": {
                    "tool": "icarus",
                    "mode": "binary",
                    "verilator_options": ["--timing"],
                },
            },
        },
    }
    return "CAPI=2:\n" + yaml.safe_dump(description, sort_keys=False, width=100)


def _librelane_configuration(project: Project) -> str:
    constraints = f"dir::{project.name}.sdc"
    configuration = {
        "DESIGN_NAME": project.name,
        "VERILOG_FILES": [f"dir::{file}" for file in project.sources],
        "CLOCK_PORT": CLOCK if project.clocked else None,
        "CLOCK_PERIOD": PERIOD_NS,
        "PNR_SDC_FILE": constraints,
        "SIGNOFF_SDC_FILE": constraints,
    }
    return json.dumps(configuration, indent=2) + "\n"


def _openroad_configuration(project: Project) -> str:
    """Nothing but checked names: make has no way to quote."""
    sources = " ".join(f"$(dir $(DESIGN_CONFIG)){file}" for file in project.sources)
    return f"""\
# For OpenROAD-flow-scripts: make DESIGN_CONFIG=<path of this file>
export DESIGN_NAME = {project.name}
export PLATFORM ?= ihp-sg13g2
export VERILOG_FILES = {sources}
export SDC_FILE = $(dir $(DESIGN_CONFIG)){project.name}.sdc
export CORE_UTILIZATION = 40
export PLACE_DENSITY_LB_ADDON = 0.2
"""


def _constraints(project: Project) -> str:
    """Every path gets one period: from registers to registers, and of what has none, from the
    operands to the product, against a clock that is nowhere in the design.
    """
    ports = " ".join(port if bits == 1 else f"{port}[*]" for port, bits in project.inputs.items())
    clock = CLOCK if project.clocked else "virtual_clock"
    source = f" [get_ports {CLOCK}]" if project.clocked else ""
    return f"""\
{comment(project.title, mark="#")}
# Set the period to what the design has to reach, in the library's time unit (here ns).
set clk_period {PERIOD_NS}
create_clock -name {clock} -period $clk_period{source}
set_input_delay 0 -clock {clock} [get_ports {{{ports}}}]
set_output_delay 0 -clock {clock} [all_outputs]
# Driving cell and load depend on the library and the surroundings:
# set_driving_cell -lib_cell <buffer> [get_ports {{{ports}}}]
# set_load <capacitance> [all_outputs]
"""
