"""How well a mask fits the true one.

The rule of empty masks: where both are empty, Dice and IoU are 1 and the distance is 0; where one is, they are 0, and
the distance is the image's diagonal, the largest that there can be.
"""

import math

import numpy as np

PERCENTILE = 95  # of the distances between two outlines


def dice(found: np.ndarray, true: np.ndarray) -> float:
    """2 |A B| / (|A| + |B|) of two bool masks of one shape, from 0 to 1."""
    both, sizes = int((found & true).sum()), int(found.sum()) + int(true.sum())
    return 2 * both / sizes if sizes else 1.0


def iou(found: np.ndarray, true: np.ndarray) -> float:
    """|A B| / |A u B| of two bool masks of one shape, from 0 to 1."""
    both, either = int((found & true).sum()), int((found | true).sum())
    return both / either if either else 1.0


def hd95(found: np.ndarray, true: np.ndarray) -> float:
    """The 95th percentile of the distances from each outline to the other, both ways together, in pixels."""
    from scipy.ndimage import distance_transform_edt

    if not found.any() and not true.any():
        return 0.0
    if not found.any() or not true.any():
        return math.hypot(*true.shape)
    of_found, of_true = outline(found), outline(true)
    there, back = distance_transform_edt(~of_true)[of_found], distance_transform_edt(~of_found)[of_true]
    return float(np.percentile(np.concatenate([there, back]), PERCENTILE))


def outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of a bool mask (row, column) that have a neighbour outside, above, below or beside; beyond the image
    is outside."""
    wide = np.pad(mask, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask & ~inner


def nearest_to_even(thresholds: np.ndarray, merits: np.ndarray) -> float:
    """Of the thresholds with the highest merit the one nearest to 0.5, (threshold,) each."""
    best = thresholds[merits >= merits.max() - 1e-9]
    return float(best[np.abs(best - 0.5).argmin()])
