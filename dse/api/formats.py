"""Number formats by name, and the operands of networks under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hdl.errors import InputError

if TYPE_CHECKING:
    from hdl.operands import OperandDistribution, OperandEncoding

__all__ = ["fitting_encoding", "operand_distribution", "parse_encoding", "parse_encodings"]


def operand_distribution(network: str, encoding: str, signed: bool) -> OperandDistribution | None:
    """The operands of a network of the zoo, or None for uniform ones."""
    if not network:
        return None
    from cnn_eval import zoo

    return zoo.load_profile(network, fitting_encoding(encoding, signed=signed)).operand_distribution()


def parse_encoding(text: str, *, signed: bool = False) -> OperandEncoding:
    """The named encoding, or the one that fits the multiplier's signedness where none is named."""
    from hdl.operands import OperandEncoding

    if not text:
        return OperandEncoding.fitting(signed=signed)
    try:
        return OperandEncoding(text)
    except ValueError:
        raise InputError(f"unknown encoding {text!r}; use one of {', '.join(OperandEncoding)}") from None


def parse_encodings(text: str) -> tuple[OperandEncoding, ...]:
    """The encodings of a comma-separated list, each once."""
    return tuple(dict.fromkeys(parse_encoding(one.strip()) for one in text.split(",")))


def fitting_encoding(text: str, *, signed: bool) -> OperandEncoding:
    """As :func:`parse_encoding`; refuses an encoding whose operand codes the multiplier reads otherwise."""
    encoding = parse_encoding(text, signed=signed)
    encoding.check(signed=signed, name="this")
    return encoding
