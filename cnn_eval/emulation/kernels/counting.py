"""Counts and sums that profiles are made of, in one pass over bytes and floats as they lie."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .vector_instructions import CODES

__all__ = [
    "add_histograms",
    "add_spread",
    "add_weighted_histogram",
    "channel_sums",
    "histograms",
]

# Counts side by side, so that equal codes in a row do not wait for each other.
_ABREAST = 4


def histograms(rows: NDArray[np.uint8]) -> NDArray[np.int32]:
    """How often each code occurs in each row, (rows, n) -> (rows, 256)."""
    found = np.zeros((len(rows), CODES), np.int32)
    add_histograms(found, rows)
    return found


@njit(cache=True, nogil=True)
def add_histograms(total: NDArray[np.int32], rows: NDArray[np.uint8]) -> None:
    """Adds how often each code occurs in each row, (rows, n), to total (rows, 256)."""
    counts = np.zeros((_ABREAST, CODES), np.int32)
    for index in range(len(rows)):
        row = rows[index]
        fours = len(row) // _ABREAST * _ABREAST
        for place in range(0, fours, _ABREAST):
            counts[0, row[place]] += 1
            counts[1, row[place + 1]] += 1
            counts[2, row[place + 2]] += 1
            counts[3, row[place + 3]] += 1
        for place in range(fours, len(row)):
            counts[0, row[place]] += 1
        total[index] += counts.sum(0).astype(np.int32)
        counts[:] = 0


@njit(cache=True, nogil=True)
def add_weighted_histogram(
    total: NDArray[np.float64], codes: NDArray[np.uint8], weights: NDArray[np.int64]
) -> None:
    """Adds how often each code occurs to total (256,), in codes (n, pixels, channels), each as
    often as the weight of its pixel says.
    """
    counts = np.zeros((_ABREAST, CODES), np.int64)
    for image in range(len(codes)):
        for pixel in range(len(weights)):
            of_pixel, weight = codes[image, pixel], weights[pixel]
            for channel in range(len(of_pixel)):
                counts[channel % _ABREAST, of_pixel[channel]] += weight
    total += counts.sum(0)


@njit(cache=True, nogil=True)
def channel_sums(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums over pixels of the first, and of the first times the second, both (n, pixels, channels)
    -> (n, channels).
    """
    count, pixels, channels = first.shape
    total, products = np.zeros((count, channels)), np.zeros((count, channels))
    for image in range(count):
        for pixel in range(pixels):
            for channel in range(channels):
                value = np.float64(first[image, pixel, channel])
                total[image, channel] += value
                products[image, channel] += value * np.float64(second[image, pixel, channel])
    return total, products


@njit(cache=True, nogil=True)
def add_spread(
    total: NDArray[np.float32], counts: NDArray[np.int32], weights: NDArray[np.uint8]
) -> None:
    """Adds the counts of every position, (groups, positions, 256), to the rows of the weights
    there.

    Args:
        total: (256, channels, 256), [weight index, channel, activation index]; added to in place.
        weights: (channels, positions).
    """
    channels, positions = weights.shape
    for channel in range(channels):
        of_group = counts[channel * len(counts) // channels]
        for position in range(positions):
            target, found = total[weights[channel, position], channel], of_group[position]
            for code in range(CODES):
                target[code] += found[code]
