"""What a multiplier costs in each layer of a network: the same circuit, other operands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.cells import CellLibrary
from hdl.cost import map_design, operation_energy
from hdl.operands import OperandEncoding

from .point import DesignPoint
from .workbench import Workbench

__all__ = ["layer_energies"]

# Of a layer's energy: what counts is how layers differ.
_RELATIVE_ERROR = 0.02


def layer_energies(
    bench: Workbench, point: DesignPoint, library: CellLibrary
) -> NDArray[np.float64]:
    """Energy of an operation under the operands of each layer, in fJ, (layers,).

    Over all multiplications of the network their mean is the point's own energy. Raises what
    `hdl.cost.map_design` raises.
    """
    multiplier = bench.multiplier(point.spec)
    profile = bench.profile(OperandEncoding(point.encoding), point.widths)
    operands = bench.operands(profile)
    mapped = map_design(
        bench.circuits(multiplier)[1],
        library,
        effort=point.effort,
        delay_target_ps=bench.delay_target_ps,
        subject=point.spec,
    )
    found = np.array(
        [
            operation_energy(
                mapped.netlist,
                mapped.timing,
                operands.layer(index),
                seed=bench.seed,
                relative_error=_RELATIVE_ERROR,
            ).energy_fj
            for index in range(len(profile.layers))
        ]
    )
    mean = float(operands.weights @ found)
    return found * (point.energy_fj / mean) if mean > 0 else np.full(len(found), point.energy_fj)
