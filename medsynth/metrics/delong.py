"""The variance of areas under the ROC curve, and a test of two of them on the same things, without resampling.

DeLong, DeLong and Clarke-Pearson (1988), computed from midranks (Sun and Xu 2014), which give ties their one half.
Where patients have several eyes, Obuchowski's sums over patients (1997) take the place of single things: two eyes of
one patient are less than two patients. With one thing for every patient both are the same.
"""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curve of several scores of the same things, and how they vary together."""

    auc: np.ndarray  # (score,)
    covariance: np.ndarray  # (score, score)


@dataclass(frozen=True)
class Difference:
    """One area minus another one, tested against 0, two-sided."""

    difference: float
    variance: float
    z: float | None  # None where nothing varies
    p: float | None


def areas(truth: np.ndarray, scores: np.ndarray, owners: np.ndarray | None = None) -> Areas:
    """From truth, 0 or 1, (thing,), scores (thing, score) and the patient of each, whole numbers from 0, (thing,).

    Without `owners` each thing is a patient's only one. Raises ValueError unless two patients have a positive and two
    have a negative: one says nothing of how patients vary.
    """
    positive = truth == 1
    owners = np.arange(len(truth)) if owners is None else owners
    with_both = [len(np.unique(owners[chosen])) for chosen in (positive, ~positive)]
    if min(with_both) < 2:
        raise ValueError(f"{with_both[0]} patients with positives and {with_both[1]} with negatives; both need two")
    components = np.stack([_components(positive, score) for score in scores.T], axis=1)
    auc = components[positive].mean(axis=0)
    # How far what a patient's positives, and negatives, say of the area is from the area, in all: (patient, score).
    of_positives, of_negatives = (
        _sums(owners, np.where(chosen[:, None], components - auc, 0)) for chosen in (positive, ~positive)
    )
    m, n = int(positive.sum()), int((~positive).sum())
    patients = len(np.unique(owners))
    apart = sum(
        count / (count - 1) * (sums.T @ sums) / size**2
        for count, sums, size in zip(with_both, (of_positives, of_negatives), (m, n), strict=True)
    )
    crossed = patients / (patients - 1) * (of_positives.T @ of_negatives) / (m * n)
    return Areas(auc, np.asarray(apart + crossed + crossed.T))


def compared(found: Areas, first: int = 0, second: int = 1) -> Difference:
    """The test of one area against another one on the same things."""
    weights = np.zeros(len(found.auc))
    weights[[first, second]] = 1, -1
    return against_zero(float(weights @ found.auc), float(weights @ found.covariance @ weights))


def over_folds(differences: list[Difference]) -> Difference:
    """The test of the mean difference over folds that have no patient in common. Raises ValueError for no fold."""
    if not differences:
        raise ValueError("there is no difference to average")
    mean = float(np.mean([d.difference for d in differences]))
    return against_zero(mean, sum(d.variance for d in differences) / len(differences) ** 2)


def against_zero(difference: float, variance: float) -> Difference:
    """A difference with its variance against 0, by the normal distribution."""
    if variance <= 1e-15:  # what rounding leaves of 0
        return Difference(difference, max(variance, 0.0), None, None)
    z = difference / sqrt(variance)
    return Difference(difference, variance, z, erfc(abs(z) / sqrt(2)))


def _components(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Of a positive the share of negatives below it, of a negative that of positives above it, (thing,); ties: half."""
    found = np.empty(len(score))
    for own in (positive, ~positive):
        found[own] = (midranks(score)[own] - midranks(score[own])) / (~own).sum()  # share of the others below
    found[~positive] = 1 - found[~positive]
    return found


def midranks(score: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal scores share the mean of theirs."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def _sums(owners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of the values of each patient, (patient, score)."""
    found = np.zeros((int(owners.max()) + 1, values.shape[1]))
    np.add.at(found, owners, values)
    return found
