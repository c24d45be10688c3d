"""Precision, recall, density and coverage are their definitions, and say what they are meant to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics import euclidean
from medsynth.metrics.neighbours import Neighbourhoods, neighbourhoods


def drawn(seed: int, images: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, (images, 4)).astype(np.float32)


def as_defined(x: np.ndarray, y: np.ndarray, k: int) -> Neighbourhoods:
    def reach(a: int, points: np.ndarray) -> float:
        return float(sorted(np.linalg.norm(points[a] - p) for i, p in enumerate(points) if i != a)[k - 1])

    x, y = x.astype(float), y.astype(float)
    reach_x, reach_y = ([reach(i, points) for i in range(len(points))] for points in (x, y))
    in_x = [[np.linalg.norm(a - b) <= r for a, r in zip(x, reach_x, strict=True)] for b in y]
    in_y = [[np.linalg.norm(a - b) <= r for b, r in zip(y, reach_y, strict=True)] for a in x]
    return Neighbourhoods(
        precision=float(np.mean([any(row) for row in in_x])),
        recall=float(np.mean([any(row) for row in in_y])),
        density=float(sum(map(sum, in_x)) / (k * len(y))),
        coverage=float(np.mean([any(row[i] for row in in_x) for i in range(len(x))])),
    )


@given(st.integers(0, 999), st.integers(5, 20), st.integers(5, 20), st.integers(1, 4), st.floats(0, 2))
def test_they_are_their_definitions(seed: int, n: int, m: int, k: int, shift: float) -> None:
    x, y = drawn(seed, n), drawn(seed + 1, m, shift=shift)
    found, expected = neighbourhoods(x, y, k), as_defined(x, y, k)
    assert list(vars(found).values()) == pytest.approx(list(vars(expected).values()), rel=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(0, 50), drawn(1, 90)
    whole = neighbourhoods(x, y)
    monkeypatch.setattr(euclidean, "BLOCK", 8)
    assert neighbourhoods(x, y) == whole


def test_of_one_kind_density_is_one_and_the_shares_are_high() -> None:
    found = neighbourhoods(drawn(0, 800), drawn(1, 800))
    assert found.density == pytest.approx(1, abs=0.1)
    assert min(found.precision, found.recall, found.coverage) > 0.8


def test_few_kinds_of_image_are_precise_but_recall_and_cover_little() -> None:
    found = neighbourhoods(drawn(0, 400), drawn(1, 400, scale=0.2))
    assert found.precision > 0.95
    assert max(found.recall, found.coverage) < 0.3


def test_images_unlike_any_real_one_are_not_precise_and_one_outlier_hides_none() -> None:
    real = drawn(0, 400)
    real[0] += 30
    found = neighbourhoods(real, drawn(1, 400, shift=8))
    assert found.density < 0.5  # a single ball, if a huge one, holds them
    assert found.coverage <= 1 / 400


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="5 neighbours need 6"):
        neighbourhoods(drawn(0, 5), drawn(1, 50))
