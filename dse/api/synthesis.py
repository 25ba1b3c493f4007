"""Multipliers made for a network, outside of a search."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from .accuracy import parse_networks, profiled_name
from .formats import parse_encoding
from .reading import Multiplier

if TYPE_CHECKING:
    from hdl.multipliers import MultiplierSpec, NetlistDesign
    from hdl.operands import OperandEncoding

    from ..evaluation.workbench import Workbench
    from ..search.synthesis.rounds import WalkRequest

__all__ = ["MadeMultiplier", "synthesize"]

DESIGNS_FILE = "designs.csv"


@dataclass(frozen=True)
class MadeMultiplier:
    """A multiplier that was made for a network, and what is expected of it.

    Attributes:
        name: `net:` and a digest of the circuit, or a spec of the family `terms`.
        predicted_drop_pp: accuracy lost against exact products, in percentage points.
        area_um2, energy_fj: of its mapping with little effort, under the network's operands.
    """

    name: str
    width_a: int
    width_b: int
    predicted_drop_pp: float
    area_um2: float
    energy_fj: float
    design: NetlistDesign | MultiplierSpec

    @cached_property
    def multiplier(self) -> Multiplier:
        """The multiplier, for its table, cost and Verilog."""
        return Multiplier(self.design)


def synthesize(
    network: str,
    *,
    start: Sequence[str] = (),
    max_drop: float = 1.0,
    encoding: str = "sign_magnitude",
    corrected: bool | None = None,
    walks: int = 8,
    seed: int = 1,
    liberty: Path | str | None = None,
    delay_target_ps: float | None = None,
    zoo: Path | str | None = None,
    out: Path | str | None = None,
    workers: int = 0,
    cluster: str = "",
    on_progress: Callable[[int, int, str], None] = lambda done, total, state: None,
) -> list[MadeMultiplier]:
    """Makes multipliers for a network by walks (:mod:`dse.search.synthesis`), and gives those that
    no other one of them beats in predicted loss, area and energy, by ascending loss.
    Starts take turns, and so do walks over gates and walks over terms, where a start has terms.

    Args:
        network: of the zoo, or your own with a profile in `zoo`; several, comma-separated, of which
            the one that loses the most counts.
        start: multipliers that walks start from; none: exact ones of all operand widths that there
            are profiles for.
        max_drop: accuracy that a design may lose, in percentage points, by prediction.
        encoding: number format.
        corrected: scale and bias of layers are estimated anew for every multiplier; None: where the
            zoo has the network so.
        walks: how many.
        seed: the same seed makes the same designs.
        out: folder for `designs.csv`, and a folder in it with Verilog, tests and constraints for
            each design.
        workers: processes; 0: one a core.
        cluster: address of a scheduler of dask.distributed, whose workers do the walks instead.

    Raises:
        InputError: one of the arguments cannot be used.
    """
    from cnn_eval.zoo import is_corrected, load_predictor
    from hdl.files import check_writable
    from hdl.multipliers import as_made, as_terms, parse_multiplier, tied_off_hint

    from ..evaluation.opening import open_executor
    from ..evaluation.workbench import Workbench
    from ..evaluation.workers import Failure
    from ..search.synthesis.rounds import MadeDesigns, done_walks, worth_evaluating

    number_format = parse_encoding(encoding)
    folder = None if zoo is None else Path(zoo)
    networks = tuple(profiled_name(name, folder) for name in parse_networks(network))
    if out is not None:
        check_writable(out, "--out")
    if corrected is None:
        corrected = all(is_corrected(name, number_format, folder=folder) for name in networks)
    predictors = {
        name: {
            str(number_format): load_predictor(
                name, number_format, corrected=corrected, folder=folder
            )
        }
        for name in networks
    }
    bench = Workbench(
        networks,
        (number_format,),
        None if liberty is None else Path(liberty),
        folder,
        corrected,
        delay_target_ps=delay_target_ps,
    )
    designs = [parse_multiplier(text, signed=number_format.signed) for text in start]
    widths = bench.widths(number_format)
    for design in designs:
        number_format.check(signed=design.signed, name=design.name)
        design.rtlil()  # which a table does not have
        if design.widths not in widths:
            known = ", ".join(f"{one.a}x{one.b}" for one in widths)
            raise InputError(
                f"start {design.name!r} multiplies {design.width_a}x{design.width_b} bits; "
                f"{network!r} is profiled for {known}: give one of these"
                f"{tied_off_hint(design, widths)}"
            )
    names = [design.name for design in designs] or _exact_names(bench, number_format, max_drop)
    bench = bench.with_designs(map(as_made, designs))
    lists = {name for name in names if as_terms(bench.multiplier(name)) is not None}
    texts = [
        _request(names, lists, index, max_drop_pp=max_drop, seed=seed).text
        for index in range(walks)
    ]
    found = {}
    with open_executor(workers, cluster) as executor:
        for text, result in done_walks(texts, bench, predictors, executor=executor):
            if isinstance(result, Failure):
                raise InputError(f"{result.reason}; start from another multiplier with --start")
            walked = MadeDesigns.from_dict(result)
            assert walked is not None
            found[text] = walked
            designs_so_far = sum(len(one.designs) for one in found.values())
            on_progress(len(found), len(texts), f"{designs_so_far}")
    ordered = [found[text] for text in texts]
    kept = {design.name for design in worth_evaluating(ordered, (), 1 << 20)}
    made = {
        design.name: MadeMultiplier(
            design.name, design.width_a, design.width_b, drop, area, energy, design
        )
        for one in ordered
        for design, drop, area, energy in zip(
            one.designs, one.drops_pp, one.area_um2, one.energy_fj, strict=True
        )
        if design.name in kept
    }
    multipliers = sorted(
        made.values(), key=lambda one: (one.predicted_drop_pp, one.area_um2, one.name)
    )
    if out is not None:
        _write(multipliers, Path(out))
    return multipliers


def _request(
    names: Sequence[str], lists: Container[str], index: int, *, max_drop_pp: float, seed: int
) -> WalkRequest:
    """Walk `index`: a start's second turn is over terms if its first one was over gates.

    Args:
        lists: the names among `names` that are lists of terms.
    """
    from ..search.synthesis.rounds import WalkRequest

    turn, place = divmod(index, len(names))
    over_terms = (turn + place) % 2 == 1 and names[place] in lists
    return WalkRequest(names[place], 1000 * seed + index, max_drop_pp, True, over_terms)


def _exact_names(bench: Workbench, encoding: OperandEncoding, max_drop_pp: float) -> list[str]:
    """Exact multipliers that lose less than `max_drop_pp`, those of few bits first."""
    from hdl.multipliers import MultiplierSpec

    widths = sorted(bench.widths(encoding), key=lambda one: (one.a * one.b, one))
    best = bench.profile(encoding, widths[-1]).exact_top1_pct
    kept = [
        one for one in widths if best - bench.profile(encoding, one).exact_top1_pct < max_drop_pp
    ]
    specs = (
        MultiplierSpec.make("exact", width=one, signed=encoding.signed, tree="array")
        for one in kept or widths[-1:]
    )
    return [str(spec) for spec in specs]


def _write(made: Sequence[MadeMultiplier], folder: Path) -> None:
    """The designs' figures as `designs.csv`, and their Verilog, test benches and constraints."""
    from hdl.export import export
    from hdl.files import write_whole

    folder.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(MadeMultiplier) if field.name != "design"]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*names, "verilog"])
    for one in made:
        verilog = export(one.design, folder)[0]
        path = verilog.relative_to(folder)
        rows.writerow([*(getattr(one, name) for name in names), path])
    write_whole(folder / DESIGNS_FILE, text.getvalue().encode())
