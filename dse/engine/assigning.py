"""A design for every layer, of those that a run has found: what each would cost and lose in each
layer, and the best choices under limits of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cnn_eval.prediction import layer_variances, rounding_variances
from hdl import yosys
from hdl.cells import CellLibrary
from hdl.errors import InputError
from hdl.multipliers import ImportedDesign, NetlistDesign
from hdl.operands import OperandEncoding

from ..evaluation.layer_costs import layer_energies
from ..evaluation.point import DesignPoint
from ..evaluation.workbench import Workbench
from ..ground_truth.assignments import loss_factors
from ..ground_truth.emulator import Emulator
from ..search.assignment import Assignment, Kind, LayerDesign
from ..search.exploration import Exploration
from ..search.layer_program import InfeasibleError, LayerProgram, Solution
from .request import Search

__all__ = [
    "ASSIGNMENT_OBJECTIVES",
    "LayerChoices",
    "check_objective",
    "layer_choices",
    "recalibrated",
]

_Design = TypeVar("_Design", NetlistDesign, ImportedDesign)

#: What an assignment may be the least in.
ASSIGNMENT_OBJECTIVES = ("energy", "latency")

#: Losses learn so often, from assignments that lose up to so many times what may be lost.
_ROUNDS, _BEYOND = 3, 1.3

#: Limits of the loss that make a front: so many, evenly spaced up to the largest.
_LIMITS = 10


def check_objective(objective: str) -> None:
    """Raises InputError for another objective than those of :data:`ASSIGNMENT_OBJECTIVES`."""
    if objective not in ASSIGNMENT_OBJECTIVES:
        raise InputError(
            f"unknown objective {objective!r}; an assignment has the least of "
            f"{' or '.join(ASSIGNMENT_OBJECTIVES)}"
        )


@dataclass(frozen=True, eq=False)
class LayerChoices:
    """What each design of a run would be in each layer of its network.

    Attributes:
        exploration: the run.
        corrected: whether losses are of the network under correction.
        encoding: number format of the designs.
        points: the designs.
        layers: names of the layers.
        macs: multiplications of an image, (layers,).
        energies_fj: of one of them, (layers, designs).
        losses_pp: what the layer adds to the drop with the design, (layers, designs).
    """

    exploration: Exploration
    corrected: bool
    encoding: OperandEncoding
    points: tuple[DesignPoint, ...]
    layers: tuple[str, ...]
    macs: NDArray[np.int64]
    energies_fj: NDArray[np.float64]
    losses_pp: NDArray[np.float64]

    def program(self, kinds: int, objective: str = "energy") -> LayerProgram:
        """The program that chooses. Raises InputError for more kinds than designs, and as
        :func:`check_objective` does.
        """
        check_objective(objective)
        delays_ps = np.array([point.delay_ps for point in self.points])
        each = (
            self.energies_fj if objective == "energy" else np.tile(delays_ps, (len(self.macs), 1))
        )
        return LayerProgram(self.macs[:, None] * each, self.losses_pp, kinds)

    def solutions(
        self, kinds: int, max_drop_pp: float, objective: str = "energy"
    ) -> list[Solution]:
        """The best choices under ascending limits of the predicted drop, each another one; the last
        one is that of `max_drop_pp`.

        Raises:
            dse.search.InfeasibleError: none loses as little.
        """
        program = self.program(kinds, objective)
        found: dict[tuple[int, ...], Solution] = {}
        for limit in np.linspace(max_drop_pp, 0, _LIMITS, endpoint=False):
            try:
                solution = program.solve(float(limit))
            except InfeasibleError:
                if not found:
                    raise
                break
            found.setdefault(solution.choice, solution)
        return sorted(found.values(), key=lambda one: one.loss)

    def front(self, kinds: int, max_drop_pp: float, objective: str = "energy") -> list[Assignment]:
        """The assignments of :meth:`solutions`, and raises as it does."""
        return [
            self.assignment(one.choice, gap=one.gap)
            for one in self.solutions(kinds, max_drop_pp, objective)
        ]

    def alone(self, max_drop_pp: float) -> list[tuple[int, ...]]:
        """The designs, each in all layers, that no other one beats in energy and predicted drop, by
        ascending drop up to `max_drop_pp`.
        """
        drops_pp, energies = self.losses_pp.sum(axis=0), self.macs @ self.energies_fj
        found: list[int] = []
        for index in np.lexsort((energies, drops_pp)):
            if drops_pp[index] > max_drop_pp:
                break
            if not found or energies[index] < energies[found[-1]]:
                found.append(int(index))
        return [(index,) * len(self.layers) for index in found]

    def singles(self, max_drop_pp: float) -> list[Assignment]:
        """The assignments of :meth:`alone`."""
        return [self.assignment(choice) for choice in self.alone(max_drop_pp)]

    def assignment(self, choice: Sequence[int], *, gap: float = 0.0) -> Assignment:
        """The assignment with the design of that index in each layer."""
        chosen = [self.points[index] for index in dict.fromkeys(choice)]
        specs = [point.spec for point in chosen]
        return Assignment(
            network=self.exploration.network,
            encoding=self.encoding,
            data=self.exploration.data,
            corrected=self.corrected,
            layers=tuple(
                LayerDesign(
                    name,
                    self.points[index].spec,
                    int(self.macs[layer]),
                    float(self.energies_fj[layer, index]),
                    float(self.losses_pp[layer, index]),
                )
                for layer, (name, index) in enumerate(zip(self.layers, choice, strict=True))
            ),
            kinds=tuple(
                Kind(point.spec, point.width_a, point.width_b, point.area_um2, point.delay_ps)
                for point in chosen
            ),
            made=_named(self.exploration.made, specs),
            imported=_named(self.exploration.imported, specs),
            gap=gap,
        )


def layer_choices(
    exploration: Exploration,
    search: Search,
    bench: Workbench,
    *,
    kinds: int = 1,
    sensitivities: Callable[[OperandEncoding], Mapping[str, float]] | None = None,
    on_progress: Callable[[int, int, str], None] = lambda done, total, doing: None,
) -> LayerChoices:
    """The designs on a run's front in each layer of its network.

    A design loses with all layers what is predicted for it; a layer's share in that is its share in
    the variance that the design, errors and rounding to its operand widths, adds to the layers'
    outputs, each counted by its sensitivity.

    Args:
        bench: of the search, knowing the designs of the run.
        kinds: so many different designs at most are going to be asked for.
        sensitivities: number format -> those of the layers by their names, as
            :meth:`dse.ground_truth.Emulator.layer_sensitivities` gives them; None: all alike.
        on_progress: called with (designs done, of so many, the next one).

    Raises:
        InputError: a search for several networks, or of fewer designs than `kinds`.
    """
    if exploration.others:
        raise InputError(
            f"the run is for {', '.join(exploration.networks)}, and an assignment is for the "
            "layers of one network; explore for that one alone"
        )
    encoding = OperandEncoding((exploration.pick or exploration.baseline).encoding)
    points = tuple(point for point in exploration.front_multipliers if point.encoding == encoding)
    if not 1 <= kinds <= len(points):
        raise InputError(
            f"{kinds} kinds, and the run's front has {len(points)} designs in {encoding}; give 1 "
            f"to {len(points)} with --kinds"
        )
    library = CellLibrary.load(search.liberty)
    widest = bench.profile(encoding, bench.widths(encoding)[0])
    layers = [layer.name for layer in widest.layers]
    of_layer = dict.fromkeys(layers, 1.0) if sensitivities is None else sensitivities(encoding)
    weights = np.array([of_layer[name] for name in layers])
    energies, losses = [], []
    yosys.keep_results(bench.yosys_cache)
    try:
        for index, point in enumerate(points):
            on_progress(index, len(points), point.spec)
            energies.append(layer_energies(bench, point, library))
            profile = bench.profile(encoding, point.widths)
            errors = bench.multiplier(point.spec).table().errors
            added = layer_variances(profile, errors) + rounding_variances(profile, widest)
            losses.append(point.predicted_drop_pp * _shares(weights * added))
    finally:
        yosys.keep_results(None)
    return LayerChoices(
        exploration,
        search.corrected,
        encoding,
        points,
        tuple(layers),
        np.array([layer.macs for layer in widest.layers]),
        np.stack(energies, axis=1),
        np.stack(losses, axis=1),
    )


def recalibrated(
    choices: LayerChoices,
    emulator: Emulator,
    kinds: int,
    max_drop_pp: float,
    objective: str,
    count: int,
    *,
    on_progress: Callable[[int, int, str], None] = lambda done, total, doing: None,
) -> LayerChoices:
    """The choices with losses that have learned from `count` emulated assignments, in a few rounds:
    each emulates some of the best ones by the losses so far, up to a little more than
    `max_drop_pp`, and some single designs in all layers, with which they have to compete.
    """
    exact_pct = emulator.measure_exact(choices.encoding).smoothed_top1_pct
    drops_pp: dict[tuple[int, ...], float] = {}
    learned, limit_pp = choices, _BEYOND * max_drop_pp
    for turn in range(_ROUNDS):
        room = math.ceil(count * (turn + 1) / _ROUNDS) - len(drops_pp)
        found = [one.choice for one in learned.solutions(kinds, limit_pp, objective)]
        chosen = _to_emulate(learned.alone(limit_pp), found, set(drops_pp), room)
        before = len(drops_pp)

        def tell(done: int, name: str, before: int = before) -> None:
            on_progress(before + done, count, f"emulating {name}")

        accuracies = emulator.measure_all(
            [(choices.assignment(choice), choices.encoding) for choice in chosen],
            on_progress=tell,
        )
        for choice, measured in zip(chosen, accuracies, strict=True):
            drops_pp[choice] = exact_pct - measured.smoothed_top1_pct
        factors = loss_factors(choices.losses_pp, np.array(list(drops_pp)), list(drops_pp.values()))
        learned = replace(choices, losses_pp=choices.losses_pp * factors)
    return learned


def _to_emulate(
    alone: Sequence[tuple[int, ...]],
    found: Sequence[tuple[int, ...]],
    known: Set[tuple[int, ...]],
    room: int,
) -> list[tuple[int, ...]]:
    """Up to `room` choices of which nothing is known: of those with one design in all layers, all
    over their front, and of those that were found, in turn.
    """
    single = [choice for choice in alone if choice not in known]
    wanted = np.linspace(0, len(single) - 1, min(room, len(single))).round().astype(int)
    spread = [single[place] for place in wanted]
    whole = [choice for choice in reversed(found) if choice not in known]
    turns = chain.from_iterable(zip_longest(spread, whole))
    return list(dict.fromkeys(choice for choice in turns if choice is not None))[:room]


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(values.sum())
    return values / total if total > 0 else np.full(len(values), 1 / len(values))


def _named(designs: Iterable[_Design], specs: Iterable[str]) -> tuple[_Design, ...]:
    """The designs that specs name, those for narrower operands (`net:...@8x7`) included."""
    names = {spec.rpartition("@")[0] or spec for spec in specs} | set(specs)
    return tuple(design for design in designs if design.name in names)
