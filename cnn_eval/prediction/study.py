"""Which error metric tells what a network makes of a multiplier: emulated accuracies against every
metric, over many multipliers.

The experiment of A. Liu et al., "An Architectural Error Metric for CNN-Oriented Approximate
Multipliers", arXiv 2408.12836 (2024), with this project's metrics beside the paper's and the
generic ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hdl.tables import ProductTable, error_metrics

from .architectural_error import FEATURES, ame, features
from .calibration import exact_name
from .fitting import Emulated, left_out_predictions, middle_region
from .predictor import AccuracyPredictor
from .profile import NetworkProfile

__all__ = [
    "METRICS",
    "Correlation",
    "StudiedMultiplier",
    "StudiedNetwork",
    "correlations",
    "quadratic_fit",
    "study_network",
    "transfer_predictor",
]

#: What is held against accuracy, and how reports call it. Larger means worse for all of them.
METRICS: Mapping[str, str] = {
    "ame": "|AME|",
    "ame_uncorrected": "|AME| without correction",
    **{name: name.replace("_", " ") for name in FEATURES if name not in ("ame", "gain")},
    "gain": "|margin gain|",
    "med": "MED (NMED)",
    "mred": "MRED",
    "wce": "WCE",
    "rms": "RMS error",
    "variance_uniform": "error variance",
    "er": "error rate",
    "me": "|mean error|",
    "me_data": "|mean error| under the data",
    "med_data": "MED under the data",
    "predicted_drop": "predicted drop (family, widths left out)",
}


@dataclass(frozen=True)
class StudiedMultiplier:
    """One multiplier in one network: emulated top-1 in percent, and the metrics by the names in
    :data:`METRICS`.
    """

    name: str
    family: str
    top1_pct: float
    features: tuple[float, ...]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class StudiedNetwork:
    """A network under one encoding.

    Attributes:
        predictor: calibrated on all of its multipliers.
        deviation_pp: mean absolute deviation of predicted from emulated top-1 in the middle region,
            each family left out in turn.
    """

    network: str
    encoding: str
    data: str
    images: int
    exact_top1_pct: float
    chance_pct: float
    multipliers: tuple[StudiedMultiplier, ...]
    predictor: AccuracyPredictor
    deviation_pp: float

    @property
    def top1_pct(self) -> NDArray[np.float64]:
        return np.array([one.top1_pct for one in self.multipliers])

    @property
    def middle(self) -> NDArray[np.bool_]:
        """Which multipliers lose something, but not all: more than 0.5 points, and all but 5 points
        of what there is to lose.
        """
        return middle_region(self.top1_pct, self.exact_top1_pct, self.chance_pct)


@dataclass(frozen=True)
class Correlation:
    """How a metric goes with emulated accuracy over the middle region.

    Attributes:
        spearman, pearson, kendall: absolute values, 0 to 1.
        deviation_pp: mean absolute deviation of a quadratic regression of top-1 on the metric's
            logarithm, each family left out in turn.
    """

    network: str
    encoding: str
    metric: str
    spearman: float
    pearson: float
    kendall: float
    deviation_pp: float
    multipliers: int


def study_network(
    profiles: Sequence[NetworkProfile],
    data: str,
    images: int,
    multipliers: Sequence[tuple[str, ProductTable]],
    top1_pct: Mapping[str, float],
    uncorrected: Sequence[NetworkProfile] = (),
) -> StudiedNetwork:
    """Joins emulated accuracies with metrics.

    Args:
        profiles: of one network and number format, one for the operand widths of every multiplier;
            the widest first.
        multipliers: (family, table); those without any error are left aside.
        top1_pct: emulated, by the tables' names, and of exact products by
            :func:`cnn_eval.prediction.exact_name`.
        uncorrected: profiles of the network without correction, as far as there are any:
            multipliers of their widths get the AME of these as a metric, too.

    Raises:
        cnn_eval.prediction.PredictorError: too few multipliers.
    """
    plain = {profile.widths: profile for profile in uncorrected}
    widest, by_widths = profiles[0], {profile.widths: profile for profile in profiles}
    exact = top1_pct[exact_name(widest.widths)]
    found = [
        (family, table, by_widths[table.widths])
        for family, table in multipliers
        if table.errors.any()
    ]
    emulated = [
        Emulated(
            name=table.name,
            family=family,
            widths=table.widths,
            features=tuple(features(profile, table.errors).tolist()),
            top1_pct=top1_pct[table.name],
            exact_top1_pct=top1_pct[exact_name(table.widths)],
        )
        for family, table, profile in found
    ]
    labels = {"network": widest.network, "encoding": str(widest.encoding), "data": data}
    predictor = AccuracyPredictor.fit(
        emulated,
        **labels,
        corrected=widest.corrected,
        exact_top1_pct=exact,
        chance_pct=widest.chance_pct,
        images=images,
    )
    left_out = left_out_predictions(emulated, widest.chance_pct, images, corrected=widest.corrected)
    studied = tuple(
        StudiedMultiplier(
            one.name,
            one.family,
            one.top1_pct,
            one.features,
            _metrics(profile, table, one, exact - predicted, plain.get(table.widths)),
        )
        for (_, table, profile), one, predicted in zip(found, emulated, left_out, strict=True)
    )
    return StudiedNetwork(
        **labels,
        images=images,
        exact_top1_pct=exact,
        chance_pct=widest.chance_pct,
        multipliers=studied,
        predictor=predictor,
        deviation_pp=predictor.deviation_pp,
    )


def correlations(network: StudiedNetwork) -> list[Correlation]:
    """Every metric against accuracy over the middle region, among the multipliers that have it,
    best rank correlation first.
    """
    found = []
    for metric in METRICS:
        having = replace(
            network, multipliers=tuple(one for one in network.multipliers if metric in one.metrics)
        )
        if not having.multipliers:
            continue
        middle, top1 = having.middle, having.top1_pct
        values = np.array([one.metrics[metric] for one in having.multipliers])[middle]
        pairs = (stats.spearmanr, stats.pearsonr, stats.kendalltau)
        constant = middle.sum() < 3 or np.ptp(values) == 0
        spearman, pearson, kendall = (
            0.0 if constant else abs(float(test(values, top1[middle]).statistic)) for test in pairs
        )
        deviation = _quadratic_deviation_pp(having, metric)
        found.append(
            Correlation(
                network.network,
                network.encoding,
                metric,
                spearman,
                pearson,
                kendall,
                deviation,
                int(middle.sum()),
            )
        )
    return sorted(found, key=lambda one: -one.spearman)


def transfer_predictor(
    others: Sequence[StudiedNetwork], target: StudiedNetwork
) -> tuple[AccuracyPredictor, float]:
    """A predictor of `target` from the emulations of other networks alone, and its mean absolute
    deviation in the middle region.

    Raises cnn_eval.prediction.PredictorError for fewer than two others.
    """
    predictor = AccuracyPredictor.transferred(
        [other.predictor for other in others],
        network=target.network,
        encoding=target.encoding,
        corrected=target.predictor.corrected,
        data=target.data,
        exact_top1_pct=target.exact_top1_pct,
        chance_pct=target.chance_pct,
    )
    middle = target.middle
    calibration = {one.name: one for one in target.predictor.calibration}
    exact = [calibration[one.name].exact_top1_pct for one in target.multipliers]
    predicted = np.array(
        [
            predictor.predict(one.features, top1).top1_pct
            for one, top1 in zip(target.multipliers, exact, strict=True)
        ]
    )
    deviation = np.abs(predicted - target.top1_pct)
    return predictor, float(deviation[middle].mean() if middle.any() else deviation.mean())


def quadratic_fit(
    network: StudiedNetwork, metric: str, rows: NDArray[np.bool_] | None = None
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The paper's regression on one metric: top-1 quadratic in its logarithm, clipped to [chance,
    exact], fitted to some rows (all).
    """
    values = np.array([one.metrics[metric] for one in network.multipliers])
    floor = max(float(values[values > 0].min(initial=np.inf)), 1e-12) if (values > 0).any() else 1.0
    taken = np.ones(len(values), dtype=bool) if rows is None else rows
    coefficients = np.polyfit(
        np.log10(np.maximum(values[taken], floor)), network.top1_pct[taken], 2
    )
    # A larger error never predicts a higher accuracy: on the rising side the parabola goes on
    # level.
    vertex = -coefficients[1] / (2 * coefficients[0]) if coefficients[0] else -np.inf
    low, high = (
        (vertex, np.inf)
        if coefficients[0] < 0
        else (-np.inf, vertex if coefficients[0] else np.inf)
    )

    def predict(metrics: NDArray[np.float64]) -> NDArray[np.float64]:
        top1 = np.polyval(
            coefficients, np.clip(np.log10(np.maximum(metrics, floor)), low, high)
        ).astype(np.float64)
        return np.clip(top1, network.chance_pct, network.exact_top1_pct)

    return predict


