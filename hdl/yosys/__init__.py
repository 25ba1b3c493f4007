"""The one door to Yosys: runs in a process of their own, their cache, and the gates that Yosys
makes of RTL.
"""

from .gate_netlist import Gate, GateNetlist, NetlistError, gates
from .runs import YosysError, YosysMissingError, keep_results, run, run_abc, version

__all__ = [
    "Gate",
    "GateNetlist",
    "NetlistError",
    "YosysError",
    "YosysMissingError",
    "gates",
    "keep_results",
    "run",
    "run_abc",
    "version",
]
