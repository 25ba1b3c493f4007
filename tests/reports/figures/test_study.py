"""Figures of a study, drawn from a made-up one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnn_eval.prediction.architectural_error import FEATURES
from cnn_eval.prediction.fitting import Emulated
from cnn_eval.prediction.predictor import AccuracyPredictor
from cnn_eval.prediction.study import METRICS, StudiedMultiplier, StudiedNetwork, correlations
from reports.figures.rendering import svg, write_figure
from reports.figures.study import correlation_figure, scatter_figure


def made_up(encoding: str) -> StudiedNetwork:
    rng = np.random.default_rng(0)
    emulated = [
        Emulated(
            f"{family}:k={index}",
            family,
            (8, 8),
            tuple(float(value) for value in harm * rng.uniform(0.5, 2, len(FEATURES))),
            10 + 80 * np.exp(-harm),
            90.0,
        )
        for family in ("bam", "drum", "given")
        for index, harm in enumerate(np.geomspace(1e-3, 5, 6))
    ]
    labels = {"network": "resnet20", "encoding": encoding, "data": "CIFAR-10"}
    predictor = AccuracyPredictor.fit(
        emulated, **labels, corrected=True, exact_top1_pct=90.0, chance_pct=10.0, images=1000
    )
    multipliers = tuple(
        StudiedMultiplier(
            one.name,
            one.family,
            one.top1_pct,
            one.features,
            dict.fromkeys(METRICS, one.features[0]) | {"er": float(number)},
        )
        for number, one in enumerate(emulated)
    )
    return StudiedNetwork(
        **labels,
        images=1000,
        exact_top1_pct=90.0,
        chance_pct=10.0,
        multipliers=multipliers,
        predictor=predictor,
        deviation_pp=1.5,
    )


def test_figures_are_drawn_and_repeatable(tmp_path: Path) -> None:
    networks = [made_up("sign_magnitude"), made_up("twos_complement")]
    for figure in (
        scatter_figure(networks[0]),
        correlation_figure([row for network in networks for row in correlations(network)]),
    ):
        write_figure(figure, tmp_path, "figure")
        assert (tmp_path / "figure.png").stat().st_size > 10_000
        box, (width_in, height_in) = figure.get_tightbbox(), figure.get_size_inches()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width_in
        assert box.y1 <= height_in
    assert svg(scatter_figure(networks[0])) == svg(scatter_figure(networks[0]))


def test_tick_labels_are_plain_numbers() -> None:
    figure = scatter_figure(made_up("sign_magnitude"))
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels
    assert all("$" not in label for label in labels)