def _quadratic_deviation_pp(network: StudiedNetwork, metric: str) -> float:
    values, family = (
        np.array([one.metrics[metric] for one in network.multipliers]),
        np.array([one.family for one in network.multipliers]),
    )
    predicted = np.zeros(len(values))
    for name in np.unique(family):
        predicted[family == name] = quadratic_fit(network, metric, family != name)(
            values[family == name]
        )
    deviation, middle = np.abs(predicted - network.top1_pct), network.middle
    return float(deviation[middle].mean() if middle.any() else deviation.mean())


def _metrics(
    profile: NetworkProfile,
    table: ProductTable,
    one: Emulated,
    predicted_drop: float,
    plain: NetworkProfile | None,
) -> dict[str, float]:
    uniform, data = error_metrics(table), error_metrics(table, profile.operand_distribution())
    return {
        **dict(zip(FEATURES, one.features, strict=True)),
        "ame": abs(ame(profile, table.errors)),
        **({} if plain is None else {"ame_uncorrected": abs(ame(plain, table.errors))}),
        "gain": abs(one.features[FEATURES.index("gain")]),
        "med": uniform.med,
        "mred": uniform.mred_pct,
        "wce": float(uniform.wce),
        "rms": uniform.rms,
        "variance_uniform": uniform.variance,
        "er": uniform.er_pct,
        "me": abs(uniform.me),
        "me_data": abs(data.me),
        "med_data": data.med,
        "predicted_drop": predicted_drop,
    }
