"""Commands about a network: predict, emulate, profile, calibrate, train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdl.errors import InputError
from hdl.files import check_writable, writable_folder

from ..api.accuracy import read_network, split
from ..api.formats import fitting_encoding, parse_encoding
from ..api.reading import Multiplier, multiplier, multipliers
from .applicable import CheckedCommand
from .console import print_json, print_rows, print_table, progress_bar, say
from .options import AsJson, Encoding, Signed, Spec

if TYPE_CHECKING:
    from hdl.operands import OperandEncoding

Network = Annotated[str, typer.Option(help="Network of the zoo, e.g. resnet20.")]
OwnOrZooNetwork = Annotated[str, typer.Option(help="Network of the zoo, e.g. resnet20, or your own, module.py:factory.")]
Weights = Annotated[Path | None, typer.Option(help="Weights of your own network: its state dict as safetensors.")]
Specs = Annotated[list[str], typer.Argument(metavar="SPEC...", help="Multipliers: drum:k=4, own.v:top, table.npy, or many in tables.npz.")]
Data = Annotated[Path, typer.Option(help="Images: packed JPEG, CIFAR-10 batches or an image folder.")]
Zoo = Annotated[Path | None, typer.Option(help="Folder of your own networks, looked into before the shipped zoo.")]
ImagePx = Annotated[int, typer.Option(min=0, help="Size that image folders are read at. [default: the network's]")]
Images = Annotated[int, typer.Option(min=1, help="How many of the images to use.")]


def register(app: typer.Typer) -> None:
    app.command("predict", cls=CheckedCommand)(predict_command)
    app.command("emulate", cls=CheckedCommand)(emulate_command)
    app.command("profile")(profile_command)
    app.command("calibrate")(calibrate_command)
    app.command("train", cls=CheckedCommand)(train_command)


def predict_command(
    spec: Spec, network: Network, encoding: Encoding = "", zoo: Zoo = None, signed: Signed = False, as_json: AsJson = False
) -> None:
    """Predict a network's accuracy with a multiplier: AME and top-1, in milliseconds."""
    from ..api.accuracy import predict

    found = predict(multiplier(spec, signed=signed), network=network, encoding=encoding, zoo=zoo)
    values = {
        "ame": found.ame,
        "predicted_top1": found.top1_pct,
        "predicted_drop": found.drop_pp,
        "spread": found.spread_pp,
        "network": found.network,
        "encoding": found.encoding,
        "data": found.data,
    }
    print_json(values) if as_json else print_table(f"{found.multiplier}: predicted accuracy", values)


