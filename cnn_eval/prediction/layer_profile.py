"""What a profile holds of one layer, and of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quantization.coding import OperandCoding

__all__ = ["LayerProfile", "MeanAndGain", "SampleMargins", "leading_components", "mean_and_gain"]


@dataclass(frozen=True, eq=False)
class LayerProfile:
    """One layer's multiplications. Histograms are over values, in the order of the coding's ranges,
    and sum to 1.

    Attributes:
        macs: multiplications per image.
        products_per_output: multiplications that one output adds up (N_t).
        activations: histogram of the activation integers that enter multiplications, padding
            included, (A,).
        weights: histogram of the weight integers, (W,).
        variance_weights: mean over output channels o of hist_o / sigma_o^2, (W,); sigma_o is the
            standard deviation of channel o's exact sums over the calibration images. Batch
            normalization divides by it: these are squares in units of normalized output.
        activation_factors, weight_factors: (r, A) and (r', W): the covariance over output pixels of
            the numbers of times that each activation value is multiplied for the pixel is
            ``activation_factors.T @ activation_factors``, and the mean over output channels of
            hist_o hist_o^T / sigma_o^2 is ``weight_factors.T @ weight_factors``, both to their
            leading components.
        output_channels: of all groups; 0: not known, in profiles of earlier versions.
        groups: of the convolution; 0: not known.
        zero_after_zero: probability that an activation code is 0 where the one before it is:
            (along the terms of an output, kernel positions in order and at each of them the
            channels of a group; along output pixels in raster order, at the same term). Empty: not
            known, in profiles of earlier versions.
        second_scale: of a product of two activations, real value of the integer 1 in the second of
            them, which takes the place of the weights; 0: the layer has weights.
    """

    name: str
    macs: int
    products_per_output: int
    coding: OperandCoding
    activation_scale: float
    activations: NDArray[np.float64]
    weights: NDArray[np.float64]
    variance_weights: NDArray[np.float64]
    activation_factors: NDArray[np.float64]
    weight_factors: NDArray[np.float64]
    output_channels: int = 0
    groups: int = 0
    zero_after_zero: tuple[float, ...] = ()
    second_scale: float = 0.0


def leading_components(
    rows: NDArray[np.floating], typical: NDArray[np.floating], rank: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Scores (n, r) with orthonormal columns, and components (r, size), r <= rank: their product is
    the best approximation of `rows` (n, size) for errors of a `typical` size (size,): a truncated
    singular value decomposition with every operand pair weighted by it.
    """
    weighted = rows.astype(np.float64) * typical
    # The small Gram matrix (n, n) has the left singular vectors.
    values, vectors = np.linalg.eigh(weighted @ weighted.T)
    scores = vectors[:, np.argsort(values)[::-1][:rank]]
    return scores, (scores.T @ weighted / typical).astype(np.float32)


@dataclass(frozen=True, eq=False)
class SampleMargins:
    """How the margin of every calibration image depends on the product table, to first order.

    The margin is the logit of the true class minus the largest other logit: positive where the
    image is classified correctly. An error matrix E shifts the margins by ``scores @ (components @
    E.ravel())``.

    Attributes:
        margins: with exact products, (n,).
        scores: (n, r).
        components: (r, 2^(width_a + width_b)), over [activation code, weight code].
    """

    margins: NDArray[np.float64]
    scores: NDArray[np.float64]
    components: NDArray[np.float32]

    @classmethod
    def compress(
        cls,
        margins: NDArray[np.float64],
        gradients: NDArray[np.float32],
        typical: NDArray[np.floating],
        rank: int,
    ) -> SampleMargins:
        """From the whole gradients (n, 2^(width_a + width_b)): the approximation of that
        rank that is best for errors of a `typical` size (2^(width_a + width_b),).

        See :func:`leading_components`.
        """
        return cls(margins, *leading_components(gradients, typical, rank))

    def shifts(self, errors: NDArray[Any]) -> NDArray[np.float64]:
        """Margin shifts (..., n) of error matrices (..., 2^width_a, 2^width_b)."""
        flat = errors.reshape(*errors.shape[:-2], -1).astype(np.float32)
        reduced = (flat @ self.components.T).astype(np.float64)
        return reduced @ self.scores.T


@dataclass(frozen=True, eq=False)
class MeanAndGain:
    """The parts of a layer's errors that correction removes, as vectors over operand codes, a row a
    layer.

    Attributes:
        mean: with it an error matrix becomes the mean error under each weight, (layers, 2^width_a).
        slope: with it, the covariance of the error with the activation, (layers, 2^width_a).
        mean_weights, slope_weights: what the squares of the first and the second itself count,
            (layers, 2^width_b).
        gain_energy: what the whole of a layer's output would count in `slope`, (layers,).
    """

    mean: NDArray[np.float64]
    slope: NDArray[np.float64]
    mean_weights: NDArray[np.float64]
    slope_weights: NDArray[np.float64]
    gain_energy: NDArray[np.float64]


def mean_and_gain(layer: LayerProfile) -> tuple[NDArray[np.float64], ...]:
    """The rows of one layer, in the order of :class:`MeanAndGain`. Of a product of two activations,
    which has one scale and one bias, correction takes the gain out, but not the mean under each
    value of the second operand.
    """
    coding = layer.coding
    x, w = coding.activation_values, coding.weight_values
    centered = layer.activations * (x - layer.activations @ x)
    mean = coding.fold_activations(layer.activations, signed=True)
    squares = coding.fold_weights(layer.products_per_output * layer.variance_weights, signed=False)
    if layer.second_scale:
        mean, squares = np.zeros_like(mean), np.zeros_like(squares)
    return (
        mean,
        coding.fold_activations(centered, signed=True),
        squares,
        coding.fold_weights(layer.products_per_output * layer.variance_weights * w, signed=True),
        np.array(layer.products_per_output * (layer.variance_weights @ w**2) * (centered @ x)),
    )
