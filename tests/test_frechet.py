import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.metrics.frechet import frechet, frechet_of_equal


def features(rows, dimensions, seed, *, scale=1.0, shift=0.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(rows, dimensions))


def shaped(mean, covariance, rows=40, seed=0):
    """Features with exactly this mean and this covariance."""
    white = features(rows, len(mean), seed)
    white -= white.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T, ddof=1).reshape(len(mean), -1)).T)
    return np.asarray(mean) + white @ np.linalg.cholesky(np.asarray(covariance)).T


SETS = st.builds(
    features, st.integers(2, 30), st.just(8), st.integers(0, 99), scale=st.floats(0.1, 10), shift=st.floats(-5, 5)
)


def test_of_gaussians_in_one_dimension_it_is_the_difference_of_means_and_of_deviations():
    found = frechet(shaped([3.0], [[4.0]]), shaped([1.0], [[25.0]], seed=1))
    assert found == pytest.approx((3 - 1) ** 2 + (2 - 5) ** 2)


def test_of_covariances_that_commute_the_deviations_are_compared_axis_by_axis():
    one, two = [4.0, 9.0, 1.0], [16.0, 1.0, 1.0]
    found = frechet(shaped([0, 0, 0], np.diag(one)), shaped([1, 2, 2], np.diag(two), rows=60, seed=1))
    assert found == pytest.approx(9 + (2 - 4) ** 2 + (3 - 1) ** 2)


def test_of_covariances_that_do_not_commute_it_is_as_the_formula_has_it():
    c, d = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.0]])
    # Of a 2 x 2 matrix with eigenvalues a and b: sqrt a + sqrt b = sqrt (trace + 2 sqrt determinant).
    root = np.sqrt(np.trace(c @ d) + 2 * np.sqrt(np.linalg.det(c @ d)))
    found = frechet(shaped([0, 0], c), shaped([0, 1], d, seed=1))
    assert found == pytest.approx(1 + np.trace(c) + np.trace(d) - 2 * root)


def test_with_fewer_images_than_features_it_is_that_of_the_space_they_span():
    """Turned into a space of many more dimensions, the distance stays: the empty ones add nothing."""
    ours, theirs = features(6, 4, 0), features(9, 4, 1, scale=2, shift=1)
    turn = np.linalg.qr(features(300, 300, 2))[0][:4]
    assert frechet(ours @ turn, theirs @ turn) == pytest.approx(frechet(ours, theirs), rel=1e-10)


@settings(deadline=None)
@given(SETS)
def test_of_a_set_and_itself_it_is_zero_to_rounding(one):
    assert 0 <= frechet(one, one) <= 1e-9 * np.square(one).sum()
    assert frechet(one, one[::-1]) <= 1e-9 * np.square(one).sum()


@settings(deadline=None)
@given(SETS, SETS)
def test_it_is_symmetric_finite_and_never_negative(one, two):
    found = frechet(one, two)
    assert np.isfinite(found)
    assert found >= 0
    assert found == pytest.approx(frechet(two, one), rel=1e-8, abs=1e-8)


@settings(deadline=None)
@given(SETS, SETS, st.floats(0.1, 10))
def test_it_grows_with_the_square_of_the_features_and_ignores_where_they_lie(one, two, factor):
    moved = frechet(factor * one + 7, factor * two + 7)
    assert moved == pytest.approx(factor**2 * frechet(one, two), rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(SETS, st.floats(0.1, 5))
def test_of_a_set_that_is_moved_as_a_whole_it_is_the_length_of_the_way(one, way):
    assert frechet(one, one + way) == pytest.approx(8 * way**2, rel=1e-6, abs=1e-6)


def test_float32_features_lose_nothing_more():
    ours, theirs = (features(50, 512, seed).astype(np.float32) for seed in (0, 1))
    assert frechet(ours, theirs) == frechet(ours.astype(np.float64), theirs.astype(np.float64))


def test_one_image_has_no_spread():
    with pytest.raises(ValueError, match="sets of 1 and 5 images"):
        frechet(features(1, 4, 0), features(5, 4, 1))


@given(st.integers(0, 99))
def test_the_size_of_a_set_no_longer_moves_it(seed):
    """Three sets of one kind: the larger one would pass for nearer."""
    theirs, few, many = features(40, 8, 0), features(40, 8, 1), features(400, 8, 2)
    assert frechet(many, theirs) < frechet(few, theirs)
    assert frechet_of_equal(few, theirs, 40, seed) == frechet(few, theirs)
    draws = [np.random.default_rng(draw).choice(400, 40, replace=False) for draw in range(60)]
    as_many = [frechet(many[rows], theirs) for rows in draws]
    found = frechet_of_equal(many, theirs, 40, seed)
    assert abs(found - np.mean(as_many)) < 4 * np.std(as_many) / 5**0.5
    assert found > frechet(many, theirs)


def test_of_pairs_the_same_images_are_drawn():
    ours = features(30, 4, 0)
    assert frechet_of_equal(ours, ours, 10, 0, paired=True) < 1e-9
    assert frechet_of_equal(ours, ours, 10, 0) > 0.01
