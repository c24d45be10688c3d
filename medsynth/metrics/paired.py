"""A score of the same images twice, from two trainings -> how far apart they are, and how sure that is.

The unit that is drawn is the patient, within their fold: images of one patient are no independent witnesses. The score
of a training is the mean over all images of all folds, each with its weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medsynth import seeds
from medsynth.metrics.permutation import PERMUTATIONS, ROUNDING
from medsynth.metrics.resampling import RESAMPLES, Resampled, drawn_times

AT_ONCE = 256  # permutations: what stays small
OURS, THEIRS, SCORE = "ours", "theirs", "score"


@dataclass(frozen=True)
class Scored:
    """The test images of one fold."""

    patients: Sequence[str]  # of each image
    ours: np.ndarray  # (image,)
    theirs: np.ndarray  # (image,)
    weight: np.ndarray  # (image,), not negative; 0 leaves an image out


@dataclass(frozen=True)
class Paired:
    """Ours minus theirs. NaN throughout where no image has a weight."""

    value: float
    low: float  # percentiles of the bootstrap
    high: float
    p: float  # two-sided, of the bootstrap
    permutation_p: float  # two-sided, of trainings swapped within patients
    by_fold: tuple[float, ...]  # of each fold that has images with a weight


def paired(
    folds: Sequence[Scored],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    level: float = 0.95,
) -> Paired:
    """The difference of two trainings on the same images.

    Interval and p are those of `metrics.resampling`: patients are drawn again with replacement, the same for both. The
    other p is that of swapping the two trainings for a random half of the patients at a time,
    (1 + how many differ as much) / (1 + permutations) (Phipson and Smyth 2010). Raises ValueError for no fold.
    """
    if not folds:
        raise ValueError("there is nothing to compare")
    sums = [_sums(fold) for fold in folds]
    total = np.concatenate(sums).sum(axis=0)
    drawn = sum(
        drawn_times(np.zeros(len(of), dtype=bool), resamples, seeds.derive(seed, "bootstrap", number)).T @ of
        for number, of in enumerate(sums)
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # no image with a weight, or none in a resample
        resampled = Resampled(
            {name: {SCORE: float(total[place] / total[2])} for place, name in enumerate((OURS, THEIRS))},
            {name: {SCORE: drawn[:, place] / drawn[:, 2]} for place, name in enumerate((OURS, THEIRS))},
        )
        found = resampled.difference(OURS, THEIRS, SCORE, level)
    by_fold = [of.sum(axis=0) for of in sums]
    return Paired(
        found.value, found.low, found.high, found.p if total[2] else float("nan"),
        _by_chance(np.concatenate(sums), seeds.derive(seed, "permutation"), permutations) if total[2] else float("nan"),
        tuple(float((ours - theirs) / weight) for ours, theirs, weight in by_fold if weight),
    )  # fmt: skip


def _sums(fold: Scored) -> np.ndarray:
    """What every patient's images add to the weighted sums and to the weight, (patient, ours and theirs and weight)."""
    names, of_image = np.unique(np.asarray(fold.patients), return_inverse=True)
    found = np.zeros((len(names), 3))
    columns = (fold.ours * fold.weight, fold.theirs * fold.weight, fold.weight)
    np.add.at(found, of_image, np.stack(columns, axis=1).astype(float))
    return found


def _by_chance(sums: np.ndarray, seed: int, permutations: int) -> float:
    """Swapping a patient's two scores turns the sign of what the patient adds to the difference."""
    added, dice, as_far = sums[:, 0] - sums[:, 1], np.random.default_rng(seed), 0
    observed = abs(added.sum())
    for first in range(0, permutations, AT_ONCE):
        size = (min(AT_ONCE, permutations - first), len(added))
        signs = 2 * dice.integers(0, 2, size=size, dtype=np.int8) - 1
        as_far += int((np.abs(signs @ added) >= observed - ROUNDING * len(added)).sum())
    return (1 + as_far) / (1 + permutations)
