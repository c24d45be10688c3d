"""Calibration: against scikit-learn's curve and Brier score, and against cases that can be counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from medsynth.metrics.calibration import brier, calibration_error, reliability

Said = tuple[np.ndarray, np.ndarray]


@st.composite
def predictions(draw: st.DrawFn) -> Said:
    count = draw(st.integers(1, 40))
    probability = draw(arrays.arrays(float, count, elements=st.floats(0, 1, width=16)))
    return draw(arrays.arrays(int, count, elements=st.integers(0, 1))), probability


@settings(max_examples=100, deadline=None)
@given(predictions(), st.integers(2, 12))
def test_the_curve_and_the_brier_score_are_those_of_scikit_learn(said: Said, bins: int) -> None:
    truth, probability = said
    curve = reliability(truth, probability, bins)
    true, mean = calibration_curve(truth, probability, n_bins=bins, strategy="quantile")
    np.testing.assert_allclose(curve.true, true)
    np.testing.assert_allclose(curve.said, mean)
    assert curve.count.sum() == len(truth)
    assert brier(truth, probability) == pytest.approx(brier_score_loss(truth, probability, labels=[0, 1]))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_the_error_lies_between_that_of_the_mean_and_that_of_single_things(said: Said) -> None:
    truth, probability = said
    error = calibration_error(reliability(truth, probability))
    assert error >= abs(truth.mean() - probability.mean()) - 1e-12
    assert error <= np.abs(truth - probability).mean() + 1e-12


def test_what_is_said_too_surely_has_the_error_by_which_it_is_off() -> None:
    """Of 20 things said to be at 0.1, four are; of 20 at 0.9, twelve: 0.1 and 0.3 off."""
    truth = np.array([1] * 4 + [0] * 16 + [1] * 12 + [0] * 8)
    curve = reliability(truth, np.repeat([0.1, 0.9], 20))
    assert curve.count.tolist() == [20, 20]
    assert (curve.said.tolist(), curve.true.tolist()) == (pytest.approx([0.1, 0.9]), pytest.approx([0.2, 0.6]))
    assert calibration_error(curve) == pytest.approx(0.2)


def test_bins_hold_equally_many_things_where_probabilities_crowd() -> None:
    crowded = np.linspace(0, 1, 100) ** 4
    assert reliability(np.zeros(100), crowded).count.tolist() == [10] * 10


def test_probabilities_that_are_right_have_no_error() -> None:
    truth = np.array([0, 1] * 10)
    assert calibration_error(reliability(truth, truth.astype(float))) == 0
    assert calibration_error(reliability(truth, np.full(20, 0.5))) == 0


def test_nothing_has_no_calibration() -> None:
    with pytest.raises(ValueError, match="nothing"):
        reliability(np.zeros(0), np.zeros(0))
