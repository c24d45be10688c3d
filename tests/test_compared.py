"""Which sets of one fold are compared, in which features, and as exact as these came."""

from dataclasses import replace

import numpy as np
import pytest

from medsynth.artifacts.cohort import Sample
from medsynth.compared import Part, Sets
from medsynth.metrics import kid
from medsynth.metrics.frechet import frechet_of_equal
from medsynth.metrics.owned import Owned


def part(seed: int, patients: int, each: int = 2) -> Part:
    values = np.abs(np.random.default_rng(seed).normal(1, 1, (patients * each, 16))).astype(np.float32)
    names = [f"p{patient}" for patient in range(patients) for _ in range(each)]
    return Part(tuple[Sample, ...](), Owned(values, np.array(names)), np.ones((len(names), 1), dtype=int))


def sets() -> Sets:
    return Sets(part(0, 60), part(1, 50), None, part(2, 30), part(2, 30), "resnet34-fold0:ab")


def test_one_patient_with_long_features_is_the_whole_kid_unless_all_have_one_length() -> None:
    found = sets()
    long = found.tested.owned.features * np.where(found.tested.owned.owners == "p3", 20, 1)[:, None].astype(np.float32)
    found = replace(found, tested=replace(found.tested, owned=replace(found.tested.owned, features=long)))
    raw, equal = (
        kid.kid_drawn(each.training.owned, each.tested.owned, 0, 2) for each in (found, found.of_equal_length())
    )
    assert abs(raw.plain[0]) > 100 * abs(equal.plain[0])
    assert raw.without_the_one() is not None
    assert equal.without_the_one() is None


def test_features_of_equal_length_go_by_another_name_and_have_a_mean_square_of_one() -> None:
    found = sets().of_equal_length()
    assert found.extractor == "resnet34-fold0:ab, of equal length"
    for each in found.named().values():
        assert np.square(each.owned.features).mean(axis=1) == pytest.approx(1)


def test_the_ceiling_of_a_perfect_codec_is_nothing_and_no_order_changes_it() -> None:
    found = sets().of_equal_length()
    assert found.ceiling is not None
    order = np.random.default_rng(0).permutation(60)
    for rows in (np.arange(60), order):
        back, tested = found.ceiling.owned.chosen(rows), found.tested.owned.chosen(rows)
        drawn = kid.kid_drawn(back, tested, 0, 20, "ceiling", paired=True)
        assert np.abs([*drawn.plain, *drawn.across]).max() < 1e-12
        assert frechet_of_equal(back.features, tested.features, 40, 0, paired=True) < 1e-9
