"""KID is its formula, has no bias, and grows with the difference; its interval is about patients."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics import kid as module
from medsynth.metrics.interval import drawn_again
from medsynth.metrics.kid import kid, kid_drawn, kid_interval, kid_of_parts
from medsynth.metrics.owned import Owned
from medsynth.seeds import derive


def drawn(seed: int, images: int, features: int = 6, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (images, features)).astype(np.float32)


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(2, 9), st.integers(1, 5))
def test_it_is_the_sum_over_pairs(seed: int, n: int, m: int, features: int) -> None:
    x, y = drawn(seed, n, features).astype(float), drawn(seed + 1, m, features).astype(float)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / features + 1) ** 3

    within = [fmean(k(a, b) for a, b in itertools.permutations(rows, 2)) for rows in (x, y)]
    between = fmean(k(a, b) for a in x for b in y)
    assert kid(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-9, abs=1e-9)


def test_sets_of_one_kind_differ_by_nothing_on_the_average() -> None:
    found = [kid(drawn(2 * seed, 20), drawn(2 * seed + 1, 30)) for seed in range(400)]
    assert abs(fmean(found)) < 3 * np.std(found) / 400**0.5
    assert min(found) < 0 < max(found)


def test_it_grows_with_the_difference() -> None:
    x = drawn(0, 200)
    found = [kid(x, drawn(1, 200, shift=shift)) for shift in (0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert found[2] > 1


def test_one_image_is_no_set() -> None:
    with pytest.raises(ValueError, match="1 and 3"):
        kid(drawn(0, 1), drawn(1, 3))


def owned(seed: int, owners: int, each: int, shift: float = 0.0, alike: float = 0.8) -> Owned:
    """Images of owners; `alike` is the share of the variance that an owner's images have in common."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(owners, 6)).repeat(each, axis=0)
    own = random.normal(size=(owners * each, 6))
    features = shift + np.sqrt(alike) * common + np.sqrt(1 - alike) * own
    return Owned(features.astype(np.float32), np.arange(owners).repeat(each))


