"""KID is its formula, has no bias, and grows with the difference."""

import itertools
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics.kid import kid


def drawn(seed: int, images: int, features: int = 6, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (images, features)).astype(np.float32)


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(2, 9), st.integers(1, 5))
def test_it_is_the_sum_over_pairs(seed: int, n: int, m: int, features: int) -> None:
    x, y = drawn(seed, n, features).astype(float), drawn(seed + 1, m, features).astype(float)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / features + 1) ** 3

    within = [fmean(k(a, b) for a, b in itertools.permutations(rows, 2)) for rows in (x, y)]
    between = fmean(k(a, b) for a in x for b in y)
    assert kid(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-9, abs=1e-9)


def test_sets_of_one_kind_differ_by_nothing_on_the_average() -> None:
    found = [kid(drawn(2 * seed, 20), drawn(2 * seed + 1, 30)) for seed in range(400)]
    assert abs(fmean(found)) < 3 * np.std(found) / 400**0.5
    assert min(found) < 0 < max(found)


def test_it_grows_with_the_difference() -> None:
    x = drawn(0, 200)
    found = [kid(x, drawn(1, 200, shift=shift)) for shift in (0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert found[2] > 1


def test_one_image_is_no_set() -> None:
    with pytest.raises(ValueError, match="1 and 3"):
        kid(drawn(0, 1), drawn(1, 3))
