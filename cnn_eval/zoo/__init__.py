"""Networks that ship: weights, profiles and predictors, and how to find, load and save them."""

from .files import ModelCard, ZooError, load_model, load_predictor, load_profile, predictor_path, profile_path, save_model, weights_path
from .networks import shipped_network, zoo_network

__all__ = [
    "ModelCard",
    "ZooError",
    "load_model",
    "load_predictor",
    "load_profile",
    "predictor_path",
    "profile_path",
    "save_model",
    "shipped_network",
    "weights_path",
    "zoo_network",
]
