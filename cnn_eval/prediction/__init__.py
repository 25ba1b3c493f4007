"""What a multiplier will do to a network, without emulating it: profiles, AME and its companions,
predictors.
"""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .architectural_error import (
        FEATURES,
        FEATURES_VERSION,
        ame,
        ame_of_masks,
        ame_of_tables,
        features,
        layer_variances,
        rounding_variances,
    )
    from .calibration import (
        CALIBRATED_IMAGES,
        CalibrationError,
        CalibrationProgress,
        Measure,
        calibrate,
        emulated_accuracies,
        exact_name,
        screened_top1_pct,
    )
    from .candidates import Candidate, calibration_set, profiled_widths
    from .fitting import Emulated, drop_error_pp, left_out_predictions, middle_region
    from .loss import LocalLoss, LossModel, WorstLoss
    from .predictor import AccuracyPredictor, Prediction, PredictorError
    from .profile import NetworkProfile, ProfileError
    from .propagation import Propagation
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
    from .workload import dot_products, layer_shapes, macs_per_image

__all__ = [
    "CALIBRATED_IMAGES",
    "FEATURES",
    "FEATURES_VERSION",
    "METRICS",
    "AccuracyPredictor",
    "CalibrationError",
    "CalibrationProgress",
    "Candidate",
    "Correlation",
    "Emulated",
    "LocalLoss",
    "LossModel",
    "Measure",
    "NetworkProfile",
    "Prediction",
    "PredictorError",
    "ProfileError",
    "Propagation",
    "StudiedMultiplier",
    "StudiedNetwork",
    "WorstLoss",
    "ame",
    "ame_of_masks",
    "ame_of_tables",
    "calibrate",
    "calibration_set",
    "correlations",
    "dot_products",
    "drop_error_pp",
    "emulated_accuracies",
    "exact_name",
    "features",
    "layer_shapes",
    "layer_variances",
    "left_out_predictions",
    "macs_per_image",
    "middle_region",
    "profiled_widths",
    "quadratic_fit",
    "rounding_variances",
    "screened_top1_pct",
    "study_network",
    "transfer_predictor",
]

__getattr__ = names_of(
    __name__,
    {
        "architectural_error": (
            "FEATURES FEATURES_VERSION ame ame_of_masks ame_of_tables features layer_variances "
            "rounding_variances"
        ),
        "calibration": "CALIBRATED_IMAGES CalibrationError CalibrationProgress Measure calibrate "
        "emulated_accuracies exact_name screened_top1_pct",
        "candidates": "Candidate calibration_set profiled_widths",
        "loss": "LocalLoss LossModel WorstLoss",
        "fitting": "Emulated drop_error_pp left_out_predictions middle_region",
        "predictor": "AccuracyPredictor Prediction PredictorError",
        "profile": "NetworkProfile ProfileError",
        "propagation": "Propagation",
        "study": "METRICS Correlation StudiedMultiplier StudiedNetwork correlations quadratic_fit "
        "study_network transfer_predictor",
        "workload": "dot_products layer_shapes macs_per_image",
    },
)
