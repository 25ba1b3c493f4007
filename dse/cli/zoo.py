"""Commands that make what a zoo holds of a network: train, profile, calibrate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdl.errors import InputError
from hdl.files import check_writable, writable_folder

from ..api.accuracy import read_network
from ..api.formats import parse_encoding
from ..api.reading import multiplier
from ..api.retraining import retrain
from .applicable import CheckedCommand
from .console import progress_bar, progress_bars, say
from .options import (
    Cluster,
    Correction,
    Data,
    Encoding,
    ImagePx,
    Labels,
    NumberFormat,
    OwnOrZooNetwork,
    Signed,
    Weights,
    Zoo,
    ZooNetwork,
)

if TYPE_CHECKING:
    from cnn_eval.datasets import ImageRoles
    from cnn_eval.networks import TrainedNetwork
    from cnn_eval.quantization import Rounding
    from hdl.operands import OperandEncoding

# Images behind the profiles of all operand widths but the widest.
_NARROW_PROFILE_IMAGES = 128
# Images that tell, before anything takes long, whether a network can be profiled.
_PROBED_IMAGES = 8


def register(app: typer.Typer) -> None:
    app.command("train", cls=CheckedCommand)(train_command)
    app.command("profile")(profile_command)
    app.command("calibrate")(calibrate_command)


def profile_command(
    network: OwnOrZooNetwork,
    data: Data,
    encoding: NumberFormat = "sign_magnitude",
    out: Annotated[Path, typer.Option(help="Folder for the profiles.")] = Path("zoo"),
    weights: Weights = None,
    labels: Labels = None,
    image_px: ImagePx = 0,
    zoo: Zoo = None,
    activation_bits: Annotated[
        int,
        typer.Option(
            min=0,
            max=8,
            help="Only for activations of so many bits, 2 to 8. [default: all that are worth it]",
            show_default=False,
        ),
    ] = 0,
    weight_bits: Annotated[
        int, typer.Option(min=0, max=8, help="Only for weights of so many bits, 2 to 8.")
    ] = 0,
    correction: Correction = True,
) -> None:
    """Profile a network for each operand width: operand distributions, architectural matrices,
    margins; and round its weights.

    The last 256 images calibrate, those before them correct, the first ones measure.
    """
    from cnn_eval.datasets import ImageRoles, top1_pct
    from cnn_eval.prediction import CALIBRATED_IMAGES, profiled_widths
    from cnn_eval.profiling import check_profile, profile_network, propagation_gap
    from cnn_eval.zoo import ground_truth, profile_suffix
    from hdl.operands import operand_widths

    check_writable(out, "--out")
    number_format = parse_encoding(encoding)
    trained = read_network(network, weights, zoo, labels)
    roles = ImageRoles.of(trained.images(data, image_px))
    chosen = profiled_widths(number_format)
    if activation_bits or weight_bits:
        chosen = (operand_widths(number_format, activation_bits or 8, weight_bits or 8),)
    if not correction:
        chosen = chosen[:1]
    trained = trained.captured(roles.calibration)
    few = roles.calibration.head(_PROBED_IMAGES)
    probe = trained.quantized(few, number_format, chosen[0])
    check_profile(probe, few)
    if not correction and (gap := propagation_gap(probe, few)):
        say(f"{trained.name}: {gap}; architectural matrices come of gradients alone")
    folder = writable_folder(out, "--out")
    rounding = _rounding(trained, number_format, roles, folder)
    truth = ground_truth(trained, number_format, roles, corrected=correction, folder=folder)
    test = roles.judging.head(min(CALIBRATED_IMAGES, len(roles.judging) // 2))  # the others verify
    normalization = truth.quantized(chosen[0]).mean, truth.quantized(chosen[0]).std
    float_top1_pct = top1_pct(trained.model, test, normalization)
    widest = profiled_widths(number_format)[0]
    reference = truth.measure(widest, test)
    with progress_bar("profile", len(chosen)) as bar:
        for index, widths in enumerate(chosen):
            profile = profile_network(
                truth.exact(widths),
                trained.name,
                roles.calibration if index == 0 else roles.calibration.head(_NARROW_PROFILE_IMAGES),
                test,
                float_top1_pct=float_top1_pct,
                widest=None if widths == widest else reference,
                rounding_sha256=rounding.sha256(),
                on_progress=partial(_tell_profile, bar, index, f"{widths.a}x{widths.b}"),
            )
            path = (
                folder
                / f"{trained.name}.{profile_suffix(number_format, widths, corrected=correction)}"
            )
            profile.save(path)
            accuracies = (
                f"float {profile.float_top1_pct:.2f} %, exact integers "
                f"{profile.exact_top1_pct:.2f} %"
            )
            say(f"{path}: {accuracies} on {profile.test_images} images of {profile.data}")


def _tell_profile(
    bar: Callable[[int, str], None], index: int, widths: str, what: str, done: int, total: int
) -> None:
    bar(index, f"{widths}: {what} {done}/{total}")


def _rounding(
    trained: TrainedNetwork, encoding: OperandEncoding, roles: ImageRoles, folder: Path
) -> Rounding:
    """The learned rounding of the network's weights: the one in `folder`, or a new one there."""
    from cnn_eval.datasets import normalize
    from cnn_eval.prediction import profiled_widths
    from cnn_eval.quantization import LEARNED_RANGES, Rounding, learn_rounding

    path = folder / f"{trained.name}.rounding.npz"
    if path.exists():
        return Rounding.load(path)
    network = trained.quantized(roles.calibration, encoding, profiled_widths(encoding)[0])
    weights = {name: trained.model.get_parameter(f"{name}.weight") for name in network.layers}
    images = normalize(roles.calibration.images, network.mean, network.std)
    with progress_bar("round weights", len(weights)) as bar:
        rounding = learn_rounding(
            network,
            weights,
            images,
            LEARNED_RANGES,
            on_layer=lambda done, total: bar(done, f"layer {done}/{total}"),
        )
    rounding.save(path)
    return rounding


