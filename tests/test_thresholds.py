"""Thresholds and pooling that are chosen on selection patients: the best there is, and the same whatever the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import f1_score, roc_curve

from medsynth.metrics.classification import Rated, Task
from medsynth.metrics.thresholds import chosen, chosen_pooling

SEVERAL = Task(("A",), one_class=False)


def rated(truth: list[int], probability: list[float]) -> Rated:
    return Rated("eye", np.array(truth)[:, None], np.array(probability)[:, None])


def test_a_threshold_lies_in_the_middle_of_the_gap_that_it_uses() -> None:
    assert chosen(rated([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9])) == pytest.approx([0.3])
    assert chosen(rated([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9]), "f1") == pytest.approx([0.3])


def test_rules_differ_where_negatives_are_many() -> None:
    """One positive above ten negatives, one between them: Youden's J goes for both, F1 for the sure one."""
    images = rated([1, *[0] * 6, 1, *[0] * 40], [0.9, *[0.5] * 6, 0.4, *[0.1] * 40])
    assert chosen(images, "youden") == pytest.approx([0.25])
    assert chosen(images, "f1") == pytest.approx([0.7])


def test_one_half_stays_unless_something_is_better() -> None:
    assert chosen(rated([0, 0, 1, 1], [0.1, 0.45, 0.55, 0.9])) == [0.5]
    assert chosen(rated([0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9])) == [0.5]


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1]])
def test_a_label_that_tells_nobody_apart_keeps_one_half(truth: list[int]) -> None:
    assert chosen(rated(truth, [0.1, 0.2, 0.3])) == [0.5]


@st.composite
def selections(draw: st.DrawFn) -> Rated:
    count = draw(st.integers(2, 25))
    truth = draw(arrays.arrays(int, count, elements=st.integers(0, 1)).filter(lambda t: 0 < t.sum() < len(t)))
    return rated(truth, draw(arrays.arrays(float, count, elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0]))))


@settings(max_examples=80, deadline=None)
@given(selections())
def test_no_threshold_is_better_than_the_chosen_one(images: Rated) -> None:
    truth, probability = images.truth[:, 0], images.probability[:, 0]
    false, true, _ = roc_curve(truth, probability)
    called = probability >= chosen(images, "youden")[0]
    assert called[truth == 1].mean() - called[truth == 0].mean() == pytest.approx((true - false).max())
    every = [f1_score(truth, probability >= cut, zero_division=0) for cut in [*probability, 2.0]]
    assert f1_score(truth, probability >= chosen(images, "f1")[0]) == pytest.approx(max(every))


@settings(max_examples=40, deadline=None)
@given(selections(), st.randoms(use_true_random=False))
def test_the_order_of_things_changes_no_threshold(images: Rated, dice) -> None:
    order = list(range(len(images.truth)))
    dice.shuffle(order)
    shuffled = Rated("eye", images.truth[order], images.probability[order])
    for rule in ("youden", "f1"):
        assert chosen(shuffled, rule) == chosen(images, rule)


def test_pooling_is_the_one_that_ranks_the_selection_patients_better() -> None:
    truth, names = [1, 1, 0, 0, 0, 0], ["a", "a", "b", "b", "b", "b"]
    one_outlier = rated(truth, [0.6, 0.6, 0.1, 0.1, 0.1, 0.9])  # the eye with more images has the largest of all
    one_lesion = rated(truth, [0.8, 0.0, 0.5, 0.5, 0.5, 0.5])  # only one image of the eye shows it
    same = rated(truth, [0.6, 0.6, 0.1, 0.1, 0.1, 0.1])
    assert chosen_pooling(one_outlier, names, "eye", SEVERAL) == "mean"
    assert chosen_pooling(one_lesion, names, "eye", SEVERAL) == "max"
    assert chosen_pooling(same, names, "eye", SEVERAL) == "max"


def test_without_anything_to_tell_apart_pooling_is_the_published_one() -> None:
    assert chosen_pooling(rated([0, 0], [0.1, 0.2]), ["a", "a"], "eye", SEVERAL) == "max"
