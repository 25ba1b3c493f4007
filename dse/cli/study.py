"""`dse study`: which error metric tells what networks make of multipliers."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdl.errors import InputError
from hdl.files import check_writable, writable_folder

from ..api.accuracy import read_network
from ..api.formats import parse_encoding
from ..api.progress import OnProgress, Stage
from .console import progress_bars, say
from .options import Cluster, Images, Zoo

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset
    from cnn_eval.networks import TrainedNetwork
    from cnn_eval.prediction import CalibrationProgress, NetworkProfile, StudiedNetwork
    from hdl.tables import ProductTable


def register(app: typer.Typer) -> None:
    app.command("study")(study_command)


def study_command(
    networks: Annotated[
        str,
        typer.Option(help="Networks of the zoo, or your own, module.py:factory; comma-separated."),
    ],
    data: Annotated[
        list[Path], typer.Option(help="Images; give it again for networks of other data.")
    ],
    encodings: Annotated[
        str, typer.Option(help="Number formats, comma-separated.")
    ] = "sign_magnitude,twos_complement",
    tables: Annotated[
        list[Path] | None,
        typer.Option(help="More unsigned multipliers: tables, .npy or .npz (one or many)."),
    ] = None,
    signed_tables: Annotated[
        list[Path] | None, typer.Option(help="The same, for two's complement.")
    ] = None,
    images: Images = 1200,
    count: Annotated[
        int,
        typer.Option(
            "--multipliers", min=8, help="How many multipliers of the families to emulate."
        ),
    ] = 90,
    correction: Annotated[
        bool | None,
        typer.Option(
            "--correction/--no-correction",
            help="Of networks under correction. [default: where there are such profiles]",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for emulated accuracies, tables and plots.")
    ] = Path("study"),
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="Weights of your own networks: one for each, in their order."),
    ] = None,
    zoo: Zoo = None,
    cluster: Cluster = "",
) -> None:
    """Hold error metrics against emulated accuracies, network by network. Goes on where it was
    interrupted.
    """
    from cnn_eval.datasets import ImageRoles, load_dataset
    from cnn_eval.prediction import emulated_accuracies, study_network
    from cnn_eval.zoo import is_corrected, load_profile, profile_widths

    from ..evaluation import open_executor, resumable
    from ..ground_truth import Emulation, screened

    formats = [parse_encoding(text.strip()) for text in encodings.split(",") if text.strip()]
    names = [name.strip() for name in networks.split(",") if name.strip()]
    if not names or not formats:
        raise InputError(
            "a study needs networks and number formats; give --networks resnet20 --encodings "
            "sign_magnitude"
        )
    check_writable(out, "--out")
    trained = {network.name: network for network in _networks(names, weights or [], zoo)}
    corrected = {
        (name, encoding): is_corrected(name, encoding, folder=zoo)
        if correction is None
        else correction
        for name in trained
        for encoding in formats
    }
    profiles = {
        (name, encoding): [
            load_profile(name, encoding, widths, corrected=how, folder=zoo)
            for widths in profile_widths(name, encoding, corrected=how, folder=zoo)
        ]
        for (name, encoding), how in corrected.items()
    }
    forms = {(network.image_px, network.resampling) for network in trained.values()}
    sets = {
        form: [load_dataset(path, image_px=form[0], resampling=form[1]) for path in data]
        for form in forms
    }
    given = {False: tables or [], True: signed_tables or []}
    folder, studied = writable_folder(out, "--out"), []
    with resumable(), open_executor(cluster=cluster) as executor:
        for (name, encoding), several in profiles.items():
            form = trained[name].image_px, trained[name].resampling
            roles = ImageRoles.of(_data_of(trained[name], several[0], sets[form]))
            sample = roles.judging.head(images)
            emulation = Emulation(
                trained[name],
                encoding,
                replace(roles, judging=sample),
                corrected[name, encoding],
                zoo,
            )
            chosen = _multipliers(several, count, given[encoding.signed])
            with progress_bars() as bars:
                top1_pct = emulated_accuracies(
                    emulation.truth,
                    several[0],
                    sample,
                    [table for _, table in chosen],
                    folder / f"{name}.{encoding}.emulated.jsonl",
                    images=images,
                    measure=screened(emulation, several[0].chance_pct, executor),
                    on_progress=partial(_tell, bars, f"{name}, {encoding}"),
                )
            studied.append(
                study_network(
                    several, sample.name, len(sample), chosen, top1_pct, _uncorrected(several, zoo)
                )
            )
    for path in _deliver(studied, folder):
        say(str(path))


def _tell(show: OnProgress, title: str, state: CalibrationProgress) -> None:
    show(Stage(title, state.done, state.total, state.name))


def _uncorrected(profiles: list[NetworkProfile], folder: Path | None) -> list[NetworkProfile]:
    """Profiles without correction of the network of corrected `profiles`, as far as there are
    any.
    """
    from cnn_eval.zoo import ZooError, load_profile, profile_widths

    widest = profiles[0]
    if not widest.corrected:
        return []
    try:
        found = profile_widths(widest.network, widest.encoding, corrected=False, folder=folder)
    except ZooError:
        return []
    return [
        load_profile(widest.network, widest.encoding, widths, corrected=False, folder=folder)
        for widths in found
    ]


def _multipliers(
    profiles: list[NetworkProfile], count: int, paths: list[Path]
) -> list[tuple[str, ProductTable]]:
    """Those of a calibration, then the given tables, which count as one family; their unused
    operand bits are tied off.
    """
    from cnn_eval.prediction import calibration_set
    from hdl.tables import ProductTable

    widths = [profile.widths for profile in profiles]
    known = [(one.multiplier.family, one.table) for one in calibration_set(profiles, count)]
    signed = profiles[0].encoding.signed
    tables = [
        table for path in paths for table in ProductTable.load_collection(path, signed=signed)
    ]
    return known + [("given", table.for_operands(widths)) for table in tables]


def _networks(names: list[str], weights: list[Path], folder: Path | None) -> list[TrainedNetwork]:
    from cnn_eval.networks import is_own_network

    own = [name for name in names if is_own_network(name)]
    if len(own) != len(weights):
        raise InputError(
            f"networks of your own: {len(own)}, --weights: {len(weights)}; give --weights once "
            "for each, in their order"
        )
    of_own = dict(zip(own, weights, strict=True))
    return [read_network(name, of_own.get(name), folder) for name in names]


def _data_of(network: TrainedNetwork, profile: NetworkProfile, sets: list[Dataset]) -> Dataset:
    """The images of the network's classes, or, where it does not name them, the images its profile
    is of.
    """
    found = next(
        (
            data
            for data in sets
            if (data.classes == network.classes if network.classes else data.name == profile.data)
        ),
        None,
    )
    if found is None:
        raise InputError(
            f"network {network.name!r} is profiled on {profile.data}, and none of the given "
            "images fit; add them with --data"
        )
    return found


def _deliver(studied: list[StudiedNetwork], folder: Path) -> list[Path]:
    """CSV files and figures; returns their paths."""
    from cnn_eval.prediction import METRICS, correlations, transfer_predictor
    from reports.figures import correlation_figure, scatter_figure, write_figure

    accuracies, table, transfers = (
        folder / "multipliers.csv",
        folder / "correlations.csv",
        folder / "predictors.csv",
    )
    with accuracies.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["network", "encoding", "data", "multiplier", "family", "top1_pct", "drop_pp", *METRICS]
        )
        for network in studied:
            for one in network.multipliers:
                drop = network.exact_top1_pct - one.top1_pct
                values = [
                    f"{one.metrics[metric]:.6g}" if metric in one.metrics else ""
                    for metric in METRICS
                ]
                labels = [network.network, network.encoding, network.data, one.name, one.family]
                writer.writerow([*labels, f"{one.top1_pct:.2f}", f"{drop:.2f}", *values])
    found = [row for network in studied for row in correlations(network)]
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "network",
                "encoding",
                "metric",
                "spearman",
                "pearson",
                "kendall",
                "deviation_pp",
                "multipliers",
            ]
        )
        for row in found:
            figures = [
                f"{value:.4f}"
                for value in (row.spearman, row.pearson, row.kendall, row.deviation_pp)
            ]
            writer.writerow([row.network, row.encoding, row.metric, *figures, row.multipliers])
    with transfers.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "encoding", "calibrated_deviation_pp", "transfer_deviation_pp"])
        for network in studied:
            others = [
                other
                for other in studied
                if other.encoding == network.encoding and other.network != network.network
            ]
            transferred = f"{transfer_predictor(others, network)[1]:.3f}" if len(others) > 1 else ""
            writer.writerow(
                [network.network, network.encoding, f"{network.deviation_pp:.3f}", transferred]
            )
    write_figure(correlation_figure(found), folder, "correlations")
    paths = [accuracies, table, transfers, folder / "correlations.png"]
    for network in studied:
        name = f"{network.network}.{network.encoding}"
        write_figure(scatter_figure(network), folder, name)
        paths.append(folder / f"{name}.png")
    return paths
