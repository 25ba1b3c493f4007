"""AME, the architectural error metrics: what a multiplier's errors do to a network, as dot products.

After A. Liu, J. Han, Q. Wang, Z. Mao, H. Jiang, "An Architectural Error Metric for CNN-Oriented Approximate Multipliers", arXiv 2408.12836
(2024): everything a network does with a multiplier's error matrix Delta is linear in it to first order, so that a network is summed up by
matrices of Delta's shape, made once, and each multiplier costs a dot product. docs/ame.md has the derivations.

Error matrices are int32 of shape (2^width, 2^width), indexed [activation code, weight code], as :attr:`hdl.tables.ProductTable.errors`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.circuits import cell_weight
from hdl.errors import InputError
from hdl.operands import Widths

from .profile import NetworkProfile

__all__ = [
    "FEATURES",
    "FEATURES_VERSION",
    "ame",
    "ame_of_assignments",
    "ame_of_masks",
    "ame_of_tables",
    "features",
    "partial_product_shifts",
]

#: What :func:`features` computes, in order.
FEATURES = ("ame", "variance", "fluctuation", "margin_rms", "margin_noise", "failures", "gain")

#: Of these figures and of the operands in `workload.py`; raised where the same table and profile may come to others.
FEATURES_VERSION = 1

_MASKS_AT_ONCE = 1 << 16


def ame(profile: NetworkProfile, errors: NDArray[np.int32]) -> float:
    """AME of one multiplier: root mean square over the logits of the mean shift that its errors cause, relative to the logits' spread.

    The shift of logit k, against the mean of all logits, is <A_k, Delta>_F, A_k being the sum over layers t of A_t: the propagation
    coefficients from layer t to logit k times the histograms of what layer t multiplies. One dot product for each logit (fewer where there
    are many).
    """
    return float(ame_of_tables(profile, errors))


def ame_of_tables(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """AME of many multipliers, (m, 2^width, 2^width) -> (m,), in one product of matrices."""
    _check(profile, errors)
    flat = errors.reshape(*errors.shape[:-2], -1).astype(np.float32)
    return _length(flat @ profile.architectural.T)


def partial_product_shifts(profile: NetworkProfile) -> NDArray[np.float64]:
    """What dropping each partial product b[row] * a[column] does to the logits: (width * width, r), entry width * row + column.

    The partial products are those of an array multiplier, of Baugh and Wooley's in two's complement. AME of a multiplier that drops a set
    of them is the length of the sum of their rows.
    """
    width = profile.width
    bits = np.arange(1 << width)[:, None] >> np.arange(width) & 1  # (codes, bits)
    matrices = profile.architectural.reshape(-1, 1 << width, 1 << width).astype(np.float64)
    by_bits = bits.T @ matrices @ bits  # (r, column: bit of a, row: bit of b)
    signed = profile.encoding.signed
    weights = np.array([[cell_weight(Widths(width, width), signed, row, column) for column in range(width)] for row in range(width)])
    shifts: NDArray[np.float64] = -(by_bits.transpose(2, 1, 0) * weights[:, :, None]).reshape(width * width, -1)
    return shifts


def ame_of_masks(profile: NetworkProfile, masks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """AME of multipliers of the family `mask`, (m,) -> (m,): one product (m, width * width) @ (width * width, r).

    Args:
        masks: as the family writes them: bit width * row + column is set where the partial product b[row] * a[column] is kept.
    """
    shifts = partial_product_shifts(profile).astype(np.float32)
    found = np.empty(len(masks))
    for start in range(0, len(masks), _MASKS_AT_ONCE):
        part = ~masks[start : start + _MASKS_AT_ONCE].astype("<u8")
        dropped = np.unpackbits(part.view(np.uint8).reshape(-1, 8), axis=1, count=len(shifts), bitorder="little")
        found[start : start + _MASKS_AT_ONCE] = _length(dropped.astype(np.float32) @ shifts)
    return found


def ame_of_assignments(matrices: NDArray[np.floating], errors: NDArray[np.int32], assignments: NDArray[np.integer]) -> NDArray[np.float64]:
    """AME where every layer has a multiplier of its own: (m, layers) -> (m,). Shifts of the layers add up.

    Args:
        matrices: A_t of the layers, (layers, r, 2^width, 2^width), from
            :meth:`cnn_eval.prediction.Propagation.architectural_matrices`.
        errors: of the multipliers to choose from, (designs, 2^width, 2^width).
        assignments: index of the multiplier in each layer.
    """
    layers, components, *_ = matrices.shape
    shifts = errors.reshape(len(errors), -1).astype(np.float64) @ matrices.reshape(layers * components, -1).T
    chosen = shifts.reshape(len(errors), layers, components)[assignments, np.arange(layers)]  # (m, layers, r)
    return _length(chosen.sum(axis=1))


def _length(shifts: NDArray[np.floating]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sqrt((shifts.astype(np.float64) ** 2).sum(axis=-1))
    return found


def features(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """The figures that accuracy is predicted from, in the order of :data:`FEATURES`.

    * ame: see :func:`ame`.
    * variance: the companion for squared errors, <V, Delta^2>_F.
    * fluctuation: how far the expected error of a sum moves from output pixel to output pixel with the activations that happen to be around
      it, relative to the layer's normalized output; root of the sum of squares over layers.
    * margin_rms: root mean square over the calibration images of the first-order shift of their margins, relative to the standard
      deviation of the margins themselves.
    * margin_noise: the same of what is left of the shifts after a common gain: errors that scale all margins alike do no harm.
    * failures: share, among the calibration images that are answered correctly, of those whose margin is no longer positive to first order
      (at least half an image).
    * gain: the common gain itself, negative where margins shrink.

    Args:
        errors: one matrix (2^width, 2^width), or many (m, 2^width, 2^width).

    Returns:
        (7,), or (m, 7).
    """
    _check(profile, errors)
    flat = errors.reshape(*errors.shape[:-2], -1).astype(np.float64)
    margins = profile.margins.margins
    shifts = profile.margins.shifts(errors)
    energy = max(float(margins @ margins), np.finfo(np.float64).tiny)
    gain = shifts @ margins / energy
    noise = shifts - gain[..., None] * margins
    right = margins > 0
    reference = max(float(margins.std()), np.finfo(np.float64).tiny)
    values = (
        ame_of_tables(profile, errors),
        flat**2 @ profile.variance_matrix.ravel(),
        _fluctuation(profile, errors),
        np.sqrt((shifts**2).mean(axis=-1)) / reference,
        np.sqrt((noise**2).mean(axis=-1)) / reference,
        np.maximum((margins + shifts <= 0)[..., right].sum(axis=-1), 0.5) / max(int(right.sum()), 1),
        gain,
    )
    return np.stack(values, axis=-1)


def _fluctuation(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """Per layer || L Delta R^T ||_F^2 with the factors of the two covariances, summed, and the root of it: () or (m,)."""
    activations, weights = profile.fluctuation_factors
    layers, rank, size = activations.shape
    # All layers' activation factors at once: (layers * r, codes) @ (..., codes, codes).
    left = activations.reshape(-1, size) @ errors.astype(np.float32)
    projected = left.reshape(*errors.shape[:-2], layers, rank, size) @ weights
    total: NDArray[np.float64] = np.sqrt((projected.astype(np.float64) ** 2).sum(axis=(-3, -2, -1)))
    return total


def _check(profile: NetworkProfile, errors: NDArray[np.int32]) -> None:
    size = 1 << profile.width
    if errors.shape[-2:] != (size, size):
        raise InputError(f"errors of shape {errors.shape} do not fit the {profile.width}-bit multiplications of {profile.network!r}")
