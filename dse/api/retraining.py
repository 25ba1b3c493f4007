"""A network trained on with its multipliers in place: what it loses then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError
from hdl.files import check_writable, writable_folder

from .emulating import InLayers, encoding_of
from .progress import OnProgress, Stage, silent
from .reading import Multiplier, designs
from .runs import deliver, load_run

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset, ImageRoles
    from cnn_eval.emulation import GroundTruth
    from cnn_eval.networks import EpochLog, TrainedNetwork
    from cnn_eval.zoo import ModelCard
    from hdl.operands import OperandEncoding

    from ..evaluation import DesignPoint
    from ..search import Assignment, Exploration

__all__ = ["Retrained", "retrain"]


@dataclass(frozen=True)
class Retrained:
    """A network that was trained on with a multiplier, or an assignment, in place.

    Attributes:
        path: of its weights, in the zoo's format.
        design: what it was trained for.
        epochs: over the training images.
        top1_before_pct, top1_after_pct: emulated with the design in place, in percent: before,
            corrected, and after, as trained.
        top1_corrected_pct: after, corrected: what is trained with a design in place needs none.
        exact_before_pct, exact_after_pct: with exact products of the widest operands, corrected.
        images: how many these were measured on.
    """

    path: Path
    design: str
    epochs: int
    top1_before_pct: float
    top1_after_pct: float
    top1_corrected_pct: float
    exact_before_pct: float
    exact_after_pct: float
    images: int

    @property
    def drop_pp(self) -> float:
        """What is lost, after training, from the network before with exact products, in percentage
        points.
        """
        return self.exact_before_pct - self.top1_after_pct


def retrain(
    design: Multiplier | Assignment | str = "",
    *,
    data: Path | str,
    test: Path | str,
    network: str = "",
    run: Path | str | None = None,
    epochs: int = 0,
    learning_rate: float = 0.0,
    gradient: str = "straight_through",
    encoding: str = "",
    out: Path | str = "zoo",
    name: str = "",
    zoo: Path | str | None = None,
    on_progress: OnProgress = silent,
) -> Retrained:
    """Trains a network of the zoo on, with every multiplication through a multiplier's table, or
    through those of an assignment. Goes on where it was interrupted.

    Args:
        design: multiplier, assignment, or what it is called; empty: the pick of `run`.
        data: training images, as `cnn_eval.datasets.load_dataset` takes them.
        test: images to measure on: those that neither made the network's predictor nor correct.
        run: folder of a finished search that the design is of: its table and report show the result
            as a row of its own.
        epochs: over the training images; 0: as many as :data:`cnn_eval.networks.FINE_TUNING` has.
        learning_rate: its peak; 0: that of the same.
        gradient: how tables are differentiated, of :data:`cnn_eval.networks.GRADIENTS`.
        encoding: number format; the one that fits the multiplier's signedness where none is named.
        out: folder for the weights and checkpoints.
        name: of the trained network; NETWORK-tuned where none is given.
        zoo: folder that the network and its profiles are looked for in first; that of the run where
            none is named.

    Raises:
        InputError: one of the arguments cannot be used, or they do not fit each other.
    """
    from cnn_eval.networks import FINE_TUNING, fine_tune

    from ..engine import recorded_search

    check_writable(out, "--out")
    known = None if run is None else _RunDesign.read(Path(run), design, network)
    subject = _subject(design) if known is None else known.multiplier
    recorded = None if known is None else recorded_search(known.folder).zoo_folder
    setting = _Setting.read(
        network if known is None else known.exploration.network,
        encoding_of(subject, encoding if known is None else known.point.encoding),
        Path(data),
        Path(test),
        recorded if zoo is None else Path(zoo),
    )
    in_layers = setting.in_layers(subject)
    recipe = replace(
        FINE_TUNING,
        stages=((setting.card.image_px, epochs or FINE_TUNING.epochs),),
        peak_learning_rate=learning_rate or FINE_TUNING.peak_learning_rate,
    )
    name = name or f"{setting.trained.name}-tuned"
    folder = writable_folder(Path(out), "--out")
    tuned = fine_tune(
        setting.trained,
        setting.truth_of,
        in_layers.multipliers,
        setting.training,
        setting.sample,
        folder / f"{name}.checkpoints",
        recipe=recipe,
        gradient=gradient,
        on_epoch=lambda log: on_progress(Stage("fine-tune", log.epoch, recipe.epochs, _words(log))),
    )
    label = in_layers.name if known is None else known.point.name
    lineage = f"fine-tuned to {label} under {setting.encoding} ({gradient}): {recipe.summary()}"
    found = Retrained(
        path=folder / f"{name}.safetensors",
        design=label,
        epochs=recipe.epochs,
        top1_before_pct=tuned.before_pct,
        top1_after_pct=tuned.after_pct,
        top1_corrected_pct=tuned.corrected_pct,
        exact_before_pct=tuned.exact_before_pct,
        exact_after_pct=tuned.exact_after_pct,
        images=len(setting.sample),
    )
    setting.save(tuned.network, lineage, found.path)
    if known is not None:
        known.record(found, on_progress)
    return found


@dataclass(frozen=True)
class _Setting:
    """What is trained and measured, and on which images."""

    trained: TrainedNetwork
    card: ModelCard
    encoding: OperandEncoding
    corrected: bool
    training: Dataset
    roles: ImageRoles
    sample: Dataset
    zoo: Path | None

    @classmethod
    def read(
        cls, network: str, encoding: OperandEncoding, data: Path, test: Path, folder: Path | None
    ) -> _Setting:
        from cnn_eval import zoo
        from cnn_eval.datasets import ImageRoles, load_dataset

        from ..ground_truth import unseen

        trained = zoo.zoo_network(network, folder=folder)
        _, card = zoo.load_model(network, folder=folder)
        corrected = zoo.is_corrected(network, encoding, folder=folder)
        training, testing = (
            load_dataset(path, split=part, image_px=card.image_px)
            for path, part in ((data, "train"), (test, "test"))
        )
        roles = ImageRoles.of(testing)
        judging = roles.judging
        start = unseen(judging, [network], [encoding], corrected=corrected, zoo_folder=folder)
        sample = judging.part(start if start < len(judging) else 0, len(judging))
        return cls(trained, card, encoding, corrected, training, roles, sample, folder)

    def truth_of(self, trained: TrainedNetwork) -> GroundTruth:
        """What measures the network, or itself trained on: learned rounding is of its own weights
        alone.
        """
        from cnn_eval.zoo import ground_truth

        return ground_truth(
            trained,
            self.encoding,
            self.roles,
            corrected=self.corrected,
            folder=self.zoo,
            nearest=trained is not self.trained,
        )

    def in_layers(self, subject: Multiplier | Assignment) -> InLayers:
        truth = self.truth_of(self.trained)
        return InLayers.of(subject, truth, truth.widest, self.trained.name)

    def save(self, tuned: TrainedNetwork, lineage: str, path: Path) -> None:
        from cnn_eval.datasets import top1_pct
        from cnn_eval.zoo import save_model

        card = self.card
        card = replace(
            card,
            float_top1_pct=top1_pct(tuned.model, self.sample, (card.mean, card.std)),
            test_images=len(self.sample),
            recipe=f"{card.recipe}; {lineage}",
        )
        save_model(tuned.model, card, path, eight_bits=False)


def _subject(design: Multiplier | Assignment | str) -> Multiplier | Assignment:
    if not design:
        raise InputError("no multiplier to train for; name one, or a run whose pick it is")
    return designs([design])[0] if isinstance(design, str) else design


def _words(log: EpochLog) -> str:
    return f"loss {log.train_loss:.3f}  emulated top-1 {log.test_top1_pct:.2f} %"


@dataclass(frozen=True)
class _RunDesign:
    """A design of a finished search."""

    folder: Path
    exploration: Exploration
    point: DesignPoint

    @classmethod
    def read(cls, folder: Path, design: Multiplier | Assignment | str, network: str) -> _RunDesign:
        """The pick of a run, or the design of that name on its front. Raises InputError."""
        exploration = load_run(folder).exploration
        if network not in ("", exploration.network):
            raise InputError(
                f"--network {network}: the run in {str(folder)!r} is for {exploration.network!r}; "
                "give that one"
            )
        pick, name = exploration.pick, design if isinstance(design, str) else str(design)
        if not name:
            if pick is None:
                raise InputError(f"{str(folder)!r} recommends no design; name one of its front")
            return cls(folder, exploration, pick)
        for point in exploration.front.points:
            if name in (point.name, point.spec):
                return cls(folder, exploration, point)
        raise InputError(
            f"{name!r} is not on the front of {str(folder)!r}; its front.csv has their names"
        )

    @property
    def multiplier(self) -> Multiplier:
        """With the products as what the design is in adds them."""
        from ..evaluation.element_costs import element_products

        found, form = self.exploration.multiplier(self.point.spec), self.point.element
        return Multiplier(element_products(form, found.table()) if form else found)

    def record(self, found: Retrained, on_progress: OnProgress) -> None:
        """Adds a row to the run, in the place of an earlier one of the same design."""
        row = replace(
            self.point.emulated(found.top1_after_pct, found.exact_before_pct, found.images),
            retrained=found.epochs,
        )
        exploration = self.exploration.with_retrained([row])
        exploration.save(self.folder)
        deliver(exploration, self.folder, on_progress)
