"""The first page of the report claims no more than the comparisons show."""

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_evidence import PLAIN, Interval, compare, comparisons_of, evaluate, extract, look
from drawn_run import DrawnRun
from hypothesis import given
from hypothesis import strategies as st

from medsynth.artifacts.comparisons import Change, Comparison
from medsynth.report import summary
from medsynth.report.answer import FEWEST_FOLDS, answer
from medsynth.report.collect import collect

HIGHER, LOWER, ACROSS = (0.05, 0.01, 0.09), (-0.05, -0.09, -0.01), (0.02, -0.01, 0.05)
DIFFERENCE = st.floats(-1, 1, allow_nan=False)


def said(*gains: Interval, arms: tuple[str, ...] = ("real+geca",), folds: int = 3, p: float = 0.01) -> list[str]:
    """The headlines where each arm gains so much over real, real+geometric, ..."""
    pairs = {(arm, plain): gain for arm in arms for plain, gain in zip(PLAIN, gains, strict=False)}
    return list(answer(comparisons_of(gains=pairs, folds=folds, p=p)).headlines)


@pytest.mark.parametrize(
    ("real", "geometric", "headline"),
    [
        (HIGHER, HIGHER, "improved the classifier in this run"),
        (HIGHER, ACROSS, "improved on the real images alone, but are not shown to beat real images that are turned"),
        (ACROSS, HIGHER, "are not shown to help"),
        (ACROSS, LOWER, "are not shown to help"),
        (LOWER, ACROSS, "made the classifier worse than the real images alone"),
        (LOWER, LOWER, "made the classifier worse."),
    ],
)
def test_the_headline_is_the_plainest_true_sentence(real: Interval, geometric: Interval, headline: str) -> None:
    (found,) = said(real, geometric)
    assert found.startswith("Synthetic images ")
    assert headline in found


def test_help_without_a_plain_augmentation_to_compare_with_is_said_to_be_so() -> None:
    (found,) = said(HIGHER)
    assert "augmentation without a generator was not tried" in found


@pytest.mark.parametrize(("folds", "p", "why"), [(2, 0.01, "2 folds cannot settle it"), (3, 0.2, "may be chance")])
def test_an_interval_that_excludes_zero_is_no_proof_with_few_folds_or_among_many_comparisons(
    folds: int, p: float, why: str
) -> None:
    for gain, what in ((HIGHER, "may have improved"), (LOWER, "may have made")):
        (found,) = said(gain, ACROSS, folds=folds, p=p)
        assert what in found
        assert why in found


@pytest.mark.parametrize("permuted", [0.06, None])
def test_a_gain_that_swapping_arms_does_not_bear_out_is_no_proof(permuted: float | None) -> None:
    """The p of the bootstrap is too small for few patients."""
    for gain, what in ((HIGHER, "may have improved"), (LOWER, "may have made")):
        gains = dict.fromkeys([("real+geca", plain) for plain in PLAIN], gain)
        (found,) = answer(comparisons_of(gains=gains, p=0.001, permuted=permuted)).headlines
        assert what in found
        assert "by other tests it may be chance" in found
    (gained, *_) = answer(comparisons_of(gains=gains, p=0.001, permuted=0.05)).gains
    assert gained.verdict == "lower"


def test_three_repeats_of_one_fold_are_one_fold() -> None:
    gains = dict.fromkeys([("real+geca", plain) for plain in PLAIN], HIGHER)
    found = answer(comparisons_of(gains=gains, folds=1, repeats=3, p=0.01))
    assert "may have improved" in found.headlines[0]
    assert "1 fold cannot settle it" in found.headlines[0]
    assert "1 fold cannot settle anything" in found.caution
    assert "cannot settle" not in answer(comparisons_of(gains=gains, folds=3, repeats=1, p=0.01)).caution


