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
    "profile_hint",
    "profiled_operands",
]


def operand_distribution(
    network: str, encoding: str, signed: bool, widths: Widths, folder: Path | None = None
) -> OperandDistribution | None:
    """The operands of a network as a multiplier with operand codes of these widths gets them, or
    None for uniform ones; its profiles are looked for in `folder` before the zoo that ships.

    They are those of the profile for these widths, or of the widest one where the multiplier is
    wider in both operands. Raises InputError for other widths.
    """
    if not network:
        return None
    from cnn_eval import zoo
    from hdl.operands import Widths

    number_format = fitting_encoding(encoding, signed=signed)
    corrected = zoo.is_corrected(network, number_format, folder=folder)
    there = profiled_operands(network, encoding, signed, folder)
    a, b = (max(several) for several in zip(*there, strict=True))
    wide = Widths(a, b) in there and widths.a >= a and widths.b >= b
    if widths not in there and not wide:
        known = ", ".join(f"{one.a}x{one.b}" for one in there)
        fitting = (f"{one.a}x{one.b}" for one in there if one.a <= widths.a and one.b <= widths.b)
        tied_off = next((f", or tie operand bits off as in SPEC@{one}" for one in fitting), "")
        raise InputError(
            f"{network} is profiled for {known} in {number_format}, and this multiplies "
            f"{widths.a}x{widths.b} bits; take one of those{tied_off}"
            f"{profile_hint(number_format, widths)}"
        )
    profiled = widths if widths in there else Widths(a, b)
    operands = zoo.load_profile(
        network, number_format, profiled, corrected=corrected, folder=folder
    ).operand_distribution()
    return operands.on(widths, signed=signed)


def profiled_operands(
    network: str, encoding: str, signed: bool, folder: Path | None
) -> list[Widths]:
    """Operand widths that a network has profiles for, the widest first."""
    from cnn_eval import zoo

    number_format = fitting_encoding(encoding, signed=signed)
    corrected = zoo.is_corrected(network, number_format, folder=folder)
    return zoo.profile_widths(network, number_format, corrected=corrected, folder=folder)


def profile_hint(encoding: OperandEncoding, widths: Widths) -> str:
    """How to make the profile for multipliers of these operand widths: `, or make a profile with
    ...`; empty where no network is quantized so.
    """
    from hdl.operands import OperandEncoding

    # Weights have a sign bit beside their magnitude.
    a, b = widths.a, widths.b + (encoding is OperandEncoding.SIGN_MAGNITUDE)
    if not (2 <= a <= 8 and 2 <= b <= 8):
        return ""
    return f", or make a profile with dse profile --activation-bits {a} --weight-bits {b}"


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
