"""All numbers of a space at once: what is planted stands out in those that can see it, and every class has its own."""

import numpy as np
import pytest
from toy_patients import case, compared

from medsynth.metrics.measured import Bootstrap, Measured
from medsynth.metrics.memorisation import measure, measure_classes

NAMES = {
    "c05", "c01", "patient_ratio", "copy_ratio", "copy_excess", "auth_pct", "auth_pct_patient",
    "identifiability", "identifiability_as_few", "c_t", "c_t_p", "n_mem", "most_copied",
}  # fmt: skip


def numbers(planted: str, share: float = 0.0) -> dict[str, Measured]:
    return measure(compared(case(7, planted, share)), Bootstrap(0, 100))


def test_every_number_has_what_it_stands_on_and_an_interval_around_it() -> None:
    for planted in ("none", "copies"):
        found = numbers(planted, 0.2)
        assert set(found) == NAMES
        for name, each in found.items():
            assert np.isfinite(each.value)
            assert each.n > 0
            assert each.ci_low is None or each.ci_low <= each.value <= each.ci_high, name  # type: ignore[operator]


def test_a_generator_of_copies_and_one_of_further_images_are_told_from_an_honest_one() -> None:
    honest, copies, siblings = numbers("none"), numbers("copies", 0.3), numbers("siblings", 0.3)
    for found in (copies, siblings):
        for name in ("c05", "patient_ratio"):
            assert found[name].ci_low > 0.05 >= honest[name].ci_low  # type: ignore[operator]
        assert found["c_t"].value < honest["c_t"].value - 1
        assert found["auth_pct"].value < honest["auth_pct"].value - 5
        assert found["identifiability_as_few"].value > honest["identifiability_as_few"].expected + 0.1  # type: ignore[operator]
        assert found["n_mem"].value > honest["n_mem"].value + 0.1
    assert copies["copy_ratio"].value == 0.3
    assert siblings["copy_ratio"].value == 0


def test_each_label_has_a_number_of_its_own_and_a_label_that_no_image_has_has_none() -> None:
    of = case(7)
    of.made[:20] = of.training[:20]
    labels = np.zeros((len(of.made), 3), int)
    labels[:20, 0], labels[20:, 1] = 1, 1
    theirs = np.tile([[1, 1, 1]], (len(of.new), 1))
    copied, rest, nothing = measure_classes(compared(of), labels, theirs, Bootstrap(0, 100))
    assert copied is not None
    assert rest is not None
    assert nothing is None
    assert (copied.value, copied.n, rest.n) == (1, 20, 220)
    assert rest.value < 0.15


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert numbers("none") == numbers("none")


def test_nothing_is_measured_without_new_images() -> None:
    of = case(0)
    with pytest.raises(ValueError, match="0 new images"):
        compared(type(of)(of.training, of.patients, of.new[:0], of.new_patients[:0], of.made))
