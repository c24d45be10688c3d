"""Predictions of several arms on the same patients -> how sure their scores and differences are.

The unit that is drawn is the patient: eyes and images of one patient are no independent witnesses. In every resample
the patients of each fold are drawn again with replacement, the scores are computed in each fold and averaged over the
folds, for every arm on the same patients, so that what patients have in common cancels in a difference. Scores of
different folds are never ranked against each other: two classifiers need not mean the same by 0.3.

All of this takes the trained classifiers as given; how trainings differ is seen in repeats. And a score is that of so
many patients a fold: average precision over a handful of positives is higher than over thousands, and so is its
interval. A difference of two arms is nearly free of that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medsynth import seeds
from medsynth.metrics.classification import FEWEST_PATIENTS, Rated, Task
from medsynth.metrics.weighted import Said, Scorer, Scores

RESAMPLES = 10_000
CELLS_AT_ONCE = 1 << 15  # things times resamples: what stays near the processor
ROWS_AT_ONCE = 1024  # resamples drawn at once; the numbers drawn are the same for any


@dataclass(frozen=True)
class Predicted:
    """The test patients of one fold, and what every arm says of them."""

    truth: np.ndarray  # 0 or 1, (thing, label)
    owners: np.ndarray  # the patient of each thing, whole numbers from 0, (thing,)
    said: Mapping[str, Said]  # by arm

    def carriers(self) -> np.ndarray:
        """Which patients have something with a label, (patient, label)."""
        found = np.zeros((int(self.owners.max(initial=-1)) + 1, self.truth.shape[1]), dtype=bool)
        np.logical_or.at(found, self.owners, self.truth == 1)
        return found

    def scorable(self, fewest: int) -> np.ndarray:
        """Which labels have enough patients on both sides, (label,)."""
        return Rated("", self.truth, self.truth, [str(owner) for owner in self.owners]).scorable(fewest)


@dataclass(frozen=True)
class Estimate:
    """A number and between what the middle resamples lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """An arm's score minus another arm's, and how often chance alone would put it on the other side of 0."""

    p: float


@dataclass(frozen=True)
class Resampled:
    """Scores of every arm, averaged over folds: of the patients as they are, and of every resample."""

    value: Mapping[str, Mapping[str, float]]  # arm -> score
    drawn: Mapping[str, Scores]  # arm -> score -> (resample,); NaN where no fold has the score

    def interval(self, arm: str, score: str, level: float = 0.95) -> Estimate:
        """Of an arm's own score: percentiles of the resamples."""
        return Estimate(self.value[arm][score], *_percentiles(self.drawn[arm][score], level))

    def difference(self, arm: str, baseline: str, score: str, level: float = 0.95) -> Difference:
        """Arm minus baseline, with percentiles, and p = 2 min(share at or below 0, share at or above 0), two-sided.

        One resample is added on either side of 0, so that p is never 0 (Davison and Hinkley 1997, ch. 4).
        """
        drawn = self.drawn[arm][score] - self.drawn[baseline][score]
        drawn = drawn[np.isfinite(drawn)]
        tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
        p = min(1.0, 2 * (1 + float(tail)) / (1 + len(drawn)))
        return Difference(self.value[arm][score] - self.value[baseline][score], *_percentiles(drawn, level), p)


def bootstrap(
    folds: Sequence[Predicted],
    task: Task,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    fewest: int = FEWEST_PATIENTS,
    progress: Callable[[int], None] = lambda _done: None,
) -> Resampled:
    """Paired bootstrap over patients. All folds must have the same arms.

    Patients are drawn within their fold, and within it those who carry the rarest label apart from the others, so that
    every resample has as many of them. A label is scored in a fold where `fewest` patients have it and as many do not;
    in a resample that has lost one side of it, it is left out, for all arms alike. `progress` is told of every fold.
    """
    rarest = rarest_label(folds)
    observed, drawn = Averages(), Averages()
    for number, fold in enumerate(folds):
        kept = fold.scorable(fewest)
        scorers = {arm: Scorer.of(fold.truth, said, task, kept) for arm, said in fold.said.items()}
        times = drawn_times(fold.carriers()[:, rarest], resamples, seeds.derive(seed, "bootstrap", number))
        observed.add(_scored(scorers, np.ones((len(fold.truth), 1))))
        drawn.add(in_parts(scorers, times, fold.owners))
        progress(number + 1)
    value = {arm: {name: found.item() for name, found in of.items()} for arm, of in observed.means().items()}
    return Resampled(value, drawn.means())


def rarest_label(folds: Sequence[Predicted]) -> int:
    """The label that the fewest patients carry, of those that any does; the first of equals."""
    carriers = sum(fold.carriers().sum(axis=0) for fold in folds)
    return int(np.where(carriers > 0, carriers, np.iinfo(int).max).argmin())


def drawn_times(apart: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each patient is drawn, (patient, resample): as many as there are, from either side of `apart`."""
    times = np.zeros((len(apart), resamples), dtype=np.uint16)
    dice = np.random.default_rng(seed)
    for stratum in (np.flatnonzero(apart), np.flatnonzero(~apart)):
        count = len(stratum)
        for first in range(0, resamples if count else 0, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, resamples - first)
            times[stratum, first : first + rows] = dice.multinomial(count, np.full(count, 1 / count), size=rows).T
    return times


def in_parts(scorers: Mapping[str, Scorer], times: np.ndarray, rows: np.ndarray) -> dict[str, Scores]:
    """Scores of every arm under many weightings, a part of them at a time.

    A thing counts as often as its row of `times`, (row, weighting), says; `rows` are the rows of things, (thing,).
    """
    size, weightings = max(16, CELLS_AT_ONCE // max(1, len(rows))), times.shape[1]
    parts = [slice(first, first + size) for first in range(0, weightings, size)]
    scored = [_scored(scorers, times[rows, part].astype(float)) for part in parts]
    return {
        arm: {name: np.concatenate([part[arm][name] for part in scored]) for name in scored[0][arm]} for arm in scorers
    }


def _scored(scorers: Mapping[str, Scorer], weights: np.ndarray) -> dict[str, Scores]:
    """Scores of every arm; one that any arm lacks (kappa, when one class is all that was said) no arm has."""
    found = {arm: scorer.scores(weights) for arm, scorer in scorers.items()}
    shared = [name for name in next(iter(found.values()), {}) if all(name in of for of in found.values())]
    missing = {name: np.any([np.isnan(of[name]) for of in found.values()], axis=0) for name in shared}
    return {arm: {name: np.where(missing[name], np.nan, of[name]) for name in shared} for arm, of in found.items()}


class Averages:
    """Scores of every arm, averaged over the folds that have them."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], np.ndarray] = {}
        self._counts: dict[tuple[str, str], np.ndarray] = {}

    def add(self, scored: Mapping[str, Scores]) -> None:
        """The scores of one more fold."""
        for arm, of in scored.items():
            for name, values in of.items():
                there = np.isfinite(values)
                key = (arm, name)
                self._sums[key] = self._sums.get(key, 0) + np.where(there, values, 0)
                self._counts[key] = self._counts.get(key, 0) + there

    def means(self) -> dict[str, Scores]:
        found: dict[str, Scores] = {}
        for (arm, name), total in self._sums.items():
            count = self._counts[arm, name]
            found.setdefault(arm, {})[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return found


def _percentiles(drawn: np.ndarray, level: float) -> tuple[float, float]:
    found = drawn[np.isfinite(drawn)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
