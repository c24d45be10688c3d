"""Two trainings on the same images: the difference, its interval over patients, and what chance alone would do."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth import seeds
from medsynth.metrics.paired import Paired, Scored, paired
from medsynth.metrics.resampling import drawn_times


def fold(patients: int, seed: int, gain: float = 0.0, spread: float = 0.1) -> Scored:
    """Two images of most patients, one of the others; what both trainings reach differs by `gain`, more or less."""
    dice = np.random.default_rng(seed)
    names = [f"p{seed}-{i}" for i in range(patients) for _ in range(1 + (i % 3 > 0))]
    theirs = dice.uniform(0.3, 0.7, len(names))
    ours = theirs + gain + dice.normal(0, spread, len(names))
    return Scored(names, ours[:, None], theirs[:, None], np.ones((len(names), 1)))


def difference(folds: list[Scored], **how: int) -> Paired:
    """Of the only score there is."""
    (found,) = paired(folds, **{"resamples": 400, "permutations": 400} | how)
    return found


@given(st.integers(2, 12), st.integers(1, 3), st.integers(0, 99), st.floats(-0.2, 0.2))
def test_it_is_the_difference_of_means_over_all_images_and_turns_its_sign_with_the_sides(
    patients: int, folds: int, seed: int, gain: float
) -> None:
    known = [fold(patients, seed + 100 * number, gain) for number in range(folds)]
    found = difference(known, seed=1)
    ours, theirs = (np.concatenate([getattr(of, side) for of in known]) for side in ("ours", "theirs"))
    assert found.value == pytest.approx(ours.mean() - theirs.mean())
    assert found.by_fold == pytest.approx([(of.ours - of.theirs).mean() for of in known])
    other = difference([Scored(of.patients, of.theirs, of.ours, of.weight) for of in known], seed=1)
    assert (other.value, other.low, other.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-9)
    assert (other.p, other.permutation_p) == (found.p, found.permutation_p)


def test_the_interval_is_that_of_patients_drawn_again_one_after_the_other() -> None:
    known = [fold(9, 1, 0.05), fold(7, 2, 0.05)]
    found = difference(known, seed=3)
    drawn = [drawn_times(np.zeros(n, dtype=bool), 400, seeds.derive(3, "bootstrap", i)) for i, n in enumerate((9, 7))]
    differences = []
    for resample in range(400):
        ours, theirs = [], []
        for of, times in zip(known, drawn, strict=True):
            order = {name: row for row, name in enumerate(sorted(set(of.patients)))}
            for name, a, b in zip(of.patients, of.ours[:, 0], of.theirs[:, 0], strict=True):
                often = int(times[order[name], resample])
                ours += often * [a]
                theirs += often * [b]
        differences.append(np.mean(ours) - np.mean(theirs))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    beyond = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert found.p == pytest.approx(2 * (1 + beyond) / 401)


def test_more_images_of_the_same_patients_do_not_make_it_surer() -> None:
    once = fold(12, 4, 0.03)
    twice = Scored([*once.patients] * 3, *(np.tile(of, (3, 1)) for of in (once.ours, once.theirs, once.weight)))
    first, second = (difference([of], seed=0) for of in (once, twice))
    assert (second.low, second.high, second.p) == pytest.approx((first.low, first.high, first.p))
    assert second.permutation_p == first.permutation_p


def test_what_chance_alone_would_do_is_what_all_swaps_of_patients_do() -> None:
    of = fold(6, 5, 0.06)
    gain = (of.ours - of.theirs)[:, 0]
    added = [sum(gain[[name == p for name in of.patients]]) for p in sorted(set(of.patients))]
    swaps = [abs(np.dot(signs, added)) for signs in product((-1, 1), repeat=len(added))]
    exact = np.mean([swap >= abs(sum(added)) - 1e-9 for swap in swaps])
    assert difference([of], seed=2, permutations=20_000).permutation_p == pytest.approx(exact, abs=0.015)


def test_equal_trainings_do_not_differ() -> None:
    of = fold(5, 6)
    found = difference([Scored(of.patients, of.theirs, of.theirs, of.weight)], seed=0)
    assert (found.value, found.low, found.high, found.p, found.permutation_p) == (0, 0, 0, 1, 1)


def test_images_without_a_weight_count_for_nothing() -> None:
    of = fold(8, 7, 0.1)
    weight = np.array([[name != "p7-0"] for name in of.patients], dtype=float)
    one, other = (
        difference([Scored(of.patients, of.ours + shift * (1 - weight), of.theirs, weight)], seed=0)
        for shift in (0.0, 5.0)
    )
    assert one == other
    none = difference([Scored(of.patients, of.ours, of.theirs, 0 * weight)], seed=0)
    assert np.isnan([none.value, none.low, none.high, none.p, none.permutation_p]).all()
    assert none.by_fold == ()


def test_several_scores_are_each_what_it_is_alone() -> None:
    first, second = fold(9, 8, 0.1), fold(9, 9, -0.1)
    sides = [np.concatenate([getattr(of, side) for of in (first, second)], axis=1) for side in ("ours", "theirs")]
    weight = np.stack([np.ones(len(first.patients)), np.arange(len(first.patients)) % 2], axis=1)
    both = paired([Scored(first.patients, *sides, weight)], seed=4, resamples=400, permutations=400)
    alone = [
        difference([Scored(first.patients, *(side[:, [n]] for side in sides), weight[:, [n]])], seed=4) for n in (0, 1)
    ]
    for together, one in zip(both, alone, strict=True):
        numbers = ([*of.by_fold, of.value, of.low, of.high, of.p, of.permutation_p] for of in (together, one))
        assert next(numbers) == pytest.approx(next(numbers))


def test_one_patient_alone_says_nothing_about_how_patients_differ() -> None:
    for folds in ([], [fold(1, 1)], [fold(9, 1), fold(1, 2)]):
        with pytest.raises(ValueError, match="nothing to compare"):
            paired(folds, seed=0)


@pytest.mark.parametrize(("patients", "name"), [(40, "p"), (40, "permutation_p"), (3, "permutation_p")])
def test_two_trainings_of_which_neither_is_better_are_called_different_no_more_often_than_was_agreed(
    patients: int, name: str
) -> None:
    wrong = [difference([fold(patients, seed)], seed=seed, resamples=300, permutations=99) for seed in range(300)]
    called = np.mean([getattr(found, name) < 0.05 for found in wrong])
    assert called <= 0.09
    assert called >= 0.02 or patients < 6  # 2^-patients is the smallest p that there is
