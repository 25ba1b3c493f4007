"""How fast emulation is: nanoseconds per multiplication of every path beside torch's float32 convolution, and whole networks.

    python bench/emulation.py [--repeats 9] [--threads 1 2]

Prints Markdown tables. The paths of a layer take turns, and each figure is the least of the repetitions: other work on the machine
disturbs it least. One thread is measured in processor time, several in wall time. Weights are normal with a standard deviation of 20,
activations are those of a ReLU behind a normal distribution with a standard deviation of 40.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cnn_eval.coding import OperandCoding
from cnn_eval.emulate import emulate
from cnn_eval.geometry import Geometry
from cnn_eval.networks import build_network
from cnn_eval.quantize import ExactConvolution, quantize
from cnn_eval.table_convolution import PairProducts, Path, TableConvolution
from hdl.operands import OperandEncoding
from hdl.table import ProductTable

#: (channels in, channels out, image, batch) of 3x3 layers of ResNet-20 and ResNet-18.
LAYERS = ((3, 16, 32, 64), (16, 16, 32, 64), (64, 64, 8, 64), (64, 64, 32, 16), (256, 256, 8, 16))
NETWORKS = ("resnet20", "resnet18")
BATCH = 64
CODING = OperandCoding(OperandEncoding.SIGN_MAGNITUDE, 8, negative=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            print_layers(threads, arguments.repeats)
            print()
            print_networks(threads, arguments.repeats)
            print()


def tables() -> dict[str, ProductTable]:
    """A table with errors like those of many designs, and one without any structure."""
    rng = np.random.default_rng(0)
    exact = ProductTable.exact(8, signed=False).products
    near = (exact + rng.integers(-1000, 1000, exact.shape)).clip(0, (1 << 16) - 1).astype(np.int32)
    wild = rng.integers(0, 1 << 16, exact.shape).astype(np.int32)
    return {"errors up to 1000": ProductTable(near, 8, False, "near"), "random products": ProductTable(wild, 8, False, "wild")}


def low_rank(rank: int) -> ProductTable:
    """Products without their lowest `rank` columns of partial products: the error is of that rank."""
    exact = ProductTable.exact(8, signed=False).products
    operand = np.arange(256)
    dropped = sum(np.multiply.outer(operand & (1 << bit), operand & ((1 << rank) - 1 >> bit)) for bit in range(rank))
    return ProductTable((exact - dropped).astype(np.int32), 8, False, f"rank {rank}")


def print_layers(threads: int, repeats: int) -> None:
    paths: dict[str, tuple[ProductTable, Path | None]] = {f"{name}, rows": (table, "rows") for name, table in tables().items()}
    paths["exact products, chosen"] = ProductTable.exact(8, signed=False), None
    for rank in (1, 2, 4, 8):
        paths |= {f"error rank {rank}, low_rank": (low_rank(rank), "low_rank"), f"error rank {rank}, chosen": (low_rank(rank), None)}
    paths["torch"] = tables()["errors up to 1000"], "torch"
    shapes = [f"{inputs} -> {outputs}, {px}x{px}, {batch}" for inputs, outputs, px, batch in LAYERS]
    print(f"ns per multiplication, {threads} thread(s), 3x3 layers (channels, image, batch); in brackets relative to float32\n")
    print("| path | " + " | ".join(shapes) + " |")
    print("|---|" + "---|" * len(LAYERS))
    columns = [layer_times(*layer, paths, repeats) for layer in LAYERS]
    for path in columns[0]:
        cells = [f"{column[path]:.3f} ({column[path] / column['float32']:.1f})" for column in columns]
        print(f"| {path} | " + " | ".join(cells) + " |")


def layer_times(
    inputs: int, outputs: int, px: int, batch: int, paths: dict[str, tuple[ProductTable, Path | None]], repeats: int
) -> dict[str, float]:
    """ns per multiplication by path."""
    generator = torch.Generator().manual_seed(0)
    weight = (20 * torch.randn(outputs, inputs, 3, 3, generator=generator)).round().clamp(-127, 127)
    values = (40 * torch.randn(batch, inputs, px, px, generator=generator)).round().clamp(0, 255)
    values = values.contiguous(memory_format=torch.channels_last)
    exact = ExactConvolution(weight, Geometry((3, 3)), (1, 1, 1, 1), CODING)
    work: dict[str, Callable[[], object]] = {"float32": partial(functional.conv2d, values, weight, padding=1)}
    for name, (table, path) in paths.items():
        work[name] = partial(TableConvolution(exact, PairProducts.of(CODING.products(table.errors)), path=path), values)
    macs = batch * px * px * outputs * inputs * 9
    return {name: 1e9 * seconds / macs for name, seconds in least_seconds(work, repeats).items()}


def print_networks(threads: int, repeats: int) -> None:
    print(f"ms per image, {threads} thread(s), each with a batch of {BATCH} of its own, 32x32 images\n")
    kinds = tables()
    print("| network | float32 | quantized, exact | " + " | ".join(kinds) + " | peak memory MiB |")
    print("|---|---|---|" + "---|" * (len(kinds) + 1))
    for name in NETWORKS:
        images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        model = build_network(name, seed=0).eval().to(memory_format=torch.channels_last)
        quantized = quantize(model, images[:16], OperandEncoding.SIGN_MAGNITUDE)
        networks: dict[str, nn.Module] = {"float32": model, "exact": quantized}
        networks |= {kind: emulate(quantized, table) for kind, table in kinds.items()}
        work: dict[str, Callable[[], object]] = {kind: partial(run_batches, network, images, threads) for kind, network in networks.items()}
        seconds = least_seconds(work, repeats)
        cells = [f"{1e3 * each / BATCH / threads:.2f}" for each in seconds.values()]
        print(f"| {name} | " + " | ".join(cells) + f" | {peak_mib():.0f} |")


def run_batches(network: nn.Module, images: torch.Tensor, threads: int) -> None:
    """As :func:`cnn_eval.emulate.measure_top1` does: a batch per thread, each on one thread."""
    if threads == 1:
        network(images)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(torch.inference_mode()(network), [images] * threads))
    torch.set_num_threads(threads)


def least_seconds(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least time of each work, taking turns; the first turn warms up and does not count.

    In its turn a work runs twice, and the second run counts: torch's threads spin for a while after they have worked, on the processors
    that another path's threads need.
    """
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    least = dict.fromkeys(work, float("inf"))
    for turn in range(repeats + 1):
        for name, call in work.items():
            call()
            started = now()
            call()
            if turn:
                least[name] = min(least[name], now() - started)
    return least


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
