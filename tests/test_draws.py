"""Random numbers of rows: which numbers a seed stands for is a promise, since images are named by their seeds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsynth.draws import row_draws

SEEDS = [5, 2**62 + 1, 0]


@given(st.lists(st.integers(1, 20), max_size=3), st.lists(st.integers(0, 2**63 - 1), max_size=5))
def test_a_row_is_what_its_seed_gives_alone_call_after_call(shape: list[int], seeds: list[int]) -> None:
    draws = row_draws(seeds)
    alone = [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(2):
        for row, generator in zip(draws.normal(*shape), alone, strict=True):
            assert torch.equal(row, torch.randn(shape, generator=generator))
        for row, generator in zip(draws.uniform(*shape), alone, strict=True):
            assert torch.equal(row, torch.rand(shape, generator=generator))


@pytest.mark.parametrize("shape", [(), (1,), (17,), (3, 8, 8)])
def test_numbers_come_as_float32_rows(shape: tuple[int, ...]) -> None:
    draws = row_draws(SEEDS)
    for numbers in (draws.normal(*shape), draws.uniform(*shape)):
        assert (numbers.shape, numbers.dtype) == ((len(SEEDS), *shape), torch.float32)
