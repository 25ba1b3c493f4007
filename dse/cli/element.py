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
    from hdl.elements import DotProducts, Element

__all__ = ["draw_element", "export_form", "synth_element"]


def synth_element(
    subject: Multiplier,
    form: str,
    *,
    clock_ps: float | None,
    liberty: Path | None,
    effort: str,
    network: str,
    encoding: str,
    zoo: Path | None,
    as_json: bool,
) -> None:
    """Prints the cost of an element beside that of the exact multiplier in an element of the same
    form.
    """
    from hdl.cells import CellLibrary
    from hdl.elements import DEFAULT_TERMS, Element, synthesize_element
    from hdl.multipliers import MultiplierSpec

    library = CellLibrary.load(liberty)
    element, work, profile = _element(subject, form, encoding, network, zoo)
    own = synthesize_element(element, library, work, clock_ps=clock_ps, effort=effort)
    multiplier = element.multiplier
    exact = Element.make(
        form,
        MultiplierSpec.make("exact", width=multiplier.widths, signed=multiplier.signed),
        element.encoding,
        terms=DEFAULT_TERMS if work is None else int(work.terms.max()),
    )
    try:
        baseline = synthesize_element(exact, library, work, clock_ps=clock_ps, effort=effort)
    except InputError:  # the exact one may not reach the clock
        baseline = synthesize_element(exact, library, work, effort=effort)
    print_savings(str(element), own, baseline, network, profile, as_json=as_json)


def export_form(
    subject: Multiplier, form: str, output: Path, *, network: str, encoding: str, zoo: Path | None
) -> None:
    """Writes Verilog, test bench and constraints of an element."""
    from hdl.export import export_element

    element, _, _ = _element(subject, form, encoding, network, zoo)
    for path in export_element(element, output):
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

    multiplier = subject.design
    number_format = fitting_encoding(encoding, signed=multiplier.signed)
    profile, work = operands_of(MacSpec.make(multiplier, number_format), network, zoo)
    terms = DEFAULT_TERMS if work is None else int(work.terms.max())
    return Element.make(form, multiplier, number_format, terms=terms), work, profile
