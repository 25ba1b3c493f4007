"""Networks that multiply through a product table: the ground truth of every accuracy prediction.

Sums of products are integers and equal, bit for bit, what adding up table entries one by one gives. Padding contributes
``table[code of 0, w]`` for every weight w, as hardware that feeds zeros into its multipliers would.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hdl.errors import InputError
from hdl.table import ProductTable

from .coding import OperandCoding
from .datasets import Dataset, normalize
from .kernels import LookupWeights, PackedWeights, ProductColumns, convolve
from .quantize import ExactConvolution, QuantizedNetwork

__all__ = ["EmulationError", "Measurement", "TableConvolution", "check_table", "emulate", "measure_top1"]

_LARGEST_SUM = (1 << 31) - 1


class EmulationError(InputError):
    """The multiplier cannot take part in this network."""


class TableConvolution(nn.Module):
    """Sums of looked-up products, in place of an :class:`ExactConvolution`.

    On the CPU by row accumulation (:mod:`cnn_eval.kernels`); elsewhere, or where `portable` asks for it, by torch's own operations.

    Args:
        products: (A, W), [activation value, weight value], from :meth:`OperandCoding.products`.
    """

    weight_index: torch.Tensor
    products: torch.Tensor

    def __init__(self, exact: ExactConvolution, products: NDArray[np.int32], *, portable: bool = False) -> None:
        super().__init__()
        self.geometry, self.padding, self.coding, self.portable = exact.geometry, exact.padding, exact.coding, portable
        positions = exact.weight[0].numel()
        if int(np.abs(products.astype(np.int64)).max()) * positions > _LARGEST_SUM:
            raise EmulationError(f"sums of {positions} products of up to {np.abs(products).max()} do not fit into 32 bits")
        self.register_buffer("products", torch.from_numpy(products))
        self._columns = ProductColumns.of(products)
        self.set_weight(exact.weight)

    def set_weight(self, weight: torch.Tensor) -> None:
        """Other weights: integers, (o, c / groups, kernel height, kernel width)."""
        index = (weight - self.coding.weight_range[0]).to(torch.uint8)
        self.register_buffer("weight_index", index)
        self._lookup = LookupWeights.of(PackedWeights.of(index.cpu().numpy(), self.geometry), self._columns)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        low, _ = self.coding.activation_range
        index = (values - low if low else values).to(torch.uint8)
        index = functional.pad(index, self.padding, value=-low)
        if self.portable or index.device.type != "cpu":
            return _portable_sums(index, self)
        # (n, height, width, channels), which is how a channels-last tensor lies in memory anyway.
        codes = np.ascontiguousarray(index.permute(0, 2, 3, 1).numpy())
        sums = convolve(codes, self._lookup, threads=torch.get_num_threads())
        return torch.from_numpy(sums).permute(0, 3, 1, 2)


def _portable_sums(index: torch.Tensor, layer: TableConvolution) -> torch.Tensor:
    """Row accumulation in torch's own operations: for every input position, the row of products that each pixel's activation picks."""
    geometry, weight = layer.geometry, layer.weight_index
    count, channels, height, width = index.shape
    out_height, out_width = geometry.output_size(height, width)
    per_group, out_per_group = channels // geometry.groups, len(weight) // geometry.groups
    sums = torch.zeros((count, out_height, out_width, len(weight)), dtype=torch.int32, device=index.device)
    (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    for row in range(geometry.kernel[0]):
        for column in range(geometry.kernel[1]):
            # Slices with the stride may run over the end by less than a stride: the output size cuts them.
            seen = index[:, :, row * dilation_y :: stride_y, column * dilation_x :: stride_x]
            window = seen[:, :, :out_height, :out_width].int()
            for channel in range(channels):
                group, position = divmod(channel, per_group)
                outputs = slice(group * out_per_group, (group + 1) * out_per_group)
                rows = layer.products[:, weight[outputs, position, row, column].int()]  # (A, outputs)
                sums[..., outputs] += rows[window[:, channel]]
    return sums.permute(0, 3, 1, 2)


def emulate(network: QuantizedNetwork, tables: ProductTable | Mapping[str, ProductTable], *, portable: bool = False) -> QuantizedNetwork:
    """A copy of `network` whose layers multiply through product tables.

    Args:
        tables: one for all layers, or by layer name; layers that are not named stay exact.
        portable: use torch's own operations even on the CPU (slower by an order of magnitude).

    Raises:
        EmulationError: a table of another width or signedness than the network's encoding, or an unknown layer.
    """
    layers = network.layers
    if isinstance(tables, ProductTable):
        tables = dict.fromkeys(layers, tables)
    unknown = sorted(set(tables) - set(layers))
    if unknown:
        raise EmulationError(f"no layer {unknown[0]!r} in the network; its layers are {', '.join(layers)}")
    for table in tables.values():
        check_table(table, network)
    emulated = copy.deepcopy(network)
    known: dict[tuple[int, OperandCoding], NDArray[np.int32]] = {}
    for name, layer in emulated.layers.items():
        if name in tables and isinstance(layer.sums, ExactConvolution | TableConvolution):
            key = id(tables[name]), layer.coding
            if key not in known:
                known[key] = layer.coding.products(tables[name].errors)
            exact = network.layers[name].sums
            if not isinstance(exact, ExactConvolution):
                raise EmulationError(f"layer {name!r} is emulated already; start from the quantized network")
            layer.sums = TableConvolution(exact, known[key], portable=portable)
    return emulated


def check_table(table: ProductTable, network: QuantizedNetwork) -> None:
    """Raises EmulationError unless the table's operands are those of the network's encoding."""
    found, needed = ((table.signed, table.width), (network.encoding.signed, network.width))
    if found != needed:
        kinds = [f"{'signed' if signed else 'unsigned'} {width}x{width}" for signed, width in (found, needed)]
        raise EmulationError(f"multiplier {table.name!r} is {kinds[0]}, but encoding {network.encoding} of this network needs {kinds[1]}")


@dataclass(frozen=True)
class Measurement:
    """Measured accuracy: top-1 in percent over so many images, and how long it took."""

    top1_pct: float
    images: int
    seconds: float


def measure_top1(
    network: QuantizedNetwork,
    tables: ProductTable | Mapping[str, ProductTable] | None,
    data: Dataset,
    *,
    images: int | None = None,
    batch: int = 64,
    on_progress: Callable[[int, float], None] = lambda done, top1_pct: None,
) -> Measurement:
    """Top-1 accuracy over the first `images` of `data` (all by default), multiplying through `tables` (exactly if None).

    As many batches run at a time as torch has threads, each on one thread.

    Args:
        on_progress: called after every batch with (images done, top-1 in percent so far).

    Raises:
        EmulationError: as :func:`emulate`, or there are no images, or they are of other classes than the network tells apart.
    """
    data = data.head(len(data) if images is None else images)
    if len(data) == 0:
        raise EmulationError(f"accuracy needs images, and {data.name!r} has none")
    started = time.monotonic()
    runnable = network if tables is None else emulate(network, tables)

    @torch.inference_mode()
    def count_hits(start: int) -> int:
        images = data.images[start : start + batch]
        x = normalize(images, network.mean, network.std).contiguous(memory_format=torch.channels_last)
        logits = runnable(x)
        if logits.shape[1] != len(data.classes):
            raise EmulationError(
                f"the network tells {logits.shape[1]} classes apart, and {data.name!r} has {len(data.classes)}; "
                "give it images of its own classes"
            )
        return int((logits.argmax(1).numpy() == data.labels[start : start + batch]).sum())

    hits = done = 0
    for found in _on_single_threads(count_hits, range(0, len(data), batch)):
        hits, done = hits + found, min(done + batch, len(data))
        on_progress(done, 100 * hits / done)
    return Measurement(100 * hits / len(data), len(data), time.monotonic() - started)


def _on_single_threads(work: Callable[[int], int], items: Iterable[int]) -> Iterator[int]:
    """Results of work(item) in order, from as many workers as torch has threads, each computing on one thread.

    Threads that share one operation wait for each other at its end, and for long where the machine does something else beside; workers that
    share nothing do not.
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
