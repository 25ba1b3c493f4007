"""What networks make of a multiplier: predicted from its table, or measured by emulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from .formats import fitting_encoding
from .reading import Multiplier, multiplier

if TYPE_CHECKING:
    from cnn_eval.datasets import Dataset
    from cnn_eval.networks import TrainedNetwork

__all__ = ["CALIBRATION_IMAGES", "EmulatedAccuracy", "PredictedAccuracy", "emulate", "emulate_all", "predict", "read_network", "split"]

#: The last images of the test data calibrate, the first ones measure: profiles and accuracies never share images.
CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class PredictedAccuracy:
    """Predicted accuracy of a network with a multiplier.

    Attributes:
        ame: architectural mean error.
        top1_pct, drop_pp: predicted top-1, and its drop from the exact quantized network, in percentage points.
        spread_pp: one standard deviation of the prediction.
        data: what the accuracy is of.
    """

    multiplier: str
    network: str
    encoding: str
    data: str
    ame: float
    top1_pct: float
    drop_pp: float
    spread_pp: float


@dataclass(frozen=True)
class EmulatedAccuracy:
    """Measured accuracy of a network with a multiplier: top-1 in percent over so many images, and with exact products."""

    multiplier: str
    network: str
    encoding: str
    data: str
    top1_pct: float
    exact_top1_pct: float
    images: int
    seconds: float

    @property
    def drop_pp(self) -> float:
        """Percentage points lost to the multiplier."""
        return self.exact_top1_pct - self.top1_pct


def predict(design: Multiplier | str, *, network: str, encoding: str = "", zoo: Path | str | None = None) -> PredictedAccuracy:
    """Predicts a network's accuracy with a multiplier, in milliseconds.

    Args:
        network: of the zoo, or with a profile in the folder `zoo`.
        encoding: number format; the one that fits the multiplier's signedness where none is named.

    Raises:
        InputError: the multiplier, the network or the encoding cannot be used, or do not fit each other.
    """
    from cnn_eval.prediction import ame, features
    from cnn_eval.zoo import load_predictor, load_profile

    design = multiplier(design) if isinstance(design, str) else design
    number_format, folder = fitting_encoding(encoding, signed=design.signed), None if zoo is None else Path(zoo)
    profile = load_profile(network, number_format, folder=folder)
    predictor = load_predictor(network, number_format, folder=folder)
    errors = design.table().errors
    found = predictor.predict(features(profile, errors))
    return PredictedAccuracy(
        multiplier=design.name,
        network=network,
        encoding=str(number_format),
        data=profile.data,
        ame=ame(profile, errors),
        top1_pct=found.top1_pct,
        drop_pp=found.drop_pp,
        spread_pp=found.spread_pp,
    )


def emulate(
    design: Multiplier | str,
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    images: int = 1000,
    weights: Path | str | None = None,
    exact_first_last: bool = False,
    zoo: Path | str | None = None,
) -> EmulatedAccuracy:
    """Measures a network's accuracy with a multiplier: every convolution and linear layer multiplies through its product table.

    Arguments and errors are those of :func:`emulate_all`.
    """
    return emulate_all(
        [design],
        network=network,
        data=data,
        encoding=encoding,
        images=images,
        weights=weights,
        exact_first_last=exact_first_last,
        zoo=zoo,
    )[0]


def emulate_all(
    designs: Sequence[Multiplier | str],
    *,
    network: str,
    data: Path | str,
    encoding: str = "",
    images: int = 1000,
    weights: Path | str | None = None,
    image_px: int = 0,
    exact_first_last: bool = False,
    zoo: Path | str | None = None,
    on_progress: Callable[[str, int, int, float], None] = lambda name, done, total, top1_pct: None,
) -> list[EmulatedAccuracy]:
    """Measures a network's accuracy with multipliers of one signedness, one after the other.

    Args:
        network: of the zoo, or your own, `module.py:factory`, with its `weights`; that one is calibrated on the last 256 images.
        data: images, as `cnn_eval.datasets.load_dataset` takes them; the first `images` are measured on.
        encoding: number format; the one that fits the multipliers' signedness where none is named.
        image_px: size that image folders are read at; 0: the network's.
        exact_first_last: multiply exactly in the first and the last layer.
        zoo: folder that networks and their profiles are looked for in first.
        on_progress: called with (multiplier, images done, of so many, top-1 in percent so far).

    Raises:
        InputError: one of the arguments cannot be used, or they do not fit each other.
    """
    from cnn_eval.datasets import load_dataset
    from cnn_eval.emulation import exact_first_and_last, measure_top1
    from cnn_eval.quantization import quantize_as
    from cnn_eval.zoo import load_profile

    known = [multiplier(design) if isinstance(design, str) else design for design in designs]
    number_format, *others = {fitting_encoding(encoding, signed=design.signed) for design in known}
    if others:
        raise InputError("signed and unsigned multipliers need different encodings; emulate them in separate runs")
    folder, own = (None if path is None else Path(path) for path in (zoo, weights))
    trained = read_network(network, own, folder)
    path, image_px = Path(data), image_px or trained.image_px
    if own is not None:
        test, calibration = split(path, image_px)
        sample, quantized = test.head(images), trained.quantized(calibration, number_format)
    else:
        sample = load_dataset(path, image_px=image_px).head(images)
        quantized = quantize_as(trained.model, load_profile(network, number_format, folder=folder))
    exact = measure_top1(quantized, None, sample)
    found = []
    for index, design in enumerate(known):
        table = design.table()

        def tell(done: int, top1_pct: float, name: str = design.name, before: int = index * len(sample)) -> None:
            on_progress(name, before + done, len(designs) * len(sample), top1_pct)

        measured = measure_top1(quantized, exact_first_and_last(quantized, table) if exact_first_last else table, sample, on_progress=tell)
        found.append(
            EmulatedAccuracy(
                multiplier=design.name,
                network=network,
                encoding=str(number_format),
                data=sample.name,
                top1_pct=measured.top1_pct,
                exact_top1_pct=exact.top1_pct,
                images=measured.images,
                seconds=measured.seconds,
            )
        )
    return found


def read_network(network: str, weights: Path | None, zoo: Path | None) -> TrainedNetwork:
    """The network of that name: the user's own with its weights, or one of the zoo.

    Raises:
        hdl.errors.InputError: an own network without weights, or one of the zoo with them, or one that cannot be used.
    """
    from cnn_eval.networks import is_own_network, load_own_network
    from cnn_eval.zoo import zoo_network

    if not is_own_network(network):
        if weights is not None:
            raise InputError(
                f"--weights goes with a network of your own, --network module.py:factory; {network!r} has its weights in the zoo"
            )
        return zoo_network(network, folder=zoo)
    if weights is None:
        raise InputError(f"{network!r} needs weights; give them with --weights FILE.safetensors")
    return load_own_network(network, weights)


def split(path: Path, image_px: int) -> tuple[Dataset, Dataset]:
    """Images to measure on, and images to calibrate on; image folders are read at `image_px`."""
    from cnn_eval.datasets import load_dataset

    data = load_dataset(path, image_px=image_px)
    count = len(data) - CALIBRATION_IMAGES
    if count < CALIBRATION_IMAGES:
        raise InputError(
            f"{str(path)!r} has {len(data)} images; {2 * CALIBRATION_IMAGES} or more are needed, {CALIBRATION_IMAGES} of them to calibrate"
        )
    return data.head(count), data.part(count, len(data))
