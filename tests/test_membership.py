"""What a score gives away about who was trained on: the definitions, and intervals over patients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from medsynth.metrics.measured import Bootstrap, PerImage
from medsynth.metrics.membership import membership_auc, true_positive_rate


def scores(seed: int, count: int, shift: float = 0.0, each: int = 4) -> PerImage:
    """Of patients with some images each, whose scores share half of their variance."""
    dice = np.random.default_rng(seed)
    patients = np.repeat(np.arange(count), each)
    shared = dice.normal(size=count)[patients]
    return PerImage(shift + np.sqrt(0.5) * (shared + dice.normal(size=len(patients))), patients)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_the_area_is_that_of_scikit_learn(members: int, others: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    ours, theirs = dice.integers(0, 6, members), dice.integers(0, 6, others)  # with ties
    truth = np.repeat([1, 0], [members, others])
    found = membership_auc(PerImage(ours, ours), PerImage(theirs, theirs), Bootstrap(0, 0))
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([ours, theirs])))
    assert (found.n, found.expected) == (members + others, 0.5)


def test_the_rate_is_the_share_of_members_above_all_but_one_percent_of_the_others() -> None:
    others = PerImage(np.arange(200.0), np.arange(200))  # the two highest may be taken for members: 198 and 199
    members = PerImage(np.array([197.0, 197.5, 198.5, 500, 0]), np.arange(5))
    found = true_positive_rate(members, others, Bootstrap(0, 0))
    assert found.value == 3 / 5
    assert found.expected == 3 / 201


def test_the_rate_that_is_expected_of_scores_that_tell_nothing_is_right() -> None:
    found = [
        true_positive_rate(scores(seed, 60, each=1), scores(seed + 9999, 60, each=1), Bootstrap(0, 0))
        for seed in range(2000)
    ]
    values = np.array([each.value for each in found])
    assert values.mean() == pytest.approx(1 / 61, abs=3 * values.std() / np.sqrt(len(values)))
    assert found[0].expected == 1 / 61


def test_scores_that_tell_nothing_have_an_interval_that_holds_one_half_as_often_as_it_should() -> None:
    """As seldom outside as a level of 95 % gives with a probability of 99 %, though images of a patient are alike."""
    found = [membership_auc(scores(seed, 40), scores(seed + 999, 40), Bootstrap(seed, 200)) for seed in range(60)]
    outside = sum(not each.ci_low < 0.5 < each.ci_high for each in found)  # type: ignore[operator]
    assert outside <= binom.ppf(0.99, 60, 0.05)


def test_members_that_score_higher_are_found() -> None:
    found = membership_auc(scores(0, 40, 1.0), scores(1, 40), Bootstrap(0))
    assert found.value == pytest.approx(0.76, abs=0.08)
    assert found.ci_low > 0.6  # type: ignore[operator]
    rate = true_positive_rate(scores(0, 40, 6.0), scores(1, 40), Bootstrap(0))
    assert rate.ci_low > 0.95  # type: ignore[operator]
