"""Names that serve as Verilog identifiers and as file names."""

from __future__ import annotations

import hashlib
import re

__all__ = ["identifier"]


def identifier(wanted: str, described: str, *, longest: int) -> str:
    """`wanted`, where it is an identifier of at most `longest` characters. Else the beginning of
    it, with _ for what no identifier can carry, and a digest of `described`: different things have
    different identifiers.
    """
    plain = re.sub(r"\W", "_", wanted, flags=re.ASCII)
    if plain == wanted and len(plain) <= longest:
        return plain
    return f"{plain[: longest - 11]}_{hashlib.sha256(described.encode()).hexdigest()[:10]}"
