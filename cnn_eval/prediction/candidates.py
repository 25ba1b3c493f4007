"""Which multipliers a predictor is calibrated on, and for which operand widths a network is
profiled.

The set is chosen for the network: multipliers are drawn at random from all families and widths, and
those are taken whose errors, as the profiles see them, spread evenly from harmless to fatal, no
family and no widths more than their share. A search for small designs at small losses has to be
right just there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hdl.multipliers import FAMILIES, Multiplier, can_vary, draw, product
from hdl.operands import OperandEncoding, Widths, code_values
from hdl.tables import ProductTable

from .architectural_error import FEATURES, features
from .profile import NetworkProfile

__all__ = ["Candidate", "calibration_set", "profiled_widths"]

# Margin noise of the designs that are taken: below, nothing is lost; above, everything. Under
# correction a network may keep half of its accuracy at 1.
_LEAST_NOISE, _MOST_NOISE = 0.04, 1.0
_BINS = 12
_DRAWS_PER_FAMILY = 6

_SIGN_MAGNITUDE = (
    (8, 7),
    (8, 4),
    (8, 3),
    (8, 2),
    (6, 5),
    (6, 3),
    (6, 2),
    (5, 4),
    (5, 3),
    (5, 2),
    (4, 4),
    (4, 3),
    (4, 2),
    (3, 3),
    (3, 2),
)


def profiled_widths(encoding: OperandEncoding) -> tuple[Widths, ...]:
    """Operand widths that are worth a profile, the widest first: in two's complement a sign bit
    more for each operand, up to 8.
    """
    if encoding is OperandEncoding.SIGN_MAGNITUDE:
        return tuple(Widths(*widths) for widths in _SIGN_MAGNITUDE)
    return tuple(dict.fromkeys(Widths(min(a + 1, 8), b + 1) for a, b in _SIGN_MAGNITUDE))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A multiplier that a predictor may be calibrated on, with its features under the profile of
    its widths.
    """

    multiplier: Multiplier
    table: ProductTable
    features: tuple[float, ...]

    @classmethod
    def of(cls, multiplier: Multiplier, table: ProductTable, profile: NetworkProfile) -> Candidate:
        """A multiplier with its table, for operands of the profile's widths."""
        return cls(multiplier, table, tuple(features(profile, table.errors).tolist()))


def calibration_set(
    profiles: Sequence[NetworkProfile], count: int, *, seed: int = 0
) -> list[Candidate]:
    """`count` multipliers for the widths of the profiles, or as many as there are."""
    rng = np.random.default_rng(seed)
    drawn = [candidate for profile in profiles for candidate in _candidates(profile, rng)]
    noise = np.array([candidate.features[FEATURES.index("margin_noise")] for candidate in drawn])
    useful = (noise > _LEAST_NOISE) & (noise < _MOST_NOISE)
    place = np.log(np.clip(noise, _LEAST_NOISE, _MOST_NOISE) / _LEAST_NOISE) / np.log(
        _MOST_NOISE / _LEAST_NOISE
    )
    bins = [
        [drawn[index] for index in np.flatnonzero(useful & (np.floor(place * _BINS) == part))]
        for part in range(_BINS)
    ]
    chosen: list[Candidate] = []
    families: Counter[str] = Counter()
    widths: Counter[Widths] = Counter()
    while len(chosen) < count and any(bins):
        for part in (part for part in bins if part):
            taken = min(
                part,
                key=lambda one: (
                    families[one.multiplier.family] / 2 + widths[one.multiplier.widths],
                    one.multiplier.name,
                ),
            )
            part.remove(taken)
            chosen.append(taken)
            families[taken.multiplier.family] += 1
            widths[taken.multiplier.widths] += 1
    return chosen[:count]


def _candidates(profile: NetworkProfile, rng: np.random.Generator) -> Iterable[Candidate]:
    """Multipliers of every family at a profile's widths, those with equal errors once."""
    signed = profile.encoding.signed
    a, b = (code_values(width, signed=signed) for width in profile.widths)
    known: set[bytes] = set()
    for family in FAMILIES.values():
        if not (can_vary(family) and family.fits(profile.widths)):
            continue
        for _ in range(_DRAWS_PER_FAMILY):
            spec = draw(family.name, profile.widths, rng, signed=signed)
            table = ProductTable(product(spec, a[:, None], b).astype(np.int32), signed, str(spec))
            digest = table.products.tobytes()
            if digest in known or not table.errors.any():
                continue
            known.add(digest)
            yield Candidate.of(spec, table, profile)