def emulate_command(
    specs: Specs,
    network: OwnOrZooNetwork,
    data: Data,
    encoding: Encoding = "",
    images: Images = 1000,
    weights: Weights = None,
    image_px: ImagePx = 0,
    exact_first_last: Annotated[bool, typer.Option("--exact-first-last", help="Multiply exactly in the first and the last layer.")] = False,
    zoo: Zoo = None,
    signed: Signed = False,
    as_json: AsJson = False,
) -> None:
    """Measure a network's accuracy with multipliers: every convolution and linear layer multiplies through the product table.

    With several multipliers, --json prints a list. Your own network (--network module.py:factory) is calibrated on the last 256 images.
    """
    from ..api.accuracy import emulate_all

    designs = multipliers(specs, signed=signed)
    with progress_bar("emulate", 1000) as bar:
        found = emulate_all(
            designs,
            network=network,
            data=data,
            encoding=encoding,
            images=images,
            weights=weights,
            image_px=image_px,
            exact_first_last=exact_first_last,
            zoo=zoo,
            on_progress=lambda name, done, total, top1_pct: bar(1000 * done // total, f"{name}: top-1 {top1_pct:.2f} %"),
        )
    rows = [
        {
            "multiplier": one.multiplier,
            "top1": one.top1_pct,
            "exact_top1": one.exact_top1_pct,
            "images": one.images,
            "seconds": one.seconds,
            "network": one.network,
            "encoding": one.encoding,
            "data": one.data,
        }
        for one in found
    ]
    if len(rows) > 1:
        print_json(rows) if as_json else print_rows(f"{network}: emulated accuracy", rows)
    else:
        print_json(rows[0]) if as_json else print_table(f"{rows[0]['multiplier']}: emulated accuracy", rows[0])


def profile_command(
    network: OwnOrZooNetwork,
    data: Data,
    encoding: Encoding = "sign_magnitude",
    out: Annotated[Path, typer.Option(help="Folder for the profile.")] = Path("zoo"),
    weights: Weights = None,
    image_px: ImagePx = 0,
    zoo: Zoo = None,
) -> None:
    """Profile a network: operand distributions, architectural matrices, margins. The last 256 images calibrate."""
    from cnn_eval.prediction import profile_network

    check_writable(out, "--out")
    number_format = parse_encoding(encoding)
    trained = read_network(network, weights, zoo)
    test, calibration = split(data, image_px or trained.image_px)
    with progress_bar("profile", 2) as bar:
        profile = profile_network(
            trained.model,
            trained.quantized(calibration, number_format),
            trained.name,
            calibration,
            test,
            on_progress=lambda what, done, total: bar(int(what == "accuracy"), f"{what} {done}/{total}"),
        )
    path = writable(out) / f"{trained.name}.{number_format}.profile.npz"
    profile.save(path)
    accuracies = f"float {profile.float_top1_pct:.2f} %, exact integers {profile.exact_top1_pct:.2f} %"
    say(f"{path}: {accuracies} on {profile.test_images} images of {profile.data}")


def calibrate_command(
    network: OwnOrZooNetwork,
    data: Data,
    encoding: Encoding = "sign_magnitude",
    images: Images = 1000,
    out: Annotated[Path, typer.Option(help="Folder for the predictor and for the emulated accuracies behind it.")] = Path("zoo"),
    weights: Weights = None,
    image_px: ImagePx = 0,
    zoo: Zoo = None,
) -> None:
    """Calibrate an accuracy predictor on emulations of some ninety multipliers. Goes on where it was interrupted.

    The network's profile is looked for in --zoo, or else in --out.
    """
    from cnn_eval.prediction import calibrate, calibration_specs
    from cnn_eval.quantization import quantize_as
    from cnn_eval.zoo import load_profile
    from hdl.multipliers import MultiplierSpec
    from hdl.tables import ProductTable

    number_format = parse_encoding(encoding)
    check_writable(out, "--out")
    known = zoo or (out if out.is_dir() else None)
    trained = read_network(network, weights, known)
    profile = load_profile(trained.name, number_format, folder=known)
    quantized = quantize_as(trained.model, profile)
    test, _ = split(data, image_px or trained.image_px)
    specs = [MultiplierSpec.parse(text) for text in calibration_specs(signed=number_format.signed)]
    folder = writable(out)
    with progress_bar("calibrate", len(specs)) as bar:
        predictor = calibrate(
            quantized,
            profile,
            test,
            [(spec.family, ProductTable.of(spec)) for spec in specs],
            folder / f"{trained.name}.{number_format}.emulated.jsonl",
            images=images,
            on_progress=lambda state: bar(state.done, state.name),
        )
    path = folder / f"{trained.name}.{number_format}.predictor.json"
    predictor.save(path)
    say(
        f"{path}: {predictor.multipliers} multipliers on {predictor.images} images; "
        f"mean absolute deviation with families left out {predictor.deviation_pp:.2f} points"
    )


def train_command(
    network: Network,
    data: Annotated[Path, typer.Option(help="Training images.")],
    test: Annotated[Path, typer.Option(help="Images to measure accuracy on.")],
    out: Annotated[Path, typer.Option(help="Folder for weights and checkpoints.")] = Path("zoo"),
    name: Annotated[str, typer.Option(help="What to call the trained network, and the recipe to take. [default: --network]")] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs at full resolution. [default: the recipe's]")] = 0,
    start: Annotated[str, typer.Option(metavar="NETWORK", help="Go on from the zoo's weights of this network.")] = "",
    approximate: Annotated[str, typer.Option(metavar="SPEC", help="Fine-tune the zoo's network to this multiplier instead.")] = "",
    gradient: Annotated[str, typer.Option(help="With --approximate: straight_through or smoothed.")] = "straight_through",
    image_px: Annotated[int, typer.Option(min=1, help="Size that image folders are read at.")] = 32,
    encoding: Encoding = "",
    zoo: Zoo = None,
    signed: Signed = False,
) -> None:
    """Train a network, from scratch or from weights of the zoo, or fine-tune it to a multiplier. Goes on where it was interrupted."""
    check_writable(out, "--out")
    if approximate:
        subject = multiplier(approximate, signed=signed)
        number_format = fitting_encoding(encoding, signed=subject.signed)
        _fine_tune(network, name, subject, number_format, gradient, data, test, out, epochs, zoo)
        return
    from cnn_eval.datasets import load_dataset
    from cnn_eval.networks import RECIPES, Recipe, build_network, channel_statistics, train
    from cnn_eval.zoo import ModelCard, load_model, save_model

    training, measuring = (load_dataset(path, split=part, image_px=image_px) for path, part in ((data, "train"), (test, "test")))
    image_px = training.images.shape[1]
    name = name or network
    recipe = RECIPES.get(name, Recipe(stages=((image_px, 30),)))
    if epochs:
        recipe = replace(recipe, stages=(*recipe.stages[:-1], (recipe.stages[-1][0], epochs)))
    model = build_network(network, classes=len(training.classes), image_px=image_px, image_channels=training.channels, seed=recipe.seed)
    mean, std = channel_statistics(training)
    lineage = recipe.summary()
    if start:
        started, card = load_model(start, folder=zoo)
        if (card.network, len(card.classes)) != (network, len(training.classes)):
            raise InputError(
                f"--start {start}: {card.network} with {len(card.classes)} classes cannot go on as {network} with {len(training.classes)}; "
                "start from weights of the same network"
            )
        model.load_state_dict(started.state_dict())
        (mean, std), lineage = (card.mean, card.std), f"{card.recipe}; then {lineage}"
    folder = writable(out)
    with progress_bar("train", recipe.epochs) as bar:
        log = train(
            model,
            training,
            measuring,
            recipe,
            (mean, std),
            folder / f"{name}.checkpoints",
            on_epoch=lambda epoch: bar(epoch.epoch, f"loss {epoch.train_loss:.3f}  top-1 {epoch.test_top1_pct:.2f} %"),
        )
    path = folder / f"{name}.safetensors"
    top1_pct = log[-1].test_top1_pct
    card = ModelCard(network, training.classes, image_px, mean, std, training.name, top1_pct, len(measuring), lineage)
    save_model(model, card, path)
    say(f"{path}: top-1 {top1_pct:.2f} % on {len(measuring)} images of {measuring.name}")


def _fine_tune(
    network: str,
    name: str,
    subject: Multiplier,
    number_format: OperandEncoding,
    gradient: str,
    data: Path,
    test: Path,
    out: Path,
    epochs: int,
    folder: Path | None,
) -> None:
    from cnn_eval import zoo
    from cnn_eval.datasets import load_dataset, top1_pct
    from cnn_eval.networks import FINE_TUNING, fine_tune

    model, card = zoo.load_model(network, folder=folder)
    profile = zoo.load_profile(network, number_format, folder=folder)
    training, measuring = (load_dataset(path, split=part, image_px=card.image_px) for path, part in ((data, "train"), (test, "test")))
    recipe = replace(FINE_TUNING, stages=((card.image_px, epochs or FINE_TUNING.epochs),))
    name = name or f"{network}-tuned"
    path = writable(out) / f"{name}.safetensors"
    with progress_bar("fine-tune", recipe.epochs) as bar:
        tuned, before, after = fine_tune(
            model,
            profile,
            subject.table(),
            training,
            measuring,
            out / f"{name}.checkpoints",
            recipe=recipe,
            gradient=gradient,
            on_epoch=lambda epoch: bar(epoch.epoch, f"loss {epoch.train_loss:.3f}  emulated top-1 {epoch.test_top1_pct:.2f} %"),
        )
    exact = top1_pct(tuned, measuring, (card.mean, card.std))
    lineage = f"{card.recipe}; fine-tuned to {subject.name} under {number_format} ({gradient}): {recipe.summary()}"
    zoo.save_model(tuned, replace(card, float_top1_pct=exact, test_images=len(measuring), recipe=lineage), path)
    say(f"{path}: top-1 with {subject.name} {before:.2f} % before, {after:.2f} % after, on {len(measuring)} images of {measuring.name}")


def writable(folder: Path) -> Path:
    return writable_folder(folder, "--out")
