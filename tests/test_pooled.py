"""Ranks within folds, pooled over folds, tell what probabilities of different classifiers cannot."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from medsynth.metrics.classification import Task
from medsynth.metrics.pooled import pooled, together
from medsynth.metrics.resampling import Predicted, bootstrap
from medsynth.metrics.weighted import Said

TASK = Task(("A", "B"), one_class=False)


def fold(seed: int, shift: float = 0.0, patients: int = 30) -> Predicted:
    """Patients with two eyes; `shift` moves all that is said of them, as another classifier would."""
    dice = np.random.default_rng(seed)
    truth = dice.integers(0, 2, (2 * patients, 2))
    logits = 2 * truth - 1 + dice.normal(size=truth.shape)
    said = {arm: Said.of(1 / (1 + np.exp(-(logits + noise * dice.normal(size=truth.shape) + shift))), TASK)
            for arm, noise in (("good", 0.1), ("bad", 3.0))}  # fmt: skip
    return Predicted(truth, np.arange(2 * patients) // 2, said)


def test_of_one_fold_it_is_the_score_of_the_fold_and_its_interval() -> None:
    alone = [fold(0)]
    ranked, plain = (how(alone, TASK, seed=3, resamples=200) for how in (pooled, bootstrap))
    assert ranked.value["good"].keys() == {"auc", "map", "auc.A", "auc.B", "ap.A", "ap.B"}
    for name, value in ranked.value["good"].items():
        assert value == pytest.approx(plain.value["good"][name])
        np.testing.assert_allclose(ranked.drawn["good"][name], plain.drawn["good"][name])


def test_of_several_folds_it_is_that_of_their_ranks_together() -> None:
    folds = [fold(0), fold(1, patients=20)]
    found = pooled(folds, TASK, seed=3, resamples=10)
    truth = np.concatenate([of.truth for of in folds])
    ranks = np.concatenate([
        (of.said["good"].probability.argsort(axis=0).argsort(axis=0) + 1) / (len(of.truth) + 1) for of in folds
    ])  # fmt: skip
    for i, label in enumerate(TASK.labels):
        assert found.value["good"][f"auc.{label}"] == pytest.approx(roc_auc_score(truth[:, i], ranks[:, i]))
        assert found.value["good"][f"ap.{label}"] == pytest.approx(average_precision_score(truth[:, i], ranks[:, i]))


def test_what_a_fold_means_by_a_probability_makes_no_difference() -> None:
    as_they_are, moved = ([fold(0), fold(1, shift)] for shift in (0.0, 4.0))
    one, other = (pooled(folds, TASK, seed=3, resamples=20) for folds in (as_they_are, moved))
    assert one.value == other.value
    truth, said = (np.concatenate([get(of) for of in moved]) for get in (
        lambda of: of.truth[:, 0], lambda of: of.said["good"].probability[:, 0]))  # fmt: skip
    assert roc_auc_score(truth, said) < one.value["good"]["auc.A"] - 0.05


def test_arms_are_paired_and_owners_of_different_folds_are_different_people() -> None:
    folds = [fold(0), fold(1)]
    assert len(np.unique(together(folds).owners)) == 60
    better = pooled(folds, TASK, seed=3, resamples=300).difference("good", "bad", "map")
    assert better.low > 0
    assert better.p < 0.05
