"""Truth and probability of some images -> how well they agree, per image, per eye and per patient.

Every average over labels is over those that can be scored: enough patients with the label and enough without. The
others are named with the reason, never counted as 0 or 1. A label is called present at a probability of 0.5 or more,
and, where thresholds are given that were chosen on other patients, at these as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medsynth.artifacts.scores import Score

THRESHOLD = 0.5
FEWEST_PATIENTS = 2  # with a label, and without it: what one patient says is no score
TUNED = "_tuned"  # ends the name of a score at thresholds that were chosen on other patients
Pooling = Literal["max", "mean"]


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
    patients: Sequence[str] = ()  # whose each thing is; left out: each is a patient's only one

    def scorable(self, fewest: int = 1) -> np.ndarray:
        """Whether so many patients have something with a label, and as many something without it, (label,)."""
        return np.minimum(*self.patient_counts()) >= fewest

    def owners(self) -> np.ndarray:
        """The patient of each thing as a whole number from 0, (thing,)."""
        if not len(self.patients):
            return np.arange(len(self.truth))
        return np.unique(np.asarray(self.patients), return_inverse=True)[1]

    def patient_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Patients with a positive thing, and patients with a negative one, of each label: (label,) twice."""
        owners = self.owners()
        return _patients(owners, self.truth == 1), _patients(owners, self.truth == 0)


