"""`dse synth`, `dse export` and `dse show` with --element: an element of any form around the
multiplier.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from ..api.formats import fitting_encoding
from ..api.reading import Multiplier
from .console import say
from .mac import operands_of, print_savings

if TYPE_CHECKING:
    from cnn_eval.prediction import NetworkProfile
    from hdl.elements import DotProducts, Element, ElementReport, InferenceReport

__all__ = ["draw_element", "export_form", "synth_element"]


def synth_element(
    subject: Multiplier,
    form: str,
    *,
    array: str,
    clock_ps: float | None,
    memory_pj_per_byte: float,
    liberty: Path | None,
    effort: str,
    network: str,
    encoding: str,
    zoo: Path | None,
    as_json: bool,
) -> None:
    """Prints the cost of an element, or of an array of such elements and the network in it, beside
    that of the exact multiplier in an element of the same form.
    """
    from cnn_eval.prediction import layer_shapes
    from hdl.cells import CellLibrary
    from hdl.elements import (
        DEFAULT_TERMS,
        Element,
        array_inference,
        parse_sides,
        synthesize_element,
    )
    from hdl.multipliers import MultiplierSpec

    library = CellLibrary.load(liberty)
    element, work, profile = _element(subject, form, encoding, network, zoo)

    def report(one: Element, clock_ps: float | None) -> InferenceReport | ElementReport:
        if not array:
            return synthesize_element(one, library, work, clock_ps=clock_ps, effort=effort)
        if profile is None or work is None:
            raise InputError(
                f"array {array!r} of {form}: its cycles are those of a network's layers; name one "
                "with --network"
            )
        return array_inference(
            one,
            *parse_sides(array),
            library,
            work,
            layer_shapes(profile),
            clock_ps=clock_ps,
            memory_pj_per_byte=memory_pj_per_byte,
            effort=effort,
        )

    own = report(element, clock_ps)
    multiplier = element.multiplier
    exact = Element.make(
        form,
        MultiplierSpec.make("exact", width=multiplier.widths, signed=multiplier.signed),
        element.encoding,
        terms=DEFAULT_TERMS if work is None else int(work.terms.max()),
    )
    try:
        baseline = report(exact, clock_ps)
    except InputError:  # the exact one may not reach the clock
        baseline = report(exact, None)
    title = f"{element}{f', {array} array' if array else ''}"
    against = exact.multiplier.name
    print_savings(title, own, baseline, against, network, profile, as_json=as_json)


def export_form(
    subject: Multiplier,
    form: str,
    output: Path,
    *,
    array: str,
    network: str,
    encoding: str,
    zoo: Path | None,
) -> None:
    """Writes Verilog, test bench and constraints of an element, or of an array of such elements."""
    from hdl.elements import parse_sides
    from hdl.export import export_array, export_element

    element, _, _ = _element(subject, form, encoding, network, zoo)
    paths = (
        export_array(element, *parse_sides(array), output)
        if array
        else export_element(element, output)
    )
    for path in paths:
        say(str(path))


def draw_element(
    subject: Multiplier, form: str, output: Path, *, network: str, encoding: str, zoo: Path | None
) -> None:
    """Writes the picture of the columns of an element's sum."""
    from hdl.elements import sum_columns
    from reports.figures import element_figure, write_figure

    element, _, _ = _element(subject, form, encoding, network, zoo)
    figure = element_figure(str(element), sum_columns(element), merged=element.merged)
    write_figure(figure, output, "element")
    say(f"{output / 'element'}.png, .svg")


def _element(
    subject: Multiplier, form: str, encoding: str, network: str, zoo: Path | None
) -> tuple[Element, DotProducts | None, NetworkProfile | None]:
    """The element, its sum wide enough for the longest dot product of the network."""
    from hdl.elements import DEFAULT_TERMS, Element, MacSpec

    number_format = fitting_encoding(encoding, signed=subject.signed)
    multiplier = subject.design
    profile, work = operands_of(MacSpec.make(multiplier, number_format), network, zoo)
    terms = DEFAULT_TERMS if work is None else int(work.terms.max())
    return Element.make(form, multiplier, number_format, terms=terms), work, profile
