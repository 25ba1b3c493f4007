"""AME, the architectural error metrics: what a multiplier's errors do to a network, as dot
products.

After A. Liu, J. Han, Q. Wang, Z. Mao, H. Jiang, "An Architectural Error Metric for CNN-Oriented
Approximate Multipliers", arXiv 2408.12836 (2024): everything a network does with a multiplier's
error matrix Delta is linear in it to first order, so that a network is summed up by matrices of
Delta's shape, made once, and each multiplier costs a dot product. docs/ame.md has the derivations.

Error matrices are int32 of shape (2^width_a, 2^width_b), indexed [activation code, weight code], as
:attr:`hdl.tables.ProductTable.errors`. Of a profile under correction every figure is of what is
left of the errors when the mean and the gain of each channel are gone. A multiplier that takes most
of a layer's signal away leaves a small rest, which correction amplifies together with its noise:
figures of a layer are divided by the share of the signal that is left, and what correction cannot
bring back counts as an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.circuits import cell_weight
from hdl.errors import InputError

from ..quantization.correction_limits import MOST_GAIN
from .layer_profile import LayerProfile
from .profile import NetworkProfile

__all__ = [
    "FEATURES",
    "FEATURES_VERSION",
    "ame",
    "ame_of_assignments",
    "ame_of_masks",
    "ame_of_tables",
    "features",
    "layer_variances",
    "partial_product_shifts",
    "rounding_variances",
]

#: What :func:`features` computes, in order.
FEATURES = ("ame", "variance", "fluctuation", "margin_rms", "margin_noise", "failures", "gain")

#: Of these figures and of the operands in `workload.py`; raised where the same table and profile
#: may come to others.
FEATURES_VERSION = 3

_MASKS_AT_ONCE = 1 << 16
# Of error matrices; 8 MiB in float32, so that rows over operand pairs are read once for many.
_ENTRIES_AT_ONCE = 1 << 21


def ame(profile: NetworkProfile, errors: NDArray[np.int32]) -> float:
    """AME of one multiplier: root mean square over the logits of the mean shift that its errors
    cause, relative to the logits' spread.

    The shift of logit k, against the mean of all logits, is <A_k, Delta>_F, A_k being the sum over
    layers t of A_t: the propagation coefficients from layer t to logit k times the histograms of
    what layer t multiplies. One dot product for each logit (fewer where there are many).
    """
    return float(ame_of_tables(profile, errors))


def ame_of_tables(profile: NetworkProfile, errors: NDArray[np.number]) -> NDArray[np.float64]:
    """AME of many multipliers, (m, 2^width_a, 2^width_b) -> (m,), in one product of matrices."""
    _check(profile, errors)
    flat = errors.reshape(*errors.shape[:-2], -1).astype(np.float32)
    return _length(flat @ profile.architectural.T)


def partial_product_shifts(profile: NetworkProfile) -> NDArray[np.float64]:
    """What dropping each partial product b[row] * a[column] does to the logits: (width_b * width_a,
    r), entry width_a * row + column.

    The partial products are those of an array multiplier, of Baugh and Wooley's in two's
    complement. AME of a multiplier that drops a set of them is the length of the sum of their rows.
    """
    (width_a, width_b), signed = profile.widths, profile.encoding.signed
    bits_a, bits_b = (
        np.arange(1 << width)[:, None] >> np.arange(width) & 1 for width in profile.widths
    )  # (codes, bits)
    matrices = profile.architectural.reshape(-1, 1 << width_a, 1 << width_b).astype(np.float64)
    by_bits = bits_a.T @ matrices @ bits_b  # (r, column: bit of a, row: bit of b)
    weights = np.array(
        [
            [cell_weight(profile.widths, signed, row, column) for column in range(width_a)]
            for row in range(width_b)
        ]
    )
    shifts: NDArray[np.float64] = -(by_bits.transpose(2, 1, 0) * weights[:, :, None]).reshape(
        width_b * width_a, -1
    )
    return shifts


def ame_of_masks(profile: NetworkProfile, masks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """AME of multipliers of the family `mask`, (m,) -> (m,): one product (m, width_b * width_a) @
    (width_b * width_a, r).

    Args:
        masks: as the family writes them: bit width_a * row + column is set where the partial
            product b[row] * a[column] is kept.
    """
    shifts = partial_product_shifts(profile).astype(np.float32)
    found = np.empty(len(masks))
    for start in range(0, len(masks), _MASKS_AT_ONCE):
        part = ~masks[start : start + _MASKS_AT_ONCE].astype("<u8")
        dropped = np.unpackbits(
            part.view(np.uint8).reshape(-1, 8), axis=1, count=len(shifts), bitorder="little"
        )
        found[start : start + _MASKS_AT_ONCE] = _length(dropped.astype(np.float32) @ shifts)
    return found


def ame_of_assignments(
    matrices: NDArray[np.floating], errors: NDArray[np.int32], assignments: NDArray[np.integer]
) -> NDArray[np.float64]:
    """AME where every layer has a multiplier of its own: (m, layers) -> (m,). Shifts of the layers
    add up.

    Args:
        matrices: A_t of the layers, (layers, r, 2^width_a, 2^width_b), from
            :meth:`cnn_eval.prediction.Propagation.architectural_matrices`.
        errors: of the multipliers to choose from, (designs, 2^width_a, 2^width_b).
        assignments: index of the multiplier in each layer.
    """
    layers, components, *_ = matrices.shape
    shifts = (
        errors.reshape(len(errors), -1).astype(np.float64)
        @ matrices.reshape(layers * components, -1).T
    )
    chosen = shifts.reshape(len(errors), layers, components)[
        assignments, np.arange(layers)
    ]  # (m, layers, r)
    return _length(chosen.sum(axis=1))


def _length(shifts: NDArray[np.floating]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sqrt((shifts.astype(np.float64) ** 2).sum(axis=-1))
    return found


def features(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """The figures that accuracy is predicted from, in the order of :data:`FEATURES`.

    * ame: see :func:`ame`.
    * variance: the companion for squared errors, <V, Delta^2>_F; under correction less the squared
      mean under each weight, and less what a common gain of the layer explains.
    * fluctuation: how far the expected error of a sum moves from output pixel to output pixel with
      the activations that happen to be around it, relative to the layer's normalized output; root
      of the sum of squares over layers.
    * margin_rms: root mean square over the calibration images of the first-order shift of their
      margins, relative to the standard deviation of the margins themselves.
    * margin_noise: the same of what is left of the shifts after a common gain: errors that scale
      all margins alike do no harm.
    * failures: share, among the calibration images that are answered correctly, of those whose
      margin is no longer positive to first order (at least half an image).
    * gain: the common gain itself, negative where margins shrink.

    Args:
        errors: one matrix (2^width_a, 2^width_b), or many (m, 2^width_a, 2^width_b).

    Returns:
        (7,), or (m, 7).
    """
    _check(profile, errors)
    many = errors.reshape(-1, *errors.shape[-2:])
    at_once = max(1, _ENTRIES_AT_ONCE // many[0].size) if len(many) else 1
    rows = [
        _features(profile, many[start : start + at_once]) for start in range(0, len(many), at_once)
    ]
    return np.concatenate([np.empty((0, len(FEATURES))), *rows]).reshape(
        *errors.shape[:-2], len(FEATURES)
    )


def _features(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """(m, 7) of as many matrices as stay in the cache."""
    known = _projected(profile, errors)
    margins = profile.margins.margins
    amplification = np.sqrt((_amplification(known.gains) ** 2).mean(axis=-1))
    lost = _lost(known.gains)
    shifts = known.margins @ profile.margins.scores.T * amplification[:, None]
    energy = max(float(margins @ margins), np.finfo(np.float64).tiny)
    gain = shifts @ margins / energy
    noise = shifts - gain[:, None] * margins
    right = margins > 0
    reference = max(float(margins.std()), np.finfo(np.float64).tiny)
    values = (
        _length(known.logits) * amplification,
        _variance(profile, known),
        _fluctuation(profile, known),
        np.hypot(np.sqrt((shifts**2).mean(axis=-1)) / reference, np.sqrt(lost)),
        np.hypot(np.sqrt((noise**2).mean(axis=-1)) / reference, np.sqrt(lost)),
        np.maximum((margins + shifts <= 0)[:, right].sum(axis=-1), 0.5) / max(int(right.sum()), 1),
        gain,
    )
    return np.stack(values, axis=-1)


def layer_variances(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """`variance` of :func:`features`, layer by layer, each with the amplification of its own.

    Args:
        errors: one matrix (2^width_a, 2^width_b), or many (m, 2^width_a, 2^width_b).

    Returns:
        (layers,), or (m, layers).
    """
    _check(profile, errors)
    layers = profile.layers
    rows = np.stack([one.coding.fold_activations(one.activations, signed=False) for one in layers])
    columns = np.stack(
        [one.coding.fold_weights(one.variance_weights, signed=False) for one in layers]
    )
    products = np.array([one.products_per_output for one in layers])
    squares = products * (rows @ errors.astype(np.float64) ** 2 * columns).sum(-1)
    if not profile.corrected:
        return np.asarray(squares)
    known = profile.mean_and_gain
    means = ((known.mean @ errors) ** 2 * known.mean_weights).sum(-1)
    covariances = (known.slope @ errors * known.slope_weights).sum(-1)
    gains = covariances / np.maximum(known.gain_energy, np.finfo(np.float64).tiny)
    rest = np.maximum(squares - means - gains**2 * known.gain_energy, 0)
    amplification = _amplification(gains)
    return np.asarray(rest * amplification**2 + (1 - (1 + gains) * amplification) ** 2)


def rounding_variances(profile: NetworkProfile, widest: NetworkProfile) -> NDArray[np.float64]:
    """What operands of fewer bits add to each layer's normalized output, as :func:`layer_variances`
    counts errors: that of activations rounded to the grid of `profile`, and of weights rounded
    evenly over its steps, (layers,). 0 for the widest operands.
    """
    return np.array(
        [
            _rounding_variance(narrow, wide, corrected=profile.corrected)
            for narrow, wide in zip(profile.layers, widest.layers, strict=True)
        ]
    )


def _rounding_variance(narrow: LayerProfile, wide: LayerProfile, *, corrected: bool) -> float:
    """In the units of the wide layer's integers."""
    low, high = narrow.coding.activation_range
    x, w = wide.coding.activation_values, wide.coding.weight_values
    step = narrow.activation_scale / wide.activation_scale
    moved = np.clip(np.round(x / step), low, high) * step - x
    # A step of weights by their spread: it is that of the same weights in either's integers.
    ratio = _spread(wide.weights, w) / _spread(narrow.weights, narrow.coding.weight_values)
    of_weight = max(ratio**2 - 1, 0) / 12
    centered = x - (wide.activations @ x if corrected else 0)
    spread = float(wide.activations @ centered**2)
    of_activation = float(wide.activations @ moved**2)
    if corrected:
        # Less its mean, and what is proportional to the activation: correction takes both out.
        common = float(wide.activations @ (centered * moved))
        mean = float(wide.activations @ moved)
        of_activation -= mean**2 + common**2 / max(spread, np.finfo(np.float64).tiny)
    return wide.products_per_output * float(
        max(of_activation, 0) * (wide.variance_weights @ w**2)
        + of_weight * spread * wide.variance_weights.sum()
    )


