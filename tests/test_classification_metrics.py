"""The scores of classifiers: against numbers computed by hand, and by what must hold for any predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from medsynth.artifacts.scores import LOWER_IS_BETTER
from medsynth.metrics.classification import (
    Rated,
    Task,
    left_out,
    macro_ap,
    macro_auc,
    measure,
    pooled,
    reasons,
)

SEVERAL = Task(("A", "B"), one_class=False)
GRADES = Task(("0", "1", "2"), one_class=True, ordinal=True)
CLASSES = Task(("cyst", "scar", "none"), one_class=True)


def rated(truth: list[list[int]], probability: list[list[float]], unit: str = "image") -> Rated:
    return Rated(unit, np.array(truth), np.array(probability))


def classes(truth: list[int], said: list[int]) -> Rated:
    return Rated("image", np.eye(3, dtype=int)[truth], 0.1 + 0.7 * np.eye(3)[said])


def values(found: Rated, task: Task, thresholds: np.ndarray | None = None, fewest: int = 1) -> dict[str, float]:
    scores = measure(found, task, thresholds, fewest)
    return {name.removeprefix(f"{found.unit}."): score.value for name, score in scores.items()}


TWO_LABELS = rated([[1, 1], [1, 0], [0, 0], [0, 0]], [[0.9, 0.2], [0.4, 0.1], [0.6, 0.1], [0.1, 0.3]])


def test_several_labels_score_as_computed_by_hand() -> None:
    # A: 3 of 4 pairs in order, precision 1 and 2/3 at its positives, one each of TP, FP, FN, TN.
    # B: 2 of 3 pairs in order, precision 1/2 at its positive, never called.
    assert values(TWO_LABELS, SEVERAL) == pytest.approx(
        {
            "auc": (3 / 4 + 2 / 3) / 2, "map": (5 / 6 + 1 / 2) / 2, "f1": 1 / 4, "sensitivity": 1 / 4,
            "specificity": 3 / 4, "f1_sen_spe": 1 / 4, "auc.A": 3 / 4, "auc.B": 2 / 3, "ap.A": 5 / 6, "ap.B": 1 / 2,
            "brier": (0.01 + 0.36 + 0.36 + 0.01 + 0.64 + 0.01 + 0.01 + 0.09) / 8,
            "positives.A": 2, "positives.B": 1, "patients.A": 2, "patients.B": 1,
        }
    )  # fmt: skip


def test_f1_sen_spe_is_the_mean_of_harmonic_means_and_not_the_harmonic_mean_of_means() -> None:
    found = values(TWO_LABELS, SEVERAL)
    of_means = 2 * found["sensitivity"] * found["specificity"] / (found["sensitivity"] + found["specificity"])
    assert found["f1_sen_spe"] == pytest.approx(0.25)
    assert of_means == pytest.approx(0.375)


def test_grades_score_as_computed_by_hand() -> None:
    found = values(classes([0, 1, 2, 2], [0, 2, 2, 1]), GRADES)
    assert found["balanced_accuracy"] == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert found["f1"] == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert found["kappa_quadratic"] == pytest.approx(1 - 0.125 / 0.34375)
    assert found["mae"] == pytest.approx(2 / 4)
    assert "kappa" not in found


def test_classes_without_an_order_get_plain_kappa() -> None:
    found = values(classes([0, 1, 2, 2], [0, 2, 2, 1]), CLASSES)
    assert found["kappa"] == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert not {"kappa_quadratic", "mae"} & set(found)


def test_one_class_auc_is_each_class_against_the_others() -> None:
    one_of_each, said = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]]
    found = values(rated(one_of_each, said), CLASSES)
    assert [found[f"auc.{name}"] for name in CLASSES.labels] == pytest.approx([0.5, 0.75, 1.0])
    assert found["auc"] == pytest.approx(0.75)


def test_a_probability_of_one_half_is_a_call() -> None:
    found = values(rated([[1], [0]], [[0.5], [0.499]]), Task(("A",), one_class=False))
    assert found["sensitivity"] == 1
    assert found["specificity"] == 1


def test_a_label_without_positives_is_left_out_of_every_average_and_named() -> None:
    only_a = Rated("image", TWO_LABELS.truth[:, :1], TWO_LABELS.probability[:, :1])
    alone = values(only_a, Task(("A",), one_class=False))
    truth = np.column_stack([TWO_LABELS.truth[:, 0], np.zeros(4, dtype=int)])
    beside = Rated("image", truth, TWO_LABELS.probability)
    found = values(beside, SEVERAL)
    assert {name: found[name] for name in alone} == pytest.approx(alone)
    assert "auc.B" not in found
    assert found["positives.B"] == 0
    assert "1 of 2 labels, without B (0 patients with it in what was tested" in left_out(beside, SEVERAL, fewest=1)
    assert left_out(TWO_LABELS, SEVERAL, fewest=1) == ""


def test_an_absent_class_does_not_count_as_a_miss() -> None:
    found = values(classes([0, 1, 1, 0], [0, 1, 1, 2]), GRADES)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert "auc.2" not in found


def test_with_nothing_to_tell_apart_only_counts_are_given() -> None:
    same = rated([[1, 0]] * 3, [[0.2, 0.7]] * 3)
    assert values(same, SEVERAL) == {"positives.A": 3, "positives.B": 0, "patients.A": 3, "patients.B": 0}
    assert macro_auc(same) is None
    assert macro_ap(same) is None
    counts = {name: value for name, value in values(classes([1, 1], [1, 2]), GRADES).items() if value}
    assert counts == {"positives.1": 2, "patients.1": 2}


def test_a_score_says_how_many_of_what_it_stands_on() -> None:
    found = measure(TWO_LABELS, SEVERAL, fewest=1)
    stands_on = {(score.n, score.unit) for name, score in found.items() if ".patients." not in name}
    assert stands_on == {(4, "image")}
    assert (found["image.patients.A"].n, found["image.patients.A"].unit) == (4, "patient")
    assert all(name.startswith("image.") for name in found)


def test_a_label_of_too_few_patients_has_a_reason_instead_of_a_number() -> None:
    """Both positives of B are the same patient's: two images, but one patient says nothing of others."""
    truth = np.array([[1, 1], [1, 1], [0, 0], [1, 0], [0, 0]])
    images = Rated("image", truth, np.linspace(0, 1, 10).reshape(5, 2), ["P1", "P1", "P1", "P2", "P3"])
    found = values(images, SEVERAL, fewest=2)
    assert found["auc"] == found["auc.A"]
    assert found["map"] == found["ap.A"]
    assert not {"auc.B", "ap.B"} & set(found)
    assert (found["positives.B"], found["patients.B"], found["patients.A"]) == (2, 1, 2)
    assert measure(images, SEVERAL, fewest=2)["image.patients.B"].n == 3
    assert reasons(images, SEVERAL, fewest=2) == {"B": "1 patient with it in what was tested, and it takes 2"}
    assert "B (1 patient with it" in left_out(images, SEVERAL, fewest=2)
    assert reasons(images, SEVERAL, fewest=1) == {}


