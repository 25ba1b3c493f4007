"""What learned rounding of weights earns.

    python -m bench.rounding --data cifar10-jpeg-test.npz [--network resnet20] [--skip 1200]

Prints a Markdown table: what exact multipliers of every profiled operand widths lose, corrected,
against the widest ones, with weights rounded one after the other as the network's profiles have
them (`cnn_eval/quantization/learned_rounding.py`) and with weights rounded to the nearest integers;
counted, and in brackets smoothed (docs/emulation.md). On the images that judge, without the first
ones, which profiles and calibrations have seen.
"""

from __future__ import annotations

import argparse

from cnn_eval import zoo
from cnn_eval.datasets import ImageRoles, load_dataset
from hdl.operands import OperandEncoding


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--encoding", default="sign_magnitude", choices=list(OperandEncoding))
    parser.add_argument("--skip", type=int, default=1200)
    arguments = parser.parse_args()
    encoding = OperandEncoding(arguments.encoding)
    trained = zoo.zoo_network(arguments.network)
    roles = ImageRoles.of(load_dataset(arguments.data, image_px=trained.image_px))
    sample = roles.judging.part(arguments.skip, len(roles.judging))
    learned, nearest = (
        zoo.ground_truth(trained, encoding, roles, corrected=True, nearest=nearest)
        for nearest in (False, True)
    )
    widest, *others = zoo.profile_widths(arguments.network, encoding)
    reference = learned.measure(widest, sample)
    print(f"{len(sample):,} images; {widest.a}x{widest.b}: {reference.top1_pct:.2f} %\n")
    print("| operands | learned rounding | nearest |\n|---|---:|---:|")
    for widths in others:
        cells = []
        for truth in (learned, nearest):
            found = truth.measure(widths, sample)
            counted = reference.top1_pct - found.top1_pct
            smoothed = reference.smoothed_top1_pct - found.smoothed_top1_pct
            cells.append(f"{counted:.2f} ({smoothed:.2f})")
        print(f"| {widths.a}x{widths.b} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
