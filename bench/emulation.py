"""How fast emulation is: nanoseconds per multiplication of every path beside torch's float32
convolution, and whole networks.

    python -m bench.emulation [--repeats 9] [--threads 1 2] [--share]

Prints Markdown tables. The paths of a layer take turns, and each figure is the least of the
repetitions: other work on the machine disturbs it least. Several threads have a batch each, as when
accuracy is measured; with --share they share the batches of the layers. One thread is measured in
processor time, several in wall time. Weights are normal with a standard deviation of 20,
activations are those of a ReLU behind a normal distribution with a standard deviation of 40.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnn_eval.emulation import PairProducts, Path, TableConvolution, emulate
from cnn_eval.networks import build_network
from cnn_eval.quantization import ExactConvolution, Geometry, OperandCoding, quantize
from hdl.operands import OperandEncoding, Widths
from hdl.tables import ProductTable

#: (channels in, channels out, image, batch) of 3x3 layers of ResNet-20 and ResNet-18.
LAYERS = ((3, 16, 32, 64), (16, 16, 32, 64), (64, 64, 8, 64), (64, 64, 32, 16), (256, 256, 8, 64))
NETWORKS = ("resnet20", "resnet18")
BATCH = 64
WIDTHS = Widths(8, 7)
CODING = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, *WIDTHS, negative=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--share", action="store_true", help="threads share a layer's batch")
    arguments = parser.parse_args()
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        print_layers(Timer(threads, arguments.repeats, share=arguments.share))
        print()
        print_networks(Timer(threads, arguments.repeats))
        print()


class Timer:
    """Least time of each of several works, taking turns."""

    def __init__(self, threads: int, repeats: int, *, share: bool = False) -> None:
        self.threads, self.repeats = threads, repeats
        self.batches = 1 if share else threads
        self._now = time.process_time if threads == 1 else time.perf_counter
        self._pool = ThreadPoolExecutor(
            self.batches, initializer=torch.set_num_threads, initargs=(threads // self.batches,)
        )

    def __str__(self) -> str:
        return (
            f"{self.threads} thread{'s' if self.threads > 1 else ''}, {self.batches} "
            f"batch{'es' if self.batches > 1 else ''}"
        )

    def least_seconds(self, work: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Of one run: in each thread, while the others run it too.

        In its turn a work runs for 20 milliseconds at least, after one run that does not count:
        torch's threads spin for a while after they have worked, on the processors that another
        path's threads need. The first turn warms up.
        """
        least = dict.fromkeys(work, float("inf"))
        runs = dict.fromkeys(work, 1)
        for turn in range(self.repeats + 1):
            for name, call in work.items():
                seconds = self._seconds(call, runs[name])
                if turn:
                    least[name] = min(least[name], seconds)
                else:
                    runs[name] = math.ceil(0.02 / seconds)
        return least

    def _seconds(self, call: Callable[[], object], runs: int) -> float:
        def measured(_: int) -> float:
            with torch.inference_mode():
                call()
                started = self._now()
                for _ in range(runs):
                    call()
            return (self._now() - started) / runs

        if self.batches == 1:
            return measured(0)
        return statistics.mean(self._pool.map(measured, range(self.batches)))


def tables() -> dict[str, ProductTable]:
    """A table with errors like those of many designs, and one without any structure."""
    rng = np.random.default_rng(0)
    exact = ProductTable.exact(WIDTHS, signed=False).products
    near = (exact + rng.integers(-1000, 1000, exact.shape)).clip(0, (1 << 16) - 1).astype(np.int32)
    wild = rng.integers(0, 1 << 16, exact.shape).astype(np.int32)
    return {
        "errors up to 1000": ProductTable(near, False, "near"),
        "random products": ProductTable(wild, False, "wild"),
    }


def low_rank(rank: int) -> ProductTable:
    """Products without their lowest `rank` columns of partial products: the error is of that
    rank.
    """
    exact = ProductTable.exact(WIDTHS, signed=False).products
    operand = np.arange(256)
    dropped = sum(
        np.multiply.outer(operand & (1 << bit), operand & ((1 << rank) - 1 >> bit))
        for bit in range(rank)
    )
    return ProductTable((exact - dropped).astype(np.int32), False, f"rank {rank}")


def print_layers(timer: Timer) -> None:
    paths: dict[str, tuple[ProductTable, Path | None]] = {
        f"{name}, rows": (table, "rows") for name, table in tables().items()
    }
    paths["exact products, chosen"] = ProductTable.exact(WIDTHS, signed=False), None
    for rank in (1, 2, 4, 8):
        paths |= {
            f"error rank {rank}, low_rank": (low_rank(rank), "low_rank"),
            f"error rank {rank}, chosen": (low_rank(rank), None),
        }
    paths["torch"] = tables()["errors up to 1000"], "torch"
    shapes = [f"{inputs} -> {outputs}, {px}x{px}, {batch}" for inputs, outputs, px, batch in LAYERS]
    print(
        f"ns per multiplication, {timer}, 3x3 layers (channels, image, batch); in brackets "
        "relative to float32\n"
    )
    print("| path | " + " | ".join(shapes) + " |")
    print("|---|" + "---|" * len(LAYERS))
    columns = [layer_times(*layer, paths, timer) for layer in LAYERS]
    for path in columns[0]:
        cells = [
            f"{column[path]:.3f} ({column[path] / column['float32']:.1f})" for column in columns
        ]
        print(f"| {path} | " + " | ".join(cells) + " |")


def layer_times(
    inputs: int,
    outputs: int,
    px: int,
    batch: int,
    paths: dict[str, tuple[ProductTable, Path | None]],
    timer: Timer,
) -> dict[str, float]:
    """ns per multiplication by path."""
    generator = torch.Generator().manual_seed(0)
    weight = (20 * torch.randn(outputs, inputs, 3, 3, generator=generator)).round().clamp(-127, 127)
    values = (40 * torch.randn(batch, inputs, px, px, generator=generator)).round().clamp(0, 255)
    values = values.contiguous(memory_format=torch.channels_last)
    exact = ExactConvolution(weight, Geometry((3, 3)), (1, 1, 1, 1), CODING)
    work: dict[str, Callable[[], object]] = {
        "float32": partial(functional.conv2d, values, weight, padding=1)
    }
    for name, (table, path) in paths.items():
        work[name] = partial(
            TableConvolution(exact, PairProducts.of(CODING.products(table.errors)), path=path),
            values,
        )
    macs = timer.batches * batch * px * px * outputs * inputs * 9
    return {name: 1e9 * seconds / macs for name, seconds in timer.least_seconds(work).items()}


def print_networks(timer: Timer) -> None:
    print(f"ms per image, {timer} of {BATCH} images of 32x32\n")
    kinds = tables()
    print("| network | float32 | quantized, exact | " + " | ".join(kinds) + " | peak memory MiB |")
    print("|---|---|---|" + "---|" * (len(kinds) + 1))
    for name in NETWORKS:
        images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        model = build_network(name, seed=0).eval()
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quantized = quantize(model, images[:16], OperandEncoding.SIGN_MAGNITUDE, widths=WIDTHS)
        networks: dict[str, nn.Module] = {"float32": model, "exact": quantized}
        networks |= {kind: emulate(quantized, table) for kind, table in kinds.items()}
        seconds = timer.least_seconds(
            {kind: partial(network, images) for kind, network in networks.items()}
        )
        cells = [f"{1e3 * each / BATCH / timer.batches:.2f}" for each in seconds.values()]
        print(f"| {name} | " + " | ".join(cells) + f" | {peak_mib():.0f} |")


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
