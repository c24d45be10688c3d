"""Runs of a segmenter on one image -> one mask, in three ways; and how far the runs are from each other.

The quality score NQM is that of M3D-NCA (Kalkhof and Mukhopadhyay 2023): the deviations of the runs, added up over all
pixels, over their mean, added up as well. The larger, the less a mask is to be trusted.
"""

import numpy as np

from medsynth.metrics.ranking import Ranking
from medsynth.metrics.staple import staple

WAYS = ("mean", "majority", "staple")
EVERY_MASK = -1.0  # a quality score that all are above, for none is below 0
FEWEST = 1.0  # pixels that a mask is taken to have at least: of an empty one nothing could be told


def combined(runs: np.ndarray, way: str, threshold: float) -> np.ndarray:
    """The bool mask (row, column) of runs (run, row, column), probabilities from 0 to 1.

    mean: where the mean reaches the threshold; majority: where more than half of the runs do; staple: where STAPLE
    gives more than even odds to what the runs mark by the threshold.
    """
    if way == "mean":
        return runs.mean(axis=0) >= threshold
    marked = runs >= threshold
    return 2 * marked.sum(axis=0) > len(runs) if way == "majority" else staple(marked) > 0.5


def nqm(runs: np.ndarray) -> float:
    """The quality score of runs (run, row, column); 0 where all agree, and at most the square root of the runs."""
    return float(runs.std(axis=0).sum() / max(float(runs.mean(axis=0).sum()), FEWEST))


def failure_auc(score: np.ndarray, failed: np.ndarray) -> float:
    """How often a failed mask has a higher score than one that has not failed, (image,) each; NaN where none or all
    have."""
    if not failed.any() or failed.all():
        return float("nan")
    return float(Ranking.of(failed.astype(int), score).auc_and_ap(np.ones((len(score), 1)))[0].item())


def failure_limit(score: np.ndarray, failed: np.ndarray) -> float:
    """The score above which a mask is doubtful: that of the largest share of failed masks above it less the share of
    the others (Youden 1950), of equals the highest; where none has failed, the highest score there is; where all
    have, one that every mask is above."""
    if failed.all():
        return EVERY_MASK
    if not failed.any():
        return float(score.max())
    limits = np.unique(score)
    above = score > limits[:, None]  # (limit, mask)
    gain = above[:, failed].mean(axis=1) - above[:, ~failed].mean(axis=1)
    return float(limits[np.flatnonzero(gain >= gain.max() - 1e-12)[-1]])
