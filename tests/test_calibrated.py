"""The gate of the audit: an honest generator passes as often as is said, and what was planted is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from toy_patients import case, compared

from medsynth.metrics.calibrated import closer_share, closer_share_of_class
from medsynth.metrics.closeness import closer_than_new, unusual
from medsynth.metrics.measured import Bootstrap, Measured, PerImage

COHORTS = 200
RESAMPLES = 200


def measured(seed: int, planted: str = "none", share: float = 0.0, *, ratios: bool = False) -> Measured:
    found = compared(case(seed, planted, share))
    values = [side.patient_ratios if ratios else side.distance for side in (found.made, found.new)]
    return closer_share(found.made_values(values[0]), found.new_values(values[1]), Bootstrap(seed, RESAMPLES))


def flagged(found: Measured) -> bool:
    return found.ci_low is not None and found.ci_low > 0.05


def test_an_honest_generator_fails_in_fewer_than_one_of_ten_cohorts_and_is_at_5_percent_on_average() -> None:
    """So few were flagged that a rate of 10 % would give as few with a probability below 5 %."""
    found = [measured(seed) for seed in range(COHORTS)]
    assert binom.cdf(sum(map(flagged, found)), COHORTS, 0.10) < 0.05
    shares = np.array([each.value for each in found])
    assert shares.mean() == pytest.approx(0.05, abs=3 * shares.std() / np.sqrt(COHORTS))


@pytest.mark.parametrize("ratios", [False, True], ids=["distance", "ratio over patients"])
@pytest.mark.parametrize("planted", ["near copies", "siblings"])
def test_a_fifth_of_near_copies_or_of_further_images_of_training_patients_is_found(planted: str, ratios: bool) -> None:
    """Missed in so few cohorts that a power of 80 % would miss as few with a probability below 15 %."""
    missed = sum(not flagged(measured(seed, planted, 0.2, ratios=ratios)) for seed in range(20))
    assert binom.cdf(missed, 20, 0.20) < 0.15


def test_the_interval_is_wider_than_one_for_independent_images() -> None:
    found = compared(case(0))
    made, new = found.made_values(found.made.distance), found.new_values(found.new.distance)
    alone = PerImage(new.values, np.arange(len(new.values)))
    right, wrong = (closer_share(made, each, Bootstrap(0)) for each in (new, alone))
    assert right.value == wrong.value
    assert right.ci_high - right.ci_low > 1.2 * (wrong.ci_high - wrong.ci_low)  # type: ignore[operator]


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 0.5), st.integers(0, 99))
def test_the_share_is_that_of_the_plain_definition(made: int, new: int, usual: float, seed: int) -> None:
    dice = np.random.default_rng(seed)
    ours, theirs = dice.integers(0, 20, made) / 20, dice.integers(0, 20, new) / 20  # with ties
    found = closer_share(PerImage(ours, np.arange(made)), PerImage(theirs, np.arange(new)), Bootstrap(0, 0), usual)
    assert found.value == closer_than_new(ours, theirs, usual)
    assert found.expected == max(usual, 1 / (new + 1))
    assert found.n == made


def test_one_more_new_image_falls_below_the_threshold_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0).normal(size=(20_000, 40))
    below = [values[0] < unusual(values[1:], 0.1) for values in drawn]
    assert np.mean(below) == pytest.approx(0.1, abs=3 * np.sqrt(0.1 * 0.9 / len(drawn)))


def test_few_new_images_give_no_interval_for_what_is_rarer_than_they_can_tell() -> None:
    found = compared(case(0, new=20))  # 80 images
    made, new = found.made_values(found.made.distance), found.new_values(found.new.distance)
    assert closer_share(made, new, Bootstrap(0), 0.05).ci_low is not None
    assert closer_share(made, new, Bootstrap(0), 0.01).ci_low is None


def test_a_class_that_is_learned_by_heart_is_found_though_the_whole_is_as_it_should_be() -> None:
    found = compared(case(3))
    distance = found.made.distance.copy()
    rare = np.arange(len(distance)) < 12
    distance[rare] = 0
    made, new = found.made_values(distance), found.new_values(found.new.distance)
    classes = (rare, np.arange(len(new.values)) % 20 == 0)
    own = closer_share_of_class(made, new, classes, Bootstrap(0))
    rest = closer_share_of_class(made, new, (~rare, ~classes[1]), Bootstrap(0))
    assert own is not None
    assert rest is not None
    assert (own.value, own.n, own.ci_low) == (1, 12, 1)
    assert own.expected == np.mean(new.values[classes[1]] < unusual(new.values))
    assert not flagged(rest)
    assert closer_share_of_class(made, new, (np.zeros_like(rare), classes[1]), Bootstrap(0)) is None
