"""Colours and sharpness are in grey levels, and say what an eye would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter
from scipy.stats import wasserstein_distance

from medsynth.metrics.histograms import compared, distance, histogram, look, sharpness, together


def drawn(seed: int, images: int = 6, side: int = 16, low: int = 40, high: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (images, side, side, 3), dtype=np.uint8)


def test_a_set_that_is_brighter_in_one_channel_is_as_far_as_it_is_brighter() -> None:
    real = drawn(0)
    made = real + np.array([0, 7, 0], dtype=np.uint8)
    found = compared(look(made), look(real))
    assert found.shift == pytest.approx([0, 7, 0])
    assert found.distance == pytest.approx([0, 7, 0])
    assert found.sharpness == pytest.approx(1)


def test_a_set_with_less_contrast_is_far_without_a_shift() -> None:
    real = np.array([100, 140], dtype=np.uint8).repeat(288).reshape(1, 24, 8, 3)
    made = np.array([110, 130], dtype=np.uint8).repeat(288).reshape(1, 24, 8, 3)
    found = compared(look(made), look(real))
    assert found.shift == pytest.approx([0, 0, 0])
    assert found.distance == pytest.approx([10, 10, 10])


@given(st.integers(0, 999), st.integers(1, 5), st.integers(1, 5))
def test_the_distance_is_scipys_and_no_smaller_than_the_shift(seed: int, n: int, m: int) -> None:
    one, other = drawn(seed, n, high=90), drawn(seed + 1, m)
    expected = [wasserstein_distance(one[..., c].reshape(-1), other[..., c].reshape(-1)) for c in range(3)]
    assert distance(histogram(one), histogram(other)) == pytest.approx(expected, rel=1e-9)
    found = compared(look(one), look(other))
    assert (np.abs(found.shift) <= found.distance + 1e-9).all()
    assert found.shift == pytest.approx([one[..., c].mean() - other[..., c].mean() for c in range(3)])


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    pictures = drawn(0)
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    expected = [convolve(p.mean(axis=2), laplacian)[1:-1, 1:-1].var() for p in pictures]
    assert sharpness(pictures) == pytest.approx(expected, rel=1e-10)


def test_blurred_pictures_are_less_sharp_and_flat_ones_not_at_all() -> None:
    real = drawn(0)
    blurred = np.stack([gaussian_filter(p, (1, 1, 0)) for p in real])
    assert compared(look(blurred), look(real)).sharpness < 0.2
    assert sharpness(np.full((2, 8, 8, 1), 90, dtype=np.uint8)).tolist() == [0, 0]
    assert np.isnan(compared(look(real), look(np.full((2, 8, 8, 3), 90, dtype=np.uint8))).sharpness)


def test_a_set_may_be_looked_at_in_parts() -> None:
    pictures = drawn(0)
    whole, parts = look(pictures), together([look(pictures[:2]), look(pictures[2:])])
    assert np.array_equal(whole.histogram, parts.histogram)
    assert np.array_equal(whole.sharpness, parts.sharpness)
    assert whole.histogram.sum(axis=1).tolist() == [6 * 16 * 16] * 3


def test_pictures_without_a_pixel_in_the_middle_are_refused() -> None:
    with pytest.raises(ValueError, match="2 x 2"):
        sharpness(drawn(0, side=2))
