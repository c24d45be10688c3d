"""Scores of the same images twice, from two trainings -> how far apart they are, and how sure that is.

The unit that is drawn is the patient, within their fold: images of one patient are no independent witnesses. A score of
a training is the mean over all images of all folds, each with its weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from medsynth import seeds
from medsynth.metrics.permutation import PERMUTATIONS, ROUNDING
from medsynth.metrics.resampling import RESAMPLES, ROWS_AT_ONCE, Resampled, drawn_times

AT_ONCE = 256  # permutations: what stays small
FEWEST = 2  # patients of a fold: one alone, drawn again and again, is always the same
OURS, THEIRS = "ours", "theirs"


@dataclass(frozen=True)
class Scored:
    """The test images of one fold, by several scores."""

    patients: Sequence[str]  # of each image
    ours: np.ndarray  # (image, score)
    theirs: np.ndarray  # (image, score)
    weight: np.ndarray  # (image, score), not negative; 0 leaves an image out of a score

    @property
    def enough(self) -> bool:
        """Whether how far its patients differ can be told."""
        return len(set(self.patients)) >= FEWEST


@dataclass(frozen=True)
class Paired:
    """Of one score, ours minus theirs. NaN throughout where no image has a weight."""

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
) -> list[Paired]:
    """The difference of two trainings on the same images, score by score.

    Interval and p are those of `metrics.resampling`: patients are drawn again with replacement, the same for both and
    for all scores. The other p is that of swapping the two trainings for a random half of the patients at a time,
    (1 + how many differ as much) / (1 + permutations) (Phipson and Smyth 2010), which holds its level for any number of
    patients; that of the bootstrap is too small for fewer than about twenty. Raises ValueError for no fold, and for one
    with fewer than two patients.
    """
    if not folds or not all(fold.enough for fold in folds):
        raise ValueError(f"there is nothing to compare, or only images of fewer than {FEWEST} patients in a fold")
    sums = [_sums(fold) for fold in folds]
    total, drawn = np.concatenate(sums).sum(axis=0), _drawn(sums, seed, resamples)
    added = np.concatenate([of[:, 0] - of[:, 1] for of in sums])
    as_far = _as_far(added, seeds.derive(seed, "permutation"), permutations)
    weighed = [name for name in range(total.shape[1]) if total[2, name] > 0]
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without an image that has a weight
        resampled = Resampled(
            {
                who: {str(n): float(total[place, n] / total[2, n]) for n in weighed}
                for place, who in enumerate((OURS, THEIRS))
            },
            {
                who: {str(n): drawn[:, place, n] / drawn[:, 2, n] for n in weighed}
                for place, who in enumerate((OURS, THEIRS))
            },
        )
    found = [Paired(nan, nan, nan, nan, nan, ())] * total.shape[1]
    for name in weighed:
        of, by_fold = (
            resampled.difference(OURS, THEIRS, str(name), level),
            [each[..., name].sum(axis=0) for each in sums],
        )
        found[name] = Paired(
            of.value, of.low, of.high, of.p, (1 + int(as_far[name])) / (1 + permutations),
            tuple(float((ours - theirs) / weight) for ours, theirs, weight in by_fold if weight),
        )  # fmt: skip
    return found


def _sums(fold: Scored) -> np.ndarray:
    """What every patient's images add: (patient, ours and theirs and weight, score)."""
    names, of_image = np.unique(np.asarray(fold.patients), return_inverse=True)
    columns = np.stack([fold.ours * fold.weight, fold.theirs * fold.weight, fold.weight], axis=1).astype(float)
    found = np.zeros((len(names), *columns.shape[1:]))
    np.add.at(found, of_image, columns)
    return found


def _drawn(sums: Sequence[np.ndarray], seed: int, resamples: int) -> np.ndarray:
    """The sums over the patients of every resample, (resample, ours and theirs and weight, score)."""
    found = np.zeros((resamples, *sums[0].shape[1:]))
    for number, of in enumerate(sums):
        times = drawn_times(np.zeros(len(of), dtype=bool), resamples, seeds.derive(seed, "bootstrap", number))
        for first in range(0, resamples, ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            found[part] += np.tensordot(times[:, part].T.astype(float), of, axes=1)
    return found


def _as_far(added: np.ndarray, seed: int, permutations: int) -> np.ndarray:
    """How many swaps are as far from zero as what is, (score,). A patient who is swapped adds (patient, score) with the
    other sign."""
    dice, found = np.random.default_rng(seed), np.zeros(added.shape[1], dtype=int)
    observed = np.abs(added.sum(axis=0))
    for first in range(0, permutations, AT_ONCE):
        size = (min(AT_ONCE, permutations - first), len(added))
        signs = 2.0 * dice.integers(0, 2, size=size, dtype=np.int8) - 1
        found += (np.abs(signs @ added) >= observed - ROUNDING * len(added)).sum(axis=0)
    return found
