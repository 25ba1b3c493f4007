"""Commands that ask what multipliers do to a network: predict, emulate, correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hdl.files import check_writable, writable_folder

from ..api.reading import designs, multiplier
from .applicable import CheckedCommand
from .console import print_json, print_rows, print_table, progress_bar, say
from .options import (
    AsJson,
    Cluster,
    Correction,
    Data,
    Encoding,
    ImagePx,
    Images,
    Labels,
    OwnOrZooNetwork,
    Signed,
    Spec,
    SpecOrAssignment,
    Specs,
    Weights,
    Zoo,
    ZooNetwork,
)

#: Steps of the progress of `dse emulate`, whose multipliers have images in common.
_PROGRESS = 100


def register(app: typer.Typer) -> None:
    app.command("predict", cls=CheckedCommand)(predict_command)
    app.command("emulate", cls=CheckedCommand)(emulate_command)
    app.command("correct", cls=CheckedCommand)(correct_command)


def predict_command(
    spec: Spec,
    network: ZooNetwork,
    encoding: Encoding = "",
    correction: Annotated[
        bool | None,
        typer.Option(
            "--correction/--no-correction",
            help="Of the network under correction. [default: where there are such profiles]",
        ),
    ] = None,
    zoo: Zoo = None,
    signed: Signed = False,
    as_json: AsJson = False,
) -> None:
    """Predict a network's accuracy with a multiplier: AME and top-1, in milliseconds."""
    from ..api.accuracy import predict

    found = predict(
        multiplier(spec, signed=signed),
        network=network,
        encoding=encoding,
        corrected=correction,
        zoo=zoo,
    )
    values = {
        "ame": found.ame,
        "predicted_top1": found.top1_pct,
        "predicted_drop": found.drop_pp,
        "spread": found.spread_pp,
        "network": found.network,
        "encoding": found.encoding,
        "corrected": found.corrected,
        "data": found.data,
    }
    if as_json:
        print_json(values | {"transferred_from": list(found.transferred_from)})
        return
    print_table(f"{found.multiplier}: predicted accuracy", values)
    if found.transferred_from:
        say(
            f"predicted from {', '.join(found.transferred_from)} alone: {found.network} may lose "
            "more or less than they do; `dse calibrate` measures it"
        )


def emulate_command(
    specs: Specs,
    network: OwnOrZooNetwork,
    data: Data,
    encoding: Encoding = "",
    images: Images = 1000,
    weights: Weights = None,
    labels: Labels = None,
    image_px: ImagePx = 0,
    exact_first_last: Annotated[
        bool,
        typer.Option(
            "--exact-first-last", help="Multiply exactly in the first and the last layer."
        ),
    ] = False,
    correction: Correction = True,
    zoo: Zoo = None,
    signed: Signed = False,
    cluster: Cluster = "",
    as_json: AsJson = False,
) -> None:
    """Measure a network's accuracy with multipliers: every convolution, linear layer and product of
    two activations multiplies through the product table.

    Beside it: accuracy in floating point and with exact integers, and the share of
    multiply-accumulates that go through the table. With several multipliers, --json prints a
    list. The last 256 images calibrate what has no profile, and those before them correct.
    """
    from ..api.emulating import emulate_all

    subjects = designs(specs, signed=signed)
    with progress_bar("emulate, %", _PROGRESS) as bar:
        found = emulate_all(
            subjects,
            network=network,
            data=data,
            encoding=encoding,
            images=images,
            weights=weights,
            labels=labels,
            image_px=image_px,
            exact_first_last=exact_first_last,
            corrected=correction,
            zoo=zoo,
            cluster=cluster,
            on_progress=lambda name, done, total, top1_pct: bar(
                _PROGRESS * done // total, f"{name}: top-1 {top1_pct:.2f} %"
            ),
        )
    rows = [
        {
            "multiplier": one.multiplier,
            "top1": one.top1_pct,
            "float_top1": one.float_top1_pct,
            "exact_top1": one.exact_top1_pct,
            "exact_narrow_top1": one.exact_narrow_top1_pct,
            "drop": one.drop_pp,
            "drop_error": one.drop_error_pp,
            "multiplied_pct": one.multiplied_pct,
            "exact_layers": list(one.exact_layers)
            if as_json
            else ", ".join(one.exact_layers) or "none",
            "images": one.images,
            "seconds": one.seconds,
            "network": one.network,
            "encoding": one.encoding,
            "corrected": one.corrected,
            "data": one.data,
        }
        for one in found
    ]
    if len(rows) > 1:
        print_json(rows) if as_json else print_rows(f"{network}: emulated accuracy", rows)
    else:
        print_json(rows[0]) if as_json else print_table(
            f"{rows[0]['multiplier']}: emulated accuracy", rows[0]
        )


def correct_command(
    spec: SpecOrAssignment,
    network: OwnOrZooNetwork,
    data: Data,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the files.")],
    encoding: Encoding = "",
    weights: Weights = None,
    labels: Labels = None,
    image_px: ImagePx = 0,
    zoo: Zoo = None,
    signed: Signed = False,
) -> None:
    """Write what a deployment needs: integer weights, corrected scales and biases, product tables,
    and all other operations.

    The last 256 images calibrate what has no profile, and those before them correct; no labels.
    """
    from ..api.deployment import correct

    check_writable(out, "--out")
    bundle = correct(
        designs([spec], signed=signed)[0],
        network=network,
        data=data,
        encoding=encoding,
        weights=weights,
        labels=labels,
        image_px=image_px,
        zoo=zoo,
    )
    bundle.save(writable_folder(out, "--out"))
    say(
        f"{out}: {bundle.network} with "
        f"{', '.join(one.name for one in bundle.tables)}, {len(bundle.layers)} layers, "
        f"{len(bundle.operations)} operations"
    )
