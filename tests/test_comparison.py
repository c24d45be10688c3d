"""Declared comparisons of arms: which numbers stand where, and that they are those of the single tests."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from medsynth.artifacts import comparisons
from medsynth.artifacts.comparisons import Comparisons
from medsynth.metrics.classification import Task, measure
from medsynth.metrics.comparison import Asked, Material, Settings, compare
from medsynth.metrics.corrected_t import corrected_t
from medsynth.metrics.multiplicity import holm
from medsynth.metrics.verdicts import FoldVerdicts, Part, Training, verdicts

TASK = Task(("A", "B", "C"), one_class=False)
GRADES = Task(("0", "1", "2"), one_class=True, ordinal=True)
SETTINGS = Settings(seed=1, test_share=0.5, resamples=150, permutations=99)
ASKED = [
    Asked("real+geca", "real", True),
    Asked("real+geca", "oversampled", True),
    Asked("real+dit", "real", True),
    Asked("shuffled-labels", "real", False),
]
NOISE = {"real": 1.5, "oversampled": 1.5, "real+geca": 0.8, "real+dit": 1.4, "shuffled-labels": 4.0}


def part(seed: int, patients: int, task: Task = TASK) -> Part:
    """Patients with two eyes and one image of each."""
    truth = np.random.default_rng(seed).integers(0, 2, (patients, 1, 3)).repeat(2, axis=1).reshape(-1, 3)
    if task.one_class:
        truth = np.eye(3, dtype=int)[truth.sum(axis=1) % 3]
    owners = np.repeat([f"{seed}-{n}" for n in range(patients)], 2).tolist()
    return Part(truth, owners, list(range(2 * patients)))


def fold(number: int, *, arms: dict[str, float] = NOISE, repeats: int = 2, task: Task = TASK) -> FoldVerdicts:
    test, selection = part(number, 16, task), part(100 + number, 8, task)

    def seen(of: Part, seed: int, noise: float) -> np.ndarray:
        logits = 2 * of.truth - 1 + noise * np.random.default_rng(seed).standard_normal(of.truth.shape)
        return (
            np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if task.one_class else 1 / (1 + np.exp(-logits))
        )

    trained = {
        arm: {n: Training(seen(test, 97 * n + i, noise), seen(selection, 1000 + n + i, noise)) for n in range(repeats)}
        for i, (arm, noise) in enumerate(arms.items())
    }
    return verdicts(test, selection, trained, "eye", task)


@pytest.fixture(scope="module")
def material() -> Material:
    return Material({number: fold(number) for number in (0, 1)}, TASK, SETTINGS)


@pytest.fixture(scope="module")
def found(material: Material) -> Comparisons:
    return compare(material, ASKED)


def test_every_comparison_that_was_asked_for_has_every_score(found: Comparisons) -> None:
    assert [(c.arm, c.baseline, c.declared) for c in found.comparisons] == [
        (a.arm, a.baseline, a.declared) for a in ASKED
    ]
    wanted = {"map", "auc", "f1", "f1_tuned", "sensitivity_tuned", "f1_sen_spe", "brier", "ap.A", "auc.C"}
    for comparison in found.comparisons:
        assert wanted <= comparison.changes.keys()
        assert comparison.delong.keys() == set(TASK.labels)
        assert comparison.folds == (0, 1)
    assert (found.unit, found.primary) == ("eye", "map")


def test_a_difference_lies_in_its_interval_and_is_that_of_the_two_arms(found: Comparisons) -> None:
    values = {arm.arm: arm.scores for arm in found.arms}
    for comparison in found.comparisons:
        for name, change in comparison.changes.items():
            expected = values[comparison.arm][name].value - values[comparison.baseline][name].value
            assert change.difference == pytest.approx(expected)
            assert change.low <= change.high
            assert 0 < change.p <= 1
            assert 0 < change.permutation_p <= 1


def test_a_better_arm_is_found_better_and_a_spoilt_one_worse(found: Comparisons) -> None:
    better, worse = found.of("real+geca", "real"), found.of("shuffled-labels", "real")
    assert better.changes["map"].low > 0
    assert worse.changes["map"].high < 0
    assert worse.changes["map"].permutation_p < 0.05
    assert worse.delong["A"].difference == pytest.approx(worse.changes["auc.A"].difference)


def test_holm_is_over_the_declared_comparisons_of_the_primary_score_alone(found: Comparisons) -> None:
    declared = [c for c in found.comparisons if c.declared]
    assert [c.holm_p for c in declared] == pytest.approx(holm([c.changes["map"].p for c in declared]))
    assert [c.holm_p for c in found.comparisons if not c.declared] == [None]


def test_the_corrected_t_is_over_folds_and_repeats_which_are_kept_apart(material: Material, found: Comparisons) -> None:
    change = found.of("real+geca", "real").changes["map"]
    differences = []
    for of in material.folds.values():
        for n in (0, 1):
            ours, theirs = (
                measure(of.single[arm][n].rated, TASK, of.single[arm][n].thresholds)["eye.map"].value
                for arm in ("real+geca", "real")
            )
            differences.append(ours - theirs)
    assert change.differences == pytest.approx(differences)
    test = corrected_t(differences, 0.5)
    assert test is not None
    assert (change.corrected_t_p, change.corrected_t_low, change.corrected_t_high) == pytest.approx(
        (test.p, test.low, test.high)
    )


def test_an_arm_has_its_mean_over_folds_and_how_folds_and_repeats_differ(
    material: Material, found: Comparisons
) -> None:
    score = next(arm for arm in found.arms if arm.arm == "real").scores["auc"]
    by_fold = [
        [measure(of.rated, TASK)["eye.auc"].value for of in fold.single["real"].values()]
        for fold in material.folds.values()
    ]
    assert score.mean == pytest.approx(fmean(map(fmean, by_fold)))
    assert score.deviation == pytest.approx(stdev(map(fmean, by_fold)))
    assert score.repeat_deviation == pytest.approx(fmean(map(stdev, by_fold)))
    assert score.low <= score.value <= score.high


def test_an_arm_says_how_its_eyes_came_from_images_and_how_it_is_calibrated(found: Comparisons) -> None:
    for arm in found.arms:
        assert (arm.folds, arm.repeats) == ((0, 1), 2)
        assert arm.pooling.keys() == arm.thresholds.keys() == {"0", "1"}
        assert all(len(limits) == 3 for limits in arm.thresholds.values())
        assert 0 <= arm.calibration.error <= 1
        assert sum(arm.calibration.count) == 2 * 32 * 3  # folds, eyes, labels


def test_the_file_gives_back_what_was_written(found: Comparisons, tmp_path: Path) -> None:
    comparisons.save(tmp_path, found)
    assert comparisons.load(tmp_path) == found


def test_what_is_no_number_is_none_in_the_file(found: Comparisons, tmp_path: Path) -> None:
    arm = found.arms[0]
    lacking = replace(arm, scores={"auc": replace(arm.scores["auc"], low=float("nan"))})
    comparisons.save(tmp_path, replace(found, arms=(lacking,), comparisons=()))
    assert comparisons.load(tmp_path).arms[0].scores["auc"].low is None


def test_arms_are_compared_on_the_folds_that_have_both(material: Material) -> None:
    some = {name: noise for name, noise in NOISE.items() if name not in ("real+dit", "oversampled")}
    uneven = Material({0: fold(0), 1: fold(1), 2: fold(2, arms=some), 3: fold(3, arms={"real+dit": 1})}, TASK, SETTINGS)
    found = compare(uneven, [*ASKED, Asked("real+llamagen", "real", True)])
    assert {(c.arm, c.baseline): c.folds for c in found.comparisons} == {
        ("real+geca", "real"): (0, 1, 2), ("real+geca", "oversampled"): (0, 1),
        ("real+dit", "real"): (0, 1), ("shuffled-labels", "real"): (0, 1, 2),
    }  # fmt: skip
    assert {arm.arm: arm.folds for arm in found.arms}["real+dit"] == (0, 1, 3)


def test_the_same_run_gives_the_same_numbers_whatever_else_is_compared(material: Material, found: Comparisons) -> None:
    assert compare(material, ASKED[:1]).comparisons[0].changes == found.comparisons[0].changes


def test_one_fold_trained_once_has_a_bootstrap_but_nothing_over_folds() -> None:
    found = compare(Material({0: fold(0, repeats=1)}, TASK, SETTINGS), ASKED[:1])
    change, score = found.comparisons[0].changes["map"], found.arms[0].scores["map"]
    assert change.corrected_t_p is None
    assert change.low < change.high
    assert (score.deviation, score.repeat_deviation) == (None, None)
    assert score.mean == pytest.approx(score.value)


def test_repeats_of_one_fold_are_no_test_over_folds() -> None:
    change = compare(Material({0: fold(0, repeats=3)}, TASK, SETTINGS), ASKED[:1]).comparisons[0].changes["map"]
    assert len(change.differences) == 3
    assert (change.corrected_t_p, change.corrected_t_low) == (None, None)


def test_a_label_without_enough_patients_is_named_with_the_reason() -> None:
    whole = fold(0, repeats=1)
    for verdict in whole.averaged.values():
        verdict.rated.truth[:, 2] = 0
        verdict.rated.truth[0, 2] = 1
    found = compare(Material({0: whole}, TASK, SETTINGS), ASKED[:1])
    assert found.unscored["0"].keys() == {"C"}
    assert "1 patient with it" in found.unscored["0"]["C"]
    assert "auc.C" not in found.comparisons[0].changes
    assert found.comparisons[0].delong.keys() == {"A", "B"}


def test_grades_are_compared_by_kappa_and_error_and_calibrated_by_the_grade_decided_for() -> None:
    found = compare(Material({n: fold(n, task=GRADES) for n in (0, 1)}, GRADES, SETTINGS), ASKED[:2])
    assert {"kappa_quadratic", "mae", "balanced_accuracy", "map"} <= found.comparisons[0].changes.keys()
    assert found.comparisons[0].changes["mae"].difference < 0  # the better arm is less far off
    assert sum(found.arms[0].calibration.count) == 2 * 32
    assert found.arms[0].thresholds == {}


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="nothing"):
        compare(Material({}, TASK, SETTINGS), ASKED)
