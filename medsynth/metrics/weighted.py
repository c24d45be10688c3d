"""The scores of classification.py under many weightings of the same things at once: what resampling needs.

A weighting says how often each thing counts. A label without positives or without negatives under a weighting is left
out of the averages of that weighting; a score that is nothing but such labels is NaN there. Which labels are left out
depends on the truth and the weights alone, so it is the same for every arm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from medsynth.metrics.classification import THRESHOLD, TUNED, Task
from medsynth.metrics.ranking import Ranking

Scores = dict[str, np.ndarray]  # named as by classification.measure, without the unit -> (weighting,)


@dataclass(frozen=True)
class Said:
    """What one arm says of some things."""

    probability: np.ndarray  # in [0, 1], (thing, label)
    ranked: np.ndarray  # what AUC and average precision go by, (thing, label): only its order counts
    called: Mapping[str, np.ndarray]  # ending of the names of scores -> which labels are called present, (thing, label)

    @classmethod
    def of(cls, probability: np.ndarray, task: Task, thresholds: np.ndarray | None = None) -> "Said":
        """From probabilities, (thing, label), and thresholds that were chosen on other patients, (label,)."""
        if task.one_class:
            called = {"": np.eye(probability.shape[1], dtype=bool)[probability.argmax(axis=1)]}
        else:
            called = {"": probability >= THRESHOLD}
            called |= {} if thresholds is None else {TUNED: probability >= thresholds}
        return cls(probability, probability, called)


@dataclass(frozen=True)
class Scorer:
    """The scores of one arm on some things, made ready for weightings."""

    truth: np.ndarray  # 0 or 1, (thing, label)
    said: Said
    task: Task
    kept: np.ndarray  # which labels are scored, (label,)
    rankings: tuple[Ranking, ...]  # of the kept labels

    @classmethod
    def of(cls, truth: np.ndarray, said: Said, task: Task, kept: np.ndarray) -> "Scorer":
        """Every kept label must have a positive."""
        columns = np.flatnonzero(kept)
        return cls(truth, said, task, kept, tuple(Ranking.of(truth[:, i], said.ranked[:, i]) for i in columns))

    def scores(self, weights: np.ndarray) -> Scores:
        """Every score for weights (thing, weighting), float64; none where no label is kept."""
        if not self.rankings:
            return {}
        truth = self.truth[:, self.kept].T.astype(float)
        positive = truth @ weights  # (label, weighting)
        defined = (positive > 0) & (positive < weights.sum(axis=0))
        found = self._ranked(weights, defined) | self._brier(weights, defined)
        if self.task.one_class:
            return found | self._classes(weights, defined)
        for ending, called in self.said.called.items():
            at_threshold = _called(truth, called[:, self.kept].T, weights, defined)
            found |= {f"{name}{ending}": values for name, values in at_threshold.items()}
        return found

    def _ranked(self, weights: np.ndarray, defined: np.ndarray) -> Scores:
        both = [ranking.auc_and_ap(weights) for ranking in self.rankings]
        auc, ap = (np.stack([pair[i] for pair in both]) for i in range(2))
        found = {"auc": _mean(auc, defined), "map": _mean(ap, defined)}
        for i, column in enumerate(np.flatnonzero(self.kept)):
            label = self.task.labels[column]
            found |= {f"auc.{label}": auc[i], f"ap.{label}": ap[i]}
        return found

    def _brier(self, weights: np.ndarray, defined: np.ndarray) -> Scores:
        squares = np.square(self.said.probability - self.truth)[:, self.kept].T
        return {"brier": _mean(squares @ weights / _at_least(weights.sum(axis=0)), defined)}

    def _classes(self, weights: np.ndarray, defined: np.ndarray) -> Scores:
        """Of a table that counts how often each class is called each class."""
        classes = self.truth.shape[1]
        cell = self.truth.argmax(axis=1) * classes + self.said.called[""].argmax(axis=1)
        table = (np.arange(classes**2)[:, None] == cell).astype(float) @ weights
        table = table.reshape(classes, classes, -1)  # (true, said, weighting)
        total, true, said = _at_least(table.sum(axis=(0, 1))), table.sum(axis=1), table.sum(axis=0)
        hits, kept = np.einsum("iij->ij", table), self.kept
        apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(float)
        costs = apart**2 if self.task.ordinal else (apart > 0).astype(float)
        by_chance = np.einsum("ik,ij,kj->j", costs, true, said) / total
        found = {
            "balanced_accuracy": _mean((hits / _at_least(true))[kept], defined),
            "f1": _mean((2 * hits / _at_least(true + said))[kept], defined),
            "kappa_quadratic" if self.task.ordinal else "kappa": np.where(
                by_chance > 0, 1 - np.einsum("ik,ikj->j", costs, table) / _at_least(by_chance), np.nan
            ),
        }
        return found | ({"mae": np.einsum("ik,ikj->j", apart, table) / total} if self.task.ordinal else {})


def _called(truth: np.ndarray, called: np.ndarray, weights: np.ndarray, defined: np.ndarray) -> Scores:
    """Scores of several labels at a threshold, from truth and what was called, (label, thing)."""
    positive, said, hits = truth @ weights, called @ weights, (truth * called) @ weights
    negative = weights.sum(axis=0) - positive
    sensitivity = hits / _at_least(positive)
    specificity = (negative - (said - hits)) / _at_least(negative)
    return {
        "f1": _mean(2 * hits / _at_least(said + positive), defined),
        "sensitivity": _mean(sensitivity, defined),
        "specificity": _mean(specificity, defined),
        "f1_sen_spe": _mean(2 * sensitivity * specificity / _at_least(sensitivity + specificity), defined),
    }


def _mean(values: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """The mean over the labels that are defined, (weighting,); NaN where none is."""
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _at_least(sums: np.ndarray) -> np.ndarray:
    """Sums that may be divided by: where one is 0, what it divides is 0, too."""
    return np.where(sums > 0, sums, 1)