@given(
    st.lists(st.tuples(DIFFERENCE, st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=2),
    st.floats(0.0001, 1),
    st.integers(1, 5),
)
def test_help_is_only_claimed_where_every_baseline_is_beaten_beyond_doubt(
    rows: list[tuple[float, float, float]], p: float, folds: int
) -> None:
    gains = [(value, value - below, value + above) for value, below, above in rows]
    (found,) = said(*gains, folds=folds, p=p)
    shown = [low > 0 and p < 0.05 and folds >= FEWEST_FOLDS for _, low, _ in gains]
    assert "improved the classifier" not in found or all(shown)
    assert "s improved on" not in found or shown[0]
    if all(high <= 0 for _, _, high in gains):
        assert "improved" not in found


def test_generators_of_which_the_same_is_true_share_a_headline_and_others_have_their_own() -> None:
    (found,) = said(ACROSS, ACROSS, arms=("real+geca", "real+ldm"))
    assert found == "Synthetic images by GeCA and LDM are not shown to help."
    pairs = {("real+geca", "real"): HIGHER, ("real+ldm", "real"): LOWER}
    good, bad = answer(comparisons_of(gains=pairs, p=0.01)).headlines
    assert "GeCA improved" in good
    assert "LDM made the classifier worse" in bad


def test_the_caution_says_what_intervals_leave_out_and_warns_where_patients_are_unknown() -> None:
    once = answer(comparisons_of(folds=2), has_patients=False).caution
    assert "are over patients" in once
    assert "trained once" in once
    assert "No patient ids" in once
    assert "no test of significance" not in once
    assert "trained once" not in answer(comparisons_of(repeats=3)).caution


def test_the_three_questions_are_answered_with_number_interval_patients_and_file(tmp_path: Path) -> None:
    drawn = DrawnRun(tmp_path / "run").everything()
    for fold in range(3):
        extract(drawn, fold)
        evaluate(drawn, fold)
        look(drawn, fold, passed=fold != 1, share=0.3 if fold == 1 else 0.05)
    found = collect(compare(drawn).artifacts())
    helped, like, new = summary.parts(found, answer(found.comparisons))
    assert (helped.verdict, helped.lines[0].number, helped.lines[0].interval) == (
        "Not shown.",
        "+0.031",
        "−0.004 to +0.070",
    )
    assert helped.lines[0].source == "compare/comparisons.json"
    assert "24 eyes of 12 patients, 8 with a label, 4 with the rarest (exudate)" in helped.standing
    assert (like.lines[0].number, like.lines[0].interval) == ("38.3", "−4.10 to 66")
    assert "synthetic images 35.4 (17 to 63.2), other real images −2.90 (−18.5 to 17.7)" in like.lines[0].note
    assert "of 4 patients" in like.standing
    assert (new.verdict, new.lines[0].number) == (
        "Not shown; the audit was not passed in 1 of 3 cases: 30.0 % are closer to a training image than nearly all "
        "new patients' images.",
        "30.0 %",
    )
    assert new.lines[0].source == "fold-1/audit/geca/scores.json"  # the audit that is to be looked at first


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ((1.2, -3.0, 12.0), "No difference found on 4 patients."),
        ((60.0, 30.0, 90.0), "No, farther from new patients' images than other real images are."),
        ((-60.0, -90.0, -30.0), "Nearer to new patients' images than other real images are."),
        (None, "Not measured against other real images; medsynth evaluate does it."),
    ],
)
def test_likeness_is_held_against_that_of_other_real_images_and_no_difference_is_no_likeness(
    tmp_path: Path, more: Interval | None, verdict: str
) -> None:
    found = collect(evaluate(DrawnRun(tmp_path / "run").ingest().expand(0), 0, more=more).artifacts())
    like = summary.parts(found, answer(None))[1]
    assert like.verdict == verdict
    assert "Yes" not in like.verdict
    assert like.lines[0].interval == {(60.0, 30.0, 90.0): "30 to 90", None: "17 to 63.2"}.get(
        more, like.lines[0].interval
    )


def test_verdict_and_number_are_of_the_same_fold(tmp_path: Path) -> None:
    """One fold is farther beyond doubt; another one by more, but that may be chance."""
    run = DrawnRun(tmp_path / "run").everything()
    for fold, more in enumerate([(90.0, -20.0, 200.0), (30.0, 10.0, 50.0), (5.0, -5.0, 15.0)]):
        evaluate(extract(run, fold), fold, more=more)
    like = summary.parts(collect(run.artifacts()), answer(None))[1]
    assert like.verdict.startswith("No, farther")
    assert (like.lines[0].number, like.lines[0].source) == ("30", "fold-1/evaluate/geca/scores.json")
    assert "of fold 1" in like.standing


def test_a_question_that_was_not_measured_names_the_command_that_measures_it(tmp_path: Path) -> None:
    parts = summary.parts(collect(DrawnRun(tmp_path / "run").ingest().artifacts()), answer(None))
    assert [(part.verdict, part.command) for part in parts] == [
        ("Not measured.", "medsynth classify"), ("Not measured.", "medsynth evaluate"),
        ("Not measured.", "medsynth audit"),
    ]  # fmt: skip


def test_what_synthetic_images_reach_alone_is_said() -> None:
    assert any("synthetic images alone reached 0.700" in sentence for sentence in answer(comparisons_of()).sentences)


@pytest.mark.parametrize(
    ("change", "judged"),
    [
        ((-0.08, -0.12, -0.02), "hurt, as they must."),
        ((-0.01, -0.04, 0.02), "are not shown to hurt, though they must"),
        ((0.04, 0.01, 0.08), "did not hurt: then something else than the labels"),
    ],
)
def test_shuffled_labels_are_judged_by_whether_they_hurt(change: Interval, judged: str) -> None:
    known = comparisons_of()
    control = Comparison("shuffled-labels", "real", False, (0, 1, 2), {"map": Change(*change, 0.04)}, {})
    found = answer(replace(known, comparisons=(*known.comparisons, control))).sentences
    (sentence,) = [each for each in found if each.startswith("Shuffled labels")]
    assert judged in sentence
    assert f"{change[0]:+.3f} mAP".replace("-", "−") in sentence
