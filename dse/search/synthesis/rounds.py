"""Rounds of walks within a search: from which designs they start, and which of the designs that
they come by are worth an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from cnn_eval.prediction import LossModel, NetworkProfile, WorstLoss
from hdl import yosys
from hdl.cells import CellLibrary
from hdl.errors import InputError
from hdl.files import Count, Name, Size, convert, decode_json, encode_json
from hdl.multipliers import FAMILIES, MultiplierSpec, NetlistDesign, as_terms, named_multiplier
from hdl.operands import OperandEncoding, Widths

from ...evaluation.executor import Executor
from ...evaluation.point import DesignPoint
from ...evaluation.workbench import Predictors, Workbench
from ...evaluation.workers import Failure
from ..data_sizing import is_exact
from .gate_walk import walk
from .price_ladder import MadeDesign, Workplace
from .term_walk import term_walk

__all__ = [
    "WALK_VERSION",
    "MadeDesigns",
    "WalkRequest",
    "done_walks",
    "planned_walks",
    "walker",
    "worth_evaluating",
]

#: Raised where the same request may lead to other designs.
WALK_VERSION = 3

#: Processor time of a walk; one takes a minute at most.
_LIMIT_S = 1800

#: Walks go on to designs that lose so many times what the recommended one may, or so much at least.
_REACH, _LEAST_REACH_PP = 3.0, 6.0
#: An exact multiplier is no place to start from where another one that loses no more takes less
#: than this share of its area and of its energy.
_PROMISING = 0.6
#: Nor one that takes so many times the area and energy, multiplied, of the cheapest exact
#: multiplier that loses no more than is allowed.
_FARTHEST = 8.0


@dataclass(frozen=True)
class WalkRequest:
    """A walk to be done: from the design of a name, to a predicted loss; `cautious` where no
    emulation will check what comes of it; over lists of `terms`, or over gates.
    """

    start: Name
    seed: Count
    max_drop_pp: Size
    cautious: bool
    terms: bool = False

    @property
    def text(self) -> str:
        """The request as text; :func:`walker` reads it."""
        return encode_json(self).decode()


@dataclass(frozen=True)
class MadeDesigns:
    """What a walk came by.

    Attributes:
        candidates: changes that it judged.
        netlists, specs: the designs of a walk over gates, and of one over terms.
        drops_pp, area_um2, energy_fj: of each; see :class:`.price_ladder.MadeDesign`.
    """

    candidates: Count = 0
    netlists: tuple[NetlistDesign, ...] = ()
    specs: tuple[Name, ...] = ()
    drops_pp: tuple[Size, ...] = ()
    area_um2: tuple[Size, ...] = ()
    energy_fj: tuple[Size, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MadeDesigns | None:
        """Inverse of `asdict`; None where the values are not a walk's (a damaged store)."""
        try:
            found = convert(values, cls, "a walk")
            lists = found.designs, found.drops_pp, found.area_um2, found.energy_fj
        except InputError:
            return None
        return found if len(set(map(len, lists))) == 1 else None

    @classmethod
    def of(cls, made: Sequence[MadeDesign]) -> MadeDesigns:
        """What a walk came by."""
        designs = [one.design for one in made]
        return cls(
            candidates=max((one.candidates for one in made), default=0),
            netlists=tuple(one for one in designs if isinstance(one, NetlistDesign)),
            specs=tuple(one.name for one in designs if isinstance(one, MultiplierSpec)),
            drops_pp=tuple(one.drop_pp for one in made),
            area_um2=tuple(one.area_um2 for one in made),
            energy_fj=tuple(one.energy_fj for one in made),
        )

    @property
    def designs(self) -> tuple[NetlistDesign | MultiplierSpec, ...]:
        """The designs, in the order that the walk came by them. Raises SpecError for a text that is
        no spec.
        """
        return (*self.netlists, *map(MultiplierSpec.parse, self.specs))


def done_walks(
    texts: Iterable[str],
    bench: Workbench,
    predictors: Predictors,
    *,
    executor: Executor,
) -> Iterator[tuple[str, dict[str, Any] | Failure]]:
    """Does walks by an executor's workers: (text of the request, fields of its
    :class:`MadeDesigns`) as they come, in any order."""
    job = partial(walker, predictors=predictors)
    with executor.pool(bench, job, time_limit_s=_LIMIT_S) as pool:
        yield from pool.run(texts)


def walker(bench: Workbench, predictors: Predictors) -> Callable[[str], dict[str, Any]]:
    """A function from a request's text to the fields of its :class:`MadeDesigns`."""
    yosys.keep_results(bench.yosys_cache)
    return partial(
        _walked, bench, predictors, CellLibrary.load(bench.liberty), cache(bench.profiles)
    )


