"""The alpha check: how well propagation predicts the mean error after every operation of a network.

    python -m bench.propagation --data cifar10-jpeg-test.npz [--images 64] [--encoding E]
        [NETWORK ...]

For every multiplier the network is emulated on the last images of the data, and the mean of
emulated minus exact activations, per channel and after every operation, is compared with the
prediction, both relative to the standard deviation of the channel. Networks without shipped weights
get random ones, and batch-normalization statistics from the data. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cnn_eval.datasets import load_dataset, normalize
from cnn_eval.emulation import emulate
from cnn_eval.networks import build_network
from cnn_eval.prediction import Propagation, profiled_widths
from cnn_eval.profiling import channel_means, trace_propagation
from cnn_eval.quantization import QuantizedNetwork, quantize
from cnn_eval.zoo import ZooError, load_model
from hdl.multipliers import MultiplierSpec
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

# Two with a mild bias, two whose errors grow with the product, and one without bias over uniform
# operands.
UNSIGNED = ("tm:k=1", "bam:h=0,v=5", "drum:k=4", "mitchell", "compressor:kind=lin,cols=9")
SIGNED = (
    "tm:k=1,signed=1",
    "bam:h=0,v=3,signed=1",
    "drum:k=4,signed=1",
    "mitchell:signed=1",
    "compressor:kind=lin,cols=9,signed=1",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", default=("resnet20", "vgg11"), metavar="NETWORK")
    parser.add_argument(
        "--data", type=Path, required=True, help="images, as `dse profile` takes them"
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--encoding", type=OperandEncoding, default=OperandEncoding.SIGN_MAGNITUDE)
    parser.add_argument(
        "--random", action="store_true", help="random weights for shipped networks too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(arguments.data)
    sample = data.part(len(data) - arguments.images, len(data))
    for name in arguments.networks:
        network, weights = quantized(
            name, sample.images, arguments.encoding, random=arguments.random
        )
        check(
            f"{name}, {weights}, {arguments.encoding}",
            network,
            normalize(sample.images, network.mean, network.std),
        )


def quantized(
    name: str, images: NDArray[np.uint8], encoding: OperandEncoding, *, random: bool
) -> tuple[QuantizedNetwork, str]:
    weights = "random weights"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)
    try:
        if random:
            raise ZooError
        model, card = load_model(name)
        weights, mean, std = "trained weights", card.mean, card.std
    except ZooError:
        model = build_network(name, seed=0)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the average over all batches
        with torch.no_grad():
            model.train()(normalize(images, mean, std))
    widths = profiled_widths(encoding)[0]
    return quantize(
        model, normalize(images, mean, std), encoding, widths=widths, normalization=(mean, std)
    ), weights


def check(title: str, network: QuantizedNetwork, images: torch.Tensor) -> None:
    propagation = trace_propagation(network, images)
    exact = channel_means(network, images)
    print(f"{title}, {len(images)} images\n")
    print(
        "alpha: "
        + ", ".join(f"{layer} {alpha:.2f}" for layer, alpha in propagation.coefficients().items())
        + "\n"
    )
    print(
        "| multiplier | r over channels | slope | r over operations | root mean square error, "
        "relative | r over channels, slopes left out |"
    )
    print("|---|---|---|---|---|---|")
    plain = without_slopes(propagation)
    rows: list[list[list[NDArray[np.float64]]]] = []
    for text in SIGNED if network.encoding.signed else UNSIGNED:
        table = ProductTable.of(MultiplierSpec.parse(text)).for_operands([network.widths])
        errors = dict.fromkeys(network.layers, table.errors)
        measured = channel_means(emulate(network, table), images)
        columns: list[list[NDArray[np.float64]]] = [[], [], []]
        predicted, simple = propagation.mean_errors(errors), plain.mean_errors(errors)
        for step in propagation.steps[1:]:
            # Dead channels have no deviation of their own.
            unit = np.maximum(step.deviation, 1e-3 * step.deviation.mean() + 1e-9)
            found = (
                predicted[step.name],
                measured[step.name] - exact[step.name],
                simple[step.name],
            )
            for column, values in zip(columns, found, strict=True):
                column.append(values / unit)
        rows.append(columns)
        print(f"| `{text}` | {_figures([columns])} |")
    print(f"| all | {_figures(rows)} |\n", flush=True)


def without_slopes(propagation: Propagation) -> Propagation:
    """The same with maps of means only."""
    steps = []
    for step in propagation.steps:
        channels = len(step.deviation)
        sources = []
        for source, transfer in step.sources:
            means_only = np.array(
                transfer.todense() if not isinstance(transfer, np.ndarray) else transfer
            )
            means_only[channels:] = means_only[:, means_only.shape[1] // 2 :] = 0
            sources.append((source, means_only))
        steps.append(type(step)(step.name, step.layer, tuple(sources), step.deviation))
    return Propagation(tuple(steps), propagation.operands)


def _figures(rows: list[list[list[NDArray[np.float64]]]]) -> str:
    predicted, measured, simple = (
        np.concatenate([np.concatenate(row[column]) for row in rows]) for column in range(3)
    )
    layers = [
        [float(values.mean()) for row in rows for values in row[column]] for column in range(2)
    ]
    slope = float(predicted @ measured / (predicted @ predicted))
    figures = (
        _correlation(predicted, measured),
        slope,
        _correlation(*(np.array(column) for column in layers)),
        float(np.sqrt(np.mean(measured**2))),
        _correlation(simple, measured),
    )
    return " | ".join(f"{figure:.3f}" for figure in figures)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


if __name__ == "__main__":
    main()
