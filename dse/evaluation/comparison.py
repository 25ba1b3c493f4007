"""From an evaluation to a design point: relative to a baseline, and with what networks lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from cnn_eval.prediction import AccuracyPredictor
from hdl.multipliers import Multiplier

from .point import DesignPoint, NetworkDrop
from .workbench import Evaluation, Predictors, Reading

__all__ = ["design_point"]


def design_point(
    design: Multiplier,
    evaluation: Evaluation,
    baseline: Evaluation,
    predictors: Predictors,
    *,
    level: str = "multiplier",
    element: str = "",
    array: str = "",
) -> DesignPoint:
    """The point of an evaluated design, relative to the `baseline` evaluated in the same flow.

    Args:
        level, element, array: as in :class:`dse.evaluation.DesignPoint`.
        predictors: of every network and number format of the search. A network's drop counts from
            the best of its exact accuracies.
    """
    drops = [
        _drop(network, reading, evaluation.encoding, predictors[network])
        for network, reading in evaluation.readings.items()
    ]
    worst = max(drops, key=lambda one: one.predicted_drop_pp)
    known = asdict(evaluation)
    del known["circuit"], known["readings"]
    return DesignPoint(
        spec=design.name,
        family=design.family,
        area_ratio=evaluation.area_um2 / baseline.area_um2,
        delay_ratio=evaluation.delay_ps / baseline.delay_ps,
        power_ratio=evaluation.energy_fj / baseline.energy_fj,
        predicted_top1_pct=worst.predicted_top1_pct,
        predicted_drop_pp=worst.predicted_drop_pp,
        spread_pp=worst.spread_pp,
        networks=tuple(drops) if len(drops) > 1 else (),
        level=level,
        element=element,
        array=array,
        **known,
    )


def _drop(
    network: str, reading: Reading, encoding: str, predictors: Mapping[str, AccuracyPredictor]
) -> NetworkDrop:
    predictor = predictors[encoding]
    prediction = predictor.predict(reading.features, reading.exact_top1_pct)
    behind_pp = max(one.exact_top1_pct for one in predictors.values()) - predictor.exact_top1_pct
    return NetworkDrop(
        network, prediction.top1_pct, behind_pp + prediction.drop_pp, prediction.spread_pp
    )
