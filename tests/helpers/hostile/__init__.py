"""Files and arguments that a stranger, or a clumsy hand, might give: made when they are needed,
each refused in one line.

A case is made in an empty folder and names what must not be touched by `OUTSIDE`, a folder beside
it. Those that try to run something try to leave a file there.
"""

from __future__ import annotations

from hostile.cases import Case
from hostile.images import data
from hostile.liberty import liberty
from hostile.networks import networks
from hostile.outputs import outputs
from hostile.runs import runs, searches
from hostile.tables import specs, tables
from hostile.verilog import verilog
from hostile.zoos import trainings, zoos

__all__ = ["CASES", "Case"]

CASES = [
    *verilog(),
    *liberty(),
    *tables(),
    *specs(),
    *runs(),
    *searches(),
    *zoos(),
    *data(),
    *networks(),
    *trainings(),
    *outputs(),
]
assert len({case.name for case in CASES}) == len(CASES)
