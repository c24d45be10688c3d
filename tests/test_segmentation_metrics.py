"""Scores of masks agree with their definitions, on masks of any shape."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from medsynth.metrics import ensembles, masks, segmentation
from medsynth.metrics import staple as staples
from medsynth.metrics.measured import Bootstrap
from medsynth.metrics.segmentation import Judged
from medsynth.metrics.staple import staple

SHAPE = (7, 9)
some_mask = arrays(bool, SHAPE)
some_runs = st.integers(1, 5).flatmap(
    lambda runs: arrays(np.float32, (runs, *SHAPE), elements=st.floats(0, 1, width=32))
)
NOTHING, ALL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)


def distances(a: np.ndarray, b: np.ndarray) -> list[float]:
    """From each pixel of the outline of a to the nearest of b's, one by one."""
    there = np.argwhere(masks.outline(b))
    return [np.sqrt(((there - place) ** 2).sum(axis=1)).min() for place in np.argwhere(masks.outline(a))]


@given(some_mask, some_mask)
def test_overlap_is_what_is_common_over_what_there_is_whichever_mask_comes_first(a: np.ndarray, b: np.ndarray) -> None:
    first, second = {tuple(place) for place in np.argwhere(a)}, {tuple(place) for place in np.argwhere(b)}
    expected = len(first & second) / len(first | second) if first | second else 1.0
    assert masks.iou(a, b) == masks.iou(b, a) == pytest.approx(expected)
    assert masks.dice(a, b) == masks.dice(b, a) == pytest.approx(2 * expected / (1 + expected))


@given(some_mask, some_mask)
def test_hd95_is_the_percentile_of_distances_between_outlines(a: np.ndarray, b: np.ndarray) -> None:
    found = masks.hd95(a, b)
    assert found == masks.hd95(b, a)
    assert 0 <= found <= math.hypot(*SHAPE)
    if a.any() and b.any():
        assert found == pytest.approx(np.percentile(distances(a, b) + distances(b, a), 95))
    assert masks.hd95(a, a) == 0


def test_of_an_empty_mask_the_rule_holds_that_is_written_down() -> None:
    assert (masks.dice(NOTHING, NOTHING), masks.iou(NOTHING, NOTHING), masks.hd95(NOTHING, NOTHING)) == (1, 1, 0)
    for found, true in ((NOTHING, ALL), (ALL, NOTHING)):
        assert (masks.dice(found, true), masks.iou(found, true)) == (0, 0)
        assert masks.hd95(found, true) == math.hypot(*SHAPE)


def test_an_outline_is_one_pixel_wide_and_follows_the_image_s_border() -> None:
    assert masks.outline(ALL).sum() == 2 * (SHAPE[0] + SHAPE[1]) - 4
    assert not masks.outline(NOTHING).any()


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    assert masks.nearest_to_even(np.array([0.1, 0.4, 0.7, 0.9]), np.array([3.0, 3.0, 3.0, 1.0])) == 0.4
    assert masks.nearest_to_even(np.array([0.1, 0.4]), np.array([2.0, 1.0])) == 0.1


def plain_staple(said: np.ndarray, steps: int) -> np.ndarray:
    """Warfield et al. 2004, pixel by pixel, products as they are written."""
    said = said.reshape(len(said), -1).astype(float)
    share, p, q = said.mean(), np.full(len(said), 0.99), np.full(len(said), 0.99)
    for _ in range(steps + 1):
        a = share * np.prod([np.where(d, p[i], 1 - p[i]) for i, d in enumerate(said)], axis=0)
        b = (1 - share) * np.prod([np.where(d, 1 - q[i], q[i]) for i, d in enumerate(said)], axis=0)
        w = a / (a + b)
        p = np.clip((said * w).sum(axis=1) / w.sum(), 1e-6, 1 - 1e-6)
        q = np.clip(((1 - said) * (1 - w)).sum(axis=1) / (1 - w).sum(), 1e-6, 1 - 1e-6)
    return w


@pytest.mark.parametrize("seed", range(4))
def test_staple_is_expectation_maximisation_as_published(seed: int) -> None:
    dice = np.random.default_rng(seed)
    true = dice.random((12, 12)) < 0.3
    said = np.stack([true ^ (dice.random(true.shape) < rate) for rate in (0.05, 0.1, 0.2, 0.3)])
    np.testing.assert_allclose(staple(said).reshape(-1), plain_staple(said, 100), atol=1e-4)


@given(arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(1, 6))))
def test_pixels_are_counted_by_what_raters_say_together_as_a_sorted_table_has_them(said: np.ndarray) -> None:
    votes = said.reshape(len(said), -1)
    patterns, of_pixel, count = staples._patterns(votes)
    plain, of_plain, count_plain = np.unique(votes.T, axis=0, return_inverse=True, return_counts=True)
    assert np.array_equal(patterns, plain)
    assert np.array_equal(of_pixel, of_plain.reshape(-1))
    assert np.array_equal(count, count_plain)


def test_staple_of_many_pixels_takes_little_more_room_than_the_votes_and_the_answer() -> None:
    votes = np.random.default_rng(0).random((5, 1000, 1000)) < 0.3
    tracemalloc.start()
    believed = staple(votes)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert believed.shape == (1000, 1000)
    assert most <= 24 * believed.size  # bytes; the answer alone has 8 a pixel


