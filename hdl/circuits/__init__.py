"""Pieces of RTL that multipliers are made of: adders, columns of partial products, compressors,
Booth digits, shifters, signs.
"""

from .adders import carry_chains, constant_of, full_adder, half_adder, prefix_add, ripple_add, wire
from .booth import Approximation, BoothDigit, add_booth_row, booth_digits, booth_dots
from .columns import TREES, Adder, Columns, add_partial_products, cell_weight
from .compressors import (
    COMPRESSORS,
    CompressorArithmetic,
    CompressorDots,
    CompressorGates,
    TimedBit,
    compress,
)
from .dot_diagram import ApproximateCell, Dot, DotDiagram, and_array
from .leading_one import normalized
from .shifters import shifted_left
from .significand import Scaled, gated, level_sum, product_of, scaled
from .signs import magnitude, with_sign

__all__ = [
    "COMPRESSORS",
    "TREES",
    "Adder",
    "ApproximateCell",
    "Approximation",
    "BoothDigit",
    "Columns",
    "CompressorArithmetic",
    "CompressorDots",
    "CompressorGates",
    "Dot",
    "DotDiagram",
    "Scaled",
    "TimedBit",
    "add_booth_row",
    "add_partial_products",
    "and_array",
    "booth_digits",
    "booth_dots",
    "carry_chains",
    "cell_weight",
    "compress",
    "constant_of",
    "full_adder",
    "gated",
    "half_adder",
    "level_sum",
    "magnitude",
    "normalized",
    "prefix_add",
    "product_of",
    "ripple_add",
    "scaled",
    "shifted_left",
    "wire",
    "with_sign",
]
