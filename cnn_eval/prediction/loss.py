"""What a multiplier's errors cost, for a search that changes them bit by bit.

:class:`LossModel` predicts the accuracy lost with whole error matrices. Around one error matrix,
:class:`LocalLoss` is the same as a quadratic form, so that the effect of a small change is a few
dot products: almost every error metric is a quadratic form already (docs/ame.md), and the predictor
weighs them by how its hazard H moves with each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from hdl.operands import code_values

from .architectural_error import FEATURES, features
from .predictor import AccuracyPredictor
from .profile import NetworkProfile

__all__ = ["LocalLoss", "LossModel", "WorstLoss"]

#: Components that a local loss is compressed to.
_RANK = 12
# Factors of a layer's fluctuation, and components of all layers' that are kept.
_FACTORS, _FLUCTUATIONS = 4, 32
# Below this margin noise nothing is lost, and the law says nothing of what would be: sensitivities
# are taken where something is.
_LEAST_NOISE = 0.08
_STEP = 0.05
# What no calibration needs to confirm.
_HARMLESS_PP = 0.3


@dataclass(frozen=True, eq=False)
class LocalLoss:
    """Accuracy lost near an error matrix E, for changes d of it.

    With Q = sum of w_j q_j over the quadratic metrics q_j, and w_j = d ln H / d ln q_j / q_j at E:
    Q(E + d) - Q(E) = gradient d + |components d|^2 + variances d^2, and H goes with Q^Q(E).

    Attributes:
        gradient: (2^(width_a + width_b),).
        components: (r, 2^(width_a + width_b)).
        variances: (2^(width_a + width_b),).
        level: Q(E).
        hazard: H at E.
        exact_drop_pp, kept_pp: lost with exact products of these operand widths, and what there is
            to lose beyond.
    """

    gradient: NDArray[np.float32]
    components: NDArray[np.float32]
    variances: NDArray[np.float32]
    level: float
    hazard: float
    exact_drop_pp: float
    kept_pp: float

    def drops_pp(self, changes: NDArray[np.floating]) -> NDArray[np.float32]:
        """Accuracy lost where Q changes by so much."""
        ratio = np.maximum(1 + changes / self.level, 1e-6)
        hazard = self.hazard * ratio**self.level
        found: NDArray[np.float32] = self.exact_drop_pp - self.kept_pp * np.expm1(-hazard)
        return found


class LossModel:
    """Predicted loss of accuracy of a network with multipliers of one number format and widths.

    Args:
        profile: of the network at these operand widths.
        predictor: of the network in this number format.
    """

    def __init__(self, profile: NetworkProfile, predictor: AccuracyPredictor) -> None:
        self.profile, self.predictor = profile, predictor

    def drops_pp(self, errors: NDArray[np.int32]) -> NDArray[np.float64]:
        """Loss against exact products of the widest operands, in percentage points.

        Args:
            errors: (m, 2^width_a, 2^width_b), int32.

        Returns:
            (m,).
        """
        return self.predictor.drops_pp(features(self.profile, errors), self.profile.exact_top1_pct)

    def knows(self, errors: NDArray[np.int32]) -> bool:
        """Whether the predictor was calibrated near an error matrix (2^width_a, 2^width_b), or next
        to nothing is lost there.
        """
        found = features(self.profile, errors)[None]
        exact = self.profile.exact_top1_pct
        beyond_pp = self.predictor.drops_pp(found, exact) - (self.predictor.exact_top1_pct - exact)
        return bool(beyond_pp[0] < _HARMLESS_PP or self.predictor.knows(found)[0])

    def around(self, errors: NDArray[np.int32]) -> LocalLoss:
        """The loss near an error matrix (2^width_a, 2^width_b)."""
        flat = errors.ravel().astype(np.float64)
        found = features(self.profile, errors)
        noise = found[_NOISE]
        if noise < _LEAST_NOISE:
            found = self._least_features
        rows = self._rows
        projected = {name: part @ flat for name, part in rows.items()}
        squares = {name: float(value @ value) for name, value in projected.items()}
        variance = float(self._variances @ flat**2)
        # The metrics' own values: the rows leave out amplification and what is of little weight.
        levels = {name: max(squares[name], self._floors[name]) for name in rows}
        weights = self._sensitivities(found)
        parts = {name: weights[name] / levels[name] for name in rows}
        of_variance = weights["variance"] / max(variance, self._floors["variance"])
        stacked = np.concatenate([np.sqrt(parts[name]) * rows[name] for name in rows])
        components = _leading(stacked, self._typical, _RANK)
        gradient = 2 * sum(parts[name] * (projected[name] @ rows[name]) for name in rows)
        gradient = gradient + 2 * of_variance * self._variances * flat
        exact = self.profile.exact_top1_pct
        return LocalLoss(
            gradient=gradient.astype(np.float32),
            components=components.astype(np.float32),
            variances=(of_variance * self._variances).astype(np.float32),
            level=max(sum(weights.values()), 0.25),
            hazard=float(np.exp(self.predictor.log_hazards(found[None])[0])),
            exact_drop_pp=max(self.predictor.exact_top1_pct - exact, 0.0),
            kept_pp=exact - self.predictor.chance_pct,
        )

    def _sensitivities(self, found: NDArray[np.float64]) -> dict[str, float]:
        """d ln H / d ln q of each quadratic metric q; failures go with the noise of margins."""
        moved = {name: found.copy() for name in (*_QUADRATIC, "failures")}
        for name, values in moved.items():
            values[FEATURES.index(name)] *= np.exp(_STEP)
        base = self.predictor.log_hazards(found[None])[0]
        slopes = {
            name: float(self.predictor.log_hazards(values[None])[0] - base) / _STEP
            for name, values in moved.items()
        }
        failing = max(slopes.pop("failures"), 0.0)
        slopes["margin_noise"] += failing * self._failures_per_noise(found)
        # A quadratic form is the square of its metric, but for the variance, which is one itself.
        # The correction near emulations may have a slope of the wrong sign.
        return {
            name: max(slope, 1e-3) / (1 if name == "variance" else 2)
            for name, slope in slopes.items()
        }

    def _failures_per_noise(self, found: NDArray[np.float64]) -> float:
        """d ln failures / d ln noise, of margins that are shifted at random."""
        margins = self.profile.margins.margins
        right = margins[margins > 0]
        spread = max(float(margins.std()), 1e-12)
        shares = []
        for factor in (1.0, np.exp(_STEP)):
            shift = max(found[_NOISE], _LEAST_NOISE) * factor * spread
            shares.append(float(_normal_tail(right / shift).mean()))
        return float(np.log(max(shares[1], 1e-9) / max(shares[0], 1e-9)) / _STEP)

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """How much errors of a typical size count, by operand pair, (2^(width_a + width_b),)."""
        importance: NDArray[np.float64] = self._variances * self._typical**2
        return importance

    @cached_property
    def _typical(self) -> NDArray[np.float64]:
        """How large errors tend to be by operand pair, up to a factor."""
        signed = self.profile.encoding.signed
        a, b = (np.abs(code_values(width, signed=signed)) for width in self.profile.widths)
        return (np.sqrt(np.multiply.outer(a, b).astype(np.float64)) + 1).ravel()

    @cached_property
    def _variances(self) -> NDArray[np.float64]:
        return self.profile.variance_matrix.ravel()

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.float64]]:
        """Metric -> rows (r, 2^(width_a + width_b)): the squared length of their product with
        errors is the metric's square, up to the amplification of corrections."""
        profile, known = self.profile, self.profile.margins
        margins, scores = known.margins, known.scores
        reference = max(float(margins.std()), np.finfo(np.float64).tiny)
        energy = max(float(margins @ margins), np.finfo(np.float64).tiny)
        scale = 1 / (reference * np.sqrt(len(margins)))
        noise = scores - np.outer(margins, margins @ scores) / energy
        # Without their share in the gain that all layers have in common, as the metrics are.
        of_errors = self._without_common_gain
        components = of_errors(known.components.astype(np.float64))
        rows = {
            "margin_rms": _factor(scores * scale) @ components,
            "margin_noise": _factor(noise * scale) @ components,
            "ame": of_errors(profile.architectural.astype(np.float64)),
        }
        activations, weights = (part.astype(np.float64) for part in profile.fluctuation_factors)
        activations, weights = activations[:, :_FACTORS], weights[:, :, :_FACTORS]
        moves = np.einsum("lrx,lws->lrsxw", activations, weights)
        moves = moves.reshape(len(moves), -1, moves.shape[-2] * moves.shape[-1])
        if profile.corrected:
            exact = profile.exact_fluctuation[:, :_FACTORS, :_FACTORS].reshape(len(moves), -1)
            lengths = np.maximum((exact**2).sum(-1), np.finfo(np.float64).tiny)
            common = np.einsum("lr,lrt->lt", exact, moves)
            moves = moves - exact[:, :, None] * (common / lengths[:, None])[:, None]
        moves = moves.reshape(-1, moves.shape[-1])
        rows["fluctuation"] = _leading(moves, self._typical, _FLUCTUATIONS)
        return rows

    def _without_common_gain(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.profile.corrected:
            return rows
        known, signed = self.profile.mean_and_gain, self.profile.encoding.signed
        a, b = (code_values(width, signed=signed) for width in self.profile.widths)
        exact = np.multiply.outer(a, b).ravel()
        total = max(float(known.gain_energy.sum()), np.finfo(np.float64).tiny)
        gain = np.einsum("lx,lw->xw", known.slope, known.slope_weights).ravel() / total
        return rows - np.outer(rows @ exact, gain)

    @cached_property
    def _least_errors(self) -> NDArray[np.int32]:
        """Errors of the typical size, of either sign at random, that just begin to matter."""
        rng = np.random.default_rng(0)
        shape = tuple(1 << width for width in self.profile.widths)
        drawn = rng.standard_normal(len(self._typical)) * self._typical
        return np.round(64 * drawn).astype(np.int32).reshape(shape)

    @cached_property
    def _least_features(self) -> NDArray[np.float64]:
        found = features(self.profile, self._least_errors)
        scale = _LEAST_NOISE / max(found[_NOISE], 1e-12)
        scaled: NDArray[np.float64] = found * scale
        scaled[FEATURES.index("variance")] = found[FEATURES.index("variance")] * scale**2
        scaled[FEATURES.index("failures")] = 0.5 / max(len(self.profile.margins.margins), 1)
        scaled[FEATURES.index("gain")] = 0.0
        return scaled

    @cached_property
    def _floors(self) -> dict[str, float]:
        """Squares of the rows' metrics at the least features."""
        flat = self._least_errors.ravel().astype(np.float64)
        noise = self._rows["margin_noise"] @ flat
        scale = _LEAST_NOISE**2 / max(float(noise @ noise), 1e-30)
        floors = {
            name: scale * float(((row @ flat) ** 2).sum()) for name, row in self._rows.items()
        }
        floors["variance"] = scale * float(self._variances @ flat**2)
        return {name: max(value, 1e-30) for name, value in floors.items()}


class WorstLoss:
    """Predicted loss of the network, of several, that loses the most.

    Args:
        models: of each network, at the same operand widths.
    """

    def __init__(self, models: Sequence[LossModel]) -> None:
        self.models = tuple(models)

    def drops_pp(self, errors: NDArray[np.int32]) -> NDArray[np.float64]:
        """As :meth:`LossModel.drops_pp`."""
        drops_pp: NDArray[np.float64] = np.max(
            [one.drops_pp(errors) for one in self.models], axis=0
        )
        return drops_pp

    def knows(self, errors: NDArray[np.int32]) -> bool:
        """As :meth:`LossModel.knows`, of all networks."""
        return all(one.knows(errors) for one in self.models)

    def around(self, errors: NDArray[np.int32]) -> LocalLoss:
        """As :meth:`LossModel.around`, of the network that loses the most there."""
        worst = max(self.models, key=lambda one: float(one.drops_pp(errors[None])[0]))
        return worst.around(errors)

    @property
    def importance(self) -> NDArray[np.float64]:
        """As :attr:`LossModel.importance`; every network counts the same."""
        shares = [one.importance / max(one.importance.sum(), 1e-300) for one in self.models]
        importance: NDArray[np.float64] = np.sum(shares, axis=0)
        return importance


_QUADRATIC = ("ame", "variance", "fluctuation", "margin_rms", "margin_noise")
_NOISE = FEATURES.index("margin_noise")


def _factor(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Few rows (r, r) of the same quadratic form as many (n, r)."""
    values, vectors = np.linalg.eigh(rows.T @ rows)
    factor: NDArray[np.float64] = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    return factor


def _leading(
    rows: NDArray[np.float64], typical: NDArray[np.float64], rank: int
) -> NDArray[np.float64]:
    """The leading components (rank, size) of the quadratic form of rows (n, size), for errors of a
    typical size (size,)."""
    weighted = rows * typical
    vectors = np.linalg.eigh(weighted @ weighted.T)[1]
    components: NDArray[np.float64] = vectors[:, ::-1][:, :rank].T @ rows
    return components


def _normal_tail(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a standard normal variable is larger."""
    return np.asarray(erfc(x / np.sqrt(2)) / 2)