def _walked(
    bench: Workbench,
    predictors: Predictors,
    library: CellLibrary,
    profiles_of: Callable[[OperandEncoding, Widths], Mapping[str, NetworkProfile]],
    text: str,
) -> dict[str, Any]:
    request = decode_json(text, WalkRequest, "a walk")
    start = bench.multiplier(request.start)
    encoding = bench.encoding_of(start)
    models = [
        LossModel(profile, predictors[network][str(encoding)])
        for network, profile in profiles_of(encoding, start.widths).items()
    ]
    workplace = Workplace(
        models[0] if len(models) == 1 else WorstLoss(models),
        library,
        models[0].profile.operand_distribution(),
        bench.delay_target_ps,
        bench.seed,
        request.cautious,
    )
    steps = term_walk if request.terms else walk
    made = steps(start, workplace, max_drop_pp=request.max_drop_pp, seed=request.seed)
    return asdict(MadeDesigns.of(list(made)))


def planned_walks(
    points: Iterable[DesignPoint],
    front: Sequence[DesignPoint],
    count: int,
    *,
    number: int,
    max_drop_pp: float,
    seed: int,
    cautious: bool = False,
) -> list[WalkRequest]:
    """The walks of round `number`: from exact multipliers of promising widths, and in later rounds
    half of them from the best designs so far, spread evenly over the losses that matter. Every
    other one is over terms, where its start is a list of them.
    """
    reach_pp = max(_REACH * max_drop_pp, _LEAST_REACH_PP)
    exact: dict[tuple[str, int, int], DesignPoint] = {}
    for point in sorted(points, key=lambda one: (_cost(one), one.spec)):
        if is_exact(point) and point.predicted_drop_pp < reach_pp:
            exact.setdefault((point.encoding, point.width_a, point.width_b), point)
    allowed = [_cost(point) for point in exact.values() if point.predicted_drop_pp <= max_drop_pp]
    most = _FARTHEST * min(allowed, default=np.inf)
    promising = sorted(
        (
            point
            for point in exact.values()
            if _cost(point) <= most
            and not any(_makes_idle(other, point) for other in exact.values())
        ),
        key=lambda point: (point.predicted_drop_pp, point.spec),
    )
    better = [
        point for point in front if not is_exact(point) and point.predicted_drop_pp < reach_pp / 2
    ]
    better.sort(key=lambda point: (point.predicted_drop_pp, point.spec))
    from_front = min(count // 2, len(better)) if number else 0
    starts = _spread(promising, count - from_front) + _spread(better, from_front)
    return [
        WalkRequest(
            point.spec,
            1000 * seed + 100 * number + index,
            reach_pp,
            cautious,
            terms=(index + number) % 2 == 0 and _has_terms(point),
        )
        for index, point in enumerate(starts)
    ]


def _has_terms(point: DesignPoint) -> bool:
    return point.family in FAMILIES and as_terms(named_multiplier(point.spec)) is not None


def _cost(point: DesignPoint) -> float:
    return point.area_um2 * point.energy_fj


def _makes_idle(other: DesignPoint, point: DesignPoint) -> bool:
    return (
        other.predicted_drop_pp <= point.predicted_drop_pp
        and other.area_um2 <= _PROMISING * point.area_um2
        and other.energy_fj <= _PROMISING * point.energy_fj
    )


def _spread(points: Sequence[DesignPoint], count: int) -> list[DesignPoint]:
    """`count` of the points, evenly spaced; all of them again and again where they are fewer."""
    if not points or count <= 0:
        return []
    if len(points) <= count:
        return [points[index % len(points)] for index in range(count)]
    return [points[int((index + 0.5) * len(points) / count)] for index in range(count)]


def worth_evaluating(
    walks: Iterable[MadeDesigns], known: Iterable[str], room: int
) -> list[NetlistDesign | MultiplierSpec]:
    """Up to `room` new designs of those that no other one of all walks beats in predicted loss,
    area and energy; evenly spaced over the losses where there are more. Designs of one number
    format alone are compared: in a search of two, those in sign-magnitude will have sign logic
    beside them.
    """
    names = set(known)
    rows = {
        design.name: (drop_pp, area, energy, design)
        for walk in walks
        for design, drop_pp, area, energy in zip(
            walk.designs, walk.drops_pp, walk.area_um2, walk.energy_fj, strict=True
        )
        if design.name not in names
    }
    found = sorted(rows.values(), key=lambda row: (*row[:3], row[3].name))
    figures = np.array([row[:3] for row in found]).reshape(-1, 3)
    signed = np.array([row[3].signed for row in found])
    kept = []
    for row, figure in zip(found, figures, strict=True):
        beaten = (figures <= figure).all(axis=1) & (figures < figure).any(axis=1)
        if not (beaten & (signed == row[3].signed)).any():
            kept.append(row[3])
    if len(kept) <= room:
        return kept
    return [kept[round(place)] for place in np.linspace(0, len(kept) - 1, room)] if room > 0 else []
