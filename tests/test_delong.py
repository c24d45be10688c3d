"""DeLong's test: the values of R's pROC, stored with the data; and what sums over patients have to give."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import roc_auc_score

from medsynth.metrics.delong import Difference, against_zero, areas, compared, over_folds

STORED = json.loads((Path(__file__).parent / "data" / "delong.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda case: f"{len(case['truth'])}-things")
def test_areas_variances_and_the_paired_test_are_those_of_proc(case: dict) -> None:
    """With ties: the scores have between six and some fifty values."""
    scores = np.array([case["first"], case["second"]]).T
    assert len(np.unique(scores[:, 0])) < len(scores)
    found = areas(np.array(case["truth"]), scores)
    assert found.auc == pytest.approx(case["auc"], rel=1e-9)
    assert np.diag(found.covariance) == pytest.approx(case["variance"], rel=1e-9)
    assert found.covariance[0, 1] == pytest.approx(case["covariance"], rel=1e-9)
    test = compared(found)
    assert (test.z, test.p) == pytest.approx((case["z"], case["p"]), rel=1e-9)


@st.composite
def of_two_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(4, 20))
    truth = draw(arrays.arrays(int, count, elements=st.integers(0, 1)).filter(lambda t: 2 <= t.sum() <= len(t) - 2))
    return truth, draw(arrays.arrays(float, (count, 2), elements=st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0])))


@settings(max_examples=60, deadline=None)
@given(of_two_scores())
def test_areas_are_those_of_scikit_learn_and_variances_those_of_all_pairs(case: tuple[np.ndarray, np.ndarray]) -> None:
    """The definition: every positive against every negative."""
    truth, scores = case
    found = areas(truth, scores)
    assert found.auc == pytest.approx([roc_auc_score(truth, score) for score in scores.T])
    wins = np.stack([np.sign(s[truth == 1][:, None] - s[truth == 0]) / 2 + 0.5 for s in scores.T])  # (score, pos, neg)
    expected = np.cov(wins.mean(axis=2)) / truth.sum() + np.cov(wins.mean(axis=1)) / (1 - truth).sum()
    np.testing.assert_allclose(found.covariance, expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(of_two_scores(), st.integers(2, 4))
def test_more_images_of_the_same_patients_make_nothing_more_certain(
    case: tuple[np.ndarray, np.ndarray], times: int
) -> None:
    truth, scores = case
    once, copied = areas(truth, scores), areas(np.repeat(truth, times), np.repeat(scores, times, axis=0))
    owners = np.repeat(np.arange(len(truth)), times)
    of_patients = areas(np.repeat(truth, times), np.repeat(scores, times, axis=0), owners)
    np.testing.assert_allclose(of_patients.covariance, once.covariance, atol=1e-12)
    np.testing.assert_allclose(of_patients.auc, once.auc)
    assert np.trace(copied.covariance) <= np.trace(once.covariance)


def test_the_variance_over_patients_with_two_alike_eyes_is_that_over_samples_of_patients() -> None:
    """Eyes of a patient share their truth often and their score partly; 3,000 samples of 40 patients are drawn."""

    def drawn(patients: int, dice: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        sick = dice.random(patients) < 0.4
        truth = (sick[:, None] & (dice.random((patients, 2)) < 0.8)).astype(int)
        score = truth + 1.2 * dice.standard_normal((patients, 1)) + 0.6 * dice.standard_normal((patients, 2))
        return truth.ravel(), score.ravel()

    dice = np.random.default_rng(0)
    samples = [drawn(40, dice) for _ in range(3000)]
    spread = np.var([roc_auc_score(truth, score) for truth, score in samples])
    owners = np.repeat(np.arange(40), 2)
    with_patients = np.mean([areas(t, s[:, None], owners).covariance for t, s in samples[:500]])
    without = np.mean([areas(t, s[:, None]).covariance for t, s in samples[:500]])
    assert with_patients == pytest.approx(spread, rel=0.1)
    assert without < 0.85 * spread


def test_one_patient_on_a_side_is_refused() -> None:
    with pytest.raises(ValueError, match="1 patients with positives"):
        areas(np.array([1, 1, 0, 0]), np.zeros((4, 2)), np.array([0, 0, 1, 2]))


def test_equal_scores_differ_by_nothing_and_are_not_tested() -> None:
    score = np.array([0.1, 0.4, 0.4, 0.8, 0.9])
    found = compared(areas(np.array([0, 0, 1, 0, 1]), np.stack([score, score], axis=1)))
    assert (found.difference, found.z, found.p) == (0, None, None)


def test_folds_are_averaged_as_independent_parts() -> None:
    found = over_folds([against_zero(0.1, 0.01), against_zero(0.3, 0.03)])
    assert (found.difference, found.variance, found.z) == pytest.approx((0.2, 0.01, 2))
    assert found.p == pytest.approx(0.0455, abs=1e-4)
    assert over_folds([Difference(0.1, 0.04, 0.5, 0.6)]).z == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no difference"):
        over_folds([])
