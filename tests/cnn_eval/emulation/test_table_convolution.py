"""Every path of a table layer against a plain lookup, multiplication by multiplication."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from cnn_eval.emulation.measurement import emulate
from cnn_eval.emulation.table_convolution import (
    PATHS,
    EmulationError,
    PairProducts,
    Path,
    TableConvolution,
)
from cnn_eval.quantization.quantized_layer import ExactConvolution
from cnn_eval.quantization.quantized_network import QuantizedNetwork, quantize
from hdl.operands import OperandEncoding
from hdl.tables.product_table import ProductTable

ROOT = FilePath(__file__).parents[3]
ENCODINGS = list(OperandEncoding)


def hardware(
    table: ProductTable,
    encoding: OperandEncoding,
    a: NDArray[np.int64],
    w: NDArray[np.int64],
    zero_point: int,
) -> NDArray[np.int64]:
    """What each multiplication contributes, by the words of the encoding."""
    if encoding is OperandEncoding.TWOS_COMPLEMENT:
        return table.products[a & 255, w & 255].astype(np.int64)
    if encoding is OperandEncoding.SIGN_MAGNITUDE:
        return (
            np.where((a < 0) != (w < 0), -1, 1).astype(np.int64)
            * table.products[np.abs(a), np.abs(w)]
        )
    return (
        table.products[a + zero_point, w + 128].astype(np.int64)
        - 128 * (a + zero_point)
        - zero_point * w
    )


def looked_up(
    x: NDArray[np.int64],
    weight: NDArray[np.int64],
    source: nn.Conv2d,
    table: ProductTable,
    encoding: OperandEncoding,
    zero_point: int,
) -> NDArray[np.int64]:
    """The definition of the layer, output by output; a position outside of the image multiplies the
    activation 0.
    """
    assert not isinstance(source.padding, str)
    (stride_y, stride_x), (dilation_y, dilation_x), (pad_y, pad_x) = (
        source.stride,
        source.dilation,
        source.padding,
    )
    count, channels, height, width = x.shape
    outputs, per_group, kernel_y, kernel_x = weight.shape
    framed = np.zeros((count, channels, height + 2 * pad_y, width + 2 * pad_x), np.int64)
    framed[:, :, pad_y : pad_y + height, pad_x : pad_x + width] = x
    out_y = (framed.shape[2] - dilation_y * (kernel_y - 1) - 1) // stride_y + 1
    out_x = (framed.shape[3] - dilation_x * (kernel_x - 1) - 1) // stride_x + 1
    sums = np.zeros((count, outputs, out_y, out_x), np.int64)
    for group, y, u in np.ndindex(source.groups, out_y, out_x):
        channel = group * per_group + np.arange(per_group)
        output = group * (outputs // source.groups) + np.arange(outputs // source.groups)
        row, column = (
            y * stride_y + dilation_y * np.arange(kernel_y),
            u * stride_x + dilation_x * np.arange(kernel_x),
        )
        a = framed[:, channel[:, None, None], row[:, None], column][
            :, None
        ]  # (n, 1, c, kernel_y, kernel_x)
        pairs = np.broadcast_arrays(a, weight[output])
        sums[:, output, y, u] = hardware(table, encoding, pairs[0], pairs[1], zero_point).sum(
            (2, 3, 4)
        )
    return sums


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny layers wait for other threads longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@st.composite
def layers(draw: st.DrawFn) -> tuple[nn.Conv2d, torch.Tensor]:
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    per_group = draw(st.sampled_from([1, 2, 3, 8] if groups == 1 else [1, 2]))
    outputs = groups * draw(st.sampled_from([1, 2, 3] if groups > 1 else [1, 3, 17, 33]))
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    kernel, padding = (
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
    )
    torch.manual_seed(draw(st.integers(0, 2**16)))
    source = nn.Conv2d(
        groups * per_group, outputs, kernel, draw(pair), padding, draw(pair), groups, bias=False
    )
    x = torch.randn(1, groups * per_group, draw(st.integers(5, 6)), draw(st.integers(5, 6)))
    return source, x.abs() if draw(st.booleans()) else x


def unstructured(signed: bool = False) -> ProductTable:
    low, high = (-(1 << 15), 1 << 15) if signed else (0, 1 << 16)
    return ProductTable(
        np.random.default_rng(0).integers(low, high, (256, 256)).astype(np.int32),
        signed,
        "unstructured",
    )


TABLES: dict[bool, list[ProductTable]] = {}


def tables(shared: FilePath, signed: bool) -> list[ProductTable]:
    """Catalogued designs, an exact one, and one without structure that multiplies zero by anything
    to something.
    """
    if signed not in TABLES:
        letter = "s" if signed else "u"
        path = shared / "reference" / f"evoapprox_mul8{letter}_tables.npz"
        if not path.is_file():
            pytest.skip(f"the catalogue's tables are absent: {path}")
        with np.load(path, allow_pickle=False) as file:
            known = [
                ProductTable(file[name].astype(np.int32), signed, name)
                for name in file.files
                if file[name].shape == (256, 256)
            ]
        TABLES[signed] = [*known, ProductTable.exact(8, signed), unstructured(signed)]
    return TABLES[signed]


@settings(max_examples=200, deadline=None)
@given(layer=layers(), encoding=st.sampled_from(ENCODINGS), data=st.data())
@pytest.mark.slow
def test_every_path_equals_direct_lookup(
    shared: FilePath,
    layer: tuple[nn.Conv2d, torch.Tensor],
    encoding: OperandEncoding,
    data: st.DataObject,
) -> None:
    source, x = layer
    table = data.draw(st.sampled_from(tables(shared, encoding.signed)))
    quantized = quantize(nn.Sequential(source), x, encoding).layers["0"]
    exact, integers = quantized.sums, quantized.integers(x)
    assert isinstance(exact, ExactConvolution)
    expected = looked_up(
        integers.long().numpy(),
        exact.weight.long().numpy(),
        source,
        table,
        encoding,
        exact.coding.zero_point,
    )
    pairs = PairProducts.of(exact.coding.products(table.errors))
    taken = 0
    for path in (None, *PATHS):
        try:
            sums = TableConvolution(exact, pairs, path=path)
        except EmulationError:
            assert path == "low_rank"  # the only path that does not exist for every table
            continue
        with torch.inference_mode():
            np.testing.assert_array_equal(
                sums(integers).numpy(), expected, err_msg=f"{path}, {table.name}"
            )
        taken += 1
    assert taken >= 3


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("path", PATHS)
def test_linear_layers(encoding: OperandEncoding, path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(19, 5)), torch.randn(3, 7, 19)
    quantized = quantize(model, x, encoding)
    table = truncated(encoding)
    layer = quantized.layers["0"]
    values = layer.integers(x).long().numpy()
    weight = layer.sums.weight.long().numpy()[:, :, 0, 0]
    a, w = np.broadcast_arrays(values.reshape(-1, 1, 19), weight)
    sums = hardware(table, encoding, a, w, layer.coding.zero_point).sum(2)
    scale = layer.activation_scale * layer.weight_scale
    expected = torch.from_numpy(sums).float() * scale + layer.bias
    with torch.inference_mode():
        torch.testing.assert_close(
            emulate(quantized, table, path=path)(x), expected.reshape(3, 7, 5), rtol=1e-6, atol=0
        )


def truncated(encoding: OperandEncoding) -> ProductTable:
    """Products of operands without their last two bits."""
    exact = ProductTable.exact(8, encoding.signed)
    codes = np.arange(256) & ~3
    return ProductTable(exact.products[np.ix_(codes, codes)], encoding.signed, "truncated")


@pytest.mark.parametrize("path", PATHS)
def test_padding_contributes_the_products_of_zero(path: Path) -> None:
    """A multiplier with 0 x w != 0 makes itself felt at the border, as it would in hardware."""
    quantized = quantize(
        nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False)),
        torch.rand(2, 1, 4, 4),
        OperandEncoding.SIGN_MAGNITUDE,
    )
    products = ProductTable.exact(8, False).products.copy()
    products[0, :] = 7
    layer = emulate(quantized, ProductTable(products, False, "seven"), path=path).layers["0"]
    with torch.inference_mode():
        sums = layer.sums(torch.zeros(1, 1, 4, 4))
    signs = torch.where(quantized.layers["0"].sums.weight < 0, -1, 1).sum()
    assert (sums == 7 * signs).all()


def one_layer(
    channels: int, outputs: int, encoding: OperandEncoding = OperandEncoding.SIGN_MAGNITUDE
) -> tuple[QuantizedNetwork, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(2, channels, 6, 6)
    return quantize(
        nn.Sequential(nn.Conv2d(channels, outputs, 3)), x, OperandEncoding.SIGN_MAGNITUDE
    ), x


def chosen(quantized: QuantizedNetwork, table: ProductTable, device: str = "cpu") -> Path:
    sums = emulate(quantized, table).layers["0"].sums
    assert isinstance(sums, TableConvolution)
    return sums.path_on(torch.device(device))


def test_the_path_is_chosen_by_rank_and_cost() -> None:
    wide, _ = one_layer(8, 32)
    wild = unstructured()
    rank_2 = ProductTable(
        ProductTable.exact(8, False).products
        - np.multiply.outer(np.arange(256) & 1, np.arange(256) & 1),
        False,
        "rank 2",
    )
    assert chosen(wide, truncated(OperandEncoding.SIGN_MAGNITUDE)) == "low_rank"
    assert chosen(wide, rank_2) == "rows"
    assert chosen(wide, wild) == "rows"
    assert (
        chosen(one_layer(3, 1)[0], rank_2) == "low_rank"
    )  # a layer that rows of 16 channels fit badly
    depthwise = one_layer(1, 1)[0]
    assert chosen(depthwise, truncated(OperandEncoding.SIGN_MAGNITUDE)) == "low_rank"
    assert chosen(depthwise, rank_2) == "rows"
    assert chosen(wide, rank_2, "cuda") == "low_rank"
    assert chosen(wide, wild, "cuda") == "torch"
    assert chosen(wide, rank_2, "mps") == "torch"


def test_sums_beyond_float32_are_exact_on_the_low_rank_path() -> None:
    """One term that alone leaves the integers of float32: the path takes float64."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3000, 2, bias=False))
    nn.init.ones_(model[1].weight)
    quantized = quantize(model, torch.ones(1, 3000), OperandEncoding.SIGN_MAGNITUDE)
    table = ProductTable.exact(8, False)
    layer = emulate(quantized, table, path="low_rank").layers["1"]
    with torch.inference_mode():
        sums = layer.sums(torch.full((1, 3000, 1, 1), 255.0))
    assert sums.dtype is torch.float64
    assert (sums == 3000 * 127 * 255).all()
    assert emulate(quantized, table).layers["1"].sums.path_on(torch.device("cpu")) == "rows"


