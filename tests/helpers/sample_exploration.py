"""Explorations that look like real ones, for the tests of the reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import design_points
import numpy as np

from dse.evaluation.point import DesignPoint
from dse.evaluation.savings import (
    BASELINE,
    EXACT_TREE,
    MITCHELL,
    PICK,
    Accelerator,
    Level,
    OperandEnergy,
)
from dse.search.budget import Budget
from dse.search.data_sizing import recommended
from dse.search.exploration import Exploration, Generation
from dse.search.front import ParetoFront
from hdl.elements import LayerReport

OBJECTIVES = ("area", "power", "accuracy")
EXACT_TOP1_PCT, CHANCE_PCT = 84.36, 10.0
AREA_UM2, DELAY_PS, ENERGY_FJ = 2318.4, 2104.0, 412.6

#: Family -> a spec for a severity from 0 (nearly exact) to 1, how much area the family saves at
#: most, and how much it errs at most.
FAMILIES: dict[str, tuple[Callable[[float, np.random.Generator], str], float, float]] = {
    "bam": (
        lambda s, rng: f"bam:h={rng.integers(0, 3)},v={round(11 * s)},comp={rng.integers(0, 99)}",
        0.80,
        60.0,
    ),
    "tm": (lambda s, rng: f"tm:k={round(6 * s)}", 0.85, 90.0),
    "drum": (lambda s, rng: f"drum:k={8 - round(5 * s)}", 0.55, 9.0),
    "mitchell": (lambda s, rng: "mitchell", 0.45, 8.0),
    "udm": (lambda s, rng: f"udm:blocks={round(16 * s)}", 0.25, 30.0),
    "compressor": (
        lambda s, rng: f"compressor:kind=momeni{rng.integers(1, 3)},cols={round(16 * s)}",
        0.40,
        75.0,
    ),
    "mask": (
        lambda s, rng: f"mask:bits=0x{rng.integers(1 << 62):016x},comp={rng.integers(0, 300)}",
        0.82,
        50.0,
    ),
    "perforate": (lambda s, rng: f"perforate:j={rng.integers(0, 3)},k={round(5 * s)}", 0.70, 70.0),
    "roba": (lambda s, rng: "roba", 0.20, 6.0),
    "ssm": (lambda s, rng: f"ssm:m={8 - round(4 * s)}", 0.60, 25.0),
}


def make_point(
    spec: str,
    area: float,
    power: float = 1.0,
    drop: float = 0.0,
    delay: float = 1.0,
    **changes: Any,
) -> DesignPoint:
    """A point with the given ratios and drop, and figures that go with them."""
    figures: dict[str, Any] = {
        "area_um2": AREA_UM2 * area,
        "delay_ps": DELAY_PS * delay,
        "energy_fj": ENERGY_FJ * power,
        "leakage_nw": 31.5 * area,
        "er_pct": min(99.9, 40 + 3 * drop),
        "me": -3.2 * drop,
        "med": 12.5 * abs(drop),
        "nmed_pct": 0.02 * abs(drop),
        "mred_pct": 0.3 * abs(drop),
        "wce": int(90 * abs(drop)),
        "ame": 0.013 * drop,
        "predicted_top1_pct": EXACT_TOP1_PCT - drop,
        "spread_pp": 0.4 + 0.06 * abs(drop),
    }
    return design_points.make_point(spec, area, power, drop, delay, **figures | changes)


def make_exploration(
    points: tuple[DesignPoint, ...],
    *,
    objectives: tuple[str, ...] = OBJECTIVES,
    budget: str = "area",
    max_drop_pp: float = 1.0,
    **changes: Any,
) -> Exploration:
    """A finished search over `points`, with its front and pick."""
    front = ParetoFront.of(points, objectives, worst_drop_pp=EXACT_TOP1_PCT - CHANCE_PCT)
    counts = np.unique(np.linspace(0, len(points), 12).astype(int))[1:]
    history = tuple(
        Generation(
            int(n),
            max(1, round(len(front.points) * (n / len(points)) ** 0.5)),
            0.72 - 3 / (n + 8),
            0.4 * n,
        )
        for n in counts
    )
    settings = {
        "network": "resnet20",
        "encodings": ["sign_magnitude"],
        "budget": budget,
        "max_drop_pp": max_drop_pp,
        "objectives": list(objectives),
        "evaluations": 300,
        "population": 48,
        "seed": 1,
        "liberty": None,
        "zoo_folder": None,
        "families": [],
        "cell_library": "sg13g2_compact",
        "yosys": "Yosys 0.64 (git sha1 123456789)",
        "amaranth": "0.5.10",
        "numpy": "2.4.1",
        "pymoo": "0.6.2",
    }
    values: dict[str, Any] = {
        "network": "resnet20",
        "encodings": ("sign_magnitude",),
        "data": "cifar10-jpeg, 512 training images",
        "exact_top1_pct": EXACT_TOP1_PCT,
        "chance_pct": CHANCE_PCT,
        "budget": Budget.parse(budget),
        "max_drop_pp": max_drop_pp,
        "baseline": make_point("exact:tree=dadda", 1.0),
        "points": points,
        "front": front,
        "pick": recommended(front.points, Budget.parse(budget), max_drop_pp).point,
        "history": history,
        "settings": settings,
        "failures": {},
    }
    return Exploration(**values | changes)


def with_accelerator_figures(exploration: Exploration) -> Exploration:
    """The exploration with figures of its pick in an accelerator, and energies by which Mitchell's
    multiplier and the exact flip.
    """
    assert exploration.pick is not None
    own, exact = exploration.pick, exploration.baseline
    levels = (
        Level("multiplier", own.area_um2, exact.area_um2, own.energy_fj, exact.energy_fj),
        Level(
            "element",
            own.area_um2 + 3600,
            exact.area_um2 + 3600,
            own.energy_fj + 2900,
            exact.energy_fj + 2600,
        ),
        Level(
            "array",
            64 * own.area_um2 + 260000,
            64 * exact.area_um2 + 260000,
            own.energy_fj + 3200,
            exact.energy_fj + 2900,
        ),
    )
    return replace(
        exploration,
        accelerator=Accelerator(
            own.spec, exact.spec, 8, 8, 24, 40_000_000, 5200.0, 4600.0, levels, (), 26
        ),
        operand_energies=(
            OperandEnergy(exact.spec, (BASELINE, EXACT_TREE), 1500.0, exact.energy_fj, 350.0),
            OperandEnergy("mitchell", (MITCHELL,), 1300.0, 940.0, 490.0),
            OperandEnergy(own.spec, (PICK,), 1200.0, own.energy_fj, 300.0),
        ),
    )


def in_elements(exploration: Exploration) -> Exploration:
    """A search at the level of the element, whose every design is in two forms."""

    def placed(point: DesignPoint, form: str, area: float, energy: float) -> DesignPoint:
        return replace(
            point,
            level="element",
            element=form,
            sum_bits=20,
            area_um2=point.area_um2 + area,
            energy_fj=point.energy_fj + energy,
            area_ratio=(point.area_um2 + area) / (exploration.baseline.area_um2 + 3600),
            power_ratio=(point.energy_fj + energy) / (exploration.baseline.energy_fj + 2600),
        )

    baseline = placed(exploration.baseline, "mac", 3600, 2600)
    points = (
        baseline,
        *(placed(point, "dot:lanes=8", 1500, 900) for point in exploration.points),
        *(placed(point, "dot:lanes=8,gate=zero", 1700, 600) for point in exploration.points),
    )
    front = ParetoFront.of(points, OBJECTIVES, worst_drop_pp=EXACT_TOP1_PCT - CHANCE_PCT)
    pick = recommended(front.points, exploration.budget, exploration.max_drop_pp).point
    assert pick is not None
    alone = {point.spec: point for point in exploration.points}
    own, exact = alone[pick.spec], exploration.baseline
    levels = (
        Level("multiplier", own.area_um2, exact.area_um2, own.energy_fj, exact.energy_fj),
        Level("element", pick.area_um2, baseline.area_um2, pick.energy_fj, baseline.energy_fj),
    )
    return replace(
        exploration,
        baseline=baseline,
        points=points,
        front=front,
        pick=pick,
        level="element",
        screened=exploration.points,
        accelerator=Accelerator(
            pick.name, baseline.name, 1, 1, 20, 40_000_000, 5200.0, 4600.0, levels, (), 26
        ),
    )


def in_arrays(exploration: Exploration) -> Exploration:
    """The same at the level of the array, 16 x 8 elements, with what two layers cost there."""
    run = in_elements(exploration)
    assert run.pick is not None
    assert run.accelerator is not None

    def placed(point: DesignPoint) -> DesignPoint:
        return replace(
            point,
            level="array",
            array="16x8",
            array_area_um2=1024 * point.area_um2,
            image_energy_nj=0.5 * point.energy_fj,
            image_latency_us=1234.5,
            utilization_pct=75.0,
        )

    multiplier, element = run.accelerator.levels
    array = Level(
        "array",
        1.5 * element.area_um2,
        1.4 * element.exact_area_um2,
        1.3 * element.energy_fj,
        1.2 * element.exact_energy_fj,
    )
    layers = tuple(
        LayerReport(name, 20_000_000, 90_000, 0.8, 9000, 1500, 800, 3, memory, 7e5, 9e3, 2e5)
        for name, memory in (("conv1", 0.0), ("layer1.0.conv2", 50.0))
    )
    return replace(
        run,
        level="array",
        baseline=placed(run.baseline),
        points=tuple(map(placed, run.points)),
        front=replace(run.front, points=tuple(map(placed, run.front.points))),
        pick=placed(run.pick),
        accelerator=replace(
            run.accelerator,
            rows=16,
            columns=8,
            levels=(multiplier, element, array),
            layers=layers,
        ),
    )


def realistic_points(count: int = 300, seed: int = 7) -> tuple[DesignPoint, ...]:
    """`count` different designs of ten families, the exact multiplier among them."""
    rng = np.random.default_rng(seed)
    points = {"exact:tree=dadda": make_point("exact:tree=dadda", 1.0)}
    while len(points) < count:
        family = list(FAMILIES)[rng.integers(len(FAMILIES))]
        spell, saves, errs = FAMILIES[family]
        severity = float(rng.beta(1.2, 1.3))
        spec = spell(severity, rng)
        if spec in points:
            spec = f"{spec}{',' if ':' in spec else ':'}variant={len(points)}"
        drop = min(74.0, errs * severity**2.6 * float(rng.lognormal(0, 0.35)))
        area = 1.08 - saves * severity**0.8 + float(abs(rng.normal(0, 0.06)))
        power = area * float(rng.normal(0.92, 0.07))
        points[spec] = make_point(
            spec, area, power, drop - 0.1, delay=float(rng.normal(0.95, 0.12))
        )
    return tuple(points.values())


def realistic_exploration(count: int = 300, *, emulated: int = 0, **changes: Any) -> Exploration:
    """A search over `realistic_points`, with so many designs of its front emulated."""
    rng = np.random.default_rng(11)
    exploration = make_exploration(realistic_points(count), **changes)
    front = sorted(exploration.front.points, key=lambda point: point.predicted_drop_pp)
    useful = [point for point in front if point.predicted_drop_pp < 30]
    chosen = (
        {useful[index].spec for index in np.linspace(0, len(useful) - 1, emulated).astype(int)}
        if emulated
        else set()
    )
    if emulated and exploration.pick is not None:
        chosen.add(exploration.pick.spec)
    measured = {
        point.spec: point.emulated(
            84.5 - point.predicted_drop_pp + rng.normal(0, point.spread_pp), 84.5, 2000
        )
        for point in front
        if point.spec in chosen
    }
    pick = exploration.pick
    return replace(
        exploration,
        points=tuple(measured.get(point.spec, point) for point in exploration.points),
        front=replace(
            exploration.front,
            points=tuple(measured.get(point.spec, point) for point in exploration.front.points),
        ),
        pick=None if pick is None else measured.get(pick.spec, pick),
    )
