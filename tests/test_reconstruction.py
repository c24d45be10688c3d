"""Structural similarity is that of the paper, as torchmetrics computes it, down to small pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.metrics.reconstruction import structural_similarity


def drawn(seed: int, rows: int = 32, columns: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, rows, columns, channels), dtype=np.uint8)


def like(picture: np.ndarray, noise: float) -> np.ndarray:
    moved = picture + noise * np.random.default_rng(0).normal(size=picture.shape)
    return moved.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 40, 3), (64, 64, 3), (11, 7, 3)])
@pytest.mark.parametrize("noise", [0.5, 20.0, 1000.0])
def test_it_is_that_of_torchmetrics(shape: tuple[int, int, int], noise: float) -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as theirs

    smooth = drawn(0, *shape) // 8 + (np.arange(shape[0])[:, None, None] * 200 // shape[0]).astype(np.uint8)
    one, other = smooth, like(smooth, noise)
    ours = structural_similarity(one, other)
    tensors = [torch.from_numpy(x).permute(0, 3, 1, 2).double() for x in (one, other)]
    expected = theirs(*tensors, data_range=255.0, reduction="none")
    assert ours == pytest.approx(expected.numpy(), abs=1e-5)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(6, 40), st.integers(6, 40))
def test_it_is_one_for_equal_pictures_symmetric_and_no_more_than_one(seed: int, rows: int, columns: int) -> None:
    one, other = drawn(seed, rows, columns), drawn(seed + 1, rows, columns)
    assert structural_similarity(one, one) == pytest.approx([1, 1])
    assert structural_similarity(one, other) == pytest.approx(structural_similarity(other, one))
    assert (np.abs(structural_similarity(one, other)) <= 1).all()


def test_it_falls_with_noise() -> None:
    one = drawn(0) // 4 + 90
    found = [structural_similarity(one, like(one, noise)).mean() for noise in (0, 2, 10, 50)]
    assert found == sorted(found, reverse=True)


def test_a_picture_smaller_than_half_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="5 x 9"):
        structural_similarity(drawn(0, 5, 9), drawn(1, 5, 9))
