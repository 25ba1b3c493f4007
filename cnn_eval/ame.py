"""AME, the architectural error metrics: what a multiplier's errors do to a network, as dot products.

After A. Liu, J. Han, Q. Wang, Z. Mao, H. Jiang, "An Architectural Error Metric for CNN-Oriented Approximate Multipliers", arXiv 2408.12836
(2024): everything a network does with a multiplier's error matrix Delta is linear in it to first order, so that a network is summed up by
matrices of Delta's shape, made once, and each multiplier costs a dot product. docs/ame.md has the derivations.

Error matrices are int32 of shape (2^width, 2^width), indexed [activation code, weight code], as :attr:`hdl.table.ProductTable.errors`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdl.errors import InputError

from .profile import NetworkProfile

__all__ = ["FEATURES", "ame", "architectural_matrix", "features"]

#: What :func:`features` computes, in order.
FEATURES = ("ame", "variance", "fluctuation", "margin_rms", "margin_noise", "failures")


def architectural_matrix(profile: NetworkProfile) -> NDArray[np.float64]:
    """A = sum of the layers' A_t, (2^width, 2^width).

    A_t is the product of the propagation coefficients behind layer t, the number N_t of products in a sum, and the outer product of the
    histograms of activation and weight codes, in units of the layer's normalized output. Codes that stand for negative values under a sign
    beside the multiplier count negatively.
    """
    return profile.mean_matrix


def ame(profile: NetworkProfile, errors: NDArray[np.int32]) -> float:
    """AME = <A, Delta>_F: the expected error that reaches the network's output, signed."""
    _check(profile, errors)
    return float(np.vdot(profile.mean_matrix, errors))


def features(profile: NetworkProfile, errors: NDArray[np.int32]) -> NDArray[np.float64]:
    """The figures that accuracy is predicted from, in the order of :data:`FEATURES`.

    * ame: <A, Delta>_F.
    * variance: the companion for squared errors, <V, Delta^2>_F.
    * fluctuation: how far the expected error of a sum moves from output pixel to output pixel with the activations that happen to be around
      it, relative to the layer's normalized output; root of the sum of squares over layers.
    * margin_rms: root mean square over the calibration images of the first-order shift of their margins, relative to the standard
      deviation of the margins themselves.
    * margin_noise: the same of what is left of the shifts after a common gain: errors that scale all margins alike do no harm.
    * failures: share of the calibration images whose margin is not positive to first order (at least half an image).

    Args:
        errors: one matrix (2^width, 2^width), or many (m, 2^width, 2^width).

    Returns:
        (6,), or (m, 6).
    """
    _check(profile, errors)
    flat = errors.reshape(*errors.shape[:-2], -1).astype(np.float64)
    margins = profile.margins.margins
    shifts = profile.margins.shifts(errors)
    energy = max(float(margins @ margins), np.finfo(np.float64).tiny)
    noise = shifts - (shifts @ margins / energy)[..., None] * margins
    reference = max(float(margins.std()), np.finfo(np.float64).tiny)
    values = (
        flat @ profile.mean_matrix.ravel(),
        flat**2 @ profile.variance_matrix.ravel(),
        _fluctuation(profile, errors),
        np.sqrt((shifts**2).mean(axis=-1)) / reference,
        np.sqrt((noise**2).mean(axis=-1)) / reference,
        np.maximum((margins + shifts <= 0).mean(axis=-1), 0.5 / len(margins)),
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
