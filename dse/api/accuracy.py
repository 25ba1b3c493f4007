"""What networks make of a multiplier, predicted from its table; networks by what the user calls
them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hdl.errors import InputError

from .formats import fitting_encoding, profile_hint
from .reading import Multiplier, multiplier

if TYPE_CHECKING:
    from cnn_eval.networks import TrainedNetwork

__all__ = ["PredictedAccuracy", "parse_networks", "predict", "profiled_name", "read_network"]


@dataclass(frozen=True)
class PredictedAccuracy:
    """Predicted accuracy of a network with a multiplier.

    Attributes:
        corrected: whether it is of the network under correction.
        ame: architectural mean error.
        top1_pct, drop_pp: predicted top-1, and its drop from the exact quantized network, in
            percentage points.
        spread_pp: one standard deviation of the prediction.
        data: what the accuracy is of.
        transferred_from: the networks whose emulations the prediction rests on, where there are
            none of this one.
    """

    multiplier: str
    network: str
    encoding: str
    data: str
    corrected: bool
    ame: float
    top1_pct: float
    drop_pp: float
    spread_pp: float
    transferred_from: tuple[str, ...]


def predict(
    design: Multiplier | str,
    *,
    network: str,
    encoding: str = "",
    corrected: bool | None = None,
    zoo: Path | str | None = None,
) -> PredictedAccuracy:
    """Predicts a network's accuracy with a multiplier, in milliseconds.

    Args:
        network: of the zoo, or with profiles in the folder `zoo`.
        encoding: number format; the one that fits the multiplier's signedness where none is named.
        corrected: layers' scale and bias are estimated anew with the multiplier in place; None:
            where the zoo has the network so.

    Raises:
        InputError: the multiplier, the network or the encoding cannot be used, or do not fit each
            other.
    """
    from cnn_eval.prediction import ame, features
    from cnn_eval.zoo import is_corrected, load_predictor, load_profile, profile_widths
    from hdl.multipliers import tied_off_hint, within

    design = multiplier(design) if isinstance(design, str) else design
    number_format, folder = (
        fitting_encoding(encoding, signed=design.signed),
        None if zoo is None else Path(zoo),
    )
    network = profiled_name(network, folder)
    corrected = (
        is_corrected(network, number_format, folder=folder) if corrected is None else corrected
    )
    there = profile_widths(network, number_format, corrected=corrected, folder=folder)
    table = within(design.design, there).table()
    if table.widths not in there:
        known = ", ".join(f"{one.a}x{one.b}" for one in there)
        other = profile_hint(number_format, table.widths)
        other += " --no-correction" if other and not corrected else ""
        raise InputError(
            f"{design.name} multiplies {design.design.width_a}x{design.design.width_b} bits, and "
            f"{network} is profiled for {known} in {number_format}"
            f"{'' if corrected else ' without correction'}; take one of those"
            f"{tied_off_hint(design.design, there)}{other}"
        )
    profile = load_profile(network, number_format, table.widths, corrected=corrected, folder=folder)
    predictor = load_predictor(network, number_format, corrected=corrected, folder=folder)
    found = predictor.predict(features(profile, table.errors), profile.exact_top1_pct)
    return PredictedAccuracy(
        multiplier=table.name,
        network=network,
        encoding=str(number_format),
        data=profile.data,
        corrected=corrected,
        ame=ame(profile, table.errors),
        top1_pct=found.top1_pct,
        drop_pp=found.drop_pp,
        spread_pp=found.spread_pp,
        transferred_from=predictor.transferred_from,
    )


def profiled_name(reference: str, folder: Path | None) -> str:
    """What the profiles of a network are called by, which are looked for in `folder` before the zoo
    that ships.

    Raises:
        hdl.errors.InputError: a file of the user's own, whose name is that of another network that
            ships.
    """
    from cnn_eval.networks import is_own_network, network_name
    from cnn_eval.zoo import ships

    name = network_name(reference)
    own = folder is not None and any(folder.glob(f"{name}.*.profile.npz"))
    if is_own_network(reference) and not own and ships(name):
        raise InputError(
            f"no profile of {reference} in {str(folder) if folder else 'a folder of your own'}: "
            f"{name!r} by itself is another network, which ships; give the folder of "
            "`dse profile --out` with --zoo, or rename the file"
        )
    return name


def parse_networks(text: str) -> list[str]:
    """The networks of a comma-separated list; the first one may be the user's own.

    Raises:
        hdl.errors.InputError: another one is a file, or there is an empty name.
    """
    from cnn_eval.networks import is_own_network

    first, *others = (one.strip() for one in text.split(","))
    for other in others:
        if is_own_network(other):
            raise InputError(
                f"--network {text}: of several networks only the first may be a file of your own; "
                f"{other!r} is another one"
            )
        if not other:
            raise InputError(f"--network {text}: an empty name; separate networks by one comma")
    return [first, *others]


def read_network(
    network: str, weights: Path | None, zoo: Path | None, labels: Path | None = None
) -> TrainedNetwork:
    """The network of that name: the user's own or torchvision's with its weights, or one of the
    zoo; with the names of its classes where `labels` has them.

    Raises:
        hdl.errors.InputError: an own network without weights, or one of the zoo with them, or one
            that cannot be used, or `labels` has no names of classes.
    """
    from cnn_eval.datasets import read_classes
    from cnn_eval.networks import is_own_network, load_own_network
    from cnn_eval.zoo import zoo_network

    if is_own_network(network):
        trained = load_own_network(network, weights)
    elif weights is not None:
        raise InputError(
            "--weights goes with a network of your own, --network module.py:factory, or "
            f"torchvision's, --network torchvision:resnet50; {network!r} has its weights in the zoo"
        )
    else:
        trained = zoo_network(network, folder=zoo)
    return trained if labels is None else replace(trained, classes=read_classes(labels))
