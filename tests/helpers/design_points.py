"""Plain design points and an assignment, for tests of the search."""

from __future__ import annotations

from typing import Any

from dse.evaluation import DesignPoint
from dse.search.assignment import Assignment, Kind, LayerDesign
from hdl.multipliers import NetlistDesign
from hdl.operands import OperandEncoding

OBJECTIVES = ("area", "power", "accuracy")


def make_point(
    spec: str,
    area: float,
    power: float = 1.0,
    drop: float = 0.0,
    delay: float = 1.0,
    **changes: Any,
) -> DesignPoint:
    values: dict[str, Any] = {
        "spec": spec,
        "family": spec.partition(":")[0],
        "encoding": "twos_complement" if "signed=1" in spec else "sign_magnitude",
        "width_a": 8,
        "width_b": 7,
        "area_um2": 2500 * area,
        "delay_ps": 2000 * delay,
        "energy_fj": 300 * power,
        "leakage_nw": 10.0,
        "effort": "best",
        "area_ratio": area,
        "delay_ratio": delay,
        "power_ratio": power,
        "er_pct": 50.0,
        "me": 0.0,
        "med": 10.0,
        "nmed_pct": 0.1,
        "mred_pct": 1.0,
        "wce": 100,
        "ame": 0.5,
        "predicted_top1_pct": 85 - drop,
        "predicted_drop_pp": drop,
        "spread_pp": 1.0,
    }
    return DesignPoint(**values | changes)


MADE = NetlistDesign(2, 2, False, "&0,2 &0,3 &1,2 &1,3 ^5,6 > 4 8 7 L")
LAYERS = ("first", "second", "third")


def make_assignment() -> Assignment:
    """Two kinds, one of them made by a search, for three layers of no real network."""
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
