"""Number formats by name, and the operands of networks under them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

if TYPE_CHECKING:
    from hdl.operands import OperandDistribution, OperandEncoding, Widths

__all__ = [
    "fitting_encoding",
    "operand_distribution",
    "parse_encoding",
    "parse_encodings",
    "profiled_operands",
]


def operand_distribution(
    network: str, encoding: str, signed: bool, widths: Widths, folder: Path | None = None
) -> OperandDistribution | None:
    """The operands of a network as a multiplier with operand codes of these widths gets them, or
    None for uniform ones; its profiles are looked for in `folder` before the zoo that ships.

    They are those of the widest profile that the multiplier can take; of a network that takes wider
    operands only, those.
    """
    if not network:
        return None
    from cnn_eval import zoo

    number_format = fitting_encoding(encoding, signed=signed)
    corrected = zoo.is_corrected(network, number_format, folder=folder)
    there = profiled_operands(network, encoding, signed, folder)
    fitting = next((one for one in there if one.a <= widths.a and one.b <= widths.b), None)
    operands = zoo.load_profile(
        network, number_format, fitting, corrected=corrected, folder=folder
    ).operand_distribution()
    return operands if fitting is None else operands.on(widths, signed=signed)


def profiled_operands(
    network: str, encoding: str, signed: bool, folder: Path | None
) -> list[Widths]:
    """Operand widths that a network has profiles for, the widest first."""
    from cnn_eval import zoo

    number_format = fitting_encoding(encoding, signed=signed)
    corrected = zoo.is_corrected(network, number_format, folder=folder)
    return zoo.profile_widths(network, number_format, corrected=corrected, folder=folder)


def parse_encoding(text: str, *, signed: bool = False) -> OperandEncoding:
    """The named encoding, or the one that fits the multiplier's signedness where none is named."""
    from hdl.operands import OperandEncoding

    if not text:
        return OperandEncoding.fitting(signed=signed)
    try:
        return OperandEncoding(text)
    except ValueError:
        raise InputError(
            f"unknown encoding {text!r}; use one of {', '.join(OperandEncoding)}"
        ) from None


def parse_encodings(text: str) -> tuple[OperandEncoding, ...]:
    """The encodings of a comma-separated list, each once."""
    return tuple(dict.fromkeys(parse_encoding(one.strip()) for one in text.split(",")))


def fitting_encoding(text: str, *, signed: bool) -> OperandEncoding:
    """As :func:`parse_encoding`; refuses an encoding whose operand codes the multiplier reads
    otherwise.
    """
    encoding = parse_encoding(text, signed=signed)
    encoding.check(signed=signed, name="this")
    return encoding
