"""What a multiplier will do to a network, without emulating it: profiles, AME and its companions, predictors."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .architectural_error import FEATURES, FEATURES_VERSION, ame, ame_of_masks, ame_of_tables, features
    from .calibration import EXACT, CalibrationError, CalibrationProgress, calibrate, calibration_specs, emulated_accuracies
    from .predictor import AccuracyPredictor, Emulated, Prediction, PredictorError
    from .profile import NetworkProfile, ProfileError
    from .profile_from_images import margin_gradients, profile_network
    from .propagation import Propagation
    from .propagation_tracing import PropagationError, channel_means, trace_propagation
    from .study import (
        METRICS,
        Correlation,
        StudiedMultiplier,
        StudiedNetwork,
        correlations,
        quadratic_fit,
        study_network,
        transfer_predictor,
    )
    from .workload import dot_products, macs_per_image

__all__ = [
    "EXACT",
    "FEATURES",
    "FEATURES_VERSION",
    "METRICS",
    "AccuracyPredictor",
    "CalibrationError",
    "CalibrationProgress",
    "Correlation",
    "Emulated",
    "NetworkProfile",
    "Prediction",
    "PredictorError",
    "ProfileError",
    "Propagation",
    "PropagationError",
    "StudiedMultiplier",
    "StudiedNetwork",
    "ame",
    "ame_of_masks",
    "ame_of_tables",
    "calibrate",
    "calibration_specs",
    "channel_means",
    "correlations",
    "dot_products",
    "emulated_accuracies",
    "features",
    "macs_per_image",
    "margin_gradients",
    "profile_network",
    "quadratic_fit",
    "study_network",
    "trace_propagation",
    "transfer_predictor",
]

__getattr__ = names_of(
    __name__,
    {
        "architectural_error": "FEATURES FEATURES_VERSION ame ame_of_masks ame_of_tables features",
        "calibration": "EXACT CalibrationError CalibrationProgress calibrate calibration_specs emulated_accuracies",
        "predictor": "AccuracyPredictor Emulated Prediction PredictorError",
        "profile": "NetworkProfile ProfileError",
        "profile_from_images": "margin_gradients profile_network",
        "propagation": "Propagation",
        "propagation_tracing": "PropagationError channel_means trace_propagation",
        "study": "METRICS Correlation StudiedMultiplier StudiedNetwork correlations quadratic_fit study_network transfer_predictor",
        "workload": "dot_products macs_per_image",
    },
)
