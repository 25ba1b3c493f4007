"""Calibration that knows what searches do: designs made by walks are emulated, too.

A walk goes where the predictor promises most, which is where it errs most. So a predictor that was
calibrated on multipliers of families makes designs itself, and learns from the emulation of these;
twice, since the second predictor promises other things than the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from cnn_eval.datasets import Dataset
from cnn_eval.prediction import (
    CALIBRATED_IMAGES,
    AccuracyPredictor,
    CalibrationProgress,
    Candidate,
    LossModel,
    NetworkProfile,
    calibrate,
    calibration_set,
)
from hdl.multipliers import MultiplierSpec

from ..evaluation.executor import Executor
from ..evaluation.workbench import Workbench
from ..evaluation.workers import Failure
from ..ground_truth.emulation import Emulation, screened
from ..search.synthesis.rounds import MadeDesigns, WalkRequest, done_walks

__all__ = ["calibrate_with_made_designs"]

#: Share of the multipliers that are of families; the others come from walks, in so many rounds.
_FAMILIES_SHARE, _ROUNDS = 0.6, 2
#: The first predictor needs as many, or a few more: some may not err at all.
_LEAST_OF_FAMILIES = 10
#: Walks go on to this predicted loss, from operand widths that lose less than half of it exactly;
#: designs that lose less than the other tell nothing.
_REACH_PP, _LEAST_PP = 16.0, 0.1


def calibrate_with_made_designs(
    emulation: Emulation,
    profiles: Sequence[NetworkProfile],
    data: Dataset,
    count: int,
    results: Path,
    bench: Workbench,
    *,
    executor: Executor,
    images: int = CALIBRATED_IMAGES,
    on_progress: Callable[[CalibrationProgress], None] = lambda state: None,
) -> AccuracyPredictor:
    """A predictor calibrated on `count` multipliers of families and of walks.

    Args:
        emulation: of the network; its judging images are the first `images` of `data`.
        bench: of the network and number format; its zoo folder has the profiles.
        executor: where multipliers are emulated and walks are done.

    Further arguments and errors as :func:`cnn_eval.prediction.calibrate`.
    """
    of_families = max(round(_FAMILIES_SHARE * count), min(count, _LEAST_OF_FAMILIES))
    candidates = calibration_set(profiles, of_families)
    measure = partial(
        calibrate,
        emulation.truth,
        profiles,
        data,
        results=results,
        images=images,
        measure=screened(emulation, profiles[0].chance_pct, executor),
    )
    predictor = measure(candidates, on_progress=on_progress)
    for number in range(_ROUNDS):
        room = (count - len(candidates)) // (_ROUNDS - number)
        if room == 0:
            continue
        exact = len(profiles)  # emulated beside them
        on_progress(CalibrationProgress(len(candidates) + exact, count + exact, "walks"))
        candidates += _made(profiles, predictor, bench, room, number, executor, candidates)
        predictor = measure(candidates, on_progress=on_progress)
    return predictor


def _made(
    profiles: Sequence[NetworkProfile],
    predictor: AccuracyPredictor,
    bench: Workbench,
    count: int,
    number: int,
    executor: Executor,
    known: Sequence[Candidate],
) -> list[Candidate]:
    """`count` new designs of walks from exact multipliers, evenly spread over predicted losses."""
    starts = [
        profile
        for profile in profiles
        if predictor.exact_top1_pct - profile.exact_top1_pct < _REACH_PP / 2
    ]
    # Each operand width's turn comes in one of the rounds: walks take longer than emulations.
    by_text = {}
    for index, profile in enumerate(starts[number::_ROUNDS] or starts):
        signed = profile.encoding.signed
        exact = MultiplierSpec.make("exact", width=profile.widths, signed=signed, tree="array")
        request = WalkRequest(str(exact), 1000 * number + index, _REACH_PP, False)
        by_text[request.text] = profile
    found: dict[str, Candidate] = {}
    predictors = {profiles[0].network: {str(profiles[0].encoding): predictor}}
    walks = {
        text: MadeDesigns.from_dict(result)
        for text, result in done_walks(by_text, bench, predictors, executor=executor)
        if not isinstance(result, Failure)
    }
    taken = {one.multiplier.name for one in known}
    for text, profile in by_text.items():
        made = walks.get(text)
        for design in () if made is None else made.designs:
            if design.name not in taken:
                found.setdefault(design.name, Candidate.of(design, design.table(), profile))
    return _spread(list(found.values()), profiles, predictor, count)


def _spread(
    found: Sequence[Candidate],
    profiles: Sequence[NetworkProfile],
    predictor: AccuracyPredictor,
    count: int,
) -> list[Candidate]:
    """`count` of the designs, evenly spaced in the order of the losses that approximation adds."""
    models = {profile.widths: LossModel(profile, predictor) for profile in profiles}
    rows = []
    for one in found:
        model = models[one.multiplier.widths]
        exact = predictor.exact_top1_pct - model.profile.exact_top1_pct
        added_pp = float(model.drops_pp(one.table.errors[None])[0]) - max(exact, 0.0)
        if added_pp >= _LEAST_PP:
            rows.append((added_pp, one.multiplier.name, one))
    rows.sort(key=lambda row: row[:2])
    if len(rows) <= count:
        return [row[2] for row in rows]
    return [rows[round(place)][2] for place in np.linspace(0, len(rows) - 1, count)]
