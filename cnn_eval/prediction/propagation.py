"""How the errors of a layer's products travel to every later layer and to the logits: propagation
coefficients (docs/ame.md derives them).

The error of an activation is approximate minus exact. Over the images and pixels of one channel it
is taken as

    e = mean + slope * (y - mean of y) + what is not correlated with the exact activation y

A *state* is both numbers for every channel, (2 * channels,), means first. States pass from
operation to operation by linear maps, and a layer's own multiplier errors add a state that is
linear in the multiplier's error matrix. The slope is what ReLU needs: it lets pass the errors of
large activations and stops those of small ones, so that a mean by itself does not determine the
mean behind it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..quantization.coding import OperandCoding

__all__ = ["LayerOperands", "Propagation", "Step", "Transfer"]

#: Linear map of states: dense for what mixes channels, sparse for what does not.
Transfer: TypeAlias = NDArray[np.float64] | sparse.csr_array


@dataclass(frozen=True, eq=False)
class LayerOperands:
    """What one layer multiplies, by input channel: its generated state is linear in the error
    matrix through this.

    Attributes:
        activations: histogram of the activation integers that enter products, padding included, by
            input channel, (channels in, A).
        weights: indices of the weight integers, (channels out, channels in of the group, kernel
            height * kernel width).
        covariances: of the activation under every weight with the sum of products, relative to the
            variance of the sum, same shape.
        scale: real value of the integer 1 in each output channel's sums, (channels out,).
        groups: of the convolution.
    """

    coding: OperandCoding
    activations: NDArray[np.float64]
    weights: NDArray[np.int64]
    covariances: NDArray[np.float64]
    scale: NDArray[np.float64]
    groups: int

    def generated(self, errors: NDArray[np.int32]) -> NDArray[np.float64]:
        """State that a multiplier with this error matrix (2^width, 2^width) adds to the layer's
        output, (2 * channels out,).
        """
        exact = np.multiply.outer(self.coding.activation_values, self.coding.weight_values)
        effect = self.coding.products(errors) - exact
        mean, slope = (
            chosen @ (over_x @ effect).ravel()
            for chosen, over_x in zip(self._selections, self._profiles, strict=True)
        )
        return np.concatenate([mean * self.scale, slope])

    def matrices(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Adjoint of :meth:`generated`: architectural matrices with ``(matrices[k] * errors).sum()
        == gains[k] @ generated(errors)``.

        Args:
            gains: (m, 2 * channels out).

        Returns:
            (m, 2^width, 2^width), [.., activation code, weight code].
        """
        channels, size = len(self.scale), len(self.coding.weight_values)
        total = np.zeros((len(gains), len(self.coding.activation_values), size))
        shares = gains[:, :channels] * self.scale, gains[:, channels:]
        for chosen, over_x, share in zip(self._selections, self._profiles, shares, strict=True):
            total += over_x.T @ (chosen.T @ share.T).T.reshape(len(gains), -1, size)
        return self.coding.fold(total)

    @cached_property
    def _selections(self) -> tuple[sparse.csr_array, sparse.csr_array]:
        """What every output channel adds up of functions of (input channel, weight), (channels out,
        channels in * W): each once, and times its covariance."""
        channels, per_group, taps = self.weights.shape
        group = np.arange(channels) * self.groups // channels
        channel = group[:, None] * per_group + np.arange(per_group)
        place = (channel[:, :, None] * len(self.coding.weight_values) + self.weights).ravel()
        rows = np.arange(channels + 1) * per_group * taps
        shape = channels, len(self.activations) * len(self.coding.weight_values)
        once, weighted = (
            sparse.csr_array((x.ravel(), place, rows), shape)
            for x in (np.ones(self.weights.shape), self.covariances)
        )
        return once, weighted

    @cached_property
    def _profiles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What of an error E(x, w), seen as a function of x, is its mean, and its slope over x:
        weights over x, (channels in, A) each.
        """
        values = self.coding.activation_values
        centered = values - (self.activations @ values)[:, None]
        variance = (self.activations * centered**2).sum(axis=1, keepdims=True)
        return self.activations, self.activations * centered / np.where(variance > 0, variance, 1)


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the network.

    Attributes:
        name: of the operation in the graph.
        layer: name of the multiplying layer that this is, or None.
        sources: indices of the steps that feed this one, each with the map from its states, (2 *
            channels, 2 * channels of the source).
        deviation: standard deviation of the exact output, per channel.
    """

    name: str
    layer: str | None
    sources: tuple[tuple[int, Transfer], ...]
    deviation: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Propagation:
    """The maps of a network, in the order of computation; the last step gives the logits.

    Attributes:
        operands: by name of the multiplying layer.
    """

    steps: tuple[Step, ...]
    operands: dict[str, LayerOperands]

    def mean_errors(
        self, errors: Mapping[str, NDArray[np.int32]]
    ) -> dict[str, NDArray[np.float64]]:
        """Predicted mean error (channels,) after every step, by its name; in the activation's unit.

        Args:
            errors: of the multiplier in each layer, by layer name; layers without one are exact.
        """
        states: list[NDArray[np.float64]] = []
        for step in self.steps:
            state = np.zeros(2 * len(step.deviation))
            for source, transfer in step.sources:
                state = state + transfer @ states[source]
            if step.layer is not None and step.layer in errors:
                state = state + self.operands[step.layer].generated(errors[step.layer])
            states.append(state)
        return {
            step.name: state[: len(step.deviation)]
            for step, state in zip(self.steps, states, strict=True)
        }

    def logit_gains(self) -> dict[str, NDArray[np.float64]]:
        """By layer name: mean shift of every logit per unit of each entry of the layer's generated
        state, (classes, 2 * channels).

        These are the products of the propagation coefficients behind the layer, added up over all
        paths.
        """
        classes = len(self.steps[-1].deviation)
        gains = [np.zeros((classes, 2 * len(step.deviation))) for step in self.steps]
        gains[-1] = np.eye(classes, 2 * classes)
        for step, gain in zip(reversed(self.steps), reversed(gains), strict=True):
            for source, transfer in step.sources:
                gains[source] += (transfer.T @ gain.T).T
        return {
            step.layer: gain
            for step, gain in zip(self.steps, gains, strict=True)
            if step.layer is not None
        }

    def architectural_matrices(self) -> dict[str, NDArray[np.float64]]:
        """A_t of every multiplying layer, by its name: (classes, 2^width, 2^width), [logit,
        activation code, weight code].

        ``(A_t[k] * errors).sum()`` is the mean shift of logit k against the mean of all logits that
        a multiplier in layer t causes, divided by the square root of the number of logits and by
        their standard deviation. The errors of all layers add up.
        """
        unit = self.steps[-1].deviation.mean() * np.sqrt(len(self.steps[-1].deviation))
        # What is common to all logits changes no answer.
        return {
            layer: self.operands[layer].matrices((gains - gains.mean(axis=0)) / unit)
            for layer, gains in self.logit_gains().items()
        }

    def coefficients(self) -> dict[str, float]:
        """alpha_t by layer name, in the order of computation: the maps collapsed to one number a
        layer.

        The gain of a layer is the root mean square shift of the logits against each other, relative
        to their standard deviation, for a mean error of one standard deviation of its own output in
        one of its channels. alpha_t is the gain of the layer before over the gain of this one, so
        that the product of the alphas behind a layer is its gain in units of the last one's, as in
        E(e_t) ~ alpha_t E(e_(t-1)) + E(e_(t,0)); 1 for the first.
        """
        deviation = {step.layer: step.deviation for step in self.steps}
        gains = []
        for layer, gain in self.logit_gains().items():
            shifts = gain[:, : len(deviation[layer])] * deviation[layer]
            gains.append(float(np.sqrt(np.mean((shifts - shifts.mean(axis=0)) ** 2))))
        alphas = [1.0, *(before / gain for before, gain in itertools.pairwise(gains))]
        return dict(zip(self.operands, alphas, strict=True))
