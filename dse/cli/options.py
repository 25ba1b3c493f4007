"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdl.errors import InputError

if TYPE_CHECKING:
    from hdl.operands import OperandDistribution, OperandEncoding

__all__ = [
    "AccumulatorBits",
    "Array",
    "AsJson",
    "Encoding",
    "Liberty",
    "Mac",
    "Network",
    "Pipeline",
    "Signed",
    "Spec",
    "fitting_encoding",
    "operand_distribution",
    "parse_encoding",
    "parse_encodings",
]

Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A multiplier: drum:k=4, bam:h=0,v=6,comp=80, own.v:top, or table.npy.")]
Signed = Annotated[bool, typer.Option("--signed", help="Operands of own.v or table.npy are two's complement.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Liberty = Annotated[Path | None, typer.Option(help="Cell library, .lib or .lib.gz. [default: the one that ships]")]
Network = Annotated[str, typer.Option(help="Take operands as this network has them. [default: uniform]")]
Encoding = Annotated[str, typer.Option(help="Number format of --network. [default: by the multiplier's signedness]")]
Mac = Annotated[bool, typer.Option("--mac", help="The multiply-accumulate element around the multiplier: registers and accumulator, too.")]
Array = Annotated[str, typer.Option("--array", metavar="ROWSxCOLUMNS", help="A systolic array of such elements, for example 8x8.")]
Pipeline = Annotated[bool, typer.Option("--pipeline", help="Registers between the multiplier and the accumulator of the element.")]
AccumulatorBits = Annotated[int | None, typer.Option(help="Width of the sums. [default: a product's and 8 more]")]


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
        return OperandEncoding.TWOS_COMPLEMENT if signed else OperandEncoding.SIGN_MAGNITUDE
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
    if encoding.signed != signed:
        is_, needs = ("a signed", "an unsigned") if signed else ("an unsigned", "a signed")
        raise InputError(f"this is {is_} multiplier, and the encoding {encoding} needs {needs} one; change signed= or --encoding")
    return encoding
