"""What `dse export` exports: a multiplier, the designs that a run found, or those of an
assignment.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hdl.files import encode_json, write_whole

from .reading import Multiplier, is_assignment, multiplier
from .runs import load_run

__all__ = ["export_layers", "exported_designs"]


def exported_designs(text: str, *, signed: bool = False) -> list[tuple[Multiplier, str]]:
    """The multiplier of a text, or, where that is the folder of a run, all multipliers on its
    front, or where it is the file of an assignment, its kinds; each with the number format of its
    operands, "" where only its signedness says that.

    `signed` and errors as in :func:`dse.multiplier`. Raises dse.search.RunError for a folder that
    holds no run, dse.search.AssignmentError for a file that holds no assignment.
    """
    from hdl.multipliers import SpecError

    from ..search import Assignment

    if is_assignment(text):
        assignment = Assignment.load(Path(text))
        kinds = assignment.multipliers.values()
        return [(Multiplier(one), str(assignment.encoding)) for one in kinds]
    # A folder may be called as a family is: the one that the family was exported to.
    if Path(text).is_dir() and not _is_family(text):
        exploration = load_run(text).exploration
        return [
            (Multiplier(exploration.multiplier(point.spec)), point.encoding)
            for point in exploration.front_multipliers
        ]
    try:
        return [(multiplier(text, signed=signed), "")]
    except SpecError as error:
        if ":" in text or _is_family(text):
            raise
        raise SpecError(f"{error}; nor is there a folder of a run that is called so") from None


def export_layers(text: str, folder: Path) -> list[Path]:
    """Writes the table of layers of an assignment, as layers.json and layers.csv: which layer is
    multiplied by which module. Returns their paths.

    Raises dse.search.AssignmentError, hdl.files.MissingFileError.
    """
    from ..search import Assignment

    assignment = Assignment.load(Path(text))
    kinds = {kind.design: kind for kind in assignment.kinds}
    rows = [
        {
            "layer": row.layer,
            "module": assignment.multipliers[row.design].identifier,
            "design": row.design,
            "width_a": kinds[row.design].width_a,
            "width_b": kinds[row.design].width_b,
            "macs": row.macs,
        }
        for row in assignment.layers
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    paths = [folder / "layers.json", folder / "layers.csv"]
    about = {"network": assignment.network, "encoding": str(assignment.encoding), "layers": rows}
    write_whole(paths[0], encode_json(about))
    write_whole(paths[1], table.getvalue())
    return paths


def _is_family(text: str) -> bool:
    from hdl.multipliers import FAMILIES

    return text in FAMILIES
