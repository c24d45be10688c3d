"""McNemar's test is its formula for single things, and counts patients, not eyes."""

from math import erfc, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics.classification import Task
from medsynth.metrics.mcnemar import decisions, mcnemar
from medsynth.metrics.resampling import Predicted
from medsynth.metrics.weighted import Said

RIGHT = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(RIGHT)
def test_with_one_thing_for_every_patient_it_is_mcnemars(right: list[tuple[bool, bool]]) -> None:
    ours, theirs = np.array(right).T
    found = mcnemar(ours, theirs, np.arange(len(ours)))
    b, c = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    assert (found.gained, found.lost) == (b, c)
    assert found.difference == pytest.approx(ours.mean() - theirs.mean())
    if b + c:
        assert found.z == pytest.approx((b - c) / sqrt(b + c))
        assert found.p == pytest.approx(erfc(abs(b - c) / sqrt(2 * (b + c))))
    else:
        assert (found.z, found.p) == (None, None)


@given(RIGHT)
def test_the_other_way_round_it_is_the_same_with_the_other_sign(right: list[tuple[bool, bool]]) -> None:
    ours, theirs = np.array(right).T
    owners = np.arange(len(ours)) // 2
    one, other = mcnemar(ours, theirs, owners), mcnemar(theirs, ours, owners)
    assert (one.difference, one.gained, one.p) == (-other.difference, other.lost, other.p)


@given(RIGHT, st.integers(2, 4))
def test_eyes_that_always_agree_with_each_other_count_once(right: list[tuple[bool, bool]], eyes: int) -> None:
    ours, theirs = np.array(right).T
    once = mcnemar(ours, theirs, np.arange(len(ours)))
    often = mcnemar(ours.repeat(eyes), theirs.repeat(eyes), np.arange(len(ours)).repeat(eyes))
    assert (often.z, often.difference) == pytest.approx((once.z, once.difference))
    assert often.gained == eyes * once.gained


def test_it_keeps_its_level_where_eyes_of_a_patient_are_alike() -> None:
    dice, owners = np.random.default_rng(0), np.arange(60).repeat(2)
    found, as_if_single = [], []
    for _ in range(400):
        of_patient = dice.normal(size=(2, 60)).repeat(2, axis=1)
        ours, theirs = of_patient + 0.3 * dice.normal(size=(2, 120)) > 0
        found.append(mcnemar(ours, theirs, owners).p or 1.0)
        as_if_single.append(mcnemar(ours, theirs, np.arange(120)).p or 1.0)
    assert np.mean(np.array(found) < 0.05) < 0.08
    assert np.mean(np.array(as_if_single) < 0.05) > 0.09


def test_sensitivity_and_specificity_are_tested_over_all_folds_for_each_label_and_for_all() -> None:
    task, folds = Task(("A", "B"), one_class=False), []
    for seed in (0, 1):
        dice = np.random.default_rng(seed)
        truth = dice.integers(0, 2, (20, 2))
        said = {arm: Said.of(np.clip(truth + noise * dice.normal(size=truth.shape), 0, 1), task) for arm, noise in
                (("good", 0.2), ("bad", 1.5))}  # fmt: skip
        folds.append(Predicted(truth, np.arange(20) // 2, said))
    found = decisions(folds, ("good", "bad"), task.labels)
    assert found.keys() == {
        "sensitivity",
        "specificity",
        *(f"{n}.{x}" for n in ("sensitivity", "specificity") for x in "AB"),
    }
    truth = np.concatenate([fold.truth for fold in folds])
    called = {arm: np.concatenate([fold.said[arm].called[""] for fold in folds]) for arm in ("good", "bad")}
    shares = [called[arm][truth[:, 1] == 1, 1].mean() for arm in ("good", "bad")]
    assert found["sensitivity.B"].difference == pytest.approx(shares[0] - shares[1])
    for part in ("gained", "lost"):
        assert getattr(found["specificity"], part) == sum(getattr(found[f"specificity.{x}"], part) for x in "AB")
    assert found["sensitivity"].difference > 0
    assert found["sensitivity"].p is not None
    assert found["sensitivity"].p < 0.05


def test_nothing_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="nothing was decided"):
        mcnemar(np.empty(0, bool), np.empty(0, bool), np.empty(0, int))