def test_other_weights() -> None:
    """A layer whose weights are exchanged forgets the former ones, on every path."""
    quantized, x = one_layer(3, 5)
    table = truncated(OperandEncoding.SIGN_MAGNITUDE)
    weight = -quantized.layers["0"].sums.weight
    found = []
    for path in PATHS:
        layer = emulate(quantized, table, path=path).layers["0"]
        with torch.inference_mode():
            before = layer.sums(layer.integers(x)).clone()
            layer.sums.set_weight(weight)
            found.append(layer.sums(layer.integers(x)).long())
        assert torch.equal(before.long(), -found[-1])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_path_that_does_not_exist_is_refused() -> None:
    quantized, _ = one_layer(1, 1)
    wild = unstructured()
    with pytest.raises(
        EmulationError, match="path 'low_rank' does not exist for these products on cpu"
    ):
        emulate(quantized, wild, path="low_rank")


@pytest.mark.slow
def test_without_numba_the_other_paths_do() -> None:
    script = """
import sys
sys.modules["numba"] = None
import numpy as np, torch
from cnn_eval.emulation import emulate
from cnn_eval.quantization import quantize
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable
torch.manual_seed(0)
x = torch.rand(2, 3, 6, 6)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
quantized = quantize(network, x, OperandEncoding.SIGN_MAGNITUDE)
products = np.random.default_rng(0).integers(0, 1 << 16, (256, 256)).astype(np.int32)
wild = ProductTable(products, False, "wild")
for table in (wild, ProductTable.exact(8, False)):
    emulated = emulate(quantized, table)
    path = emulated.layers["0"].sums.path_on(torch.device("cpu"))
    print(path, emulated(x).double().sum().item())
print("cnn_eval.emulation.kernels.row_accumulation" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    quantized, x = one_layer(3, 4)
    wild = unstructured()
    sums = [
        emulate(quantized, table)(x).double().sum().item()
        for table in (wild, ProductTable.exact(8, False))
    ]
    assert done.stdout.split() == ["torch", str(sums[0]), "low_rank", str(sums[1]), "False"]
