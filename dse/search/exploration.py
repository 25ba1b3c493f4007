"""What a search leaves behind: the values that the report is drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hdl.elements import Element, ElementForm, parse_sides
from hdl.errors import InputError
from hdl.files import Count, Name, Percent, Size, encode_json, read_json, write_whole
from hdl.multipliers import (
    ImportedDesign,
    Multiplier,
    MultiplierSpec,
    NetlistDesign,
    named_multiplier,
)
from hdl.operands import OperandEncoding, Widths

from ..evaluation.point import LEVELS, DesignPoint
from ..evaluation.savings import Accelerator, OperandEnergy
from .budget import Budget
from .data_sizing import is_exact, recommended, with_savings_beyond_exact
from .front import ParetoFront

__all__ = ["RUN_FILE", "Exploration", "Generation", "Recalibration", "RunError"]

RUN_FILE = "run.json"
_LIMIT_BYTES = 512 << 20
_MOST_ON_FRONT = 5_000


class RunError(InputError):
    """A folder that does not hold a run."""


@dataclass(frozen=True)
class Generation:
    """One line of the convergence history: state of the search after a generation.

    Attributes:
        evaluations: different designs evaluated so far.
        hypervolume: of the front so far, 0 to 1 (:meth:`dse.search.ParetoFront.hypervolume`).
        seconds: wall-clock time since the search began.
    """

    evaluations: Count
    front_size: Count
    hypervolume: Size
    seconds: Size


@dataclass(frozen=True)
class Recalibration:
    """Designs of the front so far that were emulated during a search, for the predictor to learn
    from.

    Attributes:
        evaluations: how far the search was, in different designs evaluated.
        designs: their specs.
        images: how many images each was emulated on.
        deviation_pp: mean absolute deviation of the drops predicted until then from the emulated
            ones.
        spread_pp: root mean square of the spreads that those predictions stated.
    """

    evaluations: Count
    designs: tuple[Name, ...]
    images: Count
    deviation_pp: Size
    spread_pp: Size


@dataclass(frozen=True)
class Exploration:
    """A search and its result.

    Attributes:
        network, encodings, data: what the accuracy refers to; each design names its own encoding
            among these.
        others: further networks that the designs are for; the drops of a design are those of the
            network which loses the most, and each one's stand in :attr:`DesignPoint.networks`.
        exact_top1_pct: top-1 of the quantized network with the exact multiplier, in the most
            accurate of the encodings.
        chance_pct: top-1 of guessing.
        baseline: the exact multiplier that every ratio refers to.
        points: every evaluated design, the front's included.
        front: the Pareto front; its points carry emulated accuracies where they were verified.
        pick: the design recommended under the budget, or None if no design keeps it.
        history: one entry a generation.
        settings: the run's arguments and versions, as written to run.json.
        failures: spec -> one-line reason, for designs that could not be evaluated, and for walks
            that failed.
        imported: the user's own designs among the points, by their names.
        made: the netlists among the points that the search made.
        accelerator: pick and baseline in a systolic array; None where it was not computed, or there
            is no pick.
        level: what the costs of baseline, points, front and pick are those of, of
            :data:`dse.evaluation.LEVELS`.
        screened: at another level than `multiplier`, the designs by themselves, among which those
            in `points` were chosen; ratios are to the exact multiplier by itself.
        emulated_on: SHA-256 of the images of the emulated accuracies; empty where there are none.
        retrained: designs of the front with the accuracy of a network that was trained on for them.
        recalibrations: what the predictor learned from during the search; empty where it did not.
        operand_energies: what operands do to the energy of baseline, pick and well-known
            multipliers; empty where it was not computed.
    """

    network: Name
    encodings: tuple[Name, ...]
    data: Name
    exact_top1_pct: Percent
    chance_pct: Percent
    budget: Budget
    max_drop_pp: Size
    baseline: DesignPoint
    points: tuple[DesignPoint, ...]
    front: ParetoFront
    pick: DesignPoint | None
    history: tuple[Generation, ...]
    settings: Mapping[Name, Any]
    failures: Mapping[Name, str]
    interrupted: bool = False
    imported: tuple[ImportedDesign, ...] = ()
    made: tuple[NetlistDesign, ...] = ()
    accelerator: Accelerator | None = None
    operand_energies: tuple[OperandEnergy, ...] = ()
    recalibrations: tuple[Recalibration, ...] = ()
    others: tuple[Name, ...] = ()
    level: Name = "multiplier"
    screened: tuple[DesignPoint, ...] = ()
    emulated_on: Name = ""
    retrained: tuple[DesignPoint, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """All networks that the designs are for."""
        return (self.network, *self.others)

    @property
    def multipliers(self) -> tuple[DesignPoint, ...]:
        """Every evaluated multiplier, by itself."""
        return self.points if self.level == "multiplier" else self.screened

    @property
    def comparable(self) -> list[DesignPoint]:
        """The designs that synthesis tried as hard for as for the baseline, which is among them:
        their costs can be compared.
        """
        known = {point.name: point for point in (self.baseline, *self.points)}
        return [point for point in known.values() if point.effort == self.baseline.effort]

    @property
    def lone_exact_widths(self) -> list[Widths]:
        """Operand widths of the exact multipliers where there is one width for each number format:
        nothing tells then what fewer bits would save. Else none.
        """
        exact = {(one.encoding, one.widths) for one in self.comparable if is_exact(one)}
        formats = {encoding for encoding, _ in exact}
        return sorted({widths for _, widths in exact}) if len(exact) == len(formats) else []

    @property
    def front_multipliers(self) -> tuple[DesignPoint, ...]:
        """The multipliers of the front, each once and by itself."""
        if self.level == "multiplier":
            return self.front.points
        alone = {point.spec: point for point in self.screened}
        return tuple(alone[spec] for spec in dict.fromkeys(one.spec for one in self.front.points))

    def with_points(self, changed: Iterable[DesignPoint]) -> Exploration:
        """The same with these designs in place of those of their names."""
        found = {point.name: point for point in changed}

        def updated(points: Iterable[DesignPoint]) -> tuple[DesignPoint, ...]:
            return tuple(found.get(point.name, point) for point in points)

        return replace(
            self,
            baseline=updated([self.baseline])[0],
            points=updated(self.points),
            front=replace(self.front, points=updated(self.front.points)),
            pick=None if self.pick is None else updated([self.pick])[0],
        )

    def with_savings(self) -> Exploration:
        """The same with what designs save beyond exact multipliers, by what is known of drops
        now.
        """
        return self.with_points(with_savings_beyond_exact(self.comparable, self.budget))

    def picked(self) -> Exploration:
        """The same with the pick by what is known of drops now. It is on the front, although others
        may be predicted to dominate it.
        """
        pick = recommended(self.comparable, self.budget, self.max_drop_pp).point
        front = self.front if pick is None else self.front.with_point(pick)
        return replace(self, front=front, pick=pick)

    def with_retrained(self, rows: Iterable[DesignPoint]) -> Exploration:
        """The same with rows of :attr:`retrained`: those of designs that it has, the last one of
        each.
        """
        known = {point.name for point in self.points}
        found = {row.name: row for row in (*self.retrained, *rows) if row.name in known}
        return replace(self, retrained=tuple(found.values()))

    def multiplier(self, name: str) -> Multiplier:
        """A design of the run by its name. Raises InputError."""
        return named_multiplier(name, (*self.imported, *self.made))

    def element(self, point: DesignPoint) -> Element | None:
        """The element that a design of the run is in; None for a multiplier by itself. Raises
        InputError.
        """
        if not point.element:
            return None
        form = replace(ElementForm.parse(point.element), bits=point.sum_bits)
        return Element.make(form, self.multiplier(point.spec), OperandEncoding(point.encoding))

    def save(self, folder: Path) -> None:
        """Writes run.json, whole or not at all. Raises hdl.files.MissingFileError."""
        write_whole(folder / RUN_FILE, encode_json(self), durable=True)

    @classmethod
    def load(cls, folder: Path) -> Exploration:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: no run there, or one that cannot be read.
        """
        path = folder / RUN_FILE
        if not path.exists():
            raise RunError(
                f"no run in {str(folder)!r}: {RUN_FILE} is missing; start one with dse explore "
                f"--out {folder}"
            )
        try:
            exploration = read_json(path, cls, limit_bytes=_LIMIT_BYTES)
            exploration._check()
        except InputError as error:
            raise RunError(
                f"{error}; {str(folder)!r} holds no run that can be read, go on with dse explore "
                "--resume"
            ) from error
        return exploration

    def _check(self) -> None:
        """Whether the parts fit each other. Raises InputError."""
        if len(self.front.points) > _MOST_ON_FRONT:
            raise RunError(
                f"a front of {len(self.front.points):,} designs, more than {_MOST_ON_FRONT:,}"
            )
        if not set(self.encodings) <= set(OperandEncoding):
            raise RunError(
                f"encodings {', '.join(self.encodings)} are not all of {', '.join(OperandEncoding)}"
            )
        plain = all(
            isinstance(value, str | int | float | list | None) for value in self.settings.values()
        )
        if not plain or type(self.settings.get("recalibrate", 0)) is not int:
            raise RunError("its settings are not those of a search")
        if self.level not in LEVELS:
            raise RunError(f"its level {self.level!r} is not of {', '.join(LEVELS)}")
        placed = (
            self.baseline,
            *self.points,
            *self.front.points,
            *([] if self.pick is None else [self.pick]),
            *self.retrained,
        )
        for point in placed:
            if point.level != self.level or (point.level == "multiplier") != (not point.element):
                raise RunError(f"design {point.name!r} is not at the level of the {self.level}")
            if point.element:
                ElementForm.parse(point.element)
            if point.level == "array":
                parse_sides(point.array)
        alone = {point.spec for point in self.screened if point.level == "multiplier"}
        if self.level != "multiplier" and not alone.issuperset(one.spec for one in placed):
            raise RunError("designs of its front are not among those that were screened")
        for point in (*placed, *self.screened):
            if point.encoding not in self.encodings:
                raise RunError(
                    f"design {point.spec!r} is in the number format {point.encoding!r}, which the "
                    "run has not"
                )
            if [one.network for one in point.networks] != list(
                self.networks if self.others else ()
            ):
                raise RunError(
                    f"design {point.spec!r} has not the drops of {', '.join(self.networks)}"
                )
            if self.multiplier(point.spec).family != point.family:
                raise RunError(f"design {point.spec!r} is not of the family {point.family!r}")
        MultiplierSpec.parse(self.baseline.spec)
        for design in self.imported:
            design.check()
