"""Scores under many weightings at once: those of classification.measure, on things repeated as often as weighed."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medsynth.metrics.classification import Rated, Task, measure
from medsynth.metrics.weighted import Said, Scorer

Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, Task]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Truth, probability, four weightings, thresholds or none, and the task."""
    count, labels = draw(st.integers(3, 20)), draw(st.integers(2, 4))
    values = st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.7, 1.0])
    probability = draw(arrays.arrays(float, (count, labels), elements=values))
    weights = draw(arrays.arrays(int, (count, 4), elements=st.integers(0, 3)))
    names = tuple("ABCD"[:labels])
    if draw(st.booleans()):
        truth = np.eye(labels, dtype=int)[draw(st.lists(st.integers(0, labels - 1), min_size=count, max_size=count))]
        return truth, probability, weights, None, Task(names, True, ordinal=draw(st.booleans()))
    truth = draw(arrays.arrays(int, (count, labels), elements=st.integers(0, 1)))
    thresholds = draw(st.none() | arrays.arrays(float, labels, elements=values))
    return truth, probability, weights, thresholds, Task(names, False)


def measured(case: Case, times: np.ndarray) -> dict[str, float]:
    truth, probability, _, thresholds, task = case
    rated = Rated("eye", np.repeat(truth, times, axis=0), np.repeat(probability, times, axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of kappa when one class is all there is
        found = measure(rated, task, thresholds, fewest=1)
    return {
        name.removeprefix("eye."): score.value
        for name, score in found.items()
        if not name.startswith(("eye.positives", "eye.patients"))
    }


@settings(max_examples=120, deadline=None)
@given(cases())
def test_scores_under_a_weighting_are_those_of_things_repeated(case: Case) -> None:
    truth, probability, weights, thresholds, task = case
    kept = Rated("eye", truth, probability).scorable()
    found = Scorer.of(truth, Said.of(probability, task, thresholds), task, kept).scores(weights.astype(float))
    for i, times in enumerate(weights.T):
        ours = {name: values[i] for name, values in found.items()}
        theirs = measured(case, times)
        for name in ours.keys() - theirs.keys():  # nothing is left that it could be measured on
            assert np.isnan(ours[name]) or name.startswith(("kappa", "mae")), name
        assert theirs == pytest.approx({name: ours[name] for name in theirs}, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_weightings_do_not_see_each_other(case: Case) -> None:
    truth, probability, weights, thresholds, task = case
    scorer = Scorer.of(truth, Said.of(probability, task, thresholds), task, Rated("eye", truth, probability).scorable())
    together = scorer.scores(weights.astype(float))
    for i in range(weights.shape[1]):
        for name, values in scorer.scores(weights[:, i : i + 1].astype(float)).items():
            assert values.item() == pytest.approx(together[name][i], nan_ok=True, abs=1e-12), name


def test_without_a_label_to_score_there_are_no_scores() -> None:
    truth, task = np.zeros((3, 1), dtype=int), Task(("A",), one_class=False)
    said = Said.of(np.full((3, 1), 0.2), task)
    assert Scorer.of(truth, said, task, np.array([False])).scores(np.ones((3, 2))) == {}
