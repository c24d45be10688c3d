"""C_T: below zero where copies are planted, and as often below by chance as its p-value says."""

import numpy as np
import pytest
from scipy.stats import binom, mannwhitneyu
from toy_patients import case

from medsynth.metrics.data_copying import DataCopying, Placed, averaged_z, data_copying
from medsynth.metrics.measured import Bootstrap
from medsynth.metrics.nearest import Known

COHORTS = 40


def copying(planted: str, share: float, seed: int, resamples: int = 100) -> DataCopying:
    of = case(seed, planted, share)
    known = Known(of.training[:, None], of.patients)
    return data_copying(of.made, (of.new, of.new_patients), known, Bootstrap(seed, resamples))


def placed(cell: list[int], distance: np.ndarray) -> Placed:
    return Placed(np.array(cell), distance, np.zeros(len(cell), int))


def test_in_one_cell_it_is_the_z_of_mann_and_whitney() -> None:
    dice = np.random.default_rng(0)
    ours, theirs = dice.normal(size=30), dice.normal(0.5, size=50)
    u = mannwhitneyu(ours, theirs, use_continuity=False, method="asymptotic")
    z = averaged_z(placed([0] * 30, ours), placed([0] * 50, theirs))
    assert z < 0  # the synthetic ones are nearer
    assert z == pytest.approx((u.statistic - 750) / np.sqrt(30 * 50 * 81 / 12))


def test_cells_count_as_they_have_new_images_and_one_without_synthetic_ones_does_not() -> None:
    near, far = np.arange(10.0), np.arange(10.0) + 100
    theirs = placed([0] * 10 + [1] * 30 + [2] * 5, np.concatenate([far, np.arange(30.0), np.arange(5.0)]))
    ours = placed([0] * 10 + [1] * 10, np.concatenate([near, far]))
    alone = [
        averaged_z(placed([0] * 10, near), placed([0] * 10, far)),
        averaged_z(placed([0] * 10, far), placed([0] * 30, np.arange(30.0))),
    ]
    assert averaged_z(ours, theirs) == pytest.approx((10 * alone[0] + 30 * alone[1]) / 40)
    assert np.isnan(averaged_z(placed([3], near[:1]), theirs))


def test_a_generator_that_copies_nothing_is_rarely_called_one_that_does() -> None:
    """Called so in no more cohorts than a level of 5 % gives with a probability of 99 %."""
    found = [copying("none", 0, seed) for seed in range(COHORTS)]
    assert sum(each.p < 0.05 for each in found) <= binom.ppf(0.99, COHORTS, 0.05)  # type: ignore[operator]
    values = np.array([each.statistic.value for each in found])
    assert values.mean() == pytest.approx(0, abs=3 * values.std() / np.sqrt(COHORTS))


def test_many_copies_are_far_below_zero_and_their_interval_is_too() -> None:
    found = copying("near copies", 0.5, 0)
    assert found.statistic.value < -4
    assert found.statistic.ci_high < 0  # type: ignore[operator]
    assert found.p == pytest.approx(1 / 101)


def test_without_resamples_there_is_no_p_value() -> None:
    found = copying("none", 0, 0, resamples=0)
    assert (found.p, found.statistic.ci_low) == (None, None)
    assert np.isfinite(found.statistic.value)
