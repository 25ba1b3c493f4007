"""Profiles made of a network and its images: what predictions are made with."""

from typing import TYPE_CHECKING

from hdl.lazy import names_of

if TYPE_CHECKING:
    from .profile_from_images import (
        check_profile,
        margin_gradients,
        profile_network,
        propagation_gap,
        zeros_after_zeros,
    )
    from .propagation_tracing import channel_means, trace_propagation
    from .running_sums import PropagationError

__all__ = [
    "PropagationError",
    "channel_means",
    "check_profile",
    "margin_gradients",
    "profile_network",
    "propagation_gap",
    "trace_propagation",
    "zeros_after_zeros",
]

__getattr__ = names_of(
    __name__,
    {
        "profile_from_images": "check_profile margin_gradients profile_network propagation_gap "
        "zeros_after_zeros",
        "propagation_tracing": "channel_means trace_propagation",
        "running_sums": "PropagationError",
    },
)
