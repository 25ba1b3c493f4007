"""Ground truth for assignments: what the layers' predicted losses learn from emulated ones.

The loss of an assignment is taken to be the sum of its layers' losses. Emulations tell how far the
sum is off, and in which layers:

    emulated drop  =  sum over layers l of (gain + deviation_l + deviation_d) loss_l  +  noise

where layer l has design d, with gain near 1 and the deviations of layers and of designs near 0
before anything was emulated: a regression with normal priors, whose most likely values are found by
least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["loss_factors"]

#: Standard deviations: of an emulated drop on about a thousand images, smoothed and against the
#: same images with exact products; of the gain; and of the layers' and designs' own factors.
_NOISE_PP, _GAIN, _DEVIATION = 0.2, 1.0, 0.5
#: No layer is free.
_LEAST_FACTOR = 0.1


def loss_factors(
    losses_pp: NDArray[np.float64], choices: NDArray[np.intp], drops_pp: Sequence[float]
) -> NDArray[np.float64]:
    """What the predicted losses are to be multiplied by, (layers, designs).

    Args:
        losses_pp: predicted for each layer and design, (layers, designs).
        choices: index of the design in each layer of each emulated assignment, (assignments,
            layers).
        drops_pp: emulated, (assignments,).
    """
    layers, designs = losses_pp.shape
    of_layers = losses_pp[np.arange(layers), choices]
    of_designs = np.zeros((len(choices), designs))
    np.add.at(of_designs, (np.arange(len(choices))[:, None], choices), of_layers)
    predicted = of_layers.sum(axis=1)
    # Unknown are what is added to a gain of 1, and to no deviations.
    rows = np.vstack(
        [
            np.column_stack([predicted, of_layers, of_designs]) / _NOISE_PP,
            np.diag([1 / _GAIN, *[1 / _DEVIATION] * (layers + designs)]),
        ]
    )
    missing = (np.asarray(drops_pp) - predicted) / _NOISE_PP
    found = np.linalg.lstsq(rows, np.concatenate([missing, np.zeros(rows.shape[1])]))[0]
    gain, layer, design = np.split(found, [1, 1 + layers])
    factors: NDArray[np.float64] = np.maximum(1 + gain + layer[:, None] + design, _LEAST_FACTOR)
    return factors
