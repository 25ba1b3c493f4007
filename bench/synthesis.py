"""How fast multipliers are made for a network: screening, whole predictions, a walk. One core.

    python bench/synthesis.py [--network resnet20] [--operands 8x7 5x3] [--max-drop 5]

Prints a Markdown table: changes screened a second (by their effect on the network and what they
save), full sets of error metrics with the predicted loss a second, and the seconds that a walk from
the exact multiplier to a predicted loss takes, mapping included.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from cnn_eval import zoo
from cnn_eval.prediction import LossModel
from dse.search import Pairs, State, Workplace, important_pairs, screen, walk
from hdl.cells import CellLibrary
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths

REPEATS, TABLES = 5, 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--operands", type=Widths.parse, nargs="+", default=[(8, 7), (5, 3)])
    parser.add_argument("--max-drop", type=float, default=5.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoding = OperandEncoding.SIGN_MAGNITUDE
    predictor = zoo.load_predictor(arguments.network, encoding)
    print("| operands | changes a second | predictions a second | a walk, s | designs | judged |")
    print("|---|---:|---:|---:|---:|---:|")
    for widths in (Widths(*one) for one in arguments.operands):
        profile = zoo.load_profile(arguments.network, encoding, widths)
        operands = profile.operand_distribution()
        workplace = Workplace(LossModel(profile, predictor), CellLibrary.load(), operands)
        start = MultiplierSpec.make("exact", width=widths, tree="array")
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


def _screened_per_second(start: MultiplierSpec, workplace: Workplace) -> float:
    state = State.of(start, workplace, Pairs.all_of(workplace.operands))
    pairs = important_pairs(workplace)
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