def test_it_takes_patients_without_a_label_too() -> None:
    everywhere = Rated("image", np.array([[1], [1], [1], [0]]), np.zeros((4, 1)), ["P1", "P2", "P3", "P3"])
    assert reasons(everywhere, Task(("A",), one_class=False), fewest=2) == {
        "A": "1 patient without it in what was tested, and it takes 2"
    }


def test_thresholds_give_scores_beside_those_at_one_half() -> None:
    at_half, tuned = values(TWO_LABELS, SEVERAL), values(TWO_LABELS, SEVERAL, np.array([0.4, 0.15]))
    assert {name: tuned[name] for name in at_half} == at_half
    # A: both positives called and one negative; B: the positive and one negative of three.
    assert {name.removesuffix("_tuned"): value for name, value in tuned.items() if name.endswith("_tuned")} == (
        pytest.approx({"f1": (0.8 + 2 / 3) / 2, "sensitivity": 1, "specificity": (1 / 2 + 2 / 3) / 2,
                       "f1_sen_spe": (2 / 3 + 0.8) / 2})
    )  # fmt: skip


def test_one_class_has_no_thresholds() -> None:
    with pytest.raises(ValueError, match="no threshold"):
        measure(classes([0, 1], [0, 1]), GRADES, np.array([0.5, 0.5, 0.5]))


