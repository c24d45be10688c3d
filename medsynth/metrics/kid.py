"""Features of two sets of images -> the kernel distance between them (KID, Bińkowski et al. 2018)."""

import numpy as np


def kid(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of two sets of features, each (image, feature), in float64.

    With the kernel k(x, y) = (x·y / D + 1)^3 over D features. The whole sets are compared once, not random parts of
    them, so nothing is drawn; sizes may differ. 0 is expected of two sets of one kind, and a value below 0 is no error.
    Raises ValueError for fewer than two images in a set.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"sets of {len(ours)} and {len(theirs)} images, but a spread within each needs two")
    x, y = (np.asarray(features, dtype=np.float64) for features in (ours, theirs))
    return _within(x) + _within(y) - 2 * float(_kernel(x, y).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _within(x: np.ndarray) -> float:
    """The mean of the kernel over all pairs of two different images of one set."""
    kernel = _kernel(x, x)
    return float((kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1)))