def test_staple_trusts_raters_who_agree_more_than_one_who_guesses_and_a_vote_does_not() -> None:
    dice = np.random.default_rng(0)
    true = dice.random((40, 40)) < 0.3
    good = [true ^ (dice.random(true.shape) < 0.08) for _ in range(2)]
    guesses = [dice.random(true.shape) < 0.5 for _ in range(3)]
    runs = np.stack([*good, *guesses]).astype(np.float32)
    by_staple, by_vote = (masks.dice(ensembles.combined(runs, way, 0.5), true) for way in ("staple", "majority"))
    assert by_staple > 0.8 > by_vote


@given(some_mask, st.integers(1, 4))
def test_raters_who_all_say_the_same_are_believed(mask: np.ndarray, raters: int) -> None:
    for way in ensembles.WAYS:
        assert np.array_equal(ensembles.combined(np.stack([mask] * raters).astype(np.float32), way, 0.5), mask)


@given(some_runs, st.floats(0.05, 0.95))
def test_runs_are_combined_as_it_is_said_and_their_order_is_no_matter(runs: np.ndarray, threshold: float) -> None:
    assert np.array_equal(ensembles.combined(runs, "mean", threshold), runs.mean(axis=0) >= threshold)
    votes = (runs >= threshold).sum(axis=0)
    assert np.array_equal(ensembles.combined(runs, "majority", threshold), votes > len(runs) / 2)
    there, back = ensembles.combined(runs, "staple", threshold), ensembles.combined(runs[::-1], "staple", threshold)
    assert (there != back).mean() < 0.1  # even odds may fall either way by the last digit


@given(some_runs)
def test_the_quality_score_is_nothing_where_runs_agree_and_bounded(runs: np.ndarray) -> None:
    assert 0 <= ensembles.nqm(runs) <= math.sqrt(len(runs))
    assert ensembles.nqm(np.repeat(runs[:1], 3, axis=0)) == pytest.approx(0, abs=1e-5)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=30))
def test_failures_are_ranked_as_by_scikit_learn(cases: list[tuple[float, bool]]) -> None:
    score, failed = (np.array(column) for column in zip(*cases, strict=True))
    found = ensembles.failure_auc(score, failed)
    if failed.any() and not failed.all():
        assert found == pytest.approx(roc_auc_score(failed, score))
    else:
        assert math.isnan(found)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=12))
def test_a_weighted_median_is_that_of_values_which_are_there_so_often(values: list[tuple[float, int]]) -> None:
    numbers, times = (np.array(column) for column in zip(*values, strict=True))
    if times.sum():
        expected = np.median(np.repeat(numbers, times))
        assert segmentation.weighted_median(numbers, times.astype(float)) == pytest.approx(expected)


def judged(count: int, seed: int = 0) -> Judged:
    dice = np.random.default_rng(seed)
    sizes = dice.integers(10, 100, count) * 2.0
    common = np.floor(sizes / 2 * dice.random(count))
    of_image = 2 * common / sizes
    patients = np.array([f"P{i // 3}" for i in range(count)])
    lesions = dice.random(count) < 0.7
    return Judged(patients, of_image, of_image / (2 - of_image), 10 * (1 - of_image), common, sizes, lesions)


@settings(max_examples=10)
@given(st.integers(4, 40))
def test_scores_are_means_medians_and_pools_with_intervals_around_them(count: int) -> None:
    given_masks = judged(count)
    found = segmentation.scores(given_masks, Bootstrap(0, 200))
    assert found["dice"].value == pytest.approx(given_masks.dice.mean())
    assert found["dice_median"].value == pytest.approx(np.median(given_masks.dice))
    assert found["iou_median"].value == pytest.approx(np.median(given_masks.iou))
    assert found["pooled_dice"].value == pytest.approx(2 * given_masks.common.sum() / given_masks.sizes.sum())
    assert found["pooled_iou"].value == pytest.approx(
        given_masks.common.sum() / (given_masks.sizes - given_masks.common).sum()
    )
    assert found["threshold_iou"].value <= found["iou"].value
    there = given_masks.lesions
    without = found.pop("without_lesion")
    assert (without.value, without.n) == ((~there).sum(), count)
    assert ("dice_lesions" in found) == ("iou_lesions" in found) == there.any()
    if there.any():
        assert found["dice_lesions"].value == pytest.approx(given_masks.dice[there].mean())
        assert found["iou_lesions"].value == pytest.approx(given_masks.iou[there].mean())
    for name, score in found.items():
        assert score.n == (there.sum() if "lesions" in name else count)
        if "lesions" in name and len(set(given_masks.patients[there])) < 2:
            continue
        assert score.ci_low is not None
        assert score.ci_high is not None
        assert score.ci_low <= score.ci_high


def test_an_interval_is_that_of_patients_and_not_of_their_images() -> None:
    """Three equal images of each patient say no more than one."""
    one = judged(30)
    thrice = Judged(np.repeat(np.arange(30).astype(str), 3), *(np.repeat(c, 3) for c in
                    (one.dice, one.iou, one.hd95, one.common, one.sizes, one.lesions)))  # fmt: skip
    alone = Judged(np.arange(30).astype(str), one.dice, one.iou, one.hd95, one.common, one.sizes, one.lesions)
    wide, narrow = (segmentation.scores(each, Bootstrap(0, 400))["dice"] for each in (thrice, alone))
    assert wide.value == pytest.approx(narrow.value)
    assert (wide.ci_low, wide.ci_high) == pytest.approx((narrow.ci_low, narrow.ci_high))
