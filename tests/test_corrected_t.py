"""The corrected t-test, against values computed by hand and against printed results of the GeCA paper's table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from medsynth.metrics.corrected_t import corrected_t


def test_five_folds_as_computed_by_hand() -> None:
    # Mean 2, s^2 = (1 + 1 + 0 + 1 + 1) / 4 = 1, (1/5 + 1/4) s^2 = 0.45; t of 4 degrees of freedom: 97.5 % at 2.776445.
    found = corrected_t([1, 3, 2, 3, 1], 1 / 4)
    assert found is not None
    assert (found.mean, found.deviation, found.freedom) == (2, 1, 4)
    assert found.t == pytest.approx(2 / 0.45**0.5)
    assert found.low == pytest.approx(2 - 2.776445 * 0.45**0.5, abs=1e-6)
    assert found.high == pytest.approx(2 + 2.776445 * 0.45**0.5, abs=1e-6)
    # For 4 degrees of freedom P(|T| > t) = 1 - x (3 - x^2) / 2 with x = t / sqrt(t^2 + 4).
    x = found.t / (found.t**2 + 4) ** 0.5
    assert found.p == pytest.approx(1 - x * (3 - x**2) / 2)


@pytest.mark.parametrize(
    ("difference", "naive", "corrected"),
    # Elbatel et al. 2024, table 2, GeCA against others: the mean difference over five folds, and p without and with the
    # correction as they follow from the printed deviations of the two arms.
    [
        (4.43, "0.076", "0.19"), (6.15, "0.010", "0.036"), (7.58, "0.006", "0.022"), (0.27, "0.68", "0.78"),
        (5.29, "0.036", "0.11"), (3.39, "0.028", "0.087"), (2.79, "0.10", "0.23"), (6.15, "0.027", "0.087"),
        (7.58, "0.025", "0.080"), (2.79, "0.37", "0.54"),
    ],
)  # fmt: skip
def test_five_printed_folds_give_the_corrected_p_of_their_naive_one(
    difference: float, naive: str, corrected: str
) -> None:
    """As far as the digits of both allow."""
    half, slack = (0.5 * 10.0 ** -len(text.partition(".")[2]) for text in (naive, corrected))
    low, high = (with_naive_p(difference, float(naive) + way) for way in (-half, half))
    assert low - slack <= float(corrected) <= high + slack


def with_naive_p(mean: float, naive: float) -> float:
    """The corrected p of five differences with this mean, to which the usual t-test gives the p-value `naive`."""
    deviation = mean * 5**0.5 / student.isf(naive / 2, 4)
    differences = mean + deviation * np.array([1.0, -1.0, 1.0, -1.0, 0.0])
    assert ttest_1samp(differences, 0).pvalue == pytest.approx(naive)
    found = corrected_t(differences.tolist(), 1 / 4)
    assert found is not None
    assert found.p is not None
    return found.p


differences = st.lists(st.floats(-1, 1).map(lambda d: round(d, 3)), min_size=2, max_size=15).filter(
    lambda drawn: len(set(drawn)) > 1
)


@given(differences)
def test_without_test_patients_in_common_it_is_the_usual_t_test(drawn: list[float]) -> None:
    found, usual = corrected_t(drawn, 0), ttest_1samp(drawn, 0)
    assert found is not None
    assert (found.t, found.p) == pytest.approx((usual.statistic, usual.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(usual.confidence_interval(0.95)), abs=1e-12)


@given(differences, st.sampled_from([1 / 9, 1 / 4, 1 / 2]))
def test_the_correction_makes_p_larger_and_the_interval_wider(drawn: list[float], share: float) -> None:
    usual, found = corrected_t(drawn, 0), corrected_t(drawn, share)
    assert usual is not None
    assert found is not None
    assert usual.p is not None
    assert found.p is not None
    assert found.p >= usual.p
    assert found.low < usual.low
    assert found.high > usual.high


def test_repeats_add_degrees_of_freedom_but_cannot_take_away_what_folds_share() -> None:
    """With more and more repeats the error goes to sqrt(n_test / n_train) s, not to 0."""
    found = corrected_t([0.0, 1.0] * 5000, 1 / 4)
    assert found is not None
    assert found.mean / found.t == pytest.approx(0.5 * 0.25**0.5, rel=1e-3)


def test_one_fold_or_equal_differences_test_nothing() -> None:
    assert corrected_t([0.3], 1 / 4) is None
    assert corrected_t([], 1 / 4) is None
    constant = corrected_t([0.5, 0.5, 0.5], 1 / 4)
    assert constant is not None
    assert (constant.t, constant.p, constant.low, constant.high) == (None, None, 0.5, 0.5)


def test_a_negative_share_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        corrected_t([1, 2], -0.1)
