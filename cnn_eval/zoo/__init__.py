"""Networks that ship: weights, profiles and predictors, and how to find, load and save them."""

from .files import (
    ModelCard,
    load_card,
    load_model,
    load_predictor,
    load_profile,
    load_rounding,
    save_model,
)
from .networks import ground_truth, shipped_network, zoo_network
from .paths import (
    ZooError,
    has_profile,
    is_corrected,
    predictor_path,
    predictor_suffix,
    profile_path,
    profile_suffix,
    profile_widths,
    rounding_path,
    ships,
    weights_path,
)

__all__ = [
    "ModelCard",
    "ZooError",
    "ground_truth",
    "has_profile",
    "is_corrected",
    "load_card",
    "load_model",
    "load_predictor",
    "load_profile",
    "load_rounding",
    "predictor_path",
    "predictor_suffix",
    "profile_path",
    "profile_suffix",
    "profile_widths",
    "rounding_path",
    "save_model",
    "shipped_network",
    "ships",
    "weights_path",
    "zoo_network",
]
