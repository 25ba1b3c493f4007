"""Makes a :class:`~cnn_eval.prediction.NetworkProfile` of a quantized network from calibration
images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hdl.operands import code_values

from ..datasets import Dataset, normalize
from ..emulation.measurement import Measurement, measure_top1
from ..prediction.layer_profile import SampleMargins, leading_components
from ..prediction.profile import NetworkProfile
from ..quantization.products import QuantizedProduct
from ..quantization.quantized_network import QuantizationError, QuantizedNetwork
from .layer_statistics import LayerStatistics
from .mean_and_gain import MeanAndGainOfProduct, MeanAndGainRows
from .multiplied import Recorder
from .propagation_tracing import trace_propagation
from .running_sums import PropagationError
from .zero_runs import ZeroRuns

__all__ = [
    "check_profile",
    "margin_gradients",
    "profile_network",
    "propagation_gap",
    "zeros_after_zeros",
]

_RANK = 32
# Images behind propagation, which averages over all of their pixels, and components that the shifts
# of many logits are compressed to.
_PROPAGATION_IMAGES = 64
_LOGIT_RANK = 16
# Images at a time, whose activations and gradients of all layers are held: so many, or with
# together so many pixels.
_BATCH, _BATCH_PX = 16, 1 << 17
# Images that tell whether a network can be profiled.
_CHECKED = 2
# Share of a product's operands that other images of the batch may change: float32 sums in another
# order round differently now and then.
_ROUNDED_APART = 0.01


def profile_network(
    network: QuantizedNetwork,
    name: str,
    calibration: Dataset,
    test: Dataset,
    *,
    float_top1_pct: float,
    widest: Measurement | None = None,
    rounding_sha256: str = "",
    rank: int = _RANK,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> NetworkProfile:
    """The profile of a quantized network; under correction, if the network is corrected.

    Without correction, its architectural matrices come of propagation; where that has no rule for
    an operation (:func:`propagation_gap`), of the gradients of logits, as under correction.

    Args:
        name: of the network, as the zoo will know it.
        calibration: images behind histograms and margins; a few hundred.
        test: images that accuracies are measured on.
        float_top1_pct: accuracy of the network before quantization, over `test`.
        widest: accuracy over `test` of the network with exact products of the widest operands; None
            where `network` is that one. What exact products of fewer bits lose against it is told
            by smoothed accuracies.
        rounding_sha256: of the learned rounding of its weights.
        rank: components that the margin gradients are compressed to.
        on_progress: called with (what is being done, images done, of so many).

    Raises:
        QuantizationError: as :func:`check_profile`.
    """
    check_profile(network, calibration)
    gradients_alone = network.corrected or bool(propagation_gap(network, calibration))
    observed = _observe(network, calibration, on_progress, logits=gradients_alone)
    on_progress("accuracy", 0, len(test))
    exact = measure_top1(
        network, None, test, on_progress=lambda done, _: on_progress("accuracy", done, len(test))
    )
    exact_top1_pct = exact.top1_pct
    if widest is not None:
        lost_pp = widest.smoothed_top1_pct - exact.smoothed_top1_pct
        exact_top1_pct = float(np.clip(widest.top1_pct - lost_pp, 0, 100))
    typical = _typical_errors(network)
    return NetworkProfile(
        network=name,
        encoding=network.encoding,
        width_a=network.widths.a,
        width_b=network.widths.b,
        corrected=network.corrected,
        rounding_sha256=rounding_sha256,
        data=calibration.name,
        per_channel=any(
            bool((layer.weight_scale != layer.weight_scale[0]).any())
            for layer in network.layers.values()
        ),
        mean=network.mean,
        std=network.std,
        layers=tuple(
            observed.statistics[layer_name].profile(layer_name, layer)
            for layer_name, layer in network.multiplications.items()
        ),
        architectural=observed.logit_components(typical)
        if gradients_alone
        else _architectural(network, calibration),
        margins=SampleMargins.compress(observed.margins, observed.margin_gradients, typical, rank),
        exact_top1_pct=exact_top1_pct,
        float_top1_pct=float_top1_pct,
        chance_pct=100 / len(calibration.classes),
        test_images=len(test),
        calibration_images=len(calibration),
    )


def check_profile(network: QuantizedNetwork, images: Dataset) -> None:
    """Runs two images, to know early what a profile cannot tell.

    Raises:
        QuantizationError: a layer sees more inputs than there are images, or a product of two
            activations does not have the images along its first axis.
    """
    recorder = Recorder(network)
    few = normalize(images.head(_CHECKED).images, network.mean, network.std)
    both, alone = (recorder.run(x)[1] for x in (few, few[:1].expand_as(few)))
    for one, other in zip(both, alone, strict=True):
        apart = np.mean(one.codes[0] != other.codes[0]) + np.mean(
            one.weights[0] != other.weights[0]
        )
        if one.product and apart > _ROUNDED_APART:
            raise QuantizationError(
                f"layer {one.name!r} multiplies activations of several images with each other, or "
                "does not have the images along its first axis; a profile needs them there"
            )


def propagation_gap(network: QuantizedNetwork, images: Dataset) -> str:
    """Why errors cannot be propagated through the network by rules; empty where they can."""
    few = images.head(_CHECKED)
    try:
        trace_propagation(network, normalize(few.images, network.mean, network.std))
    except PropagationError as error:
        return str(error)
    return ""


def _architectural(network: QuantizedNetwork, calibration: Dataset) -> NDArray[np.float32]:
    """The layers' architectural matrices added up, in their leading components: lengths of vectors
    of logits are kept.
    """
    images = calibration.head(_PROPAGATION_IMAGES)
    propagation = trace_propagation(network, normalize(images.images, network.mean, network.std))
    total = sum(propagation.architectural_matrices().values(), np.zeros(()))
    # Shifts are relative to the mean logit: they have a dimension less than there are logits.
    _, components = leading_components(
        total.reshape(len(total), -1), _typical_errors(network), min(len(total) - 1, _LOGIT_RANK)
    )
    return components


def _typical_errors(network: QuantizedNetwork) -> NDArray[np.float64]:
    """How large errors tend to be by operand pair, up to a factor, (2^(width_a + width_b),): with
    the square root of the product in most families."""
    a, b = (
        np.abs(code_values(width, signed=network.encoding.signed)).astype(np.float64)
        for width in network.widths
    )
    # The constant keeps pairs with small operands, where designs that add a compensation err most
    # of all.
    return (np.sqrt(np.multiply.outer(a, b)) + 2 ** (network.widths.product / 2) / 32).ravel()


def margin_gradients(
    network: QuantizedNetwork, images: Dataset
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Margins (n,) of the images, and their derivatives with respect to the product table, (n,
    2^(width_a + width_b)).

    One backward pass, with rounding passing gradients unchanged; see
    :class:`~cnn_eval.prediction.SampleMargins`. If the network is corrected, the derivatives are
    less what they have in common with the mean and the gain of every channel.
    """
    observed = _observe(network, images, lambda what, done, total: None, logits=False)
    return observed.margins, observed.margin_gradients


