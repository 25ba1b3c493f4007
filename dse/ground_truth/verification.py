"""Ground truth for a search: designs of its front, emulated in the network image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnn_eval import zoo
from hdl.elements import ElementForm
from hdl.operands import OperandEncoding

from ..evaluation.element_costs import element_products
from ..evaluation.executor import Executor
from ..evaluation.point import DesignPoint
from ..search.data_sizing import is_exact, preferred
from ..search.exploration import Exploration
from .emulator import HERE, Emulator, Subject, emulators_of

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.networks import TrainedNetwork

__all__ = [
    "Verification",
    "choose",
    "mean_deviation_pp",
    "recalled",
    "unseen",
    "verified",
    "verify",
]

# Designs that are predicted to lose more than this are not emulated: nobody would build them.
_USEFUL_DROP_PP = 30.0
# So many designs at once are emulated to find the pick: workers are busy, and few are in vain.
_AT_ONCE = 4
# How many of its spreads an exact multiplier's drop may be off from the predicted one.
_SPREADS = 2


@dataclass(frozen=True)
class Verification:
    """State of a running verification, for a progress display: `done` of `total` emulations, and
    what is emulated next.
    """

    done: int
    total: int
    spec: str


def choose(
    points: Sequence[DesignPoint], count: int, *, pick: DesignPoint | None = None
) -> list[DesignPoint]:
    """Up to `count` designs that lose anything: the pick, and the middle ones of equal parts of the
    order of predicted drops.
    """
    losing = [
        point
        for point in points
        if point.er_pct > 0 or point.predicted_drop_pp > 0 or point == pick
    ]
    ordered = sorted(
        [point for point in losing if point.predicted_drop_pp <= _USEFUL_DROP_PP] or losing,
        key=lambda point: (point.predicted_drop_pp, point.area_ratio, point.spec),
    )
    if len(ordered) <= count:
        return ordered
    chosen = {(2 * part + 1) * len(ordered) // (2 * count) for part in range(count)}
    if pick in ordered:
        index = ordered.index(pick)
        chosen = (chosen - {min(chosen, key=lambda other: abs(other - index))}) | {index}
    return [ordered[index] for index in sorted(chosen)]


def unseen(
    data: Dataset,
    networks: Sequence[str],
    encodings: Sequence[OperandEncoding],
    *,
    corrected: bool = True,
    zoo_folder: Path | None = None,
) -> int:
    """Number of the first judging image that the calibrations of the networks' predictors do not
    know.

    Calibrations take the first images of a data set; they are told apart from other data by what
    they are. Profiles are made, and networks corrected, on images that never judge
    (:class:`cnn_eval.datasets.ImageRoles`).
    """
    start = 0
    for network, encoding in product(networks, encodings):
        predictor = zoo.load_predictor(network, encoding, corrected=corrected, folder=zoo_folder)
        if predictor.images and data.head(predictor.images).sha256() == predictor.images_sha256:
            start = max(start, predictor.images)
        profile = zoo.load_profile(network, encoding, corrected=corrected, folder=zoo_folder)
        if corrected and data.name == profile.data:
            start = max(
                start, profile.test_images
            )  # drops of exact products of fewer bits were measured on these
    return start


def verify(
    exploration: Exploration,
    roles: ImageRoles,
    sample: Dataset,
    store_path: Path,
    *,
    count: int,
    corrected: bool = True,
    zoo_folder: Path | None = None,
    trained: TrainedNetwork | None = None,
    executor: Executor = HERE,
    on_progress: Callable[[Verification], None] = lambda state: None,
) -> Exploration:
    """The exploration with `count` designs of its front emulated over the images of `sample`, each
    in its own number format and in every network of the search, and the pick by what was found.

    Whatever would be built before the first design that is seen to keep the limits is emulated too,
    until there is one: a pick that loses more than was predicted gives way to the next, which may
    be one that it dominated. Of exact multipliers, so that nothing simpler beats the pick unseen,
    those as well whose predicted drops are within two spreads of what is allowed.

    Drops are from the exact network on the same images, in the format that is the most accurate
    there. Of designs that the predictor learned from during the search those alone are among them
    that may be the pick. Results are kept in the point store, so that an interrupted verification
    goes on where it was.

    Args:
        roles: which images correct and calibrate.
        trained: the first network itself, where neither `zoo_folder` nor the zoo that ships has its
            weights.
        executor: where designs are emulated.
    """
    emulators = emulators_of(
        exploration.networks,
        roles,
        sample,
        store_path,
        corrected=corrected,
        zoo_folder=zoo_folder,
        trained=trained,
        executor=executor,
    )
    learned = {design for round_ in exploration.recalibrations for design in round_.designs}
    pick = exploration.pick
    fresh = [point for point in exploration.front.points if point.spec not in learned]
    different = _each_once(fresh if pick is None else [pick, *fresh])
    emulated = partial(_emulated, emulators=emulators, images=len(sample), on_progress=on_progress)
    exploration = emulated(exploration, choose(different, count, pick=pick))
    while ahead := _ahead(exploration)[:_AT_ONCE]:
        exploration = emulated(exploration, ahead)
    return replace(exploration.with_savings().picked(), emulated_on=sample.sha256())


def recalled(exploration: Exploration, before: Exploration) -> Exploration:
    """The exploration with what was emulated in `before`, the same search as it was left, of
    designs that were not emulated since, and the pick by that. Accuracies on different images are
    not put beside each other: the later ones stay alone.
    """
    if exploration.emulated_on not in ("", before.emulated_on):
        return exploration
    known = {_products(point): point for point in _emulated_of(before.points)}
    changed = [
        point.emulated_like(known[products])
        for point in (exploration.baseline, *exploration.points)
        if point.emulated_drop_pp is None and (products := _products(point)) in known
    ]
    if not changed:
        return exploration
    found = replace(exploration.with_points(changed), emulated_on=before.emulated_on)
    return found.with_savings().picked()


def _ahead(exploration: Exploration) -> list[DesignPoint]:
    """Designs that would be built before any that is known to keep the limits, the first of them
    first, and of which it is not known.
    """
    ahead = []
    for point in preferred(exploration.comparable, exploration.budget):
        if point.emulated_drop_pp is None:
            unsure_pp = _SPREADS * point.spread_pp if is_exact(point) else 0.0
            if point.predicted_drop_pp <= exploration.max_drop_pp + unsure_pp:
                ahead.append(point)
        elif point.emulated_drop_pp <= exploration.max_drop_pp:
            break
    return _each_once(ahead)


def _emulated(
    exploration: Exploration,
    points: Sequence[DesignPoint],
    emulators: Mapping[str, Emulator],
    images: int,
    on_progress: Callable[[Verification], None],
) -> Exploration:
    """With the measured accuracies of some of its designs, in the network of each emulator."""
    wanted: list[tuple[Subject, OperandEncoding]] = [
        *((None, OperandEncoding(encoding)) for encoding in exploration.encodings),
        *(_subject(exploration, point) for point in points),
    ]
    formats, total = len(exploration.encodings), len(emulators) * len(wanted)
    accuracies: dict[str, list[float]] = {}
    for network, emulator in emulators.items():
        before = len(accuracies) * len(wanted)

        def tell(done: int, spec: str, before: int = before) -> None:
            on_progress(Verification(before + done, total, spec))

        measured = emulator.measure_all(wanted, on_progress=tell)
        accuracies[network] = [one.top1_pct for one in measured]
    on_progress(Verification(total, total, ""))
    emulated = {
        _products(point): partial(
            DesignPoint.emulated_in,
            accuracies={
                network: (top1_pct[index], max(top1_pct[:formats]))
                for network, top1_pct in accuracies.items()
            },
            images=images,
        )
        for index, point in enumerate(points, start=formats)
    }
    return exploration.with_points(
        emulated[products](point)
        for point in (exploration.baseline, *exploration.points)
        if (products := _products(point)) in emulated
    )


def _subject(exploration: Exploration, point: DesignPoint) -> tuple[Subject, OperandEncoding]:
    """What a design's accuracy is measured with."""
    table = exploration.multiplier(point.spec).table()
    if point.element:
        table = element_products(point.element, table)
    return table, OperandEncoding(point.encoding)


