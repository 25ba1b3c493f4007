"""A small search on real parts, and a finished run with real figures that takes no search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnn_eval import zoo
from dse.engine.request import Search, record_search
from dse.evaluation import Evaluation, Workbench, design_point
from dse.search.budget import Budget
from dse.search.exploration import Exploration
from dse.search.front import ParetoFront
from hdl.files import convert
from hdl.operands import OperandEncoding

NETWORK, ENCODING = "resnet8", OperandEncoding.SIGN_MAGNITUDE
OBJECTIVES = ("area", "power", "accuracy")


def write_run(folder: Path, specs: Iterable[str]) -> Path:
    """The run of a search that evaluated these designs, the first of them the exact multiplier
    that ratios refer to.
    """
    search = Search(NETWORK, (ENCODING,), Budget.parse("area"))
    bench = Workbench((NETWORK,), (ENCODING,))
    predictors = {NETWORK: {str(ENCODING): zoo.load_predictor(NETWORK, ENCODING)}}
    evaluate = bench.evaluator()
    evaluations = {spec: convert(evaluate(spec), Evaluation, spec) for spec in specs}
    baseline = next(iter(evaluations.values()))
    points = [
        design_point(bench.multiplier(spec), evaluation, baseline, predictors)
        for spec, evaluation in evaluations.items()
    ]
    profile = zoo.load_profile(NETWORK, ENCODING)
    folder.mkdir()
    record_search(search, folder)
    Exploration(
        network=NETWORK,
        encodings=(str(ENCODING),),
        data=profile.data,
        exact_top1_pct=profile.exact_top1_pct,
        chance_pct=profile.chance_pct,
        budget=search.budget,
        max_drop_pp=search.max_drop_pp,
        baseline=points[0],
        points=tuple(points),
        front=ParetoFront.of(points, OBJECTIVES, worst_drop_pp=80),
        pick=None,
        history=(),
        settings={},
        failures={},
    ).save(folder)
    return folder


def write_images(folder: Path, count: int = 576, *, seed: int = 0) -> Path:
    """Noise of ten classes, in the layout of CIFAR-10."""
    records = np.random.default_rng(seed).integers(0, 256, (count, 3073)).astype(np.uint8)
    records[:, 0] %= 10
    folder.mkdir()
    (folder / "test_batch.bin").write_bytes(records.tobytes())
    return folder


FAMILIES = ("bam", "tm", "exact")
EVALUATIONS = 26


def small_search(seed: int = 1) -> Search:
    return Search(
        network="resnet20",
        encodings=(OperandEncoding.SIGN_MAGNITUDE,),
        budget=Budget.parse("area"),
        evaluations=EVALUATIONS,
        population=10,
        seed=seed,
        families=FAMILIES,
        activation_bits=5,
        weight_bits=5,
    )


def of_8_bits() -> Search:
    """As networks without correction have them."""
    return replace(small_search(), activation_bits=0, weight_bits=0)
