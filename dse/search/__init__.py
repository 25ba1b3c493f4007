"""Which designs to try and which remain: the design space, NSGA-II over it, the budget, the Pareto
front, the record of a search; which design each layer gets.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .assignment import ASSIGNMENT_FILE, Assignment, AssignmentError, Kind, LayerDesign
    from .budget import COSTS, OBJECTIVES, Budget, BudgetError, parse_objectives
    from .data_sizing import (
        Recommendation,
        exact_line,
        is_exact,
        preferred,
        recommended,
        worse_in,
    )
    from .exploration import RUN_FILE, Exploration, Generation, Recalibration, RunError
    from .front import ParetoFront
    from .layer_program import InfeasibleError, LayerProgram, Solution
    from .problem import DesignSearch
    from .space import Design, DesignSpace, SpaceError
    from .synthesis import MadeDesign, Pairs, State, Workplace, screen, term_walk, walk

__all__ = [
    "ASSIGNMENT_FILE",
    "COSTS",
    "OBJECTIVES",
    "RUN_FILE",
    "Assignment",
    "AssignmentError",
    "Budget",
    "BudgetError",
    "Design",
    "DesignSearch",
    "DesignSpace",
    "Exploration",
    "Generation",
    "InfeasibleError",
    "Kind",
    "LayerDesign",
    "LayerProgram",
    "MadeDesign",
    "Pairs",
    "ParetoFront",
    "Recalibration",
    "Recommendation",
    "RunError",
    "Solution",
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
    "worse_in",
]

__getattr__ = names_of(
    __name__,
    {
        "assignment": "ASSIGNMENT_FILE Assignment AssignmentError Kind LayerDesign",
        "budget": "COSTS OBJECTIVES Budget BudgetError parse_objectives",
        "data_sizing": "Recommendation exact_line is_exact preferred recommended worse_in",
        "exploration": "RUN_FILE Exploration Generation Recalibration RunError",
        "front": "ParetoFront",
        "layer_program": "InfeasibleError LayerProgram Solution",
        "problem": "DesignSearch",
        "space": "Design DesignSpace SpaceError",
        "synthesis": "MadeDesign Pairs State Workplace screen term_walk walk",
    },
)
