"""What a search leaves in a folder: read again, drawn again, compared."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from ..evaluation.point import DesignPoint
from .emulation_plan import EmulationPlan
from .progress import OnProgress, Stage, silent
from .reading import Multiplier

if TYPE_CHECKING:
    from ..ground_truth.emulator import Emulator
    from ..search.exploration import Exploration

__all__ = ["STORE_FILE", "FoundDesign", "Run", "compare", "deliver", "load_run", "redraw"]

STORE_FILE = "points.sqlite"


@dataclass(frozen=True, kw_only=True)
class FoundDesign(DesignPoint):
    """A design that a search evaluated: its figures, and the multiplier itself; `exploration` is
    the search.
    """

    exploration: Exploration

    @cached_property
    def multiplier(self) -> Multiplier:
        """The multiplier, for its table, cost and Verilog."""
        return Multiplier(self.exploration.multiplier(self.spec))


@dataclass(frozen=True)
class Run:
    """A search, finished or interrupted, and the folder that holds it.

    Attributes:
        exploration: everything the search found out.
        report: the page report.html.
        notes: what there is to say about how it was made.
    """

    folder: Path
    exploration: Exploration
    report: Path
    notes: tuple[str, ...] = ()

    @property
    def front(self) -> list[FoundDesign]:
        """The Pareto front."""
        return [self._found(point) for point in self.exploration.front.points]

    @property
    def points(self) -> list[FoundDesign]:
        """Every design that was evaluated."""
        return [self._found(point) for point in self.exploration.points]

    @property
    def pick(self) -> FoundDesign | None:
        """The recommended design; None where none keeps the budget and the accuracy."""
        return None if self.exploration.pick is None else self._found(self.exploration.pick)

    def emulator(
        self,
        data: Path | str,
        *,
        images: int = 2000,
        skip: int | None = None,
        network: str = "",
        weights: Path | str | None = None,
        labels: Path | str | None = None,
    ) -> Emulator:
        """What measures accuracies as the run verifies its front: on images that neither made its
        predictors nor correct. What it measures is kept in the run's store.

        Arguments are those of :func:`resume`. Raises InputError as it does.
        """
        from ..engine import recorded_search
        from ..ground_truth.emulator import Emulator

        search = recorded_search(self.folder)
        emulation = EmulationPlan.prepared(
            search,
            network or search.network,
            None if weights is None else Path(weights),
            Path(data),
            1,
            images,
            skip,
            labels=None if labels is None else Path(labels),
            run=self.folder,
        )
        assert emulation.trained is not None
        assert emulation.roles is not None
        return Emulator(
            emulation.trained,
            emulation.roles,
            emulation.sample(emulation.roles),
            self.folder / STORE_FILE,
            corrected=search.corrected,
            zoo_folder=search.zoo_folder,
        )

    def _found(self, point: DesignPoint) -> FoundDesign:
        return FoundDesign(
            **{field.name: getattr(point, field.name) for field in fields(DesignPoint)},
            exploration=self.exploration,
        )


def load_run(folder: Path | str) -> Run:
    """The run that a folder holds.

    Raises:
        dse.search.RunError: there is none, or one that cannot be read.
    """
    from ..search.exploration import Exploration

    return Run(Path(folder), Exploration.load(Path(folder)), Path(folder) / "report.html")


def redraw(folder: Path | str, *, on_progress: OnProgress = silent) -> Run:
    """Writes Verilog, table, plots and report of a finished run again. Raises as
    :func:`load_run`.
    """
    run = load_run(folder)
    return replace(run, report=deliver(run.exploration, run.folder, on_progress))


def compare(
    folder: Path | str, other: Path | str, *, on_progress: OnProgress = silent
) -> tuple[Run, Run]:
    """Writes a page on which the run in `other` is laid over the one in `folder`, into the latter,
    and draws that one again. Nothing is written into `other`. Raises as :func:`load_run`.
    """
    run, second = load_run(folder), load_run(other)
    if run.exploration.level != second.exploration.level:
        raise InputError(
            f"{str(folder)!r} is at the level of the {run.exploration.level}, {str(other)!r} of "
            f"the {second.exploration.level}: their costs are of other things; compare runs of one "
            "level"
        )
    page = deliver(run.exploration, run.folder, on_progress, beside=second)
    return replace(run, report=page), second


def deliver(
    exploration: Exploration, folder: Path, on_progress: OnProgress, *, beside: Run | None = None
) -> Path:
    """Writes Verilog, table, plots and report of a run, another one laid over it if there is one;
    returns the report's path.
    """
    from hdl.elements import parse_sides
    from hdl.export import export, export_array, export_element
    from reports.page import ShownRun, write_report

    files: dict[str, str] = {}
    points, target = exploration.front.points, folder / "verilog"
    if target.is_symlink():
        raise InputError(
            f"{str(target)!r} leads to somewhere else; remove the link, Verilog is written into "
            "the run's own folder"
        )
    for index, point in enumerate(points):
        element = exploration.element(point)
        if element is None:
            written = export(exploration.multiplier(point.spec), target)
        elif point.array:
            written = export_array(element, *parse_sides(point.array), target)
        else:
            written = export_element(element, target)
        files[point.name] = str(written[0].relative_to(folder))
        on_progress(Stage("verilog", index + 1, len(points), ""))
    shown = None
    if beside is not None:
        name = os.path.relpath(beside.folder, folder.parent)
        shown = ShownRun(name, beside.exploration, _exported(beside, folder))
    return write_report(exploration, folder, verilog=files, beside=shown)


def _exported(run: Run, page_folder: Path) -> dict[str, str]:
    """Name of a design -> path, from the folder of a page, of the Verilog that is there of a run's
    front; what is a link may lead to any file of the reader's and is left out.
    """
    from hdl.elements import parse_sides
    from hdl.export import array_identifier

    files: dict[str, str] = {}
    if (run.folder / "verilog").is_symlink():
        return files
    for point in run.exploration.front.points:
        element = run.exploration.element(point)
        if element is None:
            name = run.exploration.multiplier(point.spec).identifier
        elif point.array:
            name = array_identifier(element, *parse_sides(point.array))
        else:
            name = element.identifier
        path = run.folder / "verilog" / name / f"{name}.v"
        if path.is_file() and not (path.is_symlink() or path.parent.is_symlink()):
            files[point.name] = os.path.relpath(path, page_folder)
    return files
