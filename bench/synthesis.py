"""How fast multipliers are made for a network, and what kinds of walks come by. One core.

    python -m bench.synthesis [--network resnet20] [--operands 8x7 5x3] [--max-drop 5]
    python -m bench.synthesis --kinds [--operands 6x3 5x3] [--max-drop 1.5] [--walks 2]

Prints a Markdown table: changes screened a second (by their effect on the network and what they
save), full sets of error metrics with the predicted loss a second, and the seconds that a walk from
the exact multiplier to a predicted loss takes, mapping included.

With `--kinds` it prints what is the best at each predicted loss, by area times energy: of the exact
multipliers of all operand widths and forms, of walks over gates, and of walks over terms from the
exact multipliers of the given widths. Area and energy are those over the exact 8x7 multiplier.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from math import prod

import numpy as np
import torch

from cnn_eval import zoo
from cnn_eval.prediction import AccuracyPredictor, LossModel
from dse.search import State, Workplace, screen, term_walk, walk
from hdl.cells import CellLibrary
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

REPEATS, TABLES = 5, 64
ENCODING = OperandEncoding.SIGN_MAGNITUDE
LOSSES_PP = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--operands", type=Widths.parse, nargs="+", default=[(8, 7), (5, 3)])
    parser.add_argument("--max-drop", type=float, default=5.0)
    parser.add_argument("--kinds", action="store_true")
    parser.add_argument("--walks", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    predictor = zoo.load_predictor(arguments.network, ENCODING)
    if arguments.kinds:
        print_kinds(arguments, predictor)
    else:
        print_speeds(arguments, predictor)


def print_speeds(arguments: argparse.Namespace, predictor: AccuracyPredictor) -> None:
    print("| operands | changes a second | predictions a second | a walk, s | designs | judged |")
    print("|---|---:|---:|---:|---:|---:|")
    for widths in (Widths(*one) for one in arguments.operands):
        workplace = workplace_of(arguments.network, widths, predictor)
        start = exact(widths)
        screened = _screened_per_second(start, workplace)
        predicted = _predicted_per_second(workplace)
        begun = time.perf_counter()
        made = list(walk(start, workplace, max_drop_pp=arguments.max_drop, seed=1))
        seconds = time.perf_counter() - begun
        judged = made[-1].candidates if made else 0
        print(
            f"| {widths.a}x{widths.b} | {screened:,.0f} | {predicted:,.0f} | {seconds:.1f} "
            f"| {len(made)} | {judged:,} |",
            flush=True,
        )


def workplace_of(network: str, widths: Widths, predictor: AccuracyPredictor) -> Workplace:
    profile = zoo.load_profile(network, ENCODING, widths)
    loss = LossModel(profile, predictor)
    return Workplace(loss, CellLibrary.load(), profile.operand_distribution())


def exact(widths: Widths) -> MultiplierSpec:
    return MultiplierSpec.make("exact", width=widths, tree="array")


def exact_of_every_form(widths: Widths) -> list[MultiplierSpec]:
    trees = [
        MultiplierSpec.make("exact", width=widths, tree=tree)
        for tree in ("array", "wallace", "dadda", "serial")
    ]
    return [*trees, MultiplierSpec.make("exact", width=widths, kind="behavioural")]


def print_kinds(arguments: argparse.Namespace, predictor: AccuracyPredictor) -> None:
    """The best of each kind at each loss."""
    found: dict[str, list[tuple[float, float, float]]] = {"exact": [], "gates": [], "terms": []}
    for widths in zoo.profile_widths(arguments.network, ENCODING):
        workplace = workplace_of(arguments.network, widths, predictor)
        errors = np.zeros([1, *(1 << width for width in widths)], np.int32)
        drop_pp = float(workplace.loss.drops_pp(errors)[0])
        mapped = [workplace.mapped(one) for one in exact_of_every_form(widths)]
        costs = [(made.netlist.area_um2, energy.energy_fj) for made, energy in mapped]
        found["exact"].append((drop_pp, *min(costs, key=prod)))
    _, area_um2, energy_fj = found["exact"][0]
    for widths in (Widths(*one) for one in arguments.operands):
        workplace = replace(workplace_of(arguments.network, widths, predictor), cautious=True)
        for seed in range(1, arguments.walks + 1):
            for kind, over in (("gates", walk), ("terms", term_walk)):
                walked = over(exact(widths), workplace, max_drop_pp=arguments.max_drop, seed=seed)
                found[kind] += [(one.drop_pp, one.area_um2, one.energy_fj) for one in walked]
    print("| lost at most | " + " | ".join(f"{kind}: area, energy, lost" for kind in found) + " |")
    print("|---:|" + "---|" * len(found))
    for loss_pp in (loss for loss in LOSSES_PP if loss <= arguments.max_drop):
        cells = []
        for designs in found.values():
            within = [one for one in designs if one[0] <= loss_pp]
            best = min(within, key=lambda one: one[1] * one[2], default=None)
            cells.append(
                f"{best[1] / area_um2:.3f}, {best[2] / energy_fj:.3f}, {best[0]:.2f}"
                if best
                else ""
            )
        print(f"| {loss_pp:g} | " + " | ".join(cells) + " |")


def _screened_per_second(start: MultiplierSpec, workplace: Workplace) -> float:
    state = State.of(start, workplace)
    pairs = workplace.screened_pairs
    around = workplace.loss.around(state.errors)
    rng = np.random.default_rng(0)
    screen(state.circuit, pairs, around, state.prices, rng)
    begun, candidates = time.perf_counter(), 0
    for _ in range(REPEATS):
        candidates += screen(state.circuit, pairs, around, state.prices, rng).candidates
    return candidates / (time.perf_counter() - begun)


def _predicted_per_second(workplace: Workplace) -> float:
    shape = tuple(1 << width for width in workplace.operands.widths)
    errors = np.random.default_rng(0).integers(-3, 4, (TABLES, *shape), dtype=np.int32)
    workplace.loss.drops_pp(errors)
    begun = time.perf_counter()
    for _ in range(REPEATS):
        workplace.loss.drops_pp(errors)
    return REPEATS * TABLES / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
