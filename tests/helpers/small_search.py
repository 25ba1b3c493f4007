"""A search on real parts, whose small budget of evaluations keeps it quick."""

from __future__ import annotations

from dataclasses import replace

from dse.engine import Search
from dse.search.budget import Budget
from hdl.operands import OperandEncoding

__all__ = ["EVALUATIONS", "of_8_bits", "small_search"]

FAMILIES = ("bam", "tm", "exact")
EVALUATIONS = 26


def small_search(seed: int = 1) -> Search:
    return Search(
        network="resnet20",
        encodings=(OperandEncoding.SIGN_MAGNITUDE,),
        budget=Budget.parse("area"),
        evaluations=EVALUATIONS,
        population=10,
        seed=seed,
        families=FAMILIES,
        activation_bits=5,
        weight_bits=5,
    )


def of_8_bits() -> Search:
    """As networks without correction have them."""
    return replace(small_search(), activation_bits=0, weight_bits=0)
