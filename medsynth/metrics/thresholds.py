"""Choices that are made on selection patients: a threshold for each label, and how an eye's images are put together.

Nothing here may see a test patient: a threshold that is chosen on what it is tested on makes every score too good.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medsynth.metrics.classification import THRESHOLD, Pooling, Rated, Task, macro_ap, pooled

Rule = Literal["youden", "f1"]


def chosen(selection: Rated, rule: Rule = "youden") -> np.ndarray:
    """A threshold for each label, (label,); 0.5 for a label that the selection patients all have or all lack.

    youden: the largest sensitivity + specificity - 1 (Youden 1950); f1: the largest F1.
    """
    found = np.full(selection.truth.shape[1], THRESHOLD)
    for label in np.flatnonzero(selection.scorable()):
        found[label] = _best(selection.truth[:, label], selection.probability[:, label], rule)
    return found


def _best(truth: np.ndarray, probability: np.ndarray, rule: Rule) -> float:
    """Of the thresholds that are equally good, the one nearest to 0.5, the lower one of two.

    Candidates are 0.5 itself, the middle between any two neighbouring probabilities, and the lowest probability, at
    which everything is called. So 0.5 stays unless something else is better, and no probability lies on the threshold
    but that of things that are to be called.
    """
    values = np.unique(probability)
    candidates = np.unique(np.concatenate([[THRESHOLD, values[0]], (values[:-1] + values[1:]) / 2]))
    called = probability >= candidates[:, None]  # (candidate, thing)
    true = (called & (truth == 1)).sum(axis=1)
    false = (called & (truth == 0)).sum(axis=1)
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    if rule == "youden":
        # Whole numbers, so that what is equal is equal: J = true / positives - false / negatives.
        merit = true * negatives - false * positives
    else:
        merit = 2 * true / (true + false + positives)
    best = candidates[merit == merit.max()]
    return float(best[np.abs(best - THRESHOLD).argmin()])


def chosen_pooling(selection: Rated, groups: Sequence[object], unit: str, task: Task) -> Pooling:
    """ "max" or "mean", by which the selection patients' things reach the higher macro average precision.

    "max", which is the paper's (Elbatel et al. 2024), where they are equal or nothing can be told.
    """
    how: tuple[Pooling, Pooling] = ("max", "mean")
    largest, mean = (macro_ap(pooled(selection, groups, unit, task, way)) for way in how)
    return "mean" if largest is not None and mean is not None and mean > largest else "max"
