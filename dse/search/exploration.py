"""What a search leaves behind: the values that the report is drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdl.errors import InputError
from hdl.multipliers import ImportedDesign

from ..evaluation.point import DesignPoint
from ..evaluation.savings import Accelerator, OperandEnergy
from .budget import Budget
from .front import ParetoFront

__all__ = ["RUN_FILE", "Exploration", "Generation", "Recalibration", "RunError"]

RUN_FILE = "run.json"


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

    evaluations: int
    front_size: int
    hypervolume: float
    seconds: float


@dataclass(frozen=True)
class Recalibration:
    """Designs of the front so far that were emulated during a search, for the predictor to learn from.

    Attributes:
        evaluations: how far the search was, in different designs evaluated.
        designs: their specs.
        images: how many images each was emulated on.
        deviation_pp: mean absolute deviation of the drops predicted until then from the emulated ones.
        spread_pp: root mean square of the spreads that those predictions stated.
    """

    evaluations: int
    designs: tuple[str, ...]
    images: int
    deviation_pp: float
    spread_pp: float


@dataclass(frozen=True)
class Exploration:
    """A search and its result.

    Attributes:
        network, encodings, data: what the accuracy refers to; each design names its own encoding among these.
        exact_top1_pct: top-1 of the quantized network with the exact multiplier, in the most accurate of the encodings.
        chance_pct: top-1 of guessing.
        baseline: the exact multiplier that every ratio refers to.
        points: every evaluated design, the front's included.
        front: the Pareto front; its points carry emulated accuracies where they were verified.
        pick: the design recommended under the budget, or None if no design keeps it.
        history: one entry a generation.
        settings: the run's arguments and versions, as written to run.json.
        failures: spec -> one-line reason, for designs that could not be evaluated.
        imported: the user's own designs among the points, by their names.
        accelerator: pick and baseline in a systolic array; None where it was not computed, or there is no pick.
        recalibrations: what the predictor learned from during the search; empty where it did not.
        operand_energies: what operands do to the energy of baseline, pick and well-known multipliers; empty where it was not computed.
    """

    network: str
    encodings: tuple[str, ...]
    data: str
    exact_top1_pct: float
    chance_pct: float
    budget: Budget
    max_drop_pp: float
    baseline: DesignPoint
    points: tuple[DesignPoint, ...]
    front: ParetoFront
    pick: DesignPoint | None
    history: tuple[Generation, ...]
    settings: Mapping[str, Any]
    failures: Mapping[str, str]
    interrupted: bool = False
    imported: tuple[ImportedDesign, ...] = ()
    accelerator: Accelerator | None = None
    operand_energies: tuple[OperandEnergy, ...] = ()
    recalibrations: tuple[Recalibration, ...] = ()

    def save(self, folder: Path) -> None:
        """Writes run.json, whole or not at all."""
        content = {
            **{name: getattr(self, name) for name in _PLAIN},
            "encodings": self.encodings,
            "budget": str(self.budget),
            "settings": dict(self.settings),
            "failures": dict(self.failures),
            "baseline": self.baseline.to_dict(),
            "pick": None if self.pick is None else self.pick.to_dict(),
            "objectives": self.front.objectives,
            "reference": self.front.reference,
            "history": [asdict(generation) for generation in self.history],
            "front": [point.to_dict() for point in self.front.points],
            "points": [point.to_dict() for point in self.points],
            "imported": [asdict(design) for design in self.imported],
            "accelerator": None if self.accelerator is None else self.accelerator.to_dict(),
            "operand_energies": [asdict(energy) for energy in self.operand_energies],
            "recalibrations": [asdict(one) for one in self.recalibrations],
        }
        temporary = folder / f"{RUN_FILE}.new"
        temporary.write_text(json.dumps(content, indent=1))
        temporary.replace(folder / RUN_FILE)

    @classmethod
    def load(cls, folder: Path) -> Exploration:
        """Reads what :meth:`save` wrote.

        Raises:
            RunError: no run there, or one that cannot be read.
        """
        content = read_run(folder)
        try:
            return cls(
                **{name: content[name] for name in _PLAIN},
                encodings=tuple(content["encodings"]),
                budget=Budget.parse(content["budget"]),
                settings=content["settings"],
                failures=content["failures"],
                baseline=DesignPoint.from_dict(content["baseline"]),
                pick=None if content["pick"] is None else DesignPoint.from_dict(content["pick"]),
                front=ParetoFront(
                    tuple(DesignPoint.from_dict(point) for point in content["front"]),
                    tuple(content["objectives"]),
                    tuple(content["reference"]),
                ),
                history=tuple(Generation(**generation) for generation in content["history"]),
                recalibrations=tuple(Recalibration(**{**one, "designs": tuple(one["designs"])}) for one in content["recalibrations"]),
                points=tuple(DesignPoint.from_dict(point) for point in content["points"]),
                imported=tuple(ImportedDesign(**design) for design in content["imported"]),
                accelerator=None if content.get("accelerator") is None else Accelerator.from_dict(content["accelerator"]),
                operand_energies=tuple(OperandEnergy.from_dict(energy) for energy in content.get("operand_energies", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{str(folder / RUN_FILE)!r} holds no finished search ({error}); go on with dse explore --resume") from error


_PLAIN = ("network", "data", "exact_top1_pct", "chance_pct", "max_drop_pp", "interrupted")


def read_run(folder: Path) -> dict[str, Any]:
    """Content of a folder's run.json; holds at least the settings from the moment a search begins.

    Raises:
        RunError: no run there.
    """
    try:
        content: dict[str, Any] = json.loads((folder / RUN_FILE).read_text())
        if not isinstance(content["settings"], dict):
            raise TypeError("settings are missing")
    except FileNotFoundError:
        raise RunError(f"no run in {str(folder)!r}: {RUN_FILE} is missing; start one with dse explore --out {folder}") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{str(folder / RUN_FILE)!r} cannot be read as a run ({error}); choose another folder") from error
    return content
