"""Makes a :class:`~cnn_eval.prediction.NetworkProfile` of a quantized network from calibration
images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hdl.operands import code_values

from ..datasets import Dataset, normalize
from ..emulation.kernels.row_accumulation import PackedWeights
from ..emulation.kernels.table_gradient import add_table_gradients
from ..emulation.measurement import Measurement, measure_top1
from ..prediction.layer_profile import LayerProfile, SampleMargins, leading_components
from ..prediction.profile import NetworkProfile
from ..quantization.coding import OperandCoding
from ..quantization.geometry import Geometry, patches
from ..quantization.quantized_layer import ExactConvolution, QuantizedLayer
from ..quantization.quantized_network import QuantizationError, QuantizedNetwork
from .mean_and_gain import MeanAndGainRows
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
_BATCH, _BATCH_PX = 16, 1 << 18
# Images that tell whether a network can be profiled.
_CHECKED = 2
# Components of the two covariances behind the fluctuation, and output pixels that one batch
# contributes to it.
_FACTORS = 12
_FIELDS_PER_BATCH = 128


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
            for layer_name, layer in network.layers.items()
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
        QuantizationError: products of two activations, or a layer that sees more inputs than there
            are images.
    """
    if network.products:
        name = next(iter(network.products))
        raise QuantizationError(
            f"layer {name!r} multiplies two activations, and profiles know layers with weights "
            "alone; measure this network by emulation (dse emulate)"
        )
    with _recording(network) as records, torch.enable_grad():
        few = images.head(_CHECKED)
        network(normalize(few.images, network.mean, network.std))
    for name, values, _ in records:
        if len(values) != len(few):
            raise QuantizationError(
                f"layer {name!r} sees {len(values)} inputs for {len(few)} images; a profile needs "
                "images along the first axis of every layer's input"
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
    runs = {name: ZeroRuns() for name in network.layers}
    for start in range(0, len(images), _BATCH):
        part = images.part(start, min(start + _BATCH, len(images)))
        with _recording(network) as records, torch.no_grad():
            network(normalize(part.images, network.mean, network.std))
        for name, values, _ in records:
            exact = network.layers[name].sums
            assert isinstance(exact, ExactConvolution)
            runs[name].add(_codes(exact, values), exact.coding, exact.geometry)
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
    statistics: dict[str, _Statistics]

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
    combined = min(len(images), _PROPAGATION_IMAGES) if logits else 0
    margins, spreads = np.zeros(len(images)), []
    # A row an image: of its margin, and behind those of a combination of its logits.
    gradients = np.zeros((len(images) + combined, side_a, side_b), np.float32)
    last = list(network.layers)[-1]
    statistics = {name: _Statistics() for name in network.layers}
    removed = {
        name: MeanAndGainRows(layer, len(gradients), mean_only=name == last)
        for name, layer in network.layers.items()
        if network.corrected
    }
    packed = {name: _packed(layer) for name, layer in network.layers.items()}
    threads, rng = torch.get_num_threads(), torch.Generator().manual_seed(0)
    batch = _BATCH
    while batch > 1 and batch * math.prod(images.images.shape[1:3]) > _BATCH_PX:
        batch //= 2
    for start in range(0, len(images), batch):
        on_progress("margins", start, len(images))
        stop = min(start + batch, len(images))
        x = normalize(images.images[start:stop], network.mean, network.std).contiguous(
            memory_format=torch.channels_last
        )
        labels = torch.from_numpy(images.labels[start:stop])
        with _recording(network) as records, torch.enable_grad():
            answers = network(x)
            true = answers.gather(1, labels[:, None])[:, 0]
            margin = true - answers.scatter(1, labels[:, None], -torch.inf).amax(1)
            outputs = [(margin.sum(), start)]
            if start < combined:
                signs = torch.randint(0, 2, answers.shape, generator=rng) * 2.0 - 1
                outputs.append(
                    (((signs - signs.mean(1, keepdim=True)) * answers).sum(), len(images) + start)
                )
            found = [
                torch.autograd.grad(output, [sums for *_, sums in records], retain_graph=True)
                for output, _ in outputs
            ]
        margins[start:stop] = margin.detach().numpy()
        spreads.append(answers.detach().numpy())
        for index, (name, values, sums) in enumerate(records):
            exact = network.layers[name].sums
            assert isinstance(exact, ExactConvolution)
            codes = _codes(exact, values)
            statistics[name].add(codes, sums.detach(), exact.coding, exact.geometry)
            exact_sums = _channels_last(sums)
            if start < combined and network.corrected:
                removed[name].add(codes, packed[name], exact_sums)
            for (_, row), gradient in zip(outputs, found, strict=True):
                rows, of_sums = slice(row, row + stop - start), _channels_last(gradient[index])
                add_table_gradients(
                    gradients[rows], codes, packed[name], of_sums, exact.coding, threads=threads
                )
                if network.corrected:
                    removed[name].add_gradients(rows, of_sums, exact_sums)
    for part in removed.values():
        part.remove_from(gradients)
    on_progress("margins", len(images), len(images))
    flat = gradients.reshape(len(gradients), -1)
    logits_seen = np.concatenate(spreads)
    unit = float(logits_seen.std(axis=0).mean()) * np.sqrt(logits_seen.shape[1])
    return _Observed(
        margins, flat[: len(images)], flat[len(images) :] / np.float32(unit), statistics
    )


def _channels_last(values: torch.Tensor) -> NDArray[np.float32]:
    """(n, o, height, width) -> (n, height, width, o)."""
    return np.ascontiguousarray(values.detach().float().permute(0, 2, 3, 1).numpy())


def _packed(layer: QuantizedLayer) -> PackedWeights:
    exact = layer.sums
    if not isinstance(exact, ExactConvolution):
        raise QuantizationError(
            "a profile is made of the quantized network, not of an emulated one"
        )
    index = (exact.weight - exact.coding.weight_range[0]).to(torch.uint8).numpy()
    # A depthwise layer in blocks of many channels would be all but empty.
    depthwise = len(index) == exact.geometry.groups
    return PackedWeights.of(index, exact.geometry, block=1 if depthwise else None)


def _codes(exact: ExactConvolution, values: torch.Tensor) -> NDArray[np.uint8]:
    """Padded activation indices (n, height, width, channels)."""
    low, _ = exact.coding.activation_range
    index = functional.pad((values - low).to(torch.uint8), exact.padding, value=-low)
    return np.ascontiguousarray(index.permute(0, 2, 3, 1).numpy())


@contextmanager
def _recording(network: QuantizedNetwork) -> Iterator[list[tuple[str, torch.Tensor, torch.Tensor]]]:
    """While open, collects (layer name, activation integers, sums of products); gradients with
    respect to the sums can be asked for.
    """
    records: list[tuple[str, torch.Tensor, torch.Tensor]] = []

    def record(name: str, values: torch.Tensor, sums: torch.Tensor) -> None:
        # Integer inputs do not require gradients in the first layer; its sums are made to.
        if not sums.requires_grad:
            sums.requires_grad_()
        records.append((name, values.detach(), sums))

    handles = [
        layer.sums.register_forward_hook(
            lambda _, args, output, name=name: record(name, args[0], output)
        )
        for name, layer in network.layers.items()
    ]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Statistics:
    """Running statistics of one layer over calibration images."""

    activations: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))
    count: int = 0
    pixels: int = 0
    images: int = 0
    total: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    fields: list[NDArray[np.float64]] = field(default_factory=list)
    zero_runs: ZeroRuns = field(default_factory=ZeroRuns)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(
        self,
        codes: NDArray[np.uint8],
        sums: torch.Tensor,
        coding: OperandCoding,
        geometry: Geometry,
    ) -> None:
        _, height, width, _ = codes.shape
        coverage = _coverage(height, width, geometry)
        for times in np.unique(coverage):
            self.activations += times * np.bincount(
                codes[:, coverage == times].ravel(), minlength=256
            )
        self.zero_runs.add(codes, coding, geometry)
        self.fields.append(self._receptive_fields(codes, geometry))
        exact = sums.double()
        self.total = self.total + exact.sum((0, 2, 3))
        self.squares = self.squares + exact.square().sum((0, 2, 3))
        self.images += len(sums)
        self.pixels += sums[:, 0].numel()

    def _receptive_fields(
        self, codes: NDArray[np.uint8], geometry: Geometry
    ) -> NDArray[np.float64]:
        """For some output pixels, chosen at random, how often each activation index is multiplied,
        (pixels, 256).
        """
        windows = patches(codes, geometry)
        pixels = windows.shape[:3]
        chosen = self.rng.choice(
            int(np.prod(pixels)), min(_FIELDS_PER_BATCH, int(np.prod(pixels))), replace=False
        )
        seen = windows[np.unravel_index(chosen, pixels)].reshape(len(chosen), -1)
        return np.stack([np.bincount(row, minlength=256) for row in seen]) / geometry.groups

    def profile(self, name: str, layer: QuantizedLayer) -> LayerProfile:
        exact = layer.sums
        assert isinstance(exact, ExactConvolution)
        coding = exact.coding
        variance = (self.squares / self.pixels - (self.total / self.pixels) ** 2).numpy()
        # A channel that never changes (a dead one) would have infinite weight: the layer's mean
        # variance bounds it from below.
        sigma = np.sqrt(np.maximum(variance, 1e-3 * variance.mean() + 1e-9))
        low, _ = coding.weight_range
        index = (exact.weight - low).long().flatten(1).numpy()
        histograms = (
            np.stack([np.bincount(row, minlength=len(coding.weight_values)) for row in index])
            / index.shape[1]
        )  # (o, W)
        normalized = histograms / sigma[:, None]
        outputs = self.pixels // self.images * len(index)
        fields = np.concatenate(self.fields)[:, : len(coding.activation_values)]
        return LayerProfile(
            name=name,
            macs=outputs * index.shape[1],
            products_per_output=index.shape[1],
            coding=coding,
            activation_scale=float(layer.activation_scale),
            activations=(self.activations / self.activations.sum())[
                : len(coding.activation_values)
            ],
            weights=histograms.mean(0),
            variance_weights=(normalized / sigma[:, None]).mean(0),
            activation_factors=_leading_factors(fields - fields.mean(0)),
            weight_factors=_leading_factors(normalized),
            output_channels=len(index),
            groups=exact.geometry.groups,
            zero_after_zero=self.zero_runs.probabilities,
        )


def _leading_factors(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples (n, values) -> F (12, values) with F^T F nearly the mean over samples of s s^T."""
    values, vectors = np.linalg.eigh(samples.T @ samples / len(samples))
    leading = np.argsort(values)[::-1][:_FACTORS]
    factors = np.zeros((_FACTORS, samples.shape[1]))
    factors[: len(leading)] = (vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0))).T
    return factors


def _coverage(height: int, width: int, geometry: Geometry) -> NDArray[np.int64]:
    """How many windows see each pixel of the padded input, (height, width)."""
    sizes, outs = (height, width), geometry.output_size(height, width)
    axes = []
    for size, outputs, kernel, stride, dilation in zip(
        sizes, outs, geometry.kernel, geometry.stride, geometry.dilation, strict=True
    ):
        seen = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation
        axes.append(np.bincount(seen.ravel(), minlength=size))
    return np.multiply.outer(*axes)
