"""The bootstrap over patients: what is drawn, what is computed of it, and what it may call a difference."""

import numpy as np
import pytest

from medsynth.metrics import resampling
from medsynth.metrics.classification import Rated, Task, measure
from medsynth.metrics.resampling import Predicted, bootstrap, drawn_times, rarest_label
from medsynth.metrics.weighted import Said

TASK = Task(("A", "B", "C"), one_class=False)
RESAMPLES = 300


def fold(seed: int, patients: int = 24, *, noise: tuple[float, ...] = (1.0, 1.0), task: Task = TASK) -> Predicted:
    """Patients with two eyes; arms `a`, `b`, ... that see the labels through more or less noise."""
    dice = np.random.default_rng(seed)
    rates = np.array([0.5, 0.4, 0.25])
    truth = (dice.random((patients, 1, 3)) < rates).repeat(2, axis=1).reshape(-1, 3).astype(int)
    truth[:6] = np.repeat([[1, 1, 1], [0, 0, 0], [1, 0, 1]], 2, axis=0)  # so that every label has two patients or more
    if task.one_class:
        truth = np.eye(3, dtype=int)[truth.sum(axis=1) % 3]
    said = {}
    for name, size in zip("abc", noise, strict=False):
        seen = 1 / (1 + np.exp(1 - 2 * truth - size * dice.standard_normal(truth.shape)))
        said[name] = Said.of(seen, task, None if task.one_class else np.array([0.4, 0.5, 0.6]))
    return Predicted(truth, np.repeat(np.arange(patients), 2), said)


FOLDS = [fold(1), fold(2, 17)]


def measured(tested: Predicted, arm: str, things: np.ndarray) -> dict[str, float]:
    rated = Rated("eye", tested.truth[things], tested.said[arm].probability[things])
    found = measure(rated, TASK, np.array([0.4, 0.5, 0.6]), fewest=1)
    return {name.removeprefix("eye."): score.value for name, score in found.items()}


def test_values_are_means_over_folds_of_what_is_measured_there() -> None:
    found = bootstrap(FOLDS, TASK, seed=0, resamples=1)
    each = [measured(tested, "b", np.arange(len(tested.truth))) for tested in FOLDS]
    for name, value in found.value["b"].items():
        assert value == pytest.approx(np.mean([scores[name] for scores in each])), name
    assert {"auc", "map", "f1", "sensitivity_tuned", "f1_sen_spe", "brier", "auc.C", "ap.A"} <= found.value["b"].keys()


def test_a_resample_is_measured_like_patients_that_are_there_as_often_as_drawn() -> None:
    found = bootstrap(FOLDS, TASK, seed=5, resamples=4)
    for resample in range(4):
        each = []
        for number, tested in enumerate(FOLDS):
            apart = tested.carriers()[:, rarest_label(FOLDS)]
            times = drawn_times(apart, 4, resampling.seeds.derive(5, "bootstrap", number))[:, resample]
            things = np.repeat(np.arange(len(tested.truth)), times[tested.owners])
            each.append(measured(tested, "a", things))
        for name, values in found.drawn["a"].items():
            assert values[resample] == pytest.approx(np.mean([s[name] for s in each if name in s])), name


def test_every_resample_has_as_many_patients_of_either_stratum() -> None:
    apart = np.array([True, False, False, True, False, True, False])
    times = drawn_times(apart, 2500, seed=3)
    assert (times[apart].sum(axis=0) == 3).all()
    assert (times[~apart].sum(axis=0) == 4).all()
    assert times.mean(axis=1) == pytest.approx(np.ones(7), abs=0.1)
    assert times.max() > 2
    assert (drawn_times(np.ones(3, dtype=bool), 5, seed=0).sum(axis=0) == 3).all()


def test_numbers_depend_on_the_seed_and_not_on_how_much_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = bootstrap(FOLDS, TASK, seed=1, resamples=200)
    monkeypatch.setattr(resampling, "CELLS_AT_ONCE", 700)
    monkeypatch.setattr(resampling, "ROWS_AT_ONCE", 7)
    parts, other = (bootstrap(FOLDS, TASK, seed=seed, resamples=200) for seed in (1, 2))
    for name, values in usual.drawn["a"].items():
        np.testing.assert_allclose(parts.drawn["a"][name], values, atol=1e-12)
    assert not np.allclose(other.drawn["a"]["auc"], usual.drawn["a"]["auc"])


def test_an_arm_has_the_same_resamples_whatever_it_is_compared_with() -> None:
    two, three = (bootstrap([fold(1, noise=noise)], TASK, seed=1, resamples=50) for noise in ((1, 1), (1, 1, 2)))
    np.testing.assert_array_equal(two.drawn["a"]["map"], three.drawn["a"]["map"])


