"""The catalogue of multiplier families."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .approximate_adders import AM1, AM2
from .blocks import SDLC, UDM
from .booth import BOOTH_R4
from .compressor import COMPRESSOR
from .exact import EXACT
from .family import Family, Parameter, SignedForm
from .linearized import ILM, ROBA, SCALETRIM, TOSAM
from .logarithmic import DRALM, MBM, MITCHELL, MITCHW
from .recursive import RECURSIVE
from .segments import DRUM, ESSM, ETM, LODTRUNC, SSM
from .terms import TERMS
from .truncation import BAM, MASK, PERFORATE, TM

__all__ = ["FAMILIES", "Family", "Parameter", "SignedForm"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            EXACT,
            TM,
            BAM,
            PERFORATE,
            MASK,
            TERMS,
            COMPRESSOR,
            BOOTH_R4,
            AM1,
            AM2,
            UDM,
            SDLC,
            DRUM,
            LODTRUNC,
            SSM,
            ESSM,
            ETM,
            MITCHELL,
            MITCHW,
            DRALM,
            RECURSIVE,
            MBM,
            TOSAM,
            ILM,
            ROBA,
            SCALETRIM,
        )
    }
)
"""Every family by its name."""
