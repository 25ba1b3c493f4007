"""The registers of an element by their clocks: which of them hold when, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cells.library import CellLibrary
from ..cost.mapped_netlist import MappedNetlist
from ..cost.switching_activity import Activity
from .cycles import WEIGHT_STAYS
from .element import Element
from .register_cost import clock_gate_energy_fj, register_energies_fj

__all__ = ["RegisterGroup", "group_energy_fj", "register_groups"]


@dataclass(frozen=True, eq=False)
class RegisterGroup:
    """Registers with one clock: the nets that they drive, those of their data, and in which share
    of the cycles their clock runs. `moving` scales the toggles of both, which are simulated as if
    the registers took a value in every cycle. `enable_toggles` is how often in a cycle the clock
    starts or stops. `kind` names those of the sum and of weights that stay.
    """

    held: list[int]
    following: list[int]
    open_share: float = 1.0
    gated: bool = False
    moving: float = 1.0
    enable_toggles: float = 0.0
    kind: str = ""


def group_energy_fj(
    library: CellLibrary,
    ones: NDArray[np.float64],
    load_ff: NDArray[np.float64],
    data_slew_ps: float,
    clock_slew_ps: float,
    gated: bool,
    toggles: NDArray[np.float64],
    data_toggles: NDArray[np.float64],
    open_share: float,
    enable_toggles: float,
) -> tuple[float, float]:
    """Energy per cycle of registers with one clock, and of their clock gate."""
    energies = register_energies_fj(
        library.flip_flop,
        library.voltage_v,
        toggles=toggles,
        ones=ones,
        load_ff=load_ff,
        data_toggles=data_toggles,
        data_slew_ps=data_slew_ps,
        clock_slew_ps=clock_slew_ps,
        clocked=open_share,
    )
    gate_fj = 0.0
    if gated:
        gate_fj = clock_gate_energy_fj(
            library,
            open_share=open_share,
            enable_toggles=enable_toggles,
            registers=len(ones),
            slew_ps=clock_slew_ps,
        )
    return float(energies.sum()), gate_fj


def register_groups(
    element: Element, netlist: MappedNetlist, activity: Activity, *, chained: bool
) -> Iterator[RegisterGroup]:
    """The registers of an element whose logic was mapped (`ElementDatapath`) and simulated."""
    form, inputs, outputs = element.form, netlist.inputs, netlist.outputs
    ones, single = activity.probabilities, element.lanes == 1

    def held(registers: list[int], following: list[int], enable: int) -> RegisterGroup:
        """Registers whose clock runs where a flag is 1."""
        toggles = float(activity.toggle_rates[enable])
        return RegisterGroup(
            registers, following, float(ones[enable]), True, enable_toggles=toggles
        )

    weights = [net for lane in range(element.lanes) for net in inputs[f"b{lane}"]]
    for lane in range(element.lanes):
        a, b = list(inputs[f"a{lane}"]), list(inputs[f"b{lane}"])
        if not form.gated:
            yield RegisterGroup(
                a if form.keeps_weights else a + b, a if form.keeps_weights else a + b
            )
        elif chained:
            yield held(a, a, inputs["enable"][lane])
            if not form.keeps_weights:
                yield held(b, b, inputs["enable_b"][lane])
        elif form.keeps_weights:
            yield held(a, list(inputs[f"next_a{lane}"]), inputs["live"][lane])
        else:
            following = [*inputs[f"next_a{lane}"], *inputs[f"next_b{lane}"]]
            yield held(a + b, following, inputs["live"][lane])
    if form.keeps_weights:
        kept = weights + (list(inputs["enable_b"]) if form.gated and chained else [])
        share = 1 / WEIGHT_STAYS
        yield RegisterGroup(
            kept, kept, share, True, enable_toggles=_independent(share), kind="weight"
        )
    if form.gated and chained:
        flags = list(inputs["enable"])
        # Each flag is 1 whatever the other is.
        counts = float(ones[flags[0]] * ones[inputs["enable_b"][0]])
        flags += [] if form.keeps_weights else inputs["enable_b"]
        yield RegisterGroup(flags, flags)
        working_from = list(inputs.get("working", ()))
    else:
        working_from = live = list(inputs["live"])
        counts = float(ones[live[0]])
        yield RegisterGroup(live, list(outputs["next_live"] if form.gated else live))

    working = float(ones[inputs["working"][0]]) if "working" in inputs else counts
    open_share = 1.0
    if form.gated and single and not form.keeps_weights:
        open_share = 1 - (1 - working) * (1 - float(ones[inputs["clear"][0]]))
    prefix = "above_" if form.keeps_weights else ""
    yield RegisterGroup(
        [net for word in element.words for net in inputs[prefix + word]],
        [net for word in element.words for net in outputs[f"next_{word}"]],
        open_share,
        form.gated and single and not form.keeps_weights,
        enable_toggles=_independent(open_share),
        kind="sum",
    )
    if form.pipelined:
        holds = form.gated and single
        yield RegisterGroup(
            list(inputs["stage"]),
            list(outputs["next_stage"]),
            counts if holds else 1.0,
            holds,
            enable_toggles=_independent(counts),
        )
        if "working" in inputs:
            yield RegisterGroup(list(inputs["working"]), working_from)


def _independent(share: float) -> float:
    """Toggles per cycle of a flag that is 1 in that share of the cycles, each by itself."""
    return 2 * share * (1 - share)
