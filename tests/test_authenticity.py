"""AuthPct: the definition, and what it sees and does not see of planted images."""

import numpy as np
import pytest
from toy_patients import case, compared

from medsynth.metrics.authenticity import authentic, authentic_percentage
from medsynth.metrics.closeness import distances
from medsynth.metrics.measured import Bootstrap, Measured


def percentage(planted: str, share: float = 0.0, *, of_others: bool = False) -> Measured:
    found = compared(case(1, planted, share))
    reach = found.among.other_distance if of_others else found.among.next_distance
    return authentic_percentage(found.made, found.new, reach, found.space.known.patients, Bootstrap(0))


def test_an_image_is_authentic_where_the_definition_says_so() -> None:
    of = case(0, "siblings", 0.2, patients=6)
    found = compared(of)
    apart, within = distances(of.made, of.training[:, None]), distances(of.training, of.training[:, None])
    np.fill_diagonal(within, np.inf)
    closest = apart.argmin(axis=1)
    expected = within.min(axis=1)[closest] < apart.min(axis=1)
    assert authentic(found.made, found.among.next_distance).tolist() == expected.tolist()
    assert 0 < expected.mean() < 1


def test_nothing_is_taken_off_the_percentage_and_a_copy_is_never_authentic() -> None:
    assert percentage("copies", 1.0).value == 0
    honest = percentage("none")
    assert honest.value > 95
    assert honest.expected == pytest.approx(honest.value, abs=5)


def test_copies_lower_it_by_their_share_and_further_images_of_training_patients_by_less() -> None:
    honest, copies, siblings = percentage("none"), percentage("copies", 0.2), percentage("siblings", 0.2)
    assert honest.value - copies.value == pytest.approx(20, abs=2)
    assert 5 < honest.value - siblings.value < 18


def test_by_the_nearest_image_of_another_patient_many_new_images_are_not_authentic_but_more_of_training_patients() -> (
    None
):
    honest, siblings = percentage("none", of_others=True), percentage("siblings", 0.2, of_others=True)
    assert honest.expected == pytest.approx(honest.value, abs=12)
    assert 40 < honest.value < 80
    assert siblings.value < honest.value - 5
