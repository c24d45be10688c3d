"""Masks of many images -> the scores of a segmenter, with intervals over patients.

Per image: mean and median of Dice and IoU, the mean of IoU where less than 0.65 counts as nothing (as in the ISIC
challenge of 2018), and the mean HD95. An image without a lesion, found empty, has a Dice of 1: so Dice and IoU are
given over the images with a lesion alone, too, and the number of those without. Pooled: all pixels of all images
together, which is what many papers on small networks print; large lesions count for more there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.measured import Bootstrap, Measured

COUNTS_FROM = 0.65  # of the challenge's threshold Jaccard


@dataclass(frozen=True)
class Judged:
    """Of each image, (image,): whose it is, and how well its mask fits."""

    patients: np.ndarray
    dice: np.ndarray
    iou: np.ndarray
    hd95: np.ndarray  # pixels
    common: np.ndarray  # pixels in both masks
    sizes: np.ndarray  # pixels of the one and of the other, added up
    lesions: np.ndarray  # bool: whether there is anything in the true mask


def scores(judged: Judged, bootstrap: Bootstrap) -> dict[str, Measured]:
    """Name -> score, with the interval of resampled patients."""
    statistics = {
        "dice": _mean(judged.dice),
        "dice_median": lambda weights: weighted_median(judged.dice, weights),
        "iou": _mean(judged.iou),
        "iou_median": lambda weights: weighted_median(judged.iou, weights),
        "threshold_iou": _mean(np.where(judged.iou >= COUNTS_FROM, judged.iou, 0.0)),
        "hd95": _mean(judged.hd95),
        "pooled_dice": lambda weights: _pooled(judged, weights),
        "pooled_iou": lambda weights: _pooled(judged, weights) / (2 - _pooled(judged, weights)),
    }
    count, there = len(judged.dice), judged.lesions
    found = {name: bootstrap.measured(one, [judged.patients], n=count) for name, one in statistics.items()}
    if there.any():
        of_lesions = {"dice_lesions": judged.dice[there], "iou_lesions": judged.iou[there]}
        patients, lesions = [judged.patients[there]], int(there.sum())
        found |= {name: bootstrap.measured(_mean(of), patients, n=lesions) for name, of in of_lesions.items()}
    return found | {"without_lesion": Measured(float((~there).sum()), count)}


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The median of values that each are there `weights` times, (value,) each."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    half = below[-1] / 2
    low, high = (values[order][np.searchsorted(below, half, side=side)] for side in ("left", "right"))
    return float((low + high) / 2)


def _mean(values: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda weights: float(np.average(values, weights=weights))


def _pooled(judged: Judged, weights: np.ndarray) -> float:
    sizes = float((weights * judged.sizes).sum())
    return 2 * float((weights * judged.common).sum()) / sizes if sizes else 1.0
