"""Pairs are of one class, disjoint and seeded; the mean over them is of the classes as they are mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics.diversity import Pairs, neighbours_in_line, of_common_classes, pairs_within_classes, spread, vendi
from medsynth.metrics.owned import Unmeasurable

LABELS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80)


@given(LABELS, st.integers(0, 99), st.integers(1, 9))
def test_pairs_are_disjoint_within_a_class_and_as_many_as_there_can_be(
    rows: list[tuple[int, int, int]], seed: int, most: int
) -> None:
    pairs = pairs_within_classes(np.array(rows), seed, most)
    used = pairs.images.reshape(-1).tolist()
    assert len(used) == len(set(used))
    classes = [rows[a] for a, b in pairs.images if rows[a] == rows[b]]
    assert len(classes) == len(pairs.images)
    assert {c: classes.count(c) for c in set(rows)} == {c: min(most, rows.count(c) // 2) for c in set(rows)}


@given(LABELS, st.integers(0, 99))
def test_a_pair_weighs_as_much_as_its_class_has_images(rows: list[tuple[int, int, int]], seed: int) -> None:
    pairs = pairs_within_classes(np.array(rows), seed, most=3)
    paired = [row for row in rows if rows.count(row) > 1]
    for row in set(paired):
        weight = pairs.weights[[rows[first] == row for first in pairs.images[:, 0]]].sum()
        assert weight == pytest.approx(paired.count(row) / len(paired))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 99))
def test_no_pair_is_of_one_owner(owners: list[int], seed: int) -> None:
    pairs = pairs_within_classes(np.ones((len(owners), 1), dtype=int), seed, 99, np.array(owners))
    assert all(owners[a] != owners[b] for a, b in pairs.images)
    largest = max(map(owners.count, owners))
    if largest <= len(owners) // 2:
        assert len(pairs.images) == len(owners) // 2


def test_pairs_depend_on_the_seed_and_on_their_own_class_alone() -> None:
    labels = np.eye(3, dtype=int)[np.arange(60) % 3]
    one = pairs_within_classes(labels, 0)
    assert np.array_equal(one.images, pairs_within_classes(labels, 0).images)
    assert not np.array_equal(one.images, pairs_within_classes(labels, 1).images)
    without = labels.copy()
    without[0::3] = labels[1]  # the first class is gone
    kept = one.images[one.images[:, 0] % 3 == 2].tolist()
    assert [pair for pair in pairs_within_classes(without, 0).images.tolist() if pair[0] % 3 == 2] == kept


def test_every_image_meets_every_other_of_its_class() -> None:
    labels = np.ones((6, 1), dtype=int)
    met = {frozenset(pair) for seed in range(200) for pair in pairs_within_classes(labels, seed).images.tolist()}
    assert len(met) == 15


def test_the_mean_is_that_of_the_classes_as_they_are_mixed_whatever_the_size_of_the_set() -> None:
    """Nine tenths of one class whose images are 1 apart, a tenth of another whose are 5 apart."""
    for images in (20, 200, 2000):
        labels = np.eye(2, dtype=int)[(np.arange(images) % 10 == 0).astype(int)]
        pairs = pairs_within_classes(labels, 0)
        distances = np.where(labels[pairs.images[:, 0], 0] == 1, 1.0, 5.0)
        found = spread(distances, pairs, 0)
        assert found.value == pytest.approx(0.9 * 1 + 0.1 * 5)
        assert found.low <= found.value <= found.high


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    hits, pairs = 0, Pairs(np.arange(80).reshape(40, 2), np.full(40, 1 / 40), np.ones((40, 1)))
    for seed in range(300):
        found = spread(np.random.default_rng(seed).exponential(2.0, 40), pairs, seed, replicates=300)
        hits += found.low <= 2.0 <= found.high
    assert 260 <= hits <= 297


def test_without_a_pair_there_is_no_mean() -> None:
    pairs = pairs_within_classes(np.eye(3, dtype=int), 0)
    assert pairs.images.shape == (0, 2)
    with pytest.raises(ValueError, match="no class has two images"):
        spread(np.empty(0), pairs, 0)


@given(st.integers(1, 50), st.integers(0, 99))
def test_in_line_every_image_is_compared_with_the_next(images: int, seed: int) -> None:
    line = neighbours_in_line(images, seed)
    assert line.shape == (images - 1, 2)
    assert (line[1:, 0] == line[:-1, 1]).all()
    assert len(set(line.reshape(-1).tolist())) == (images if images > 1 else 0)


@given(st.integers(1, 6), st.integers(1, 6))
def test_of_some_images_repeated_the_vendi_score_is_how_many_differ(different: int, times: int) -> None:
    features = np.repeat(np.eye(6)[:different] * np.arange(1, 7)[:different, None], times, axis=0)
    assert vendi(features) == pytest.approx(different)


@pytest.mark.parametrize("images", [10, 60])
def test_the_vendi_score_is_its_definition(images: int) -> None:
    x = np.random.default_rng(0).normal(size=(images, 24))
    cosines = (x @ x.T) / np.outer(*[np.linalg.norm(x, axis=1)] * 2)
    values = np.linalg.eigvals(cosines / images).real
    expected = np.exp(-sum(v * np.log(v) for v in values if v > 1e-14))
    assert vendi(x.astype(np.float32)) == pytest.approx(expected, rel=1e-5)


def test_two_sets_are_compared_by_the_classes_they_share_with_the_same_weights() -> None:
    """Images of class c are c + 1 apart in either set; one set lacks the last class and has more of the first."""
    real, made = np.eye(3, dtype=int)[np.arange(60) % 3], np.eye(3, dtype=int)[(np.arange(50) % 5 == 0).astype(int)]

    def apart(labels: np.ndarray, pairs: Pairs) -> float:
        return spread(1.0 + labels[pairs.images[:, 0]].argmax(axis=1), pairs, 0).value

    ours, theirs = pairs_within_classes(made, 0), pairs_within_classes(real, 0)
    assert apart(made, ours) != pytest.approx(apart(real, theirs))
    ours, theirs = of_common_classes(ours, theirs)
    assert apart(made, ours) == pytest.approx(apart(real, theirs)) == pytest.approx(1.5)
    for pairs in (ours, theirs):
        assert pairs.weights.sum() == pytest.approx(1)
        assert (pairs.classes[:, 2] == 0).all()


def test_sets_without_a_common_class_have_nothing_to_compare() -> None:
    one, other = (pairs_within_classes(np.tile(row, (6, 1)), 0) for row in ([0, 1], [1, 0]))
    for pairs in of_common_classes(one, other):
        with pytest.raises(Unmeasurable):
            spread(np.empty(len(pairs.images)), pairs, 0)
