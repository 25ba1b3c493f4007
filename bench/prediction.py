"""How far predicted accuracy is from emulated accuracy, for every predictor of the zoo.

    python -m bench.prediction [--zoo DIR]

Prints two Markdown tables. In the first, each emulated multiplier of a predictor's calibration is
predicted from those of all other families and all other operand widths; in the second, from the
other networks of the same number format alone. Deviation (mean absolute, in points) and |Spearman|
are over the multipliers that lose between 0.5 points and all but 5 points of what there is to lose;
"below 10" over those of them that lose less than 10 points. Circuits that walks made count as one
family; "walks known" is the deviation where each is a family of its own, so that those of other
widths take part, as they do for a search. The last columns are the shares of all multipliers, and
of those that lose more than 5 points, whose emulated loss is within two stated spreads of the
predicted one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cnn_eval import zoo
from cnn_eval.prediction import AccuracyPredictor, left_out_predictions, middle_region
from hdl.multipliers import NetlistDesign

LARGE_PP, BEHIND_PP = 5.0, 10.0
HEADER = (
    "network",
    "number format",
    "multipliers",
    "counted",
    "deviation",
    "below 10",
    "\\|Spearman\\|",
    "within two spreads",
    "above 5 points",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zoo", type=Path, help="folder of predictors; the zoo's by default")
    arguments = parser.parse_args()
    folder = arguments.zoo or Path(zoo.__file__).parent
    predictors = [AccuracyPredictor.load(path) for path in sorted(folder.glob("*.predictor.json"))]
    predictors.sort(key=lambda one: (not one.corrected, one.encoding, one.network))
    print_table("Families and operand widths left out:", predictors, left_out, walks_known)
    print_table(
        "From the other networks:",
        [one for one in predictors if len(others_of(one, predictors)) > 1],
        lambda one: transferred(one, others_of(one, predictors)),
    )


def others_of(
    predictor: AccuracyPredictor, predictors: Iterable[AccuracyPredictor]
) -> list[AccuracyPredictor]:
    """Predictors of other networks in the same number format, corrected alike."""
    return [
        other
        for other in predictors
        if other.network != predictor.network
        and (other.encoding, other.corrected) == (predictor.encoding, predictor.corrected)
    ]


def left_out(predictor: AccuracyPredictor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted losses (m,) of the calibration's multipliers, and the spreads stated with them."""
    top1 = left_out_predictions(
        predictor.calibration,
        predictor.chance_pct,
        predictor.images,
        corrected=predictor.corrected,
    )
    drops = predictor.calibration_exact_top1_pct - top1
    return drops, predictor.spreads_pp(drops)


def walks_known(predictor: AccuracyPredictor) -> NDArray[np.float64]:
    """Predicted losses (m,) where every circuit that a walk made is a family of its own."""
    apart = tuple(
        replace(one, family=one.name) if one.family == NetlistDesign.family else one
        for one in predictor.calibration
    )
    return left_out(replace(predictor, calibration=apart))[0]


def transferred(
    predictor: AccuracyPredictor, others: list[AccuracyPredictor]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same by a predictor that no emulation of the network went into."""
    found = AccuracyPredictor.transferred(
        others,
        network=predictor.network,
        encoding=predictor.encoding,
        corrected=predictor.corrected,
        data=predictor.data,
        exact_top1_pct=predictor.calibration_exact_top1_pct,
        chance_pct=predictor.chance_pct,
    )
    drops = np.concatenate(
        [found.drops_pp([one.features], one.exact_top1_pct) for one in predictor.calibration]
    )
    return drops, found.spreads_pp(drops)


def print_table(
    title: str,
    predictors: list[AccuracyPredictor],
    predict: Callable[[AccuracyPredictor], tuple[NDArray[np.float64], NDArray[np.float64]]],
    knowing: Callable[[AccuracyPredictor], NDArray[np.float64]] | None = None,
) -> None:
    """Prints what `predict` comes to and, in a further column, `knowing`."""
    header = HEADER if knowing is None else (*HEADER[:5], "walks known", *HEADER[5:])
    aligned = "---|---|" + "---:|" * (len(header) - 2)
    print(f"{title}\n\n| {' | '.join(header)} |\n|{aligned}")
    for one in predictors:
        predicted, spreads = predict(one)
        top1 = np.array([multiplier.top1_pct for multiplier in one.calibration])
        found = one.calibration_exact_top1_pct - top1
        off, large = np.abs(predicted - found), found > LARGE_PP
        middle = middle_region(top1, one.calibration_exact_top1_pct, one.chance_pct)
        within = off <= 2 * spreads
        rank = abs(float(spearmanr(predicted[middle], found[middle]).statistic))
        known = [] if knowing is None else [np.abs(knowing(one) - found)[middle].mean()]
        row = [
            one.network,
            one.encoding if one.corrected else f"{one.encoding}, uncorrected",
            f"{len(found)}",
            f"{middle.sum()}",
            *(f"{deviation:.2f}" for deviation in (off[middle].mean(), *known)),
            f"{off[middle & (found < BEHIND_PP)].mean():.2f}",
            f"{rank:.3f}",
            *(f"{100 * share:.0f} %" for share in (within.mean(), within[large].mean())),
        ]
        print(f"| {' | '.join(row)} |", flush=True)
    print()


if __name__ == "__main__":
    main()
