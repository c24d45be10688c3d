"""Copies are counted, further images of a training patient are not, and every copied image is known."""

import numpy as np
import pytest
from toy_patients import case, compared

from medsynth.metrics.closeness import unusual
from medsynth.metrics.copying import copies_beyond, copy_share, times_copied
from medsynth.metrics.measured import Bootstrap, Measured, PerImage
from medsynth.metrics.nearest import Known, nearest


def share(planted: str, of: float) -> Measured:
    found = compared(case(0, planted, of))
    return copy_share(found.made_values(found.made.ratios), found.new_values(found.new.ratios), Bootstrap(0))


def test_planted_copies_are_counted_and_no_other_image_is() -> None:
    assert share("copies", 0.05).value == 0.05
    assert share("near copies", 0.2).value == pytest.approx(0.2, abs=0.01)
    assert share("none", 0).value == share("siblings", 0.2).value == 0
    for planted in ("copies", "none"):
        assert share(planted, 0.05).expected == 0


def test_the_interval_of_a_few_copies_lies_above_what_is_expected() -> None:
    found = share("copies", 0.05)
    assert found.n == 240
    assert 0 < found.ci_low < 0.05 < found.ci_high < 0.10  # type: ignore[operator]


def test_near_copies_are_more_than_new_patients_images_seem_to_be() -> None:
    found = compared(case(0, "near copies", 0.05, times=2))
    values = found.made_values(found.made.ratios), found.new_values(found.new.ratios)
    assert copies_beyond(*values, Bootstrap(0)).ci_low > 0  # type: ignore[operator]


def test_where_many_images_of_new_patients_seem_copies_an_honest_generator_is_seldom_accused() -> None:
    """In few dimensions one image in a hundred lies three times nearer to one than to the next by chance alone."""
    dice, alarms, shares = np.random.default_rng(0), 0, []
    for turn in range(60):
        training, new, made = (
            np.insert(
                (dice.normal(size=(patients, 1, 4)) + dice.normal(0, 0.5, (patients, 3, 4))).reshape(-1, 4), 4, 3, 1
            )
            for patients in (150, 30, 200)
        )
        known = Known(training[:, None], np.repeat(np.arange(150), 3))
        ours, theirs = nearest(made, known), nearest(new, known)
        values = PerImage(ours.ratios, ours.patients(known)), PerImage(theirs.ratios, np.repeat(np.arange(30), 3))
        alarms += copies_beyond(*values, Bootstrap(turn, 200)).ci_low > 0  # type: ignore[operator]
        shares.append(copy_share(*values, Bootstrap(turn, 0)).value)
    assert np.mean(shares) > 0.008
    assert alarms <= 5  # of 60 in which there is nothing to find: 1.5 by the level, 5 in 98 of 100 such series


def test_how_often_each_training_image_was_copied_is_counted() -> None:
    of = case(0)
    of.made[:5] = of.training[7]
    of.made[5:7] = of.training[30]
    found = compared(of)
    counts = times_copied(found.made, unusual(found.new.distance, 0.01), len(of.training))
    assert (counts[7], counts[30]) == (5, 2)
    assert counts.sum() == np.sum(found.made.distance < unusual(found.new.distance, 0.01))
    assert len(counts) == len(of.training)