def calibrate_command(
    network: OwnOrZooNetwork,
    data: Data,
    encoding: NumberFormat = "sign_magnitude",
    images: Annotated[
        int, typer.Option(min=1, help="How many of the images to emulate each multiplier on.")
    ] = 1200,
    multipliers: Annotated[int, typer.Option(min=8, help="How many multipliers to emulate.")] = 120,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the predictor and for the emulated accuracies behind it."),
    ] = Path("zoo"),
    weights: Weights = None,
    labels: Labels = None,
    image_px: ImagePx = 0,
    zoo: Zoo = None,
    correction: Correction = True,
    cluster: Cluster = "",
) -> None:
    """Calibrate an accuracy predictor on emulations of multipliers, of families and made for the
    network. Goes on where it was interrupted.

    The network's profiles are looked for in --zoo, or else in --out.
    """
    from cnn_eval.datasets import ImageRoles
    from cnn_eval.zoo import load_profile, predictor_suffix, profile_widths

    from ..engine.calibrating import calibrate_with_made_designs
    from ..evaluation import Workbench, open_executor, resumable
    from ..ground_truth import Emulation

    number_format = parse_encoding(encoding)
    check_writable(out, "--out")
    known = zoo or (out if out.is_dir() else None)
    trained = read_network(network, weights, known, labels)
    roles = ImageRoles.of(trained.images(data, image_px))
    profiles = [
        load_profile(trained.name, number_format, widths, corrected=correction, folder=known)
        for widths in profile_widths(
            trained.name, number_format, corrected=correction, folder=known
        )
    ]
    folder = writable_folder(out, "--out")
    bench = Workbench((trained.name,), (number_format,), zoo_folder=known, corrected=correction)
    file = f"{trained.name}.{predictor_suffix(number_format, corrected=correction)}"
    roles = replace(roles, judging=roles.judging.head(images))
    with (
        resumable(),
        open_executor(cluster=cluster) as executor,
        # Exact ones of every width are emulated beside them.
        progress_bar("calibrate", multipliers + len(profiles)) as bar,
    ):
        predictor = calibrate_with_made_designs(
            Emulation(trained, number_format, roles, correction, known),
            profiles,
            roles.judging,
            multipliers,
            folder / file.replace("predictor.json", "emulated.jsonl"),
            bench,
            executor=executor,
            images=images,
            on_progress=lambda state: bar(state.done, state.name),
        )
    predictor.save(folder / file)
    say(
        f"{folder / file}: {predictor.multipliers} multipliers on {predictor.images} images; mean "
        "absolute deviation with families and "
        f"operand widths left out {predictor.deviation_pp:.2f} points"
    )


