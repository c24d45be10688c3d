"""Random numbers of rows: which numbers a seed stands for is a promise, since images are named by their seeds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsynth.draws import row_draws, step_draws

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


@given(st.integers(0, 2**63 - 1), st.integers(1, 9), st.data())
def test_a_row_s_own_generator_does_not_depend_on_who_else_is_in_the_process(seed, batch_size, data) -> None:
    first = data.draw(st.integers(0, batch_size - 1))
    rows = data.draw(st.integers(1, batch_size - first))
    whole = step_draws(seed, batch_size).apart(torch.device("cpu"))
    part = step_draws(seed, batch_size, first=first, rows=rows).apart(torch.device("cpu"))
    for draw in (lambda d: d.words(3), lambda d: d.exponential(2), lambda d: d.normal(4)):
        assert draw(whole)[first : first + rows].equal(draw(part))


def test_rows_draw_apart_what_their_seeds_give_alone() -> None:
    together = row_draws(SEEDS).apart(torch.device("cpu")).words(5)
    alone = [row_draws([seed]).apart(torch.device("cpu")).words(5)[0] for seed in SEEDS]
    assert together.equal(torch.stack(alone))
    assert len({*together.flatten().tolist()}) == 15


def test_every_bit_of_a_word_is_chance() -> None:
    words = row_draws([1]).words(4000)[0]
    ones = torch.stack([(words >> bit & 1).float().mean() for bit in range(64)])
    assert ((ones - 0.5).abs() < 0.04).all()  # five deviations
