"""What a search is for: objectives, the budget, and the accuracy that may be given up."""

from __future__ import annotations

from dataclasses import dataclass

from hdl.errors import InputError

from ..evaluation.point import DesignPoint

__all__ = ["COSTS", "OBJECTIVES", "Budget", "BudgetError", "parse_objectives"]

#: Cost objective -> the DesignPoint field that holds it, relative to the exact multiplier.
COSTS = {"area": "area_ratio", "power": "power_ratio", "delay": "delay_ratio"}
#: Every objective -> its DesignPoint field; all are minimized.
OBJECTIVES = {**COSTS, "accuracy": "predicted_drop_pp"}


class BudgetError(InputError):
    """A budget or a list of objectives that cannot be searched for."""


@dataclass(frozen=True)
class Budget:
    """The cost that matters most, optionally with limits.

    Attributes:
        limit: of that cost, relative to the exact multiplier.
        delay_target_ps: each design is the smallest netlist that is at most so slow; one that
            cannot be so fast is not picked. None: the smallest netlist.
    """

    cost: str
    limit: float | None = None
    delay_target_ps: float | None = None

    def __post_init__(self) -> None:
        limits = [one for one in (self.limit, self.delay_target_ps) if one is not None]
        if self.cost not in COSTS or not all(0 < one < float("inf") for one in limits):
            raise BudgetError(
                f"budget {self.cost!r} with limit {self.limit} and delay target "
                f"{self.delay_target_ps}: one of {', '.join(COSTS)}, and positive limits or none"
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads ``area``, ``power=0.7``, ``delay=1.1``.

        Raises:
            BudgetError: unknown cost, or a limit that is not a positive number.
        """
        cost, separator, limit_text = text.partition("=")
        if cost not in COSTS:
            raise BudgetError(
                f"unknown budget {text!r}; use one of {', '.join(COSTS)}, or with a limit, e.g. "
                "area=0.6"
            )
        if not separator:
            return cls(cost)
        try:
            limit = float(limit_text)
        except ValueError:
            limit = float("nan")
        if not 0 < limit < float("inf"):
            raise BudgetError(
                f"budget {text!r}: the limit must be a positive multiple of the exact "
                f"multiplier's {cost}, e.g. {cost}=0.6"
            )
        return cls(cost, limit)

    def __str__(self) -> str:
        return self.cost if self.limit is None else f"{self.cost}={self.limit:g}"

    def value(self, point: DesignPoint) -> float:
        """The budgeted cost of a point, relative to the exact multiplier."""
        return float(getattr(point, COSTS[self.cost]))

    @property
    def limited(self) -> bool:
        """Whether there are designs that do not keep it."""
        return self.limit is not None or self.delay_target_ps is not None

    def excess(self, point: DesignPoint) -> float:
        """How far a point lies above the limits, at the worst (negative: within them; no limit:
        -1); of delays, relative to the target.
        """
        cost = -1.0 if self.limit is None else self.value(point) - self.limit
        delay = -1.0 if self.delay_target_ps is None else point.delay_ps / self.delay_target_ps - 1
        return max(cost, delay)

    def on_time(self, point: DesignPoint) -> bool:
        """Whether a point keeps the delay target, if there is one."""
        return self.delay_target_ps is None or point.delay_ps <= self.delay_target_ps

    @property
    def words(self) -> str:
        """The budget with all its limits: `area=0.6 within 900 ps`."""
        late = "" if self.delay_target_ps is None else f" within {self.delay_target_ps:g} ps"
        return f"{self}{late}"

    @property
    def objectives(self) -> tuple[str, ...]:
        """What to trade unless the user says otherwise: the budgeted cost is among it."""
        return tuple(dict.fromkeys(("area", "power", self.cost, "accuracy")))


def parse_objectives(text: str) -> tuple[str, ...]:
    """Reads a comma-separated list such as ``area,power,accuracy``.

    Raises:
        BudgetError: unknown or repeated objectives, or fewer than two.
    """
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in OBJECTIVES]:
        raise BudgetError(
            f"unknown objective {unknown[0]!r}; use two or more of {', '.join(OBJECTIVES)}"
        )
    if len(set(names)) != len(names) or len(names) < 2:
        raise BudgetError(
            f"objectives {text!r}: give two or more different ones of {', '.join(OBJECTIVES)}"
        )
    return names
