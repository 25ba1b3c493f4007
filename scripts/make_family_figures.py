"""Makes the figures and the tables of error metrics in the pages of docs/families.

    python scripts/make_family_figures.py [PAGE.md ...]

A page says what it shows: between `<!-- shown: SPEC SPEC ... -->` and `<!-- end -->` stand the
figure of the first multiplier and the error metrics of all of them, under uniform operands. Both
are made anew; the rest of a page stays as it is.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from hdl.multipliers import MultiplierSpec, dots, product
from hdl.operands import code_values
from hdl.tables import ProductTable, error_metrics
from reports.figures import dots_figure, portrait_figure, styled

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "images" / "families"
BLOCK = re.compile(r"(<!-- shown: (?P<specs>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADER = (
    "| multiplier | ER % | ME | MED | NMED % | MRED % | WCE | std "
    "|\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
)
EXACT = "exact"
"""The family without errors: its dots are all there is to show."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "pages", type=Path, nargs="*", default=sorted((DOCS / "families").glob("*.md"))
    )
    FIGURES.mkdir(parents=True, exist_ok=True)
    for page in parser.parse_args().pages:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            draw(MultiplierSpec.parse(block["specs"].split()[0]))
        page.write_text(refreshed(text), encoding="utf-8", newline="\n")


def refreshed(text: str) -> str:
    """A page with its blocks made anew."""
    return BLOCK.sub(lambda block: block[1] + shown(block["specs"].split()) + block[3], text)


def shown(texts: list[str]) -> str:
    """Link to the figure of the first multiplier, and the metrics of all."""
    specs = [MultiplierSpec.parse(text) for text in texts]
    what = "partial products" if dots(specs[0]) is not None else "operand bits seen"
    figure = (
        f"![{specs[0]}: {what}, error map, error "
        f"histogram](../images/families/{figure_name(specs[0])})\n\n"
    )
    if specs[0].family == EXACT:
        return figure.rstrip("\n").replace(", error map, error histogram", "") + "\n"
    return figure + HEADER + "".join(map(metrics_row, specs))


def metrics_row(spec: MultiplierSpec) -> str:
    m = error_metrics(table(spec))
    figures = (
        f"{m.er_pct:.2f}",
        f"{m.me:.2f}",
        f"{m.med:.2f}",
        f"{m.nmed_pct:.4f}",
        f"{m.mred_pct:.3f}",
        f"{m.wce:,}",
        f"{m.std:.2f}",
    )
    name = str(spec).replace("|", "\\|")  # a bar would end the cell
    return f"| `{name}` | {' | '.join(figures)} |\n".replace("-0.00 ", "0.00 ")


def table(spec: MultiplierSpec) -> ProductTable:
    """The product table by the family's rule, which is the fast way; tests hold the circuit equal
    to it.
    """
    a, b = (code_values(width, signed=spec.signed) for width in spec.widths)
    return ProductTable(product(spec, a[:, None], b).astype(np.int32), spec.signed, str(spec))


def draw(spec: MultiplierSpec) -> None:
    buffer = io.BytesIO()
    diagram = dots(spec)
    figure = (
        dots_figure(str(spec), diagram)
        if diagram is not None and spec.family == EXACT
        else portrait_figure(table(spec), diagram)
    )
    styled(figure.savefig)(buffer, format="png", dpi=100, metadata={"Software": None})
    # A palette takes a third of the room. It must cover the color bar's ends, however few pixels
    # have them.
    image = (
        Image.open(buffer)
        .convert("RGB")
        .quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    image.save(FIGURES / figure_name(spec), optimize=True)


def figure_name(spec: MultiplierSpec) -> str:
    """`bam_h0_v6.png`: the spec's text in characters that paths and links take as they are."""
    return re.sub(r"[^a-z0-9]+", "_", str(spec).replace("=", "")).strip("_") + ".png"


if __name__ == "__main__":
    main()
