"""AUC and average precision of many resamples at once: those of scikit-learn, whatever the weights and the ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from medsynth.metrics.ranking import Ranking

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def weighted(draw: st.DrawFn) -> Case:
    """Truth, a score of few values, so that ties are common, and five weightings, zeros among them."""
    count = draw(st.integers(2, 30))
    truth = draw(arrays.arrays(int, count, elements=st.integers(0, 1)).filter(lambda drawn: drawn.any()))
    score = draw(arrays.arrays(float, count, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])))
    return truth, score, draw(arrays.arrays(int, (count, 5), elements=st.integers(0, 4))).astype(float)


@settings(max_examples=150, deadline=None)
@given(weighted())
def test_weighted_auc_and_ap_are_those_of_scikit_learn(case: Case) -> None:
    truth, score, weights = case
    for auc, ap, weight in zip(*Ranking.of(truth, score).auc_and_ap(weights), weights.T, strict=True):
        if truth @ weight == 0 or (1 - truth) @ weight == 0:
            assert np.isnan([auc, ap]).all()
        else:
            assert auc == pytest.approx(roc_auc_score(truth, score, sample_weight=weight), abs=1e-12)
            assert ap == pytest.approx(average_precision_score(truth, score, sample_weight=weight), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(weighted())
def test_a_weight_is_how_often_a_thing_is_there(case: Case) -> None:
    truth, score, weights = case
    times = weights[:, 0].astype(int) + 1
    repeated = Ranking.of(np.repeat(truth, times), np.repeat(score, times)).auc_and_ap(np.ones((times.sum(), 1)))
    np.testing.assert_allclose(Ranking.of(truth, score).auc_and_ap(times[:, None].astype(float)), repeated, atol=1e-12)


def test_ties_across_truths_count_one_half_in_the_area() -> None:
    auc, ap = Ranking.of(np.array([1, 0, 1, 0]), np.full(4, 0.3)).auc_and_ap(np.ones((4, 1)))
    assert (auc.item(), ap.item()) == (0.5, 0.5)
