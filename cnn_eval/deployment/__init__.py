"""What an accelerator needs of a corrected network: integers, scales and biases, the product table,
and the other operations.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .bundle import ARRAYS_FILE, DESCRIPTION_FILE, Deployment, deployment
    from .graph import DeploymentError, LayerDescription, Operation, read_graph

__all__ = [
    "ARRAYS_FILE",
    "DESCRIPTION_FILE",
    "Deployment",
    "DeploymentError",
    "LayerDescription",
    "Operation",
    "deployment",
    "read_graph",
]

__getattr__ = names_of(
    __name__,
    {
        "bundle": "ARRAYS_FILE DESCRIPTION_FILE Deployment deployment",
        "graph": "DeploymentError LayerDescription Operation read_graph",
    },
)
