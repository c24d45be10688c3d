"""The sentence at the top of the report claims no more than the numbers show."""

from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.report.answer import answer

AUC = st.floats(0, 1, allow_nan=False)


def folds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


@pytest.mark.parametrize(
    ("real", "geometric", "geca", "headline"),
    [
        ((0.6, 0.7, 0.65), (0.62, 0.71, 0.66), (0.7, 0.8, 0.75), "improved the classifier"),
        ((0.6, 0.7, 0.65), (0.8, 0.7, 0.75), (0.7, 0.8, 0.75), "not shown to beat plain geometric"),
        ((0.6, 0.7, 0.65), (), (0.7, 0.8, 0.75), "geometric augmentation was not tried"),
        ((0.7, 0.6, 0.65), (), (0.6, 0.75, 0.66), "the gain is within the spread"),
        ((0.7, 0.7, 0.7), (), (0.701, 0.701, 0.701), "did not help"),
        ((0.7, 0.7, 0.7), (0.7, 0.8, 0.7), (0.65, 0.72, 0.7), "did not help"),
        ((0.8, 0.9, 0.9), (0.7, 0.8, 0.8), (0.7, 0.9, 0.85), "did not help"),
        ((0.7, 0.6, 0.65), (0.8, 0.7, 0.8), (0.6, 0.75, 0.66), "are not shown to help."),
        ((0.7, 0.7, 0.7), (0.7, 0.7, 0.7), (0.6, 0.6, 0.6), "made the classifier worse"),
        ((0.6, 0.7), (), (0.8, 0.9), "not shown to help; 2 folds cannot settle it"),
        ((0.7,), (), (0.5,), "did not help; 1 fold cannot settle it"),
        ((0.7, 0.7), (0.8, 0.8), (), "No answer yet"),
        ((), (), (), "No answer yet"),
    ],
)
def test_the_headline_is_the_plainest_true_sentence(
    real: tuple[float, ...], geometric: tuple[float, ...], geca: tuple[float, ...], headline: str
) -> None:
    arms = {"real": real, "real+geometric": geometric, "real+geca": geca}
    (said,) = answer({arm: folds(*values) for arm, values in arms.items() if values}).headlines
    assert headline in said


@given(st.lists(st.tuples(AUC, AUC, AUC), min_size=1, max_size=6))
def test_help_is_only_claimed_where_every_baseline_is_beaten_by_more_than_the_spread(
    rows: list[tuple[float, ...]],
) -> None:
    arms = {
        arm: folds(*column)
        for arm, column in zip(("real", "real+geometric", "real+geca"), zip(*rows, strict=True), strict=True)
    }
    (headline,) = answer(arms).headlines
    gains = [[row[2] - row[base] for row in rows] for base in (0, 1)]
    shown = [len(gain) >= 3 and fmean(gain) > stdev(gain) for gain in gains]
    assert "improved the classifier" not in headline or all(shown)
    assert "improved" not in headline or shown[0]
    if all(fmean(gain) <= 0 for gain in gains):
        assert "did not help" in headline or "made the classifier worse" in headline


def test_arms_are_compared_on_the_folds_that_they_share() -> None:
    arms = {"real": {0: 0.5, 1: 0.6, 2: 0.7}, "real+geometric": {0: 0.5, 1: 0.5}, "real+geca": {0: 0.6, 1: 0.8, 3: 0.1}}
    for comparison in answer(arms).comparisons:
        assert len(comparison.differences) == 2
        assert comparison.reached == pytest.approx(0.7)


def test_every_generator_gets_a_verdict_of_its_own() -> None:
    arms = {"real": folds(0.6, 0.6, 0.6), "real+geometric": folds(0.6, 0.6, 0.6)}
    arms |= {"real+geca": folds(0.7, 0.7, 0.71), "real+ldm": folds(0.5, 0.6, 0.6)}
    good, bad = answer(arms).headlines
    assert "GeCA improved" in good
    assert "LDM did not help" in bad


def test_the_answer_warns_where_patients_are_unknown_or_folds_are_few() -> None:
    arms = {"real": folds(0.6, 0.6), "real+geca": folds(0.7, 0.7)}
    said = answer(arms, has_patients=False)
    assert "No patient ids" in said.caution
    assert "cannot tell a difference from chance" in said.caution
    assert "patients it had never seen" not in " ".join(said.sentences)


def test_what_synthetic_images_reach_alone_is_said_for_every_generator() -> None:
    arms = {"real": folds(0.8), "real+geca": folds(0.8), "synthetic-only": folds(0.6), "synthetic-only-ldm": folds(0.7)}
    alone = answer(arms).sentences[-1]
    assert "0.600 and 0.700 (synthetic-only and synthetic-only-ldm), where 0.5 is guessing" in alone
