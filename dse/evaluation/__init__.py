"""From a design to a point: the workbench that evaluates, the store that keeps, the workers, here
or on a cluster, that share the work.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .comparison import design_point
    from .evaluation_store import EvaluationStore
    from .executor import (
        Bench,
        ClusterError,
        ClusterLostError,
        Executor,
        Job,
        LocalProcesses,
        Pool,
    )
    from .layer_costs import layer_energies
    from .opening import open_executor, resumable
    from .point import LEVELS, DesignPoint, NetworkDrop, placed, placed_name
    from .savings import (
        BASELINE,
        EXACT_TREE,
        MITCHELL,
        PICK,
        Accelerator,
        Level,
        OperandEnergy,
        accelerator,
        compared_designs,
        levels,
        operand_energy,
    )
    from .store import PointStore, StoreError
    from .workbench import Evaluation, Predictors, Reading, Workbench
    from .workers import Failure, WorkerError, WorkerPool

__all__ = [
    "BASELINE",
    "EXACT_TREE",
    "LEVELS",
    "MITCHELL",
    "PICK",
    "Accelerator",
    "Bench",
    "ClusterError",
    "ClusterLostError",
    "DesignPoint",
    "Evaluation",
    "EvaluationStore",
    "Executor",
    "Failure",
    "Job",
    "Level",
    "LocalProcesses",
    "NetworkDrop",
    "OperandEnergy",
    "PointStore",
    "Pool",
    "Predictors",
    "Reading",
    "StoreError",
    "Workbench",
    "WorkerError",
    "WorkerPool",
    "accelerator",
    "compared_designs",
    "design_point",
    "layer_energies",
    "levels",
    "open_executor",
    "operand_energy",
    "placed",
    "placed_name",
    "resumable",
]

__getattr__ = names_of(
    __name__,
    {
        "comparison": "design_point",
        "layer_costs": "layer_energies",
        "executor": "Bench ClusterError ClusterLostError Executor Job LocalProcesses Pool",
        "opening": "open_executor resumable",
        "point": "LEVELS DesignPoint NetworkDrop placed placed_name",
        "savings": (
            "BASELINE EXACT_TREE MITCHELL PICK Accelerator Level OperandEnergy accelerator "
            "compared_designs levels operand_energy"
        ),
        "evaluation_store": "EvaluationStore",
        "store": "PointStore StoreError",
        "workbench": "Evaluation Predictors Reading Workbench",
        "workers": "Failure WorkerError WorkerPool",
    },
)