def zeros_after_zeros(network: QuantizedNetwork, images: Dataset) -> dict[str, tuple[float, float]]:
    """:attr:`~cnn_eval.prediction.layer_profile.LayerProfile.zero_after_zero` of every layer, by
    its name.
    """
    recorder = Recorder(network)
    runs = {name: ZeroRuns() for name in network.multiplications}
    for start in range(0, len(images), _BATCH):
        part = images.part(start, min(start + _BATCH, len(images)))
        _, seen = recorder.run(normalize(part.images, network.mean, network.std))
        for one in seen:
            runs[one.name].add(one.codes, one.coding, one.geometry)
    return {name: one.probabilities for name, one in runs.items()}


@dataclass(frozen=True, eq=False)
class _Observed:
    """What the calibration images show.

    Attributes:
        margins: (n,).
        margin_gradients: (n, 2^(width_a + width_b)).
        logit_gradients: of one random combination of an image's logits, relative to their spread,
            (images, 2^(width_a + width_b)): the mean square over the combinations is that over the
            logits. Empty where they are not wanted.
    """

    margins: NDArray[np.float64]
    margin_gradients: NDArray[np.float32]
    logit_gradients: NDArray[np.float32]
    statistics: dict[str, LayerStatistics]

    def logit_components(self, typical: NDArray[np.float64]) -> NDArray[np.float32]:
        """Leading components of the gradients of logits; the length of their product with errors is
        the root mean square shift.
        """
        scores, components = leading_components(self.logit_gradients, typical, _LOGIT_RANK)
        return np.asarray(components / np.sqrt(len(scores)), dtype=np.float32)


