"""What AME costs: one table, many tables, many masks, and against emulating the network.

    python -m bench.ame --data cifar10-jpeg-test.npz [--network resnet18] [--encoding E]

Prints Markdown. Emulation is timed on 256 images and extrapolated to 10,000. Run it on an idle
machine, with OPENBLAS_NUM_THREADS=1: the threads of a product as small as one AME wait for each
other wherever something else runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnn_eval.datasets import load_dataset
from cnn_eval.emulation import measure_top1
from cnn_eval.prediction import ame, ame_of_masks, ame_of_tables, features
from cnn_eval.zoo import load_profile, shipped_network
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

TABLES, CHUNK, MASKS, IMAGES, EXTRAPOLATED = 10_000, 500, 1_000_000, 256, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="images to emulate")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--encoding", type=OperandEncoding, default=OperandEncoding.SIGN_MAGNITUDE)
    arguments = parser.parse_args()
    profile = load_profile(arguments.network, arguments.encoding)
    table = ProductTable.of(MultiplierSpec.make("drum", signed=arguments.encoding.signed, k=4))
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 1 << 64, MASKS, dtype=np.uint64)
    # 10,000 tables are 2.6 GB: a chunk of them is made once and goes through as often.
    many = rng.integers(-1000, 1000, (CHUNK, *table.errors.shape), dtype=np.int32)

    def all_tables() -> None:
        for _ in range(TABLES // CHUNK):
            ame_of_tables(profile, many)

    single_s = seconds(lambda: ame(profile, table.errors), 51)
    print(f"{arguments.network}, {arguments.encoding}\n\n| step | time |\n|---|---|")
    print(f"| AME of one table | {1e6 * single_s:.0f} us |")
    print(
        "| AME and its five companions of one table | "
        f"{1e6 * seconds(lambda: features(profile, table.errors), 11):.0f} us |"
    )
    print(f"| AME of {TABLES:,} tables | {seconds(all_tables, 3):.2f} s |")
    print(f"| AME of {MASKS:,} masks | {seconds(lambda: ame_of_masks(profile, masks), 3):.2f} s |")
    network = shipped_network(arguments.network, arguments.encoding)
    data = load_dataset(arguments.data).head(IMAGES)
    measure_top1(network, table, data, images=16)  # compiles
    emulated_s = measure_top1(network, table, data).seconds * EXTRAPOLATED / len(data)
    print(
        f"| emulation of {EXTRAPOLATED:,} images, extrapolated from {len(data)} | "
        f"{emulated_s:.0f} s |"
    )
    print(f"\nOne emulation takes {emulated_s / single_s:.2g} times as long as one AME.")


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time, after a first call that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