def verified(exploration: Exploration) -> list[DesignPoint]:
    """The designs that were emulated, by ascending predicted drop; of those that multiply alike the
    cheapest.
    """
    cost = exploration.budget.value
    return _each_once(
        sorted(
            _emulated_of(exploration.comparable),
            key=lambda point: (point.predicted_drop_pp, cost(point), point.name),
        )
    )


def mean_deviation_pp(exploration: Exploration) -> float | None:
    """Mean absolute deviation of the predicted from the emulated drop over the verified designs, in
    percentage points.
    """
    deviations = [abs(point.predicted_drop_pp - point.drop_pp) for point in verified(exploration)]
    return float(np.mean(deviations)) if deviations else None


def _products(point: DesignPoint) -> tuple[str, bool]:
    """What is the same in designs that multiply alike."""
    if is_exact(point):
        return f"{point.width_a}x{point.width_b} {point.encoding}", False
    return point.spec, bool(point.element) and ElementForm.parse(point.element).gated


def _each_once(points: Iterable[DesignPoint]) -> list[DesignPoint]:
    """The first of those that multiply alike, in their order."""
    found: dict[tuple[str, bool], DesignPoint] = {}
    for point in points:
        found.setdefault(_products(point), point)
    return list(found.values())


def _emulated_of(points: Iterable[DesignPoint]) -> list[DesignPoint]:
    return [point for point in points if point.emulated_drop_pp is not None]
