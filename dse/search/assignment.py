"""A design for every layer: the table of layers, and the multipliers it names, as one value and one
file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hdl.errors import InputError
from hdl.files import Count, Figure, Name, Percent, Size, encode_json, read_json, write_whole
from hdl.multipliers import ImportedDesign, Multiplier, NetlistDesign, named_multiplier
from hdl.operands import OperandEncoding
from hdl.tables import ProductTable

__all__ = ["ASSIGNMENT_FILE", "Assignment", "AssignmentError", "Kind", "LayerDesign"]

ASSIGNMENT_FILE = "assignment.json"
_FORMAT = "ameliorate assignment 1"
_MADE = f"{NetlistDesign.family}:"
_LIMIT_BYTES = 16 << 20
_MOST_LAYERS = 10_000
_MOST_KINDS = 1000


class AssignmentError(InputError):
    """A file that is no assignment, or one that does not fit the network."""


@dataclass(frozen=True)
class Kind:
    """A multiplier of an assignment: its name, bits of its operands, and cost; units as in
    :class:`dse.evaluation.DesignPoint`.
    """

    design: Name
    width_a: Count
    width_b: Count
    area_um2: Size
    delay_ps: Size


@dataclass(frozen=True)
class LayerDesign:
    """A row of the table of layers.

    Attributes:
        layer: its name in the network.
        design: name of the kind that multiplies there.
        macs: multiplications of one image.
        energy_fj: of one of them, under the layer's own operands.
        loss_pp: what the layer adds to the predicted drop, in percentage points.
    """

    layer: Name
    design: Name
    macs: Count
    energy_fj: Size
    loss_pp: Size


@dataclass(frozen=True)
class Assignment:
    """A multiplier for each layer of a network.

    Attributes:
        format: which schema the file has.
        network, encoding, data: what it is for, and what the accuracy refers to.
        corrected: whether drops are of the network under correction
            (:mod:`cnn_eval.quantization.correction`).
        layers: the table, in the network's order.
        kinds: the different multipliers.
        made, imported: those among them that are no specs, as in
            :class:`dse.search.Exploration`.
        gap: how far the cost may be above the least at this predicted drop, relative to it.
        emulated_top1_pct, emulated_drop_pp, emulated_images: measured accuracy, its drop from the
            exact network on the same images, and how many; None where it was not emulated.
    """

    network: Name
    encoding: OperandEncoding
    data: Name
    corrected: bool
    layers: tuple[LayerDesign, ...]
    kinds: tuple[Kind, ...]
    made: tuple[NetlistDesign, ...]
    imported: tuple[ImportedDesign, ...]
    gap: Size
    emulated_top1_pct: Percent | None = None
    emulated_drop_pp: Figure | None = None
    emulated_images: Count | None = None
    format: Name = _FORMAT

    @property
    def predicted_drop_pp(self) -> float:
        """What the layers lose together, in percentage points."""
        return sum(row.loss_pp for row in self.layers)

    @property
    def energy_nj(self) -> float:
        """Of all multiplications of one image."""
        return 1e-6 * sum(row.macs * row.energy_fj for row in self.layers)

    @property
    def latency_us(self) -> float:
        """Of all multiplications of one image, one after the other, each as fast as its multiplier
        settles.
        """
        delays_ps = {kind.design: kind.delay_ps for kind in self.kinds}
        return 1e-6 * sum(row.macs * delays_ps[row.design] for row in self.layers)

    @property
    def area_um2(self) -> float:
        """Of one multiplier of each kind."""
        return sum(kind.area_um2 for kind in self.kinds)

    @cached_property
    def multipliers(self) -> Mapping[str, Multiplier]:
        """The kinds by their names."""
        known: tuple[Multiplier, ...] = (*self.made, *self.imported)
        return {kind.design: named_multiplier(kind.design, known) for kind in self.kinds}

    def tables(self, network_layers: Iterable[str]) -> dict[str, ProductTable]:
        """Layer -> product table, of all layers of a network.

        Raises:
            AssignmentError: the network has other layers.
        """
        named, there = {row.layer for row in self.layers}, list(network_layers)
        if unknown := sorted(named - set(there)):
            raise AssignmentError(
                f"the assignment names the layer {unknown[0]!r}, which {self.network!r} has not; "
                f"its layers are {', '.join(there)}"
            )
        if missing := [name for name in there if name not in named]:
            raise AssignmentError(
                f"the assignment has no design for the layer {missing[0]!r} of {self.network!r}; "
                "assign anew with dse assign"
            )
        of_kind = {name: one.table() for name, one in self.multipliers.items()}
        return {row.layer: of_kind[row.design] for row in self.layers}

    def save(self, path: Path) -> None:
        """Writes JSON, whole or not at all. Raises hdl.files.MissingFileError."""
        write_whole(path, encode_json(self))

    @classmethod
    def load(cls, path: Path | str) -> Assignment:
        """Reads what :meth:`save` wrote.

        Raises:
            AssignmentError: no file there, or no assignment, or parts that do not fit each other.
        """
        try:
            assignment = read_json(path, cls, limit_bytes=_LIMIT_BYTES)
            assignment._check()
        except InputError as error:
            source = "" if repr(str(path)) in str(error) else f"{str(path)!r}: "
            raise AssignmentError(f"{source}{error}; make one with dse assign") from error
        return assignment

    def _check(self) -> None:
        """Whether the parts fit each other. Raises InputError."""
        if self.format != _FORMAT:
            raise AssignmentError("not an assignment of this version of ameliorate")
        if not (0 < len(self.layers) <= _MOST_LAYERS and 0 < len(self.kinds) <= _MOST_KINDS):
            raise AssignmentError(
                f"{len(self.layers):,} layers and {len(self.kinds):,} kinds; there are 1 to "
                f"{_MOST_LAYERS:,} layers and to {_MOST_KINDS:,} kinds"
            )
        kinds = {kind.design for kind in self.kinds}
        if len(kinds) < len(self.kinds) or len({row.layer for row in self.layers}) < len(
            self.layers
        ):
            raise AssignmentError("a layer or a kind stands there twice")
        if missing := [row for row in self.layers if row.design not in kinds]:
            raise AssignmentError(
                f"layer {missing[0].layer!r} has the design {missing[0].design!r}, which is none "
                "of its kinds"
            )
        known = {one.name for one in self.made} | {one.name for one in self.imported}
        if lost := [name for name in kinds if name.startswith(_MADE) and _wide(name) not in known]:
            raise AssignmentError(f"the netlist of its kind {lost[0]!r} is not in the file")
        for design in self.imported:
            design.check()
        for kind, one in zip(self.kinds, self.multipliers.values(), strict=True):
            if tuple(one.widths) != (kind.width_a, kind.width_b):
                raise AssignmentError(
                    f"kind {kind.design!r} multiplies operands of {one.widths} bits, not of "
                    f"{kind.width_a}x{kind.width_b}"
                )
            self.encoding.check(signed=one.signed, name=kind.design)


def _wide(name: str) -> str:
    """The design's name without the narrower operand widths that it may be for (`@4x3`)."""
    return name.partition("@")[0]
