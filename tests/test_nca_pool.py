"""The sample pool keeps its rules; what was hit grows back by as much as is said."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsynth import nca
from medsynth.artifacts import checkpoint
from medsynth.draws import step_draws

LAYOUT = nca.Layout(visible=2, hidden=2, condition=1)
SIDE = 8


def marked(numbers: range, told: float = 0.0) -> nca.Sample:
    """Samples by whose state and target one sees which they are."""
    mark = torch.tensor([*numbers], dtype=torch.float32)
    state = mark.view(-1, 1, 1, 1).expand(-1, SIDE, SIDE, LAYOUT.channels).clone()
    state[..., 0] = told
    return nca.Sample(state, mark[:, None])


def filled(count: int = 16, size: int = 32) -> nca.SamplePool:
    pool = nca.SamplePool(size, LAYOUT)
    pool.add(marked(range(101, 101 + count), told=1.0), loss=torch.arange(count, dtype=torch.float32))
    return pool


def bodies(sample: nca.Sample) -> list[float]:
    """What each row's body was put in as, wherever no disc was cut."""
    return sample.state[..., 1:].flatten(1).amax(1).tolist()


@given(
    batch=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    damage=st.sampled_from([0.0, 0.5, 1.0]),
    change=st.sampled_from([0.0, 0.5, 1.0]),
    reseed=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_of_a_batch_so_many_go_on_from_the_pool_are_hit_and_are_to_change(
    batch: int, share: float, damage: float, change: float, reseed: int, seed: int
) -> None:
    pool, fresh = filled(), marked(range(1, batch + 1))
    drawn = pool.draw(fresh, nca.Rules(share, damage, change, reseed), seed)
    from_pool = [row for row, body in enumerate(bodies(drawn)) if body > 100]
    count = max(0, int(batch * share) - reseed)
    assert len(from_pool) == count
    assert len({bodies(drawn)[row] for row in from_pool}) == count  # none twice
    own = [row for row in from_pool if drawn.target[row] > 100]
    assert len(own) == int(count * (1 - change))
    for row in range(batch):
        assert (drawn.state[row, ..., 0] == (1.0 if row in own else 0.0)).all()
        assert drawn.target[row] == (bodies(drawn)[row] if row in own else row + 1)
        if row not in from_pool:
            assert drawn.state[row].equal(fresh.state[row])
    hit = [row for row in from_pool if (drawn.state[row, ..., 1:] == 0).any()]
    assert len(hit) <= int(count * damage)  # a disc may be too small to meet a cell


def test_the_worst_are_given_up_and_the_best_are_hit() -> None:
    pool = filled(count=8, size=8)
    drawn = pool.draw(marked(range(1, 9)), nca.Rules(share=1.0, reseed=3), seed=0)
    assert sorted(body for body in bodies(drawn) if body > 100) == [101, 102, 103, 104, 105]
    hit = []
    for seed in range(20):
        drawn = pool.draw(marked(range(1, 9)), nca.Rules(share=1.0, damage=0.25), seed)
        hit += [bodies(drawn)[row] for row in range(8) if (drawn.state[row, ..., 1:] == 0).any()]
    assert set(hit) == {101, 102}


def test_a_pool_that_holds_too_few_leaves_the_batch_alone() -> None:
    fresh = marked(range(1, 9))
    assert filled(count=3).draw(fresh, nca.Rules(share=0.5), 0) is fresh
    assert nca.SamplePool(8, LAYOUT).draw(fresh, nca.Rules(), 0) is fresh


def test_a_draw_depends_on_its_seed_alone() -> None:
    one, same, other = (filled().draw(marked(range(1, 9)), nca.Rules(), seed) for seed in (4, 4, 5))
    assert one.state.equal(same.state)
    assert not one.state.equal(other.state)


def test_the_oldest_are_overwritten_and_what_is_dead_or_not_finite_is_left_out() -> None:
    pool = filled(count=6, size=8)
    pool.add(marked(range(201, 206)))
    assert pool.held == 8
    assert sorted(pool.entries["target"].flatten().tolist()) == [104, 105, 106, 201, 202, 203, 204, 205]
    bad = marked(range(301, 304), told=1.0)
    bad.state[0, 0, 0, 1], bad.state[1, ..., 1:] = torch.nan, 0
    pool.add(bad)
    assert sorted(pool.entries["target"].flatten().tolist()) == [105, 106, 201, 202, 203, 204, 205, 303]
    pool.add(marked(range(401, 421)))  # more than it can hold: the last ones
    assert sorted(pool.entries["target"].flatten().tolist()) == [*range(413, 421)]


def test_a_pool_comes_back_from_a_checkpoint_and_goes_on_the_same(tmp_path: Path) -> None:
    pool = filled(count=6, size=8)
    pool.add(marked(range(201, 204)))
    checkpoint.save(tmp_path, checkpoint.State(pool.tensors(), {"step": 1}))
    again = nca.SamplePool(8, LAYOUT)
    again.load(checkpoint.load(tmp_path).tensors)
    for each in (pool, again):
        each.add(marked(range(301, 304)))
    fresh, rules = marked(range(1, 9)), nca.Rules(0.9, 0.5, 0.5, 1)
    assert pool.draw(fresh, rules, 3).state.equal(again.draw(fresh, rules, 3).state)


@pytest.mark.parametrize("size", [3, 8, 12])
@pytest.mark.parametrize("added", [5, 8, 11])
def test_a_pool_of_another_size_takes_the_newest_that_it_has_room_for(added: int, size: int) -> None:
    pool, other = filled(count=added, size=8), nca.SamplePool(size, LAYOUT)
    pool.add(marked(range(201, 203)))
    other.load(pool.tensors())
    ages = [*range(101, 101 + added), 201, 202][-8:]
    assert sorted(other.entries["target"][: other.held].flatten().tolist()) == ages[-size:]
    other.add(marked(range(301, 303)))
    assert sorted(other.entries["target"][: other.held].flatten().tolist()) == [*ages, 301, 302][-size:]


def test_the_share_begins_after_the_delay_and_goes_in_a_line() -> None:
    shares = [nca.share_at(step, 100, start=0.2, end=0.6, delay=10) for step in (0, 9, 10, 50, 100)]
    assert shares == pytest.approx([0, 0, 0.24, 0.4, 0.6])


def test_a_disc_is_where_it_may_be_and_takes_all_but_what_is_told() -> None:
    where = nca.discs(step_draws(0, 200), (40, 40), centre=0.5, radius=(0.1, 0.5))
    at = nca.ramps(1, (40, 40))[0]
    middles = torch.stack([at[disc].mean(0) for disc in where])
    assert middles.abs().max() <= 0.52
    sizes = (where.flatten(1).sum(1) / 20**2 / torch.pi).sqrt()
    assert 0.08 < sizes.min() < 0.15
    assert 0.45 < sizes.max() < 0.52
    state = torch.randn(200, 40, 40, LAYOUT.channels)
    hit = nca.damaged(state, where, LAYOUT)
    assert LAYOUT.told(hit).equal(LAYOUT.told(state))
    assert (hit[where][:, 1:] == 0).all()
    assert hit[~where].equal(state[~where])
    assert nca.half(2, (4, 6)).sum().item() == 2 * 12


def test_regeneration_is_the_share_of_the_damage_that_grew_back() -> None:
    assert nca.regeneration(0.003, 0.239, 0.005) == pytest.approx(99.15, abs=0.01)  # an error, low is good
    assert nca.regeneration(0.95, 0.50, 0.95) == 100  # a share of successes, high is good
    assert nca.regeneration(1.0, 2.0, 2.0) == 0
    assert nca.regeneration(1.0, 2.0, 3.0) == -100
    assert nca.regeneration(1.0, 1.0, 1.0) != nca.regeneration(1.0, 1.0, 1.0)