def _patients(owners: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Patients of whom something is chosen, for each column of `chosen`, (thing, label)."""
    return np.array([len(np.unique(owners[column])) for column in chosen.T], dtype=int)


def pooled(rated: Rated, groups: Sequence[object], unit: str, task: Task, how: Pooling = "max") -> Rated:
    """One row a group, in the order in which the groups first come.

    The probability of a label is the largest among the group's images, or their mean; for one class, the class with the
    largest of these is the one decided for. More images make the largest of them larger, which the mean is free of.
    The truth for several labels is the largest (a lesion in one image of an eye is a lesion of that eye); for one class
    it is the highest grade if the classes are ordinal, else the most frequent class, the first of them in a tie.
    """
    names = list(dict.fromkeys(groups))
    if len(names) == len(groups):  # nothing is to be put together
        return replace(rated, unit=unit)
    place = {name: i for i, name in enumerate(names)}
    group_of = np.array([place[name] for name in groups], dtype=int)
    truth = np.zeros((len(names), rated.truth.shape[1]), dtype=int)
    probability = np.zeros((len(names), rated.truth.shape[1]))
    for group in range(len(names)):
        of_group = group_of == group
        members = rated.probability[of_group]
        probability[group] = members.max(axis=0) if how == "max" else members.mean(axis=0)
        truth[group] = _common_truth(rated.truth[of_group], task)
    first = dict(zip(reversed(group_of), reversed(rated.patients), strict=True)) if len(rated.patients) else {}
    return Rated(unit, truth, probability, tuple(first[group] for group in range(len(names)) if first))


def _common_truth(truth: np.ndarray, task: Task) -> np.ndarray:
    if not task.one_class:
        return np.asarray(truth.max(axis=0))
    chosen = truth.argmax(axis=1).max() if task.ordinal else truth.sum(axis=0).argmax()
    return np.eye(truth.shape[1], dtype=int)[chosen]


def measure(
    rated: Rated, task: Task, thresholds: np.ndarray | None = None, fewest: int = FEWEST_PATIENTS
) -> dict[str, Score]:
    """Every score of one unit, named `<unit>.<score>`, and of a label `<unit>.<score>.<label>`.

    auc: area under the ROC curve; map (of a label: ap): average precision; f1_sen_spe: the harmonic mean of sensitivity
    and specificity, of each label, then averaged; kappa_quadratic and mae: of grades; brier: the mean square of
    probability minus truth. `positives.<label>` counts things, `patients.<label>` the patients that have one.

    `thresholds`, (label,), chosen on other patients: the scores that need a threshold come at these, too, their names
    ending in `_tuned`. For one class the most probable one is decided for, so there are none: ValueError.
    `fewest`: patients with a label, and without it, that it takes to be scored.
    """
    if task.one_class and thresholds is not None:
        raise ValueError("the most probable class is decided for: there is no threshold")
    kept, found = rated.scorable(fewest), {}
    if kept.any():
        found = _one_class(rated, kept, task.ordinal) if task.one_class else _several_labels(rated, kept, thresholds)
        found |= _by_label(rated, task, kept)
    scored = {name: Score(value, n=len(rated.truth), unit=rated.unit) for name, value in found.items()}
    patients, _ = rated.patient_counts()
    whole = len(np.unique(rated.owners()))
    for column, label in enumerate(task.labels):
        scored[f"positives.{label}"] = Score(float(rated.truth[:, column].sum()), n=len(rated.truth), unit=rated.unit)
        scored[f"patients.{label}"] = Score(float(patients[column]), n=whole, unit="patient")
    return {f"{rated.unit}.{name}": score for name, score in scored.items()}


def reasons(rated: Rated, task: Task, fewest: int = FEWEST_PATIENTS) -> dict[str, str]:
    """label -> why it has no score, for the labels that have none."""
    found = {}
    for label, *counts in zip(task.labels, *rated.patient_counts(), strict=True):
        few = [
            f"{n} {'patient' if n == 1 else 'patients'} {which}"
            for n, which in zip(counts, ("with it", "without it"), strict=True)
            if n < fewest
        ]
        if few:
            found[label] = f"{' and '.join(few)} in what was tested, and it takes {fewest}"
    return found


def left_out(rated: Rated, task: Task, fewest: int = FEWEST_PATIENTS) -> str:
    """A sentence that names the labels without a score and says why; empty when there are none."""
    why = reasons(rated, task, fewest)
    if not why:
        return ""
    kept = len(task.labels) - len(why)
    named = "; ".join(f"{label} ({reason})" for label, reason in why.items())
    return f"Per {rated.unit}, averages are over {kept} of {len(task.labels)} labels, without {named}."


def label_aucs(rated: Rated, fewest: int = 1) -> np.ndarray:
    """Area under the ROC curve of each label that can be scored, against all others for one class."""
    from sklearn.metrics import roc_auc_score

    kept = np.flatnonzero(rated.scorable(fewest))
    return np.array([roc_auc_score(rated.truth[:, i], rated.probability[:, i]) for i in kept])


def label_aps(rated: Rated, fewest: int = 1) -> np.ndarray:
    """Average precision of each label that can be scored, against all others for one class."""
    from sklearn.metrics import average_precision_score

    kept = np.flatnonzero(rated.scorable(fewest))
    return np.array([average_precision_score(rated.truth[:, i], rated.probability[:, i]) for i in kept])


def macro_auc(rated: Rated) -> float | None:
    """Mean area under the ROC curve over the labels that can be scored at all; None when there is none."""
    areas = label_aucs(rated)
    return float(areas.mean()) if len(areas) else None


def macro_ap(rated: Rated) -> float | None:
    """Mean average precision over the labels that can be scored at all; None when there is none."""
    precisions = label_aps(rated)
    return float(precisions.mean()) if len(precisions) else None


def _by_label(rated: Rated, task: Task, kept: np.ndarray) -> dict[str, float]:
    """The scores of ranking: of each label, and their means."""
    only = Rated(rated.unit, rated.truth[:, kept], rated.probability[:, kept])
    aucs, aps = label_aucs(only), label_aps(only)
    found = {"auc": float(aucs.mean()), "map": float(aps.mean())}
    found["brier"] = float(np.square(only.probability - only.truth).mean())
    for label, auc, ap in zip(np.array(task.labels)[kept], aucs, aps, strict=True):
        found |= {f"auc.{label}": float(auc), f"ap.{label}": float(ap)}
    return found


def _several_labels(rated: Rated, kept: np.ndarray, thresholds: np.ndarray | None) -> dict[str, float]:
    truth, probability = rated.truth[:, kept], rated.probability[:, kept]
    found = _called(truth, probability >= THRESHOLD)
    if thresholds is not None:
        tuned = _called(truth, probability >= np.asarray(thresholds)[kept])
        found |= {f"{name}{TUNED}": value for name, value in tuned.items()}
    return found


def _called(truth: np.ndarray, called: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import f1_score

    sensitivity = (called & (truth == 1)).sum(axis=0) / (truth == 1).sum(axis=0)
    specificity = (~called & (truth == 0)).sum(axis=0) / (truth == 0).sum(axis=0)
    together = sensitivity + specificity
    harmonic = np.divide(2 * sensitivity * specificity, together, out=np.zeros_like(together), where=together > 0)
    return {
        "f1": float(np.mean([f1_score(truth[:, i], called[:, i], zero_division=0) for i in range(truth.shape[1])])),
        "sensitivity": float(sensitivity.mean()),
        "specificity": float(specificity.mean()),
        "f1_sen_spe": float(harmonic.mean()),  # the mean of harmonic means, not the harmonic mean of the two means
    }


def _one_class(rated: Rated, kept: np.ndarray, ordinal: bool) -> dict[str, float]:
    from sklearn.metrics import cohen_kappa_score, f1_score, mean_absolute_error, recall_score

    truth, said = rated.truth.argmax(axis=1), rated.probability.argmax(axis=1)
    classes = np.flatnonzero(kept)
    kappa = cohen_kappa_score(truth, said, labels=range(len(kept)), weights="quadratic" if ordinal else None)
    found = {
        "balanced_accuracy": float(recall_score(truth, said, labels=classes, average="macro", zero_division=0)),
        "f1": float(f1_score(truth, said, labels=classes, average="macro", zero_division=0)),
        "kappa_quadratic" if ordinal else "kappa": float(kappa),
    }
    return found | ({"mae": float(mean_absolute_error(truth, said))} if ordinal else {})
