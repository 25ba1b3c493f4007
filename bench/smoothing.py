"""How uncertain measured losses are, as counted and as smoothed.

    python -m bench.smoothing --data cifar10-jpeg-test.npz [--network resnet20] [--first 1200]

For exact multipliers of every profiled operand widths: the loss against the widest, on the first
images that judge and on the rest of them, counted and smoothed. The last line has the root mean
square difference from what is counted on the rest.
"""

from __future__ import annotations

import argparse

import numpy as np

from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from hdl.operands import OperandEncoding


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--first", type=int, default=1200)
    arguments = parser.parse_args()
    encoding = OperandEncoding.SIGN_MAGNITUDE
    trained = zoo.zoo_network(arguments.network)
    roles = ImageRoles.of(load_dataset(arguments.data, image_px=trained.image_px))
    truth = zoo.ground_truth(trained, encoding, roles, corrected=True)
    judging = roles.judging
    parts = judging.head(arguments.first), judging.part(arguments.first, len(judging))
    widest, *others = zoo.profile_widths(arguments.network, encoding)
    reference = [truth.measure(widest, part) for part in parts]
    print(f"| operands | counted on {len(parts[0])} | smoothed | counted on {len(parts[1])} |")
    print("|---|---:|---:|---:|")
    rows = []
    for widths in others:
        first, rest = (truth.measure(widths, part) for part in parts)
        rows.append(
            (
                reference[0].top1_pct - first.top1_pct,
                reference[0].smoothed_top1_pct - first.smoothed_top1_pct,
                reference[1].top1_pct - rest.top1_pct,
            )
        )
        figures = " | ".join(f"{value:.2f}" for value in rows[-1])
        print(f"| {widths.a}x{widths.b} | {figures} |", flush=True)
    counted, smoothed, rest_pp = np.array(rows).T
    off = (np.sqrt(np.mean((one - rest_pp) ** 2)) for one in (counted, smoothed))
    print("| root mean square difference | " + " | ".join(f"{value:.2f}" for value in off) + " | |")


if __name__ == "__main__":
    main()
