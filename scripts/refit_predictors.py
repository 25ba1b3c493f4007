"""Fits predictors anew to the emulations that they hold; nothing is emulated.

    python scripts/refit_predictors.py [FILE ...]

The zoo's that ship where none is named. For files of the version before, and after a change of the
law.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cnn_eval.zoo
from cnn_eval.prediction import AccuracyPredictor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    shipped = sorted(Path(cnn_eval.zoo.__file__).parent.glob("*.predictor.json"))
    for path in parser.parse_args().files or shipped:
        predictor = AccuracyPredictor.refitted(path)
        predictor.save(path)
        print(f"{path.name}: mean absolute deviation {predictor.deviation_pp:.2f} points")


if __name__ == "__main__":
    main()
