"""Distances are those of the definition, also where two images are all but equal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics import euclidean
from medsynth.metrics.euclidean import blocks, squared_distances


def drawn(seed: int, images: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, 16))


@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 9))
def test_they_are_those_of_the_definition(seed: int, n: int, m: int) -> None:
    a, b = drawn(seed, n), drawn(seed + 1, m)
    expected = [[sum((x - y) ** 2) for y in b] for x in a]
    np.testing.assert_allclose(squared_distances(a, b), expected, rtol=1e-9)


@given(st.floats(1e-12, 1e-2), st.integers(0, 99))
def test_a_near_copy_far_from_the_origin_keeps_the_digits_of_its_distance(step: float, seed: int) -> None:
    a = np.round(drawn(seed, 1) * 2**20) / 2**20  # so that adding a step is exact
    b = a.copy()
    b[0, 0] += step
    exact = (b[0, 0] - a[0, 0]) ** 2
    assert squared_distances(a, b)[0, 0] == pytest.approx(exact, rel=1e-12)


def test_equal_images_are_no_distance_apart_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a = drawn(0, 50).astype(np.float32)
    whole = squared_distances(a, a)
    assert whole.diagonal().tolist() == [0] * 50
    assert whole.min() >= 0
    monkeypatch.setattr(euclidean, "BLOCK", 7)
    monkeypatch.setattr(euclidean, "PAIRS", 3)
    found = np.vstack([part for _, part in blocks(a, a)])
    np.testing.assert_allclose(found, whole, rtol=1e-12)
