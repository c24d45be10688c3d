"""The permutation of arms within patients: against all permutations there are, and when nothing differs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from medsynth.metrics import permutation
from medsynth.metrics.classification import Task
from medsynth.metrics.delong import midranks
from medsynth.metrics.permutation import permuted
from medsynth.metrics.resampling import Predicted, bootstrap
from medsynth.metrics.weighted import Said, Scorer

TASK = Task(("A", "B"), one_class=False)


def fold(seed: int, patients: int, noise: tuple[float, float] = (0.5, 2.0), eyes: int = 2) -> Predicted:
    dice = np.random.default_rng(seed)
    truth = dice.integers(0, 2, (patients * eyes, 2))
    truth[:4] = [[0, 1], [1, 0], [1, 0], [0, 1]][: len(truth)]
    seen = [1 / (1 + np.exp(1 - 2 * truth - size * dice.standard_normal(truth.shape))) for size in noise]
    said = {arm: Said.of(of, TASK, np.array([0.3, 0.6])) for arm, of in zip("ab", seen, strict=True)}
    return Predicted(truth, np.repeat(np.arange(patients), eyes), said)


def swapped(tested: Predicted, swap: np.ndarray, *, ranks_first: bool) -> dict[str, Said]:
    """Both arms after the patients in `swap` were given to the other one."""
    ranks = {arm: said.ranked for arm, said in tested.said.items()}
    if ranks_first:
        ranks = {arm: np.stack([midranks(c) for c in of.T], axis=1) for arm, of in ranks.items()}
    there = swap[tested.owners][:, None]
    found = {}
    for arm, other in (("a", "b"), ("b", "a")):
        own, others = tested.said[arm], tested.said[other]
        called = {end: np.where(there, others.called[end], own.called[end]) for end in own.called}
        probability = np.where(there, others.probability, own.probability)
        found[arm] = Said(probability, np.where(there, ranks[other], ranks[arm]), called)
    return found


@pytest.mark.parametrize("few", [permutation.FEW, 0])
def test_p_comes_near_to_that_of_all_permutations_there_are(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "FEW", few)
    tested, kept = fold(3, 7), np.array([True, True])
    tied = tested.said["a"].probability.round(1)
    tested = replace(tested, said=tested.said | {"a": Said.of(tied, TASK, np.array([0.3, 0.6]))})
    differences = []
    for bits in product([False, True], repeat=7):
        said = swapped(tested, np.array(bits), ranks_first=few == 0)
        scores = {arm: Scorer.of(tested.truth, of, TASK, kept).scores(np.ones((14, 1))) for arm, of in said.items()}
        differences.append({name: abs(scores["a"][name] - scores["b"][name]).item() for name in scores["a"]})
    found = permuted([tested], ("a", "b"), TASK, seed=0, permutations=4000, fewest=1)
    assert found.keys() == differences[0].keys()
    for name, p in found.items():
        exact = np.mean([d[name] >= differences[0][name] - 1e-12 for d in differences])
        assert p == pytest.approx(exact, abs=0.03), name  # four standard errors of 4,000 permutations


def test_two_arms_that_say_the_same_do_not_differ() -> None:
    tested = fold(1, 10, noise=(1, 1))
    same = replace(tested, said={"a": tested.said["a"], "b": tested.said["a"]})
    assert set(permuted([same], ("a", "b"), TASK, seed=0, permutations=50, fewest=1).values()) == {1}


def test_a_clear_difference_has_the_smallest_p_there_is() -> None:
    folds = [fold(seed, 25, noise=(0.2, 4.0)) for seed in range(3)]
    found = permuted(folds, ("a", "b"), TASK, seed=0, permutations=199)
    assert found["auc"] == found["map"] == found["brier"] == 1 / 200
    assert permuted(folds, ("b", "a"), TASK, seed=0, permutations=199) == found


def test_arms_of_equal_rankings_have_equal_areas_whatever_their_probabilities() -> None:
    tested = fold(2, 20, noise=(1, 1))
    own = tested.said["a"].probability
    lower = replace(tested, said={"a": Said.of(own, TASK), "b": Said.of(own**3 / 2, TASK)})
    found = permuted([lower], ("a", "b"), TASK, seed=0, permutations=99)
    assert (found["auc"], found["map"]) == (1, 1)
    assert found["brier"] < 0.1


def test_a_monotone_change_of_one_arm_changes_no_p_of_a_ranking() -> None:
    tested = fold(5, 20)
    moved = replace(tested, said=tested.said | {"b": Said.of(tested.said["b"].probability ** 2, TASK)})
    first, second = (permuted([one], ("a", "b"), TASK, seed=0, permutations=99) for one in (tested, moved))
    assert (first["auc"], first["map"], first["ap.B"]) == (second["auc"], second["map"], second["ap.B"])


def test_when_arms_are_exchangeable_p_is_small_as_seldom_as_it_says() -> None:
    p = [permuted([fold(s, 12, noise=(1, 1))], ("a", "b"), TASK, seed=s, permutations=59)["auc"] for s in range(300)]
    for level in (0.1, 0.3):
        assert np.mean(np.array(p) <= level) <= level + 3 * np.sqrt(level * (1 - level) / 300)
    assert np.mean(p) > 0.42


def test_of_all_ways_to_give_few_patients_to_two_arms_no_more_are_called_different_than_it_says() -> None:
    tested = fold(4, 6, noise=(1, 1))
    first, second = (tested.said[arm].probability for arm in "ab")
    p = []
    for bits in product([False, True], repeat=6):
        there = np.array(bits)[tested.owners][:, None]
        said = {"a": np.where(there, second, first), "b": np.where(there, first, second)}
        given = replace(tested, said={arm: Said.of(of, TASK) for arm, of in said.items()})
        p.append(permuted([given], ("a", "b"), TASK, seed=0, permutations=1000, fewest=1)["map"])
    for level in (0.2, 0.3):
        assert np.mean(np.array(p) <= level + 0.03) <= level + 0.03  # two standard errors of 1,000 permutations


def test_chosen_thresholds_that_one_arm_lacks_are_compared_with_nothing() -> None:
    tested = fold(1, 12)
    lacking = replace(tested, said=tested.said | {"b": Said.of(tested.said["b"].probability, TASK)})
    assert "f1_tuned" in permuted([tested], ("a", "b"), TASK, seed=0, permutations=9)
    assert "f1_tuned" not in permuted([lacking], ("a", "b"), TASK, seed=0, permutations=9)
    assert "f1_tuned" not in bootstrap([lacking], TASK, seed=0, resamples=2).value["a"]


def test_eyes_of_a_patient_are_swapped_together() -> None:
    """Two patients can be swapped in four ways, of which two differ as much, however many eyes they have."""
    truth = np.tile([[1, 0], [0, 1]], (20, 1))
    dice = np.random.default_rng(0)
    said = {arm: Said.of(dice.random(truth.shape), TASK) for arm in "ab"}
    tested = Predicted(truth, np.repeat([0, 1], 20), said)
    found = permuted([tested], ("a", "b"), TASK, seed=0, permutations=2000)
    assert min(found.values()) > 0.4


def test_scores_are_those_that_the_bootstrap_has() -> None:
    folds = [fold(1, 12), fold(2, 12)]
    found = permuted(folds, ("a", "b"), TASK, seed=0, permutations=9)
    assert found.keys() == bootstrap(folds, TASK, seed=0, resamples=2).value["a"].keys()