def _observe(
    network: QuantizedNetwork,
    images: Dataset,
    on_progress: Callable[[str, int, int], None],
    *,
    logits: bool,
) -> _Observed:
    """`logits`: whether their gradients are wanted, too."""
    side_a, side_b = (1 << width for width in network.widths)
    averaged = min(len(images), _PROPAGATION_IMAGES)
    combined = averaged if logits else 0
    margins, spreads = np.zeros(len(images)), []
    # A row an image: of its margin, and behind those of a combination of its logits.
    gradients = np.zeros((len(images) + combined, side_a, side_b), np.float32)
    last, corrected = list(network.layers)[-1], network.corrected
    statistics = {name: LayerStatistics() for name in network.multiplications}
    removed = {
        name: MeanAndGainOfProduct(layer.coding, len(gradients))
        if isinstance(layer, QuantizedProduct)
        else MeanAndGainRows(layer, len(gradients), mean_only=name == last)
        for name, layer in network.multiplications.items()
        if corrected
    }
    recorder = Recorder(network)
    threads, rng = torch.get_num_threads(), torch.Generator().manual_seed(0)
    batch = _BATCH
    while batch > 1 and batch * math.prod(images.images.shape[1:3]) > _BATCH_PX:
        batch //= 2

    def observe(start: int, stop: int) -> None:
        """Images from `start` up to `stop`."""
        x = normalize(images.images[start:stop], network.mean, network.std).contiguous(
            memory_format=torch.channels_last
        )
        labels = torch.from_numpy(images.labels[start:stop])
        answers, seen = recorder.run(x)
        with torch.enable_grad():
            true = answers.gather(1, labels[:, None])[:, 0]
            margin = true - answers.scatter(1, labels[:, None], -torch.inf).amax(1)
            outputs = [(margin.sum(), start)]
            if start < combined:
                signs = torch.randint(0, 2, answers.shape, generator=rng) * 2.0 - 1
                outputs.append(
                    (((signs - signs.mean(1, keepdim=True)) * answers).sum(), len(images) + start)
                )
            sums = [one.sums for one in seen]
            found = [
                torch.autograd.grad(output, sums, retain_graph=output is not outputs[-1][0])
                for output, _ in outputs
            ]
        margins[start:stop] = margin.detach().numpy()
        spreads.append(answers.detach().numpy())
        for index, one in enumerate(seen):
            statistics[one.name].add(one)
            exact_sums = one.by_pixel(one.sums)
            if start < averaged and corrected:
                removed[one.name].add(one)
            for (_, row), gradient in zip(outputs, found, strict=True):
                rows, of_sums = slice(row, row + stop - start), one.by_pixel(gradient[index])
                one.add_gradients(gradients[rows], of_sums, threads=threads)
                if corrected:
                    removed[one.name].add_gradients(rows, of_sums, exact_sums)

    for start in range(0, len(images), batch):
        on_progress("margins", start, len(images))
        # Activations of one batch are gone before those of the next.
        observe(start, min(start + batch, len(images)))
    for part in removed.values():
        part.remove_from(gradients)
    on_progress("margins", len(images), len(images))
    flat = gradients.reshape(len(gradients), -1)
    logits_seen = np.concatenate(spreads)
    unit = float(logits_seen.std(axis=0).mean()) * np.sqrt(logits_seen.shape[1])
    return _Observed(
        margins, flat[: len(images)], flat[len(images) :] / np.float32(unit), statistics
    )
