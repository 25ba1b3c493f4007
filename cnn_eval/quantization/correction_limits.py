"""How far a correction may go; known to predictions, which do without torch."""

__all__ = ["MOST_GAIN"]

#: A channel that errors have silenced is not amplified without bound.
MOST_GAIN = 4.0
