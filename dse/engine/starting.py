"""What a search starts from: operand widths, the exact multipliers that others have to beat, the
designs that the user names, and the forms of elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from hdl.elements import DotProducts, Element
from hdl.errors import InputError
from hdl.multipliers import (
    FAMILIES,
    ImportedDesign,
    MultiplierSpec,
    parse_multiplier,
    tied_off_hint,
    within,
)
from hdl.operands import OperandEncoding, Widths, operand_widths

from ..search.space import Design, DesignSpace, SpaceError
from .request import Search

__all__ = ["check_forms", "exact_specs", "operands_of", "seed_of"]


def operands_of(search: Search, encoding: OperandEncoding, there: Sequence[Widths]) -> list[Widths]:
    """The operand widths to search, the widest first, of those that there are profiles for. Raises
    SpaceError where there are none.
    """
    wanted = operand_widths(encoding, search.activation_bits or 8, search.weight_bits or 8)
    chosen = [
        widths
        for widths in there
        if (not search.activation_bits or widths.a == wanted.a)
        and (not search.weight_bits or widths.b == wanted.b)
    ]
    if not chosen:
        known = ", ".join(f"{widths.a}x{widths.b}" for widths in there)
        raise SpaceError(
            f"no profile of {', '.join(search.networks)} for {encoding} with such operands "
            f"({wanted.a}x{wanted.b} bits): there are {known}; "
            f"make it with dse profile --activation-bits {search.activation_bits or 8} "
            f"--weight-bits {search.weight_bits or 8}"
        )
    return chosen


def exact_specs(
    space: DesignSpace, widest: Mapping[bool, Widths], objectives: Sequence[str]
) -> list[MultiplierSpec]:
    """The exact multipliers that others have to beat: of every number format all kinds with the
    widest operands that there are, the candidates for the baseline; of each other width those of
    which one is, or nearly is, the cheapest, in delay too where that is an objective; signed ones,
    which are not symmetric, exchanged as well where the space has these.

    Args:
        widest: operand widths by signedness.
    """
    choices = [
        [(parameter.name, choice) for choice in parameter.choices]
        for parameter in FAMILIES["exact"].parameters
    ]
    specs = [
        MultiplierSpec.nearest(
            "exact", width=widest[signed], signed=signed, swapped=False, **dict(values)
        )
        for signed in space.signed
        for values in product(*choices)
    ]
    exchanged = [{"tree": "dadda"}, {"tree": "serial"}]
    straight = [
        *exchanged,
        {"tree": "array"},
        {"kind": "booth", "tree": "array"},
        {"kind": "behavioural"},
    ]
    if "delay" in objectives:
        straight += [{"tree": "wallace"}, {"kind": "booth"}]
    specs += [
        MultiplierSpec.make(
            "exact", width=form.widths, signed=form.signed, swapped=form.swapped, **values
        )
        for form in space.forms
        if form.widths != widest[form.signed] and (form.signed or not form.swapped)
        for values in (exchanged if form.swapped else straight)
    ]
    return list({str(spec): spec for spec in specs}.values())


def seed_of(text: str, space: DesignSpace) -> Design:
    """A design to start from. Raises SpaceError where the space's operands do not fit it."""
    design = parse_multiplier(text, signed=space.signed[0])
    if design.family == ImportedDesign.family and len(space.signed) > 1:
        raise SpaceError(
            f"design {text!r}: own Verilog does not tell which of the search's number formats it "
            "is in; name one alone with --encoding"
        )
    design.rtlil()  # which a table does not have
    there = space.widths(design.signed)
    if not there or within(design, there).widths not in there:
        known = ", ".join(dict.fromkeys(f"{form.widths.a}x{form.widths.b}" for form in space.forms))
        kind = f"{_kind(design.signed)} {design.widths.a}x{design.widths.b}"
        raise SpaceError(
            f"design {text!r} multiplies {kind}, and this search is among {_kind(*space.signed)} "
            f"multipliers of {known}; change it or --encoding{tied_off_hint(design, there)}"
        )
    return design


def _kind(*signed: bool) -> str:
    return " and ".join("signed" if one else "unsigned" for one in signed)


def check_forms(
    search: Search, operands: Mapping[OperandEncoding, Sequence[Widths]], work: DotProducts
) -> None:
    """Raises InputError for a form of elements that holds no product of any of the operands."""
    terms = int(work.terms.max())
    for form in search.forms:
        refusals = []
        for encoding, several in operands.items():
            for widths in several:
                exact = MultiplierSpec.make("exact", width=widths, signed=encoding.signed)
                try:
                    Element.make(form, exact, encoding, terms=terms)
                except InputError as error:
                    refusals.append(error)
        if len(refusals) == sum(map(len, operands.values())):
            raise refusals[-1]
