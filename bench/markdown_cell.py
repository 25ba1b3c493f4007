"""Names in Markdown tables."""

from __future__ import annotations


def cell(name: str) -> str:
    """A name as a cell of a Markdown table has it: bars would end the cell."""
    return f"`{name}`".replace("|", r"\|")
