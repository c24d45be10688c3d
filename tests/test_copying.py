"""Copies are counted, further images of a training patient are not, and every copied image is known."""

import numpy as np
import pytest
from toy_patients import case, compared

from medsynth.metrics.closeness import unusual
from medsynth.metrics.copying import copy_share, times_copied
from medsynth.metrics.measured import Bootstrap, Measured


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


def test_how_often_each_training_image_was_copied_is_counted() -> None:
    of = case(0)
    of.made[:5] = of.training[7]
    of.made[5:7] = of.training[30]
    found = compared(of)
    counts = times_copied(found.made, unusual(found.new.distance, 0.01), len(of.training))
    assert (counts[7], counts[30]) == (5, 2)
    assert counts.sum() == np.sum(found.made.distance < unusual(found.new.distance, 0.01))
    assert len(counts) == len(of.training)