def test_the_rarest_label_is_that_of_the_fewest_patients_not_of_the_fewest_eyes() -> None:
    owners = np.array([0, 0, 0, 1, 2, 3])
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 0]])  # A: 3 eyes of one patient, B: 2 of two
    assert rarest_label([Predicted(truth, owners, {})]) == 0
    nobody = np.column_stack([np.zeros(6, dtype=int), truth])
    assert rarest_label([Predicted(nobody, owners, {})]) == 1


def test_a_clear_difference_is_found_and_turns_round_with_the_arms() -> None:
    folds = [fold(seed, noise=(0.4, 3.0)) for seed in (1, 2, 3)]
    found = bootstrap(folds, TASK, seed=0, resamples=RESAMPLES)
    better, worse = found.difference("a", "b", "auc"), found.difference("b", "a", "auc")
    assert better.low > 0
    assert better.p == pytest.approx(2 / (RESAMPLES + 1))  # never 0
    assert (worse.value, worse.low, worse.high, worse.p) == pytest.approx(
        (-better.value, -better.high, -better.low, better.p)
    )
    assert found.value["a"]["auc"] - found.value["b"]["auc"] == pytest.approx(better.value)
    own = found.interval("b", "auc")
    assert own.low < own.value < own.high


def test_an_arm_does_not_differ_from_itself() -> None:
    tested = fold(1)
    twice = Predicted(tested.truth, tested.owners, {"a": tested.said["a"], "same": tested.said["a"]})
    same = bootstrap([twice], TASK, seed=0, resamples=50).difference("a", "same", "map")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_more_images_of_the_same_patients_make_nothing_more_certain() -> None:
    tested = fold(4)
    times = 5
    said = {arm: Said.of(of.probability.repeat(times, axis=0), TASK) for arm, of in tested.said.items()}
    copied = Predicted(tested.truth.repeat(times, axis=0), tested.owners.repeat(times), said)
    once, often = (bootstrap([one], TASK, seed=0, resamples=100).interval("a", "auc") for one in (tested, copied))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_a_wider_level_has_a_wider_interval() -> None:
    found = bootstrap(FOLDS, TASK, seed=0, resamples=RESAMPLES)
    narrow, wide = (found.difference("a", "b", "map", level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_label_of_too_few_patients_in_a_fold_is_averaged_over_the_others() -> None:
    one, other = fold(1), fold(2)
    alone = other.truth.copy()
    alone[:, 2] = 0
    alone[:2, 2] = 1  # both eyes of the first patient
    poorer = Predicted(alone, other.owners, other.said)
    found = bootstrap([one, poorer], TASK, seed=0, resamples=20)
    expected = measured(one, "a", np.arange(len(one.truth)))["auc.C"]
    assert found.value["a"]["auc.C"] == pytest.approx(expected)
    assert "auc.C" in bootstrap([one, poorer], TASK, seed=0, resamples=20, fewest=1).value["a"]
    assert "auc.C" not in bootstrap([poorer], TASK, seed=0, resamples=20).value["a"]


def test_a_label_that_a_resample_lost_is_left_out_for_all_arms_alike() -> None:
    """B has two patients, and A, which is rarer still, is what strata are made of: B's may both be missing."""
    truth = np.zeros((30, 3), dtype=int)
    truth[:2, 0], truth[2:5, 1], truth[::3, 2] = 1, 1, 1
    dice = np.random.default_rng(0)
    said = {arm: Said.of(dice.random((30, 3)), TASK) for arm in "ab"}
    found = bootstrap([Predicted(truth, np.arange(30), said)], TASK, seed=0, resamples=RESAMPLES).drawn
    lost = np.isnan(found["a"]["auc.B"])
    assert 0 < lost.sum() < RESAMPLES
    np.testing.assert_array_equal(np.isnan(found["b"]["auc.B"]), lost)
    for arm in "ab":
        two = (found[arm]["auc.A"] + found[arm]["auc.C"]) / 2
        np.testing.assert_allclose(found[arm]["auc"][lost], two[lost])


def test_grades_have_kappa_and_mae_with_intervals() -> None:
    grades = Task(("0", "1", "2"), one_class=True, ordinal=True)
    found = bootstrap([fold(1, task=grades), fold(2, task=grades)], grades, seed=0, resamples=50)
    for name in ("kappa_quadratic", "mae", "balanced_accuracy", "f1", "auc", "map"):
        of = found.interval("a", name)
        assert of.low <= of.high
        assert np.isfinite([of.value, of.low, of.high]).all()


def test_who_waits_is_told_of_every_fold() -> None:
    told: list[int] = []
    bootstrap(FOLDS, TASK, seed=0, resamples=5, progress=told.append)
    assert told == [1, 2]
