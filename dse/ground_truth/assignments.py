"""Ground truth for assignments: what the layers' predicted losses learn from emulated ones.

The loss of an assignment is taken to be the sum of its layers' losses. Emulations tell how far the
sum is off, and in which layers:

    emulated drop  =  sum over layers l of (gain + deviation_l) loss_l  +  noise

with gain near 1 and each layer's deviation near 0 before anything was emulated: a regression with
normal priors, whose most likely values are found by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["layer_factors"]

#: Standard deviations: of an emulated drop on about a thousand images, smoothed and against the
#: same images with exact products; of the gain; and of the layers' own factors.
_NOISE_PP, _GAIN, _DEVIATION = 0.2, 1.0, 0.5
#: No layer is free.
_LEAST_FACTOR = 0.1


def layer_factors(losses_pp: NDArray[np.float64], drops_pp: Sequence[float]) -> NDArray[np.float64]:
    """What each layer's predicted losses are to be multiplied by, (layers,).

    Args:
        losses_pp: predicted for the layers of each emulated assignment, (assignments, layers).
        drops_pp: emulated, (assignments,).
    """
    layers = losses_pp.shape[1]
    predicted = losses_pp.sum(axis=1)
    # Unknown are what is added to a gain of 1, and to no deviations.
    rows = np.vstack(
        [
            np.column_stack([predicted, losses_pp]) / _NOISE_PP,
            np.diag([1 / _GAIN, *[1 / _DEVIATION] * layers]),
        ]
    )
    missing = np.concatenate([(np.asarray(drops_pp) - predicted) / _NOISE_PP, np.zeros(layers + 1)])
    found = np.linalg.lstsq(rows, missing)[0]
    factors: NDArray[np.float64] = np.maximum(1 + found[0] + found[1:], _LEAST_FACTOR)
    return factors
