"""Identifiability: the definition, and that the number of synthetic images does not decide."""

import numpy as np
import pytest
from toy_patients import case, compared

from medsynth.metrics.closeness import distances
from medsynth.metrics.identifiability import identifiability
from medsynth.metrics.measured import Bootstrap, Measured


def of(planted: str, share: float = 0.0) -> Measured:
    drawn = case(2, planted, share)
    found = compared(drawn)
    return identifiability(drawn.made, found.space.known, found.among.next_distance, Bootstrap(0))


def test_it_is_the_share_of_training_images_that_the_definition_names() -> None:
    drawn = case(0, "siblings", 0.5, patients=8)
    found = compared(drawn)
    within = distances(drawn.training, drawn.training[:, None])
    np.fill_diagonal(within, np.inf)
    expected = distances(drawn.training, drawn.made[:, None]).min(axis=1) < within.min(axis=1)
    assert len(drawn.made) == len(drawn.training)
    got = identifiability(drawn.made, found.space.known, found.among.next_distance, Bootstrap(0))
    assert got.value == pytest.approx(expected.mean())
    assert 0 < got.value < 1
    assert got.ci_low < got.value < got.ci_high  # type: ignore[operator]


def test_copies_identify_as_many_images_as_were_copied() -> None:
    assert of("none").value < 0.05
    assert of("copies", 0.2).value - of("none").value == pytest.approx(0.2, abs=0.03)


def test_more_synthetic_images_than_training_images_do_not_raise_it() -> None:
    drawn = case(5, times=5)
    found = compared(drawn)
    as_many = len(drawn.training)
    few, many, whole = (
        identifiability(made, found.space.known, found.among.other_distance, Bootstrap(0), images).value
        for made, images in ((drawn.made[:as_many], None), (drawn.made, None), (drawn.made, len(drawn.made)))
    )
    assert many == pytest.approx(few, abs=0.1)
    assert whole > few + 0.2


def test_new_patients_images_give_a_value_to_compare_with() -> None:
    drawn = case(4)
    found = compared(drawn)
    ours, theirs = (
        identifiability(images, found.space.known, found.among.next_distance, Bootstrap(0), len(drawn.new))
        for images in (drawn.made, drawn.new)
    )
    assert ours.value == pytest.approx(theirs.value, abs=0.03)
    assert ours.n == len(drawn.training)