def test_an_eye_has_the_largest_probability_and_truth_of_its_images() -> None:
    eyes = pooled(TWO_LABELS, [("P1", "left"), ("P2", "left"), ("P1", "left"), ("P1", "right")], "eye", SEVERAL)
    assert eyes.truth.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert eyes.probability.tolist() == [[0.9, 0.2], [0.4, 0.1], [0.1, 0.3]]
    assert eyes.unit == "eye"


def test_the_mean_of_an_eye_does_not_grow_with_the_number_of_its_images() -> None:
    names = ["left", "left", "left", "right"]
    assert pooled(TWO_LABELS, names, "eye", SEVERAL, how="mean").probability == pytest.approx(
        np.array([[(0.9 + 0.4 + 0.6) / 3, (0.2 + 0.1 + 0.1) / 3], [0.1, 0.3]])
    )


def test_pooled_things_know_whose_they_are() -> None:
    images = Rated("image", TWO_LABELS.truth, TWO_LABELS.probability, ["P1", "P2", "P1", "P1"])
    eyes = pooled(images, [("P1", "left"), ("P2", "left"), ("P1", "left"), ("P1", "right")], "eye", SEVERAL)
    assert eyes.patients == ("P1", "P2", "P1")
    assert [count.tolist() for count in eyes.patient_counts()] == [[2, 1], [1, 2]]


@pytest.mark.parametrize(("task", "expected"), [(GRADES, [0, 0, 1]), (CLASSES, [1, 0, 0])])
def test_an_eye_has_its_highest_grade_or_its_most_frequent_class(task: Task, expected: list[int]):
    eye = pooled(classes([0, 0, 2], [0, 1, 2]), ["one"] * 3, "eye", task)
    assert eye.truth.tolist() == [expected]


def test_the_class_of_an_eye_is_the_one_with_the_largest_of_the_maxima() -> None:
    images = rated([[0, 1, 0]] * 3, [[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]])  # two of three say class 0
    eye = pooled(images, ["one"] * 3, "eye", CLASSES)
    assert eye.probability.argmax(axis=1).tolist() == [1]


# ---- what must hold for any predictions

COUNTED = ("positives.", "patients.")


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Rated, Task]:
    count, labels = draw(st.integers(2, 24)), draw(st.integers(2, 4))
    # Few distinct values, so that ties are common.
    probability = draw(arrays.arrays(float, (count, labels), elements=st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.7, 1.0])))
    one_class = draw(st.booleans())
    if one_class:
        truth = np.eye(labels, dtype=int)[draw(st.lists(st.integers(0, labels - 1), min_size=count, max_size=count))]
    else:
        truth = draw(arrays.arrays(int, (count, labels), elements=st.integers(0, 1)))
    names = tuple("ABCD"[:labels])
    return Rated("image", truth, probability), Task(names, one_class, ordinal=one_class and draw(st.booleans()))


@settings(max_examples=60, deadline=None)
@given(predictions(), st.randoms(use_true_random=False))
def test_the_order_of_images_changes_no_score(some, dice):
    images, task = some
    order = list(range(len(images.truth)))
    dice.shuffle(order)
    shuffled = Rated("image", images.truth[order], images.probability[order])
    assert values(shuffled, task) == pytest.approx(values(images, task))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_every_score_is_in_its_range(some):
    images, task = some
    for name, value in values(images, task).items():
        if not name.startswith(COUNTED) and name != "mae":
            assert (-1 if name.startswith("kappa") else 0) <= value <= 1


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_perfect_predictions_score_one(some):
    images, task = some
    found = values(Rated("image", images.truth, images.truth.astype(float)), task)
    for name, value in found.items():
        assert value == pytest.approx(0 if name in LOWER_IS_BETTER else 1) or name.startswith(COUNTED)


@settings(max_examples=60, deadline=None)
@given(predictions(), st.floats(0, 1))
def test_the_same_probability_for_all_has_an_area_of_one_half(some, constant):
    images, task = some
    found = values(Rated("image", images.truth, np.full_like(images.probability, constant)), task)
    assert all(value == pytest.approx(0.5) for name, value in found.items() if name.startswith("auc"))


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_eyes_with_one_image_each_score_as_their_images(some):
    images, task = some
    eyes = pooled(images, range(len(images.truth)), "eye", task)
    assert values(eyes, task) == pytest.approx(values(images, task))
