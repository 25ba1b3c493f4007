"""An assignment of two kinds, one of them made by a search, to three layers of no real network."""

from __future__ import annotations

from dse.search.assignment import Assignment, Kind, LayerDesign
from hdl.multipliers import NetlistDesign
from hdl.operands import OperandEncoding

MADE = NetlistDesign(2, 2, False, "&0,2 &0,3 &1,2 &1,3 ^5,6 > 4 8 7 L")
LAYERS = ("first", "second", "third")


def make_assignment() -> Assignment:
    return Assignment(
        network="net",
        encoding=OperandEncoding.SIGN_MAGNITUDE,
        data="data",
        corrected=True,
        layers=(
            LayerDesign("first", "exact:width=5x3", 1000, 60.0, 0.0),
            LayerDesign("second", MADE.name, 2000, 5.0, 0.25),
            LayerDesign("third", "exact:width=5x3", 500, 40.0, 0.5),
        ),
        kinds=(Kind("exact:width=5x3", 5, 3, 400.0, 700.0), Kind(MADE.name, 2, 2, 40.0, 100.0)),
        made=(MADE,),
        imported=(),
        gap=0.0,
    )
