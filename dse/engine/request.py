"""What a run is asked: the arguments of a search, and the file that keeps them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hdl import yosys
from hdl.cells import CellLibrary
from hdl.elements import ElementForm, parse_sides
from hdl.files import Count, FileError, Name, Size, encode_json, read_json, write_whole
from hdl.operands import OperandEncoding

from ..evaluation.point import LEVELS
from ..search.budget import Budget, BudgetError, parse_objectives
from ..search.exploration import RunError
from ..search.space import SpaceError

__all__ = ["SEARCH_FILE", "Search", "record_search", "recorded_search", "settings"]

#: Name of the file beside the point store that says what the run was asked; what came of it is in
#: `dse.search.RUN_FILE`.
SEARCH_FILE = "search.json"


@dataclass(frozen=True)
class Search:
    """What is searched for and how.

    Attributes:
        others: further networks that the designs are for; the drop that counts is that of the
            network which loses the most. Operands and energies are those of `network`.
        encodings: number formats to choose from: one, or sign_magnitude and twos_complement.
            Multipliers of one are compared by themselves, those of two with their sign logic
            (:class:`dse.evaluation.Workbench`).
        recalibrate: designs to emulate during the search, for the predictor to learn from
            (:mod:`dse.ground_truth.recalibration`).
        data: the user's images for that, as given; kept so that a run can go on.
        swap: whether the activation may also come to port b of a family's circuit.
        max_drop_pp: accuracy that the recommended design may lose, by prediction, in percentage
            points.
        objectives: of :data:`dse.search.OBJECTIVES`, all minimized.
        evaluations: different designs to evaluate.
        families: to choose from; empty for all.
        seeds: designs of the first generation, as specs or as the user's own Verilog (`mul.v:top`).
        corrected: whether the network is corrected for every multiplier
            (:mod:`cnn_eval.quantization.correction`).
        activation_bits, weight_bits: of the quantized network; 0: any that there are profiles for.
        walks: how many walks make multipliers for the network (:mod:`dse.search.synthesis`); 0:
            none.
        level: what costs, front and pick are those of, of :data:`dse.evaluation.LEVELS`: designs
            are found as multipliers, and at another level confirmed in what is around them
            (:mod:`dse.engine.confirming`).
        forms: of the elements to choose from at another level than `multiplier`; empty: those of
            :data:`dse.search.DEFAULT_FORMS`.
        array, memory_pj_per_byte: at the level of the array its rows and columns, `8x8`, and the
            energy of a byte that it reads or writes; 0: not counted.
    """

    network: Name
    encodings: tuple[OperandEncoding, ...]
    budget: Budget
    max_drop_pp: Size = 1.0
    objectives: tuple[str, ...] = ("area", "power", "accuracy")
    evaluations: Count = 480
    population: Count = 48
    seed: Count = 1
    liberty: Path | None = None
    zoo_folder: Path | None = None
    families: tuple[Name, ...] = ()
    seeds: tuple[Name, ...] = ()
    swap: bool = False
    recalibrate: Count = 0
    data: Path | None = None
    corrected: bool = True
    activation_bits: Count = 0
    weight_bits: Count = 0
    walks: Count = 0
    others: tuple[Name, ...] = ()
    level: Name = "multiplier"
    forms: tuple[Name, ...] = ()
    array: Name = ""
    memory_pj_per_byte: Size = 0.0

    @property
    def networks(self) -> tuple[str, ...]:
        """All networks that the designs are for."""
        return (self.network, *self.others)

    def __post_init__(self) -> None:
        if len(set(self.networks)) < len(self.networks):
            raise SpaceError(
                f"networks {', '.join(self.networks)}: the same one twice; name each once"
            )
        if not self.encodings or (
            len(self.encodings) > 1
            and sorted(self.encodings) != ["sign_magnitude", "twos_complement"]
        ):
            given = ",".join(self.encodings) or "none"
            raise SpaceError(
                f"encodings {given}: a search is among designs of one, or of "
                "sign_magnitude,twos_complement"
            )
        parse_objectives(",".join(self.objectives))
        if missing := [one for one in (self.budget.cost, "accuracy") if one not in self.objectives]:
            raise BudgetError(
                f"objectives {','.join(self.objectives)} without {' and '.join(missing)}: the "
                f"budget {self.budget} is kept by {self.budget.cost} and accuracy; add what is "
                "missing"
            )
        if self.level not in LEVELS:
            raise SpaceError(f"unknown level {self.level!r}; search at one of {', '.join(LEVELS)}")
        if self.level == "multiplier" and self.forms:
            raise SpaceError(
                f"element {self.forms[0]!r} in a search of bare multipliers; search at the level "
                "of the element"
            )
        if self.level != "multiplier" and self.budget.delay_target_ps is not None:
            raise SpaceError(
                f"a delay target of {self.budget.delay_target_ps:g} ps is of bare multipliers, and "
                f"this search is at the level of the {self.level}; leave one of them away"
            )
        for form in self.forms:
            ElementForm.parse(form)
        if self.level == "array":
            parse_sides(self.array)
        elif self.array or self.memory_pj_per_byte:
            raise SpaceError(
                f"array {self.array!r} in a search at the level of the {self.level}; search at the "
                "level of the array"
            )
        if not 0 < self.evaluations <= 10_000_000 or not 2 <= self.population <= 100_000:
            raise SpaceError(
                f"{self.evaluations} evaluations in populations of {self.population}: give 1 to 10 "
                "million, and 2 to 100,000"
            )


@dataclass(frozen=True)
class _Asked:
    """What SEARCH_FILE says."""

    search: Search
    versions: dict[Name, Name]


def record_search(search: Search, folder: Path) -> None:
    """Writes what a run is asked. Raises hdl.files.MissingFileError."""
    write_whole(folder / SEARCH_FILE, encode_json(_Asked(search, _versions(search))), durable=True)


def recorded_search(folder: Path) -> Search:
    """What the run in a folder was asked.

    Raises:
        dse.search.RunError: no run there, or one that cannot be read.
    """
    path = folder / SEARCH_FILE
    if not path.exists():
        raise RunError(
            f"no run in {str(folder)!r}: {SEARCH_FILE} is missing; start one with dse explore "
            f"--out {folder}"
        )
    try:
        return read_json(path, _Asked, limit_bytes=1 << 20).search
    except FileError as error:
        raise RunError(
            f"{error}; the run in {str(folder)!r} cannot go on, start a new one"
        ) from error


def settings(search: Search) -> dict[str, Any]:
    """The search's arguments and the versions it runs on, as plain values for run.json."""
    arguments = asdict(search) | {
        "encodings": [str(encoding) for encoding in search.encodings],
        "budget": search.budget.words,
        **{
            name: None if (path := getattr(search, name)) is None else str(path)
            for name in ("liberty", "zoo_folder", "data")
        },
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
    } | _versions(search)


def _versions(search: Search) -> dict[str, str]:
    versions = {name: version(name) for name in ("amaranth", "numpy", "pymoo")}
    return {
        "cell_library": CellLibrary.load(search.liberty).name,
        "yosys": yosys.version(),
        **versions,
    }
