"""Truth and probability of some images -> how well they agree, per image and per eye.

Every average over labels is over those that can be scored: at least one positive and one negative. The others are
named, never counted as 0 or 1. A label is called present at a probability of 0.5 or more; that threshold is not tuned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medsynth.artifacts.scores import Score

THRESHOLD = 0.5


@dataclass(frozen=True)
class Task:
    """What is predicted: the labels, and whether exactly one of them is true of an image."""

    labels: tuple[str, ...]
    one_class: bool
    ordinal: bool = False  # the classes are grades, in the order of `labels`


@dataclass(frozen=True)
class Rated:
    """Things of one unit ("image", "eye", "patient"), what is true of them and what was said of them."""

    unit: str
    truth: np.ndarray  # 0 or 1, (thing, label)
    probability: np.ndarray  # in [0, 1], (thing, label)

    def scorable(self) -> np.ndarray:
        """Whether a label has both positives and negatives, (label,)."""
        return (self.truth.min(axis=0, initial=1) == 0) & (self.truth.max(axis=0, initial=0) == 1)


def pooled(rated: Rated, groups: Sequence[object], unit: str, task: Task) -> Rated:
    """One row a group, in the order in which the groups first come.

    The probability of a label is the largest among the group's images; for one class, the class with the largest of
    these maxima is the one decided for. The truth for several labels is the largest too (a lesion in one image of an
    eye is a lesion of that eye); for one class it is the highest grade if the classes are ordinal, else the most
    frequent class, the first of them in a tie.
    """
    names = list(dict.fromkeys(groups))
    place = {name: i for i, name in enumerate(names)}
    group_of = np.array([place[name] for name in groups], dtype=int)
    truth = np.zeros((len(names), rated.truth.shape[1]), dtype=int)
    probability = np.zeros((len(names), rated.truth.shape[1]))
    for group in range(len(names)):
        of_group = group_of == group
        probability[group] = rated.probability[of_group].max(axis=0)
        truth[group] = _common_truth(rated.truth[of_group], task)
    return Rated(unit, truth, probability)


def _common_truth(truth: np.ndarray, task: Task) -> np.ndarray:
    if not task.one_class:
        return np.asarray(truth.max(axis=0))
    chosen = truth.argmax(axis=1).max() if task.ordinal else truth.sum(axis=0).argmax()
    return np.eye(truth.shape[1], dtype=int)[chosen]


def measure(rated: Rated, task: Task) -> dict[str, Score]:
    """Every score of one unit, named `<unit>.<score>`; of a label: `<unit>.auc.<label>`, `<unit>.positives.<label>`."""
    kept, found = rated.scorable(), {}
    if kept.any():
        found = _one_class(rated, kept, task.ordinal) if task.one_class else _several_labels(rated, kept)
    for column, label in enumerate(task.labels):
        found[f"positives.{label}"] = float(rated.truth[:, column].sum())
    for label, area in zip(np.array(task.labels)[kept], label_aucs(rated), strict=True):
        found[f"auc.{label}"] = float(area)
    return {f"{rated.unit}.{name}": Score(value, n=len(rated.truth), unit=rated.unit) for name, value in found.items()}


def left_out(rated: Rated, task: Task) -> str:
    """A sentence that names the labels without a score; empty when there are none."""
    names = [label for label, kept in zip(task.labels, rated.scorable(), strict=True) if not kept]
    if not names:
        return ""
    kept = len(task.labels) - len(names)
    return (
        f"Per {rated.unit}, averages are over {kept} of {len(task.labels)} labels: {', '.join(names)} cannot be scored "
        f"because all of the {len(rated.truth)} tested have the same truth."
    )


def label_aucs(rated: Rated) -> np.ndarray:
    """Area under the ROC curve of each label that can be scored, against all others for one class."""
    from sklearn.metrics import roc_auc_score

    kept = np.flatnonzero(rated.scorable())
    return np.array([roc_auc_score(rated.truth[:, i], rated.probability[:, i]) for i in kept])


def macro_auc(rated: Rated) -> float | None:
    """Mean area under the ROC curve over the labels that can be scored; None when there is none."""
    areas = label_aucs(rated)
    return float(areas.mean()) if len(areas) else None


def _several_labels(rated: Rated, kept: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, f1_score

    truth, probability = rated.truth[:, kept], rated.probability[:, kept]
    called = probability >= THRESHOLD
    sensitivity = (called & (truth == 1)).sum(axis=0) / (truth == 1).sum(axis=0)
    specificity = (~called & (truth == 0)).sum(axis=0) / (truth == 0).sum(axis=0)
    together = sensitivity + specificity
    harmonic = np.divide(2 * sensitivity * specificity, together, out=np.zeros_like(together), where=together > 0)
    labels = range(truth.shape[1])
    return {
        "auc": float(label_aucs(rated).mean()),
        "map": float(np.mean([average_precision_score(truth[:, i], probability[:, i]) for i in labels])),
        "f1": float(np.mean([f1_score(truth[:, i], called[:, i], zero_division=0) for i in labels])),
        "sensitivity": float(sensitivity.mean()),
        "specificity": float(specificity.mean()),
        "f1_sen_spe": float(harmonic.mean()),  # the mean of harmonic means, not the harmonic mean of the two means
    }


def _one_class(rated: Rated, kept: np.ndarray, ordinal: bool) -> dict[str, float]:
    from sklearn.metrics import cohen_kappa_score, f1_score, recall_score

    truth, said = rated.truth.argmax(axis=1), rated.probability.argmax(axis=1)
    classes = np.flatnonzero(kept)
    kappa = cohen_kappa_score(truth, said, labels=range(len(kept)), weights="quadratic" if ordinal else None)
    return {
        "auc": float(label_aucs(rated).mean()),
        "balanced_accuracy": float(recall_score(truth, said, labels=classes, average="macro", zero_division=0)),
        "f1": float(f1_score(truth, said, labels=classes, average="macro", zero_division=0)),
        "kappa_quadratic" if ordinal else "kappa": float(kappa),
    }