def _spread(histogram: NDArray[np.float64], values: NDArray[np.int64]) -> float:
    mean = float(histogram @ values)
    variance = float(histogram @ values**2) - mean**2
    return float(np.sqrt(max(variance, np.finfo(np.float64).tiny)))


@dataclass(frozen=True)
class _Projected:
    """What the figures need of m error matrices. All but the squares is linear in the errors.

    Attributes:
        squares: <V, Delta^2>_F, (m,).
        logits: mean shifts of the logits, (m, r), without the gain that all layers have in common:
            the projected gradients are blind to it but for their compression, which a large gain
            would blow up.
        margins: the components of the shifts of the margins, (m, r'), without that gain.
        means: the mean error under each weight, (m, layers, 2^width_b); none without correction.
        gains: the gain that the errors add to each layer's sums, (m, layers): -1 where the whole
            signal is gone; 0 without correction.
        fluctuations: L Delta R^T of each layer, (m, layers, r'', r''').
    """

    squares: NDArray[np.float64]
    logits: NDArray[np.float64]
    margins: NDArray[np.float64]
    means: NDArray[np.float64]
    gains: NDArray[np.float64]
    fluctuations: NDArray[np.float64]


def _projected(profile: NetworkProfile, errors: NDArray[np.int32]) -> _Projected:
    """Two products of matrices, in float32: over all operand pairs, and over activation codes."""
    matrices = errors.astype(np.float32)
    flat = matrices.reshape(len(errors), -1)
    rows, of_exact = profile.error_rows
    reduced = (flat @ rows.T).astype(np.float64)
    squares = np.square(flat) @ profile.variance_matrix.ravel().astype(np.float32)
    by_weight = profile.activation_rows @ matrices  # (m, rows, 2^width_b)
    weights = profile.fluctuation_factors[1]
    layers, corrected = len(profile.layers), profile.corrected
    means, slopes, factors = np.split(by_weight, [layers * corrected, 2 * layers * corrected], 1)
    gains = np.zeros((len(errors), layers))
    if corrected:
        known = profile.mean_and_gain
        tiny = np.finfo(np.float64).tiny
        covariances = (slopes * known.slope_weights).sum(-1)
        gains = covariances / np.maximum(known.gain_energy, tiny)
        common = covariances.sum(-1) / max(float(known.gain_energy.sum()), tiny)
        reduced -= common[:, None] * of_exact
    factors = factors.reshape(len(errors), layers, -1, factors.shape[-1])
    logits, margins = np.split(reduced, [len(profile.architectural)], axis=1)
    return _Projected(
        squares.astype(np.float64),
        logits,
        margins,
        means.astype(np.float64),
        gains,
        (factors @ weights).astype(np.float64),
    )


