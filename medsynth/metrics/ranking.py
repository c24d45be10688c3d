"""How well a score ranks positives above negatives, under many weightings of the same things at once.

A resample of patients is a whole number for every thing: how often it was drawn. Sorting is done once, whatever the
number of resamples; what remains are sums over the sorted order. Things of equal score count as one step, exactly as in
scikit-learn's roc_auc_score and average_precision_score with sample_weight.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """The order of some things by their score, the highest first, cut into steps.

    A step is a run of equal scores with a positive among them, or everything between two such runs.
    """

    order: np.ndarray  # things by falling score, (thing,)
    starts: np.ndarray  # where in the order a step begins, (step,)
    rises: np.ndarray  # which of the steps have positives, (rise,)
    positives: np.ndarray  # things that are positive, by falling score, (positive,)
    positive_starts: np.ndarray  # where among these a step begins, (rise,)

    @classmethod
    def of(cls, truth: np.ndarray, score: np.ndarray) -> "Ranking":
        """From truth, 0 or 1, and score, each (thing,). There must be a positive."""
        order = np.argsort(-score, kind="stable")
        true, sorted_score = truth[order].astype(bool), score[order]
        begins = np.concatenate([[True], sorted_score[1:] != sorted_score[:-1]])  # a run of equal scores
        run = np.cumsum(begins) - 1
        has_positive = np.bincount(run, weights=true) > 0
        cut = has_positive | np.concatenate([[True], has_positive[:-1]])
        starts = np.flatnonzero(begins)[cut]
        positives = np.flatnonzero(true)
        step_of = np.searchsorted(starts, positives, side="right") - 1
        rises, positive_starts = np.unique(step_of, return_index=True)
        return cls(order, starts, rises, order[positives], positive_starts)

    def auc_and_ap(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision for weights (thing, weighting), each (weighting,).

        Both are NaN for a weighting under which nothing is positive, or nothing negative.
        """
        everything = np.add.reduceat(weights[self.order], self.starts, axis=0)  # (step, weighting)
        rise = np.add.reduceat(weights[self.positives], self.positive_starts, axis=0)  # positives of a step
        called = np.cumsum(everything, axis=0)  # weight of what is called positive down to here
        total = called[-1]
        called, true = called[self.rises], np.cumsum(rise, axis=0)
        positive = true[-1]
        negative = total - positive
        precision = true / np.where(called > 0, called, 1)
        # Of the pairs with a positive of this step: the negatives below it, and half of those beside it.
        below = negative - (called - true) + (everything[self.rises] - rise) / 2
        defined = (positive > 0) & (negative > 0)
        positive, negative = np.where(defined, positive, 1), np.where(defined, negative, 1)
        auc = np.einsum("ij,ij->j", rise, below) / (positive * negative)
        ap = np.einsum("ij,ij->j", rise, precision) / positive
        return np.where(defined, auc, np.nan), np.where(defined, ap, np.nan)
