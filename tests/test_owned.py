"""Sets are divided by owner, never by image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.metrics.owned import Owned, some


def of(owners: list[int]) -> Owned:
    return Owned(np.arange(len(owners), dtype=np.float32)[:, None], np.array([f"p{owner}" for owner in owners]))


OWNERS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(OWNERS.filter(lambda owners: len(set(owners)) > 1), st.integers(0, 99))
def test_halves_have_no_owner_in_common_and_lose_no_image(owners: list[int], seed: int) -> None:
    one, other = of(owners).halves(seed)
    assert not set(one.owners) & set(other.owners)
    assert sorted([*one.features[:, 0], *other.features[:, 0]]) == list(range(len(owners)))
    assert abs(len(set(one.owners)) - len(set(other.owners))) <= 1


def test_halves_differ_by_seed_and_one_owner_cannot_be_halved() -> None:
    halves = {tuple(sorted(set(of(list(range(10))).halves(seed)[0].owners))) for seed in range(20)}
    assert len(halves) > 10
    with pytest.raises(ValueError, match="1 owner"):
        of([3, 3, 3]).halves(0)


@given(OWNERS, st.integers(1, 70), st.integers(0, 99))
def test_of_too_many_images_whole_owners_are_kept_but_for_one(owners: list[int], most: int, seed: int) -> None:
    kept = of(owners).at_most(most, seed)
    assert len(kept.features) == min(most, len(owners))
    counts = {owner: (list(kept.owners).count(owner), owners.count(int(owner[1:]))) for owner in set(kept.owners)}
    assert sum(here < whole for here, whole in counts.values()) <= 1


def test_some_rows_are_drawn_once_each_in_their_order() -> None:
    rows = np.arange(20)[:, None]
    assert (np.diff(some(rows, 7, 0)[:, 0]) > 0).all()
    assert some(rows, 20, 0) is rows
