"""Networks themselves: architectures by name, the user's own, training and fine-tuning."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .architectures import UnknownNetworkError, build_network, network_names
    from .fine_tuning import FINE_TUNING, GRADIENTS, FineTuned, fine_tune
    from .own import load_own_network
    from .published import (
        PACKAGED,
        MissingPackageError,
        PublishedNetworkError,
        packaged_network,
        torchvision_factory,
    )
    from .references import TORCHVISION_NAMES, is_own_network, network_name
    from .trained import (
        MissingOwnNetworkError,
        OwnNetworkError,
        TrainedNetwork,
        trained_network,
    )
    from .training import RECIPES, EpochLog, Recipe, channel_statistics, train

__all__ = [
    "FINE_TUNING",
    "GRADIENTS",
    "PACKAGED",
    "RECIPES",
    "TORCHVISION_NAMES",
    "EpochLog",
    "FineTuned",
    "MissingOwnNetworkError",
    "MissingPackageError",
    "OwnNetworkError",
    "PublishedNetworkError",
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
    "packaged_network",
    "torchvision_factory",
    "train",
    "trained_network",
]

__getattr__ = names_of(
    __name__,
    {
        "architectures": "UnknownNetworkError build_network network_names",
        "fine_tuning": "FINE_TUNING GRADIENTS FineTuned fine_tune",
        "own": "load_own_network",
        "published": (
            "PACKAGED MissingPackageError PublishedNetworkError "
            "packaged_network torchvision_factory"
        ),
        "references": "TORCHVISION_NAMES is_own_network network_name",
        "trained": "MissingOwnNetworkError OwnNetworkError TrainedNetwork trained_network",
        "training": "RECIPES EpochLog Recipe channel_statistics train",
    },
)
