"""The study's statistics on made-up networks whose accuracy follows known features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cnn_eval import zoo
from cnn_eval.prediction.architectural_error import FEATURES, ame
from cnn_eval.prediction.calibration import exact_name
from cnn_eval.prediction.nearby import NearbyCorrection
from cnn_eval.prediction.study import (
    METRICS,
    StudiedNetwork,
    correlations,
    quadratic_fit,
    study_network,
    transfer_predictor,
)
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding, Widths
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable

SPECS = (
    *(
        "bam:h=0,v=5",
        "bam:h=0,v=6",
        "bam:h=0,v=7",
        "bam:h=0,v=8",
        "tm:k=2",
        "tm:k=3",
        "drum:k=3",
        "drum:k=4",
    ),
    *(
        "mitchell",
        "mbm",
        "perforate:j=1,k=2",
        "perforate:j=2,k=2",
        "compressor:kind=momeni1,cols=7",
        "lodtrunc:k=4",
    ),
)


@pytest.fixture(scope="module")
def multipliers() -> list[tuple[str, ProductTable]]:
    specs = [MultiplierSpec.parse(text) for text in SPECS]
    tables = [(spec.family, ProductTable.of(spec)) for spec in specs] + [
        ("exact", ProductTable.exact())
    ]
    return [(family, table.for_operands([Widths(8, 7)])) for family, table in tables]


@pytest.fixture(scope="module")
def made_up(multipliers: list[tuple[str, ProductTable]]) -> StudiedNetwork:
    """ResNet-20, had its accuracy been 90 % less a power of MED."""
    profile, plain = (
        zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, corrected=how)
        for how in (True, False)
    )
    top1 = {
        table.name: max(90 - 0.5 * error_metrics(table).med ** 0.7, 10.0)
        for _, table in multipliers
    }
    top1[exact_name(profile.widths)] = 90.0
    return study_network([profile], "made up", 1000, multipliers, top1, [plain])


@pytest.mark.slow
def test_correlations_are_scipys_over_the_middle(made_up: StudiedNetwork) -> None:
    assert len(made_up.multipliers) == len(SPECS)  # the exact one says nothing
    found = {one.metric: one for one in correlations(made_up)}
    assert set(found) == set(METRICS)
    assert found["med"].spearman == pytest.approx(1)
    middle = (90 - made_up.top1_pct > 0.5) & (made_up.top1_pct > 15)
    assert found["med"].multipliers == middle.sum() > 5
    wce = np.array([one.metrics["wce"] for one in made_up.multipliers])[middle]
    assert found["wce"].kendall == pytest.approx(
        abs(stats.kendalltau(wce, made_up.top1_pct[middle]).statistic)
    )
    # A regression on the metric that made the accuracies is the best there is.
    assert found["med"].deviation_pp == min(one.deviation_pp for one in found.values())


def test_metrics_are_what_their_modules_say(
    made_up: StudiedNetwork, multipliers: list[tuple[str, ProductTable]]
) -> None:
    profile = zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE)
    (_, table), one = multipliers[0], made_up.multipliers[0]
    assert one.metrics["ame"] == abs(ame(profile, table.errors))
    plain = zoo.load_profile("resnet20", OperandEncoding.SIGN_MAGNITUDE, corrected=False)
    assert one.metrics["ame_uncorrected"] == abs(ame(plain, table.errors)) != one.metrics["ame"]
    assert one.metrics["fluctuation"] == one.features[FEATURES.index("fluctuation")]
    data = profile.operand_distribution()
    probability = data.rows(0, 1 << profile.width_a)
    assert one.metrics["me_data"] == pytest.approx(
        abs(float((table.errors * probability).sum() / probability.sum()))
    )


def test_a_metric_that_some_multipliers_lack_is_correlated_over_the_others(
    made_up: StudiedNetwork,
) -> None:
    lacking = tuple(
        replace(
            one,
            metrics={
                name: value
                for name, value in one.metrics.items()
                if name != "ame_uncorrected" or index % 2
            },
        )
        for index, one in enumerate(made_up.multipliers)
    )
    found = {one.metric: one for one in correlations(replace(made_up, multipliers=lacking))}
    assert found["ame_uncorrected"].multipliers == made_up.middle[1::2].sum()
    assert found["ame"].multipliers == made_up.middle.sum()
    without = tuple(
        replace(one, metrics={"ame": one.metrics["ame"]}) for one in made_up.multipliers
    )
    assert [one.metric for one in correlations(replace(made_up, multipliers=without))] == ["ame"]


def test_the_quadratic_fit_is_clipped(made_up: StudiedNetwork) -> None:
    predicted = quadratic_fit(made_up, "med")(np.geomspace(1e-9, 1e9, 50))
    assert predicted.min() >= made_up.chance_pct
    assert predicted.max() <= made_up.exact_top1_pct


def test_transfer_scales_to_the_target(made_up: StudiedNetwork) -> None:
    # The same network, but everything it can lose is half as much.
    calibration = tuple(replace(one, exact_top1_pct=50.0) for one in made_up.predictor.calibration)
    halved = replace(
        made_up,
        network="halved",
        exact_top1_pct=50.0,
        multipliers=tuple(
            replace(one, top1_pct=10 + (one.top1_pct - 10) / 2) for one in made_up.multipliers
        ),
        predictor=replace(made_up.predictor, calibration=calibration),
    )
    predictor, deviation_pp = transfer_predictor([made_up, made_up], halved)
    assert (predictor.network, predictor.exact_top1_pct) == ("halved", 50.0)
    law = replace(made_up.predictor, correction=NearbyCorrection())
    fitted = np.array([law.predict(one.features).top1_pct for one in made_up.multipliers])
    own = np.abs(fitted - made_up.top1_pct)[halved.middle].mean()
    # Twice the data weigh a little more beside what is known of laws.
    assert deviation_pp == pytest.approx(own / 2, rel=0.05)