def _amplification(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """What correction multiplies a layer's sums by."""
    return np.asarray(1 / np.maximum(1 + gains, 1 / MOST_GAIN))


def _lost(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the signal that correction does not bring back, squared and summed over layers."""
    return np.asarray(((1 - (1 + gains) * _amplification(gains)) ** 2).sum(axis=-1))


def _variance(profile: NetworkProfile, found: _Projected) -> NDArray[np.float64]:
    if not profile.corrected:
        return found.squares
    known = profile.mean_and_gain
    means = (found.means**2 * known.mean_weights).sum(-1)  # (m, layers)
    slopes = found.gains**2 * known.gain_energy
    # The squares of all layers come as one number; each layer's rest is taken to be amplified as
    # they are on average.
    rest = np.maximum(found.squares - (means + slopes).sum(-1), 0)
    return np.asarray(rest * (_amplification(found.gains) ** 2).mean(-1) + _lost(found.gains))


def _fluctuation(profile: NetworkProfile, found: _Projected) -> NDArray[np.float64]:
    """Per layer || L Delta R^T ||_F^2 with the factors of the two covariances, summed, and the root
    of it, (m,).

    Under correction without the part of the matrix that is proportional to that of the exact
    products.
    """
    known = found.fluctuations
    total = np.einsum("mlrs,mlrs->ml", known, known)
    if profile.corrected:
        exact = profile.exact_fluctuation
        common = np.einsum("mlrs,lrs->ml", known, exact) ** 2
        total = total - common / np.maximum(
            (exact**2).sum(axis=(-2, -1)), np.finfo(np.float64).tiny
        )
        total = total * _amplification(found.gains) ** 2
    return np.asarray(np.sqrt(np.maximum(total, 0).sum(-1) + _lost(found.gains)))


def _check(profile: NetworkProfile, errors: NDArray[np.number]) -> None:
    if errors.shape[-2:] != (1 << profile.width_a, 1 << profile.width_b):
        kind = f"{profile.width_a}x{profile.width_b}"
        raise InputError(
            f"errors of shape {errors.shape} do not fit the {kind} multiplications of "
            f"{profile.network!r}"
        )
