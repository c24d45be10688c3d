"""What trainings of an arm say of the images of a fold -> what the arm says of its eyes, ready to be compared.

Every choice on the way, mean or maximum of an eye's images and a threshold for each label, is made on selection
patients of the same training, never on those that are tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medsynth.metrics import thresholds
from medsynth.metrics.classification import Pooling, Rated, Task, pooled


@dataclass(frozen=True)
class Part:
    """Some patients' images in one fold: what is the same for every arm."""

    truth: np.ndarray  # 0 or 1, (image, label)
    patients: Sequence[str]  # (image,)
    groups: Sequence[object]  # the eye, patient or image that is rated, (image,)

    @classmethod
    def of(cls, unit: str, truth: np.ndarray, patients: Sequence[str], eyes: Sequence[str]) -> "Part":
        """Images put together by a unit: "eye", "patient" or "image"."""
        apart: Sequence[object] = range(len(patients))
        names = {"eye": list(zip(patients, eyes, strict=True)), "patient": patients, "image": apart}
        return cls(truth, patients, names[unit])


@dataclass(frozen=True)
class Training:
    """What one training says of the images of both parts: probabilities, (image, label)."""

    test: np.ndarray
    selection: np.ndarray | None  # None where nothing was set aside to choose by


@dataclass(frozen=True)
class Verdict:
    """What an arm says of the things of a fold, and how that came from their images."""

    rated: Rated
    thresholds: np.ndarray | None  # (label,)
    pooling: Pooling


@dataclass(frozen=True)
class FoldVerdicts:
    """All arms of one fold, on the same things in the same order."""

    averaged: Mapping[str, Verdict]  # by arm: of probabilities averaged over its repeats
    single: Mapping[str, Mapping[int, Verdict]]  # by arm and repeat


def verdicts(
    test: Part, selection: Part | None, trained: Mapping[str, Mapping[int, Training]], unit: str, task: Task
) -> FoldVerdicts:
    """From the trainings of every arm, by repeat."""

    def of_training(training: Training) -> Verdict:
        return verdict(test, selection, training, unit, task)

    single = {arm: {repeat: of_training(of) for repeat, of in repeats.items()} for arm, repeats in trained.items()}
    averaged = {
        arm: single[arm][next(iter(repeats))] if len(repeats) == 1 else of_training(_average([*repeats.values()]))
        for arm, repeats in trained.items()
    }
    return FoldVerdicts(averaged, single)


def verdict(test: Part, selection: Part | None, training: Training, unit: str, task: Task) -> Verdict:
    """From one training. Without selection patients: the maximum, and no thresholds."""
    how: Pooling = "max"
    limits = None
    if selection is not None and training.selection is not None and len(selection.truth):
        images = Rated("image", selection.truth, training.selection, selection.patients)
        how = thresholds.chosen_pooling(images, selection.groups, unit, task)
        if not task.one_class:
            limits = thresholds.chosen(pooled(images, selection.groups, unit, task, how))
    images = Rated("image", test.truth, training.test, test.patients)
    return Verdict(pooled(images, test.groups, unit, task, how), limits, how)


def _average(repeats: Sequence[Training]) -> Training:
    """Of the probabilities; of the selection patients, too, where every repeat has them."""
    selected = [of.selection for of in repeats if of.selection is not None]
    whole = len(selected) == len(repeats)
    return Training(np.mean([of.test for of in repeats], axis=0), np.mean(selected, axis=0) if whole else None)
