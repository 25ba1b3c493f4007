"""Networks that multiply through a product table: the ground truth of every accuracy prediction.

Sums of products are integers and equal, bit for bit, what adding up table entries one by one gives.
Padding contributes ``table[code of 0, w]`` for every weight w, as hardware that feeds zeros into
its multipliers would.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from hdl.operands import Widths
from hdl.tables import ProductTable

from ..datasets import Dataset, images_per_batch, normalize
from ..quantization.coding import OperandCoding
from ..quantization.products import ExactProduct
from ..quantization.quantized_layer import ExactConvolution
from ..quantization.quantized_network import QuantizedNetwork
from .table_convolution import EmulationError, PairProducts, Path, TableConvolution, TableProduct

__all__ = [
    "EMULATION_VERSION",
    "EmulationError",
    "Measurement",
    "TableConvolution",
    "emulate",
    "exact_first_and_last",
    "fitted_table",
    "measure_top1",
]

# Of smoothed accuracies: a part of the margins' standard deviation. Between 0.15 and 0.4 it matters
# little.
_SMOOTHING = 0.25

_Result = TypeVar("_Result")

#: Of measured accuracies; raised where the same network, images and table may come to others.
EMULATION_VERSION = 6


def emulate(
    network: QuantizedNetwork,
    tables: ProductTable | Mapping[str, ProductTable | None],
    *,
    path: Path | None = None,
) -> QuantizedNetwork:
    """A copy of `network` whose layers, and products of two activations, multiply through product
    tables.

    Args:
        tables: one for all layers, or by layer name; layers that are not named, or have None, stay
            exact.
        path: how layers compute (:class:`TableConvolution`); None takes the fastest for each. The
            result does not depend on it.

    Raises:
        EmulationError: a table of another width or signedness than the network's encoding, or an
            unknown layer.
    """
    layers = network.multiplications
    if isinstance(tables, ProductTable):
        tables = dict.fromkeys(layers, tables)
    unknown = sorted(set(tables) - set(layers))
    if unknown:
        raise EmulationError(
            f"no layer {unknown[0]!r} in the network; its layers are {', '.join(layers)}"
        )
    emulated = copy.deepcopy(network)
    copies = emulated.multiplications
    known: dict[tuple[int, OperandCoding], PairProducts] = {}
    for name, given in tables.items():
        if given is None:
            continue
        exact, coding = layers[name].sums, layers[name].coding
        table = fitted_table(given, coding)
        if not isinstance(exact, ExactConvolution | ExactProduct):
            raise EmulationError(
                f"layer {name!r} is emulated already; start from the quantized network"
            )
        key = id(given), coding
        if key not in known:
            known[key] = PairProducts.of(coding.products(table.errors))
        copies[name].sums = (
            TableConvolution(exact, known[key], path=path)
            if isinstance(exact, ExactConvolution)
            else TableProduct(coding, known[key], path=path)
        )
    return emulated


def exact_first_and_last(
    network: QuantizedNetwork, table: ProductTable
) -> dict[str, ProductTable | None]:
    """`table` for every layer but the first and the last, as accelerators often have it."""
    names = list(network.layers)
    ends = names[0], names[-1]
    return {name: None if name in ends else table for name in network.multiplications}


def fitted_table(table: ProductTable, coding: OperandCoding) -> ProductTable:
    """The table as a layer's operands see it: those of a wider multiplier leave its highest operand
    bits unused.

    Raises EmulationError for a table of other signedness, or of narrower operands.
    """
    needed = Widths(coding.width_a, coding.width_b)
    if (
        table.signed != coding.encoding.signed
        or table.width_a < needed.a
        or table.width_b < needed.b
    ):
        found, wanted = (
            f"{'signed' if signed else 'unsigned'} {widths.a}x{widths.b}"
            for signed, widths in ((table.signed, table.widths), (coding.encoding.signed, needed))
        )
        raise EmulationError(
            f"multiplier {table.name!r} is {found}, but encoding {coding.encoding} of this "
            f"network needs {wanted}"
        )
    return table.for_operands([needed])


@dataclass(frozen=True)
class Measurement:
    """Measured accuracy: top-1 in percent over so many images, and how long it took.

    `smoothed_top1_pct` is what top-1 would be, on average, if every margin (logit of the true class
    less the largest other one) were disturbed a little: by a normal variable of a quarter of the
    margins' standard deviation. Differences between two networks on the same images are less
    uncertain in it by more than a half (docs/emulation.md), since an image that is answered just
    rightly or just wrongly counts by how much. Its level is a little lower.
    """

    top1_pct: float
    images: int
    seconds: float
    smoothed_top1_pct: float


def measure_top1(
    network: QuantizedNetwork,
    tables: ProductTable | Mapping[str, ProductTable | None] | None,
    data: Dataset,
    *,
    images: int | None = None,
    batch: int | None = None,
    on_progress: Callable[[int, float], None] = lambda done, top1_pct: None,
) -> Measurement:
    """Top-1 accuracy over the first `images` of `data` (all by default), multiplying through
    `tables` (exactly if None).

    As many batches run at a time as torch has threads, each on one thread.

    Args:
        batch: images; None: as many as :func:`~cnn_eval.datasets.images_per_batch` allows.
        on_progress: called after every batch with (images done, top-1 in percent so far).

    Raises:
        EmulationError: as :func:`emulate`, or there are no images, or they are of other classes
            than the network tells apart.
    """
    data = data.head(len(data) if images is None else images)
    if len(data) == 0:
        raise EmulationError(f"accuracy needs images, and {data.name!r} has none")
    batch = batch or images_per_batch(*data.images.shape[1:3])
    started = time.monotonic()
    runnable = network if tables is None else emulate(network, tables)

    @torch.inference_mode()
    def answer(start: int) -> tuple[int, NDArray[np.float64]]:
        """Right answers to a batch, and the margins of all."""
        images = data.images[start : start + batch]
        x = normalize(images, network.mean, network.std).contiguous(
            memory_format=torch.channels_last
        )
        logits = runnable(x)
        if logits.shape[1] != len(data.classes):
            raise EmulationError(
                f"the network tells {logits.shape[1]} classes apart, and {data.name!r} has "
                f"{len(data.classes)}; give it images of its own classes"
            )
        labels = torch.from_numpy(data.labels[start : start + batch]).long()
        true = logits.gather(1, labels[:, None])[:, 0]
        margin = true - logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        return int((logits.argmax(1) == labels).sum()), margin.double().numpy()

    hits = done = 0
    margins = []
    for found, margin in _on_single_threads(answer, range(0, len(data), batch)):
        hits, done = hits + found, min(done + batch, len(data))
        margins.append(margin)
        on_progress(done, 100 * hits / done)
    seconds = time.monotonic() - started
    smoothed = _smoothed_top1_pct(np.concatenate(margins))
    return Measurement(100 * hits / len(data), len(data), seconds, smoothed)


def _smoothed_top1_pct(margins: NDArray[np.float64]) -> float:
    spread = max(_SMOOTHING * float(margins.std()), np.finfo(np.float64).tiny)
    return 100 * float(ndtr(margins / spread).mean())


def _on_single_threads(work: Callable[[int], _Result], items: Iterable[int]) -> Iterator[_Result]:
    """Results of work(item) in order, from as many workers as torch has threads, each computing on
    one thread.

    Threads that share one operation wait for each other at its end, and for long where the machine
    does something else beside; workers that share nothing do not.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(work, items)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, items)
    finally:
        # The workers' setting is also what torch gives to threads that start later.
        torch.set_num_threads(threads)
