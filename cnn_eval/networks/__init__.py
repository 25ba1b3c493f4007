"""Networks themselves: architectures by name, the user's own, training and fine-tuning."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .architectures import UnknownNetworkError, build_network, network_names
    from .fine_tuning import FINE_TUNING, GRADIENTS, fine_tune
    from .own import (
        MissingOwnNetworkError,
        OwnNetworkError,
        TrainedNetwork,
        is_own_network,
        load_own_network,
        network_name,
    )
    from .training import RECIPES, EpochLog, Recipe, channel_statistics, train

__all__ = [
    "FINE_TUNING",
    "GRADIENTS",
    "RECIPES",
    "EpochLog",
    "MissingOwnNetworkError",
    "OwnNetworkError",
    "Recipe",
    "TrainedNetwork",
    "UnknownNetworkError",
    "build_network",
    "channel_statistics",
    "fine_tune",
    "is_own_network",
    "load_own_network",
    "network_name",
    "network_names",
    "train",
]

__getattr__ = names_of(
    __name__,
    {
        "architectures": "UnknownNetworkError build_network network_names",
        "fine_tuning": "FINE_TUNING GRADIENTS fine_tune",
        "own": (
            "MissingOwnNetworkError OwnNetworkError TrainedNetwork is_own_network "
            "load_own_network network_name"
        ),
        "training": "RECIPES EpochLog Recipe channel_statistics train",
    },
)
