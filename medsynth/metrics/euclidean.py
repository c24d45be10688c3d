"""Distances between feature vectors: in float64, in blocks, exact for near copies."""

from collections.abc import Iterator

import numpy as np

BLOCK = 1024  # rows compared at once
NEAR = 1e-4  # of two squares' sum: below it, their difference has lost too many digits
PAIRS = 1024  # near pairs subtracted at once


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, (a, b), of features (image, feature); exactly 0 between equal rows.

    a^2 + b^2 - 2ab loses the digits of a distance that is small beside the lengths, so such pairs are subtracted.
    """
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    sums = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    found = a @ (-2 * b).T
    found += sums
    sums *= NEAR
    near = np.argwhere(found <= sums)
    for first in range(0, len(near), PAIRS):
        rows, columns = near[first : first + PAIRS].T
        found[rows, columns] = np.square(a[rows] - b[columns]).sum(axis=1)
    return np.asarray(found)


def blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of `squared_distances(a, b)`, `BLOCK` at a time: which rows, and their distances, (row, b)."""
    exact = b.astype(np.float64, copy=False)
    for first in range(0, len(a), BLOCK):
        rows = slice(first, first + BLOCK)
        yield rows, squared_distances(a[rows], exact)
