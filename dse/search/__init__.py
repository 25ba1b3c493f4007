"""Which designs to try and which remain: the design space, NSGA-II over it, the budget, the Pareto
front, the record of a search.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .budget import COSTS, OBJECTIVES, Budget, BudgetError, parse_objectives
    from .data_sizing import Recommendation, exact_line, is_exact, preferred, recommended
    from .exploration import RUN_FILE, Exploration, Generation, Recalibration, RunError
    from .front import ParetoFront
    from .problem import DesignSearch
    from .space import Design, DesignSpace, SpaceError
    from .synthesis import MadeDesign, Pairs, State, Workplace, screen, term_walk, walk

__all__ = [
    "COSTS",
    "OBJECTIVES",
    "RUN_FILE",
    "Budget",
    "BudgetError",
    "Design",
    "DesignSearch",
    "DesignSpace",
    "Exploration",
    "Generation",
    "MadeDesign",
    "Pairs",
    "ParetoFront",
    "Recalibration",
    "Recommendation",
    "RunError",
    "SpaceError",
    "State",
    "Workplace",
    "exact_line",
    "is_exact",
    "parse_objectives",
    "preferred",
    "recommended",
    "screen",
    "term_walk",
    "walk",
]

__getattr__ = names_of(
    __name__,
    {
        "budget": "COSTS OBJECTIVES Budget BudgetError parse_objectives",
        "data_sizing": "Recommendation exact_line is_exact preferred recommended",
        "exploration": "RUN_FILE Exploration Generation Recalibration RunError",
        "front": "ParetoFront",
        "problem": "DesignSearch",
        "space": "Design DesignSpace SpaceError",
        "synthesis": "MadeDesign Pairs State Workplace screen term_walk walk",
    },
)
