"""What a circuit costs: mapping to standard cells, timing, switching activity, power; FPGA; proof
that mapping kept the function.
"""

from .equivalence import Counterexample, EquivalenceError, counterexample
from .fpga import TARGETS, FpgaReport, FpgaTarget, PlacementError, synthesize_fpga
from .mapped_netlist import MappedNetlist, MappedNetlistError
from .power import OperationEnergy, Power, estimate, operation_energy
from .switching_activity import Activity, simulate
from .synthesis import (
    COST_VERSION,
    EFFORTS,
    MappedDesign,
    SynthesisReport,
    map_design,
    map_with_every_recipe,
    synthesize,
)
from .timing import PathStep, Timing, analyze

__all__ = [
    "COST_VERSION",
    "EFFORTS",
    "TARGETS",
    "Activity",
    "Counterexample",
    "EquivalenceError",
    "FpgaReport",
    "FpgaTarget",
    "MappedDesign",
    "MappedNetlist",
    "MappedNetlistError",
    "OperationEnergy",
    "PathStep",
    "PlacementError",
    "Power",
    "SynthesisReport",
    "Timing",
    "analyze",
    "counterexample",
    "estimate",
    "map_design",
    "map_with_every_recipe",
    "operation_energy",
    "simulate",
    "synthesize",
    "synthesize_fpga",
]
