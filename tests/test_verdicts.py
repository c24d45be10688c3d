"""From images to eyes: what is chosen is chosen on selection patients, and repeats are averaged before anything."""

import numpy as np
import pytest

from medsynth.metrics.classification import Task
from medsynth.metrics.verdicts import Part, Training, verdicts

TASK = Task(("A", "B"), one_class=False)
# Four patients with two images of one eye each; of the selection patients, two have A and two have B.
TEST = Part(np.repeat([[1, 0], [0, 1], [0, 0], [1, 1]], 2, axis=0), [*"aabbccdd"], [*"aabbccdd"])
SELECTION = Part(np.repeat([[1, 0], [1, 0], [0, 1], [0, 1]], 2, axis=0), [*"eeffgghh"], [*"eeffgghh"])


def said(seed: int, part: Part = TEST) -> np.ndarray:
    return np.random.default_rng(seed).random(part.truth.shape)


def sure(part: Part, low: float, high: float) -> np.ndarray:
    return np.where(part.truth == 1, high, low)


def test_thresholds_and_pooling_come_from_selection_patients_alone() -> None:
    chosen = sure(SELECTION, 0.1, 0.3)
    first, second = (
        verdicts(TEST, SELECTION, {"real": {0: Training(said(seed), chosen)}}, "eye", TASK) for seed in (1, 2)
    )
    assert first.averaged["real"].thresholds == pytest.approx([0.2, 0.2])
    np.testing.assert_array_equal(first.averaged["real"].thresholds, second.averaged["real"].thresholds)
    assert first.averaged["real"].pooling == second.averaged["real"].pooling == "max"


def test_an_eye_is_pooled_as_it_was_best_on_the_selection_patients() -> None:
    outlier = sure(SELECTION, 0.1, 0.5)
    outlier[::2][SELECTION.truth[::2] == 0] = 0.9  # one image of every eye without a label is far too high
    of = verdicts(TEST, SELECTION, {"real": {0: Training(said(1), outlier)}}, "eye", TASK).averaged["real"]
    assert of.pooling == "max"  # the largest of 0.9 ranks those without it first, the mean of 0.9 and 0.1 no better
    outlier[1::2][SELECTION.truth[1::2] == 0] = 0.0
    of = verdicts(TEST, SELECTION, {"real": {0: Training(said(1), outlier)}}, "eye", TASK).averaged["real"]
    assert of.pooling == "mean"
    assert of.rated.probability == pytest.approx(said(1).reshape(4, 2, 2).mean(axis=1))


def test_without_selection_patients_there_are_no_thresholds_and_the_maximum_counts() -> None:
    nobody = Part(np.zeros((0, 2), dtype=int), [], [])
    for selection, chosen in ((None, None), (SELECTION, None), (nobody, np.zeros((0, 2)))):
        of = verdicts(TEST, selection, {"real": {0: Training(said(1), chosen)}}, "eye", TASK).averaged["real"]
        assert (of.thresholds, of.pooling) == (None, "max")
        assert of.rated.probability == pytest.approx(said(1).reshape(4, 2, 2).max(axis=1))


def test_repeats_are_averaged_per_image_and_kept_apart_beside_that() -> None:
    repeats = {n: Training(said(n), sure(SELECTION, 0.1, 0.1 * n + 0.2)) for n in range(3)}
    found = verdicts(TEST, SELECTION, {"real": repeats, "other": {1: repeats[1]}}, "eye", TASK)
    mean = np.mean([said(n) for n in range(3)], axis=0).reshape(4, 2, 2)
    assert found.averaged["real"].rated.probability == pytest.approx(mean.max(axis=1))
    assert found.averaged["real"].thresholds == pytest.approx([0.2, 0.2])  # of the averaged probabilities 0.1 and 0.3
    assert [of.thresholds[0] for of in found.single["real"].values()] == pytest.approx([0.15, 0.2, 0.25])
    assert found.averaged["other"].rated.probability == pytest.approx(said(1).reshape(4, 2, 2).max(axis=1))


def test_one_class_has_no_thresholds() -> None:
    task = Task(("A", "B"), one_class=True)
    truth = Part(np.eye(2, dtype=int)[[0, 0, 1, 1]], [*"aabb"], [*"aabb"])
    of = verdicts(truth, truth, {"real": {0: Training(said(1, truth), said(2, truth))}}, "eye", task).averaged["real"]
    assert of.thresholds is None
    assert of.rated.patients == ("a", "b")
