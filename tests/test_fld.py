"""FLD and its gap: what planted copies do to them, and that a perfect generator lies within the band."""

from statistics import fmean

import numpy as np
import pytest

from medsynth.metrics import fld
from medsynth.metrics.fld import band, likelihood, qualities
from medsynth.metrics.owned import Owned

DIMENSIONS, FACTORS = 96, 20


class World:
    """Scans of patients: a few factors, most of which a patient's scans have in common, in many features."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.axes = self.random.normal(size=(FACTORS, DIMENSIONS)) * np.exp(-np.arange(FACTORS) / 8)[:, None] / 2

    def scans(self, patients: int, each: int) -> Owned:
        common = self.random.normal(size=(patients, FACTORS)).repeat(each, axis=0)
        factors = 0.8**0.5 * common + 0.2**0.5 * self.random.normal(size=(patients * each, FACTORS))
        features = factors @ self.axes + 0.25 * self.random.normal(size=(patients * each, DIMENSIONS))
        return Owned(features.astype(np.float32), np.arange(patients).repeat(each))

    def sets(self) -> tuple[Owned, Owned, np.ndarray]:
        """Training scans, scans of other patients, and those of a perfect generator."""
        return self.scans(80, 4), self.scans(30, 4), self.scans(200, 1).features

    def copies(self, training: Owned, count: int, noise: float) -> np.ndarray:
        chosen = training.features[self.random.choice(len(training.features), count, replace=False)]
        return chosen + noise * self.random.normal(size=chosen.shape).astype(np.float32)


def planted(seed: int, share: float) -> tuple[Owned, Owned, np.ndarray]:
    world = World(seed)
    training, unseen, made = world.sets()
    count = round(share * len(made))
    made[:count] = world.copies(training, count, 0.02)
    return training, unseen, made


def test_a_perfect_generator_lies_within_the_band_and_near_zero() -> None:
    found = [(band(*planted(seed, 0), seed), likelihood(*planted(seed, 0), seed)) for seed in range(5)]
    assert all(abs(within.z) < 2.5 for within, _ in found)
    assert abs(fmean(within.z for within, _ in found)) < 1.2
    assert all(abs(value.fld) < 10 for _, value in found)
    assert all(-10 < value.gap < 5 for _, value in found)


def test_the_more_copies_the_lower_the_gap_and_the_band_sees_a_few() -> None:
    gaps, far = [], []
    for share in (0, 0.1, 0.3, 1.0):
        gaps.append(likelihood(*planted(0, share), seed=0).gap)
        far.append(band(*planted(0, share), seed=0).z)
    assert gaps == sorted(gaps, reverse=True)
    assert far == sorted(far, reverse=True)
    assert far[1] < -2
    assert far[2] < -5
    assert gaps[3] < -300


def test_nothing_but_copies_is_far_from_unseen_images_and_exact_copies_have_a_finite_gap() -> None:
    assert likelihood(*planted(0, 1.0), seed=0).fld > 300
    training, unseen, _ = World(0).sets()
    found = likelihood(training, unseen, training.features.copy(), seed=0)
    assert np.isfinite([found.fld, found.gap]).all()
    assert found.gap < -1000


def test_a_poor_generator_has_a_high_fld_but_no_memory() -> None:
    training, unseen, made = World(1).sets()
    poor = made + np.random.default_rng(0).normal(size=made.shape).astype(np.float32)
    found, perfect = (likelihood(training, unseen, images, seed=0) for images in (poor, made))
    assert found.fld > perfect.fld + 10
    assert band(training, unseen, poor, seed=0).z > -2


def test_unseen_patients_of_another_source_pass_for_memory() -> None:
    """Which is why the band asks for patients of the same source: nothing here is a copy."""
    training, unseen, made = World(2).sets()
    other = Owned(unseen.features + 0.3, unseen.owners)
    assert abs(band(training, unseen, made, seed=0).z) < 2.5
    assert band(training, other, made, seed=0).z < -3


def test_a_feature_that_never_changes_in_unseen_images_is_left_out() -> None:
    training, unseen, made = World(3).sets()
    plain = likelihood(training, unseen, made, seed=0)
    dead = [np.column_stack([x, np.full(len(x), 7.0)]) for x in (training.features, unseen.features, made)]
    dead[0][0, -1] = 8  # it changes in the training images
    more = likelihood(Owned(dead[0], training.owners), Owned(dead[1], unseen.owners), dead[2], seed=0)
    assert more.dimensions == plain.dimensions == DIMENSIONS
    assert [more.fld, more.gap] == pytest.approx([plain.fld, plain.gap], abs=1e-6)


def test_a_feature_is_measured_in_its_own_unit() -> None:
    training, unseen, made = World(4).sets()
    units = np.random.default_rng(0).uniform(0.1, 10, DIMENSIONS)
    moved = likelihood(
        Owned(3 + units * training.features, training.owners),
        Owned(3 + units * unseen.features, unseen.owners),
        3 + units * made,
        seed=0,
    )
    plain = likelihood(training, unseen, made, seed=0)
    assert [moved.fld, moved.gap] == pytest.approx([plain.fld, plain.gap], abs=1e-3)


def test_half_as_many_synthetic_as_training_images_are_used_unless_others_are_asked_for() -> None:
    world = World(5)
    training, unseen, made = world.sets()
    assert likelihood(training, unseen, made, seed=0).centres == 160
    assert likelihood(training, unseen, made[:50], seed=0).centres == 50
    many = world.scans(1000, 1).features
    every = likelihood(training, unseen, many, seed=0, centres=len(many))
    assert every.centres == 1000
    assert every.fld < likelihood(training, unseen, many, seed=0).fld - 1


def test_the_same_seed_gives_the_same_numbers() -> None:
    training, unseen, made = World(6).sets()
    assert likelihood(training, unseen, made, seed=1) == likelihood(training, unseen, made, seed=1)
    assert likelihood(training, unseen, made, seed=1) != likelihood(training, unseen, made, seed=2)
    assert band(training, unseen, made, 1, draws=3) == band(training, unseen, made, 1, draws=3)


def test_more_images_than_are_compared_are_drawn_from_by_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fld, "MOST", 100)
    found = likelihood(*World(7).sets(), seed=0)
    assert (found.training, found.unseen, found.centres) == (100, 100, 50)


def test_too_few_images_or_patients_or_features_that_never_change_are_refused() -> None:
    training, unseen, made = World(8).sets()
    with pytest.raises(ValueError, match="1 owner"):
        band(training, Owned(unseen.features, np.zeros(120)), made, seed=0)
    with pytest.raises(ValueError, match="1 unseen"):
        likelihood(training, unseen.chosen(np.arange(1)), made, seed=0)
    with pytest.raises(ValueError, match="same features"):
        likelihood(training, Owned(np.ones((9, DIMENSIONS)), np.arange(9)), made, seed=0)


def test_a_perfect_generators_images_are_as_likely_as_real_ones_and_spoilt_ones_come_last() -> None:
    training, unseen, made = World(0).sets()
    made[:10] += 3 * made.std()
    found, real = qualities(training, unseen, made, seed=0)
    assert set(found.argsort()[:10]) == set(range(10))
    assert abs(found[10:].mean() - real) < abs(found[:10].mean() - real) / 5
    again, _ = qualities(training, unseen, made[::-1], seed=0)
    np.testing.assert_allclose(again[::-1], found)  # an image's quality is its own