def train_command(
    network: ZooNetwork,
    data: Annotated[Path, typer.Option(help="Training images.")],
    test: Annotated[Path, typer.Option(help="Images to measure accuracy on.")],
    out: Annotated[Path, typer.Option(help="Folder for weights and checkpoints.")] = Path("zoo"),
    name: Annotated[
        str,
        typer.Option(
            help="What to call the trained network, and the recipe to take. [default: --network]"
        ),
    ] = "",
    epochs: Annotated[
        int,
        typer.Option(
            min=0, help="Epochs at full resolution. [default: the recipe's]", show_default=False
        ),
    ] = 0,
    learning_rate: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Peak of the learning rate. [default: the recipe's]",
            show_default=False,
        ),
    ] = 0.0,
    start: Annotated[
        str, typer.Option(metavar="NETWORK", help="Go on from the zoo's weights of this network.")
    ] = "",
    approximate: Annotated[
        str,
        typer.Option(
            metavar="SPEC|ASSIGNMENT",
            help="Fine-tune the zoo's network to this multiplier, or assignment, instead.",
        ),
    ] = "",
    run: Annotated[
        Path | None,
        typer.Option(
            help="Fine-tune to the pick of this search, or to --approximate of its front; its "
            "report shows the result."
        ),
    ] = None,
    gradient: Annotated[
        str, typer.Option(help="With --approximate: straight_through or smoothed.")
    ] = "straight_through",
    image_px: Annotated[
        int, typer.Option(min=1, help="Size that image files are resized to.")
    ] = 32,
    encoding: Encoding = "",
    zoo: Zoo = None,
    signed: Signed = False,
) -> None:
    """Train a network, from scratch or from weights of the zoo, or fine-tune it to a multiplier.
    Goes on where it was interrupted.
    """
    check_writable(out, "--out")
    if approximate or run is not None:
        with progress_bars() as bars:
            found = retrain(
                multiplier(approximate, signed=True) if signed else approximate,
                network=network,
                data=data,
                test=test,
                run=run,
                epochs=epochs,
                learning_rate=learning_rate,
                gradient=gradient,
                encoding=encoding,
                out=out,
                name=name,
                zoo=zoo,
                on_progress=bars,
            )
        say(
            f"{found.path}: top-1 with {found.design} {found.top1_before_pct:.2f} % before, "
            f"corrected, {found.top1_after_pct:.2f} % after, as trained "
            f"({found.top1_corrected_pct:.2f} % corrected); with exact products "
            f"{found.exact_before_pct:.2f} % before, {found.exact_after_pct:.2f} % after; on "
            f"{found.images:,} images of {test}"
        )
        return
    from cnn_eval.datasets import load_dataset
    from cnn_eval.networks import RECIPES, Recipe, build_network, channel_statistics, train
    from cnn_eval.zoo import ModelCard, load_model, save_model

    training, measuring = (
        load_dataset(path, split=part, image_px=image_px)
        for path, part in ((data, "train"), (test, "test"))
    )
    image_px = training.images.shape[1]
    name = name or network
    recipe = RECIPES.get(name, Recipe(stages=((image_px, 30),)))
    if epochs:
        recipe = replace(recipe, stages=(*recipe.stages[:-1], (recipe.stages[-1][0], epochs)))
    if learning_rate:
        recipe = replace(recipe, peak_learning_rate=learning_rate)
    model = build_network(
        network,
        classes=len(training.classes),
        image_px=image_px,
        image_channels=training.channels,
        seed=recipe.seed,
    )
    mean, std = channel_statistics(training)
    lineage = recipe.summary()
    if start:
        started, card = load_model(start, folder=zoo)
        if (card.network, len(card.classes)) != (network, len(training.classes)):
            raise InputError(
                f"--start {start}: {card.network} with {len(card.classes)} classes cannot go on "
                f"as {network} with {len(training.classes)}; "
                "start from weights of the same network"
            )
        model.load_state_dict(started.state_dict())
        (mean, std), lineage = (card.mean, card.std), f"{card.recipe}; then {lineage}"
    folder = writable_folder(out, "--out")
    with progress_bar("train", recipe.epochs) as bar:
        log = train(
            model,
            training,
            measuring,
            recipe,
            (mean, std),
            folder / f"{name}.checkpoints",
            on_epoch=lambda epoch: bar(
                epoch.epoch, f"loss {epoch.train_loss:.3f}  top-1 {epoch.test_top1_pct:.2f} %"
            ),
        )
    path = folder / f"{name}.safetensors"
    top1_pct = log[-1].test_top1_pct
    card = ModelCard(
        network,
        training.classes,
        image_px,
        mean,
        std,
        training.name,
        top1_pct,
        len(measuring),
        lineage,
    )
    save_model(model, card, path)
    say(f"{path}: top-1 {top1_pct:.2f} % on {len(measuring)} images of {measuring.name}")