def discrepancy(x: np.ndarray, y: np.ndarray, xs: list[int], ys: list[int], across: bool = False) -> float:
    """KID of draws of owners, pair by pair; xs and ys name the owners drawn, who have two images each."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / len(a) + 1) ** 3

    def within(rows: np.ndarray, drawn: list[int]) -> float:
        images = [(draw, owner, 2 * owner + i) for draw, owner in enumerate(drawn) for i in (0, 1)]
        pairs = [
            k(rows[i], rows[j])
            for (draw, owner, i), (other_draw, other, j) in itertools.permutations(images, 2)
            if owner != other or (draw == other_draw and not across)
        ]
        return fmean(pairs)

    between = fmean(k(x[2 * p + i], y[2 * q + j]) for p in xs for q in ys for i in (0, 1) for j in (0, 1))
    return within(x, xs) + within(y, ys) - 2 * between


@pytest.mark.parametrize("across", [False, True])
def test_a_replicate_is_the_sum_over_pairs_of_the_owners_drawn(across: bool) -> None:
    """The limits of a bootstrap with two replicates are the smaller and the larger one, moved in by 2.5 %."""
    ours, theirs = owned(0, 5, 2), owned(1, 7, 2, shift=0.3)
    x, y = ours.features.astype(float), theirs.features.astype(float)
    drawn = []
    for replicate in range(2):
        counts = [
            drawn_again(n, 2, derive(3, "kid", side))[replicate].astype(int) for n, side in ((5, "ours"), (7, "theirs"))
        ]
        assert max(map(max, counts)) > 1
        xs, ys = (np.repeat(np.arange(len(count)), count).tolist() for count in counts)
        drawn.append(discrepancy(x, y, xs, ys, across))
    found = kid_interval(ours, theirs, seed=3, replicates=2, across=across)
    expected = np.quantile(drawn, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(expected, rel=1e-9)
    assert found.value == pytest.approx(discrepancy(x, y, list(range(5)), list(range(7)), across), rel=1e-9)


def test_the_interval_is_around_the_value_of_the_whole_sets() -> None:
    ours, theirs = owned(0, 30, 3), owned(1, 90, 1, shift=0.5)
    found = kid_interval(ours, theirs, seed=0)
    assert found.value == pytest.approx(kid(ours.features, theirs.features), rel=1e-12)
    assert found.low < found.value < found.high


def test_neither_the_order_of_the_images_nor_the_names_of_the_owners_matter() -> None:
    ours, theirs = owned(0, 20, 3), owned(1, 40, 1)
    order = np.random.default_rng(0).permutation(60)
    named = Owned(ours.features[order], np.array([f"patient {owner:03}" for owner in ours.owners])[order])
    one, other = (kid_interval(side, theirs, seed=0, replicates=50) for side in (ours, named))
    assert [one.value, one.low, one.high] == pytest.approx([other.value, other.low, other.high], rel=1e-9)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """The truth, to be expected of any two sets with this shift, is the mean over many pairs of sets."""
    truth = fmean(kid(owned(s, 300, 1, 0.5).features, owned(s + 999, 300, 1).features) for s in range(40))
    found = [kid_interval(owned(s, 60, 1, 0.5), owned(s + 5000, 25, 4), s, 200, across=True) for s in range(100)]
    assert sum(each.low <= truth <= each.high for each in found) >= 90


def test_several_images_of_a_patient_bias_the_published_value_but_not_the_one_across_patients() -> None:
    sides = [(owned(2 * s, 60, 1), owned(2 * s + 1, 12, 5)) for s in range(200)]
    for across, biased in ((False, True), (True, False)):
        found = [kid_interval(*pair, seed=0, replicates=2, across=across).value for pair in sides]
        assert (fmean(found) > 4 * np.std(found) / len(found) ** 0.5) == biased


def test_one_patient_has_no_spread() -> None:
    with pytest.raises(ValueError, match="1 and 4 owners"):
        kid_interval(owned(0, 1, 5), owned(1, 4, 1), seed=0)


@pytest.mark.parametrize("whole", [kid, lambda x, y: list(vars(kid_of_parts(x, y, 0)).values())])
def test_blocks_change_nothing(whole: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(0, 41), drawn(1, 23)
    before, interval = whole(x, y), kid_interval(owned(0, 20, 2), owned(1, 9, 1), 0, 20)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert whole(x, y) == pytest.approx(before, rel=1e-9)
    again = kid_interval(owned(0, 20, 2), owned(1, 9, 1), 0, 20)
    assert [again.low, again.high] == pytest.approx([interval.low, interval.high], rel=1e-9)


def test_parts_are_a_quarter_of_the_synthetic_images_or_all_real_ones() -> None:
    assert kid_of_parts(drawn(0, 80), drawn(1, 50), 0).images == 20
    assert kid_of_parts(drawn(0, 400), drawn(1, 50), 0).images == 50
    with pytest.raises(ValueError, match="1 and 1 images"):
        kid_of_parts(drawn(0, 7), drawn(1, 50), 0)


def test_parts_are_on_the_average_as_far_apart_as_the_whole_and_the_same_again_with_the_same_seed() -> None:
    x, y = drawn(0, 200), drawn(1, 120, shift=0.7)
    found = kid_of_parts(x, y, 0)
    assert abs(found.mean - kid(x, y)) < 4 * found.deviation / 10
    assert found == kid_of_parts(x, y, 0)
    assert found != kid_of_parts(x, y, 1)


def test_the_deviation_is_that_of_the_parts() -> None:
    x, y = drawn(0, 40), drawn(1, 30)
    random, taken = np.random.default_rng(derive(5, "kid", "parts")), []
    for count in (40, 30):
        taken.append([random.choice(count, 10, replace=False) for _ in range(4)])
    values = [kid(x[ours], y[theirs]) for ours, theirs in zip(*taken, strict=True)]
    found = kid_of_parts(x, y, 5, parts=4)
    assert [found.mean, found.deviation] == pytest.approx([np.mean(values), np.std(values)], rel=1e-9)


def test_the_excess_of_one_set_over_another_is_drawn_with_the_same_patients_for_both() -> None:
    theirs, near, far = owned(0, 40, 2), owned(1, 60, 1, 0.2), owned(2, 50, 1, 0.8)
    ours, floor = (kid_drawn(part, theirs, 3, 400, name) for part, name in ((far, "synthetic"), (near, "floor")))
    value, across = ours.above(floor)
    assert value.value == pytest.approx(kid(far.features, theirs.features) - kid(near.features, theirs.features))
    assert across.value == pytest.approx(ours.intervals()[1].value - floor.intervals()[1].value)
    assert across.low < across.value < across.high
    assert kid_drawn(far, theirs, 3, 400, "floor").across[1:] != pytest.approx(ours.across[1:])  # draws of its own
    apart = ours.across - kid_drawn(near, theirs, 4, 400, "floor").across  # other draws of the same patients
    assert across.high - across.low < np.subtract(*np.quantile(apart[1:], [0.975, 0.025]))


def test_nothing_exceeds_itself() -> None:
    one = kid_drawn(owned(0, 9, 2), owned(1, 8, 2), 0, 20)
    assert [each.value for each in one.above(one)] == [0, 0]
    assert [(each.low, each.high) for each in one.above(one)] == [(0, 0), (0, 0)]


def test_a_perfect_copy_of_every_image_is_at_no_distance_in_any_draw_of_patients() -> None:
    """A reconstruction belongs to its image, as an image does to itself: both are left out."""
    images = owned(0, 12, 3)
    found = kid_drawn(images, images, 0, 50, paired=True)
    assert np.abs([*found.plain, *found.across]).max() < 1e-12
    assert np.abs(kid_drawn(images, images, 0, 50).across[1:]).max() > 0.01  # as if they were strangers
    assert found.without_the_one() is None


def test_pairs_are_compared_with_all_others_but_the_own_one_or_the_own_patient() -> None:
    x = owned(0, 5, 2)
    y = replace(x, features=x.features + drawn(9, 10))
    a, b = x.features.astype(float), y.features.astype(float)

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return float(p @ q / len(p) + 1) ** 3

    for kind, apart in ((0, lambda i, j: i != j), (1, lambda i, j: i // 2 != j // 2)):
        pairs = [(i, j) for i in range(10) for j in range(10) if apart(i, j)]
        expected = fmean(k(a[i], a[j]) + k(b[i], b[j]) - k(a[i], b[j]) - k(b[i], a[j]) for i, j in pairs)
        assert kid_drawn(x, y, 0, 2, paired=True).intervals()[kind].value == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="no pairs"):
        kid_drawn(x, owned(1, 10, 1), 0, paired=True)


@pytest.mark.parametrize("paired", [False, True])
def test_who_is_left_out_is_left_out_of_all_pairs(paired: bool) -> None:
    theirs = owned(0, 6, 2)
    ours = replace(theirs, features=theirs.features + drawn(9, 12)) if paired else owned(1, 9, 2)
    found = kid_drawn(ours, theirs, 0, 2, paired=paired)
    for owner in range(6):
        kept = theirs.owners != owner
        mine = ours.chosen(kept) if paired else ours
        left = kid_drawn(mine, theirs.chosen(kept), 0, 2, paired=paired)
        assert [each[owner] for each in found.without] == pytest.approx([left.plain[0], left.across[0]], rel=1e-9)


def test_one_patient_on_whom_all_of_it_hangs_is_told_and_nobody_else_is() -> None:
    ours, theirs = owned(0, 60, 2), owned(1, 40, 2)
    assert kid_drawn(ours, theirs, 0, 2).without_the_one() is None
    assert kid_drawn(owned(0, 60, 2, shift=1.0), theirs, 0, 2).without_the_one() is None
    planted = theirs.features.copy()
    planted[theirs.owners == 7] *= 20
    found = kid_drawn(ours, replace(theirs, features=planted), 0, 2)
    told = found.without_the_one()
    assert told is not None
    assert abs(told[1]) < abs(told[0]) / 50
    assert told[1] in (found.without[0][7], found.without[1][7])
