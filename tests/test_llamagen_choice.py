"""Which token is drawn: the filters against brute force, and the draw against the probabilities."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medsynth.draws import row_draws
from medsynth.generators.llamagen.choice import allowed, drawn
from medsynth.sampling import Sampling

Logits = st.lists(
    st.sampled_from([-3.0, -1.0, 0.0, 0.5, 1.0, 4.0]) | st.floats(-8, 8, width=16), min_size=1, max_size=12
)


def by_hand(logits, sampling):
    """Indices that stay, one at a time and in double precision."""
    scaled = [value / sampling.temperature for value in logits]
    order = sorted(range(len(scaled)), key=lambda i: -scaled[i])
    kept = order
    if sampling.top_k:
        least = scaled[order[min(sampling.top_k, len(order)) - 1]]
        kept = [i for i in order if scaled[i] >= least]
    if sampling.top_p < 1:
        p = torch.tensor([scaled[i] for i in kept], dtype=torch.float64).softmax(0).tolist()
        mass, last = 0.0, scaled[kept[0]]
        for i, share in zip(kept, p, strict=True):
            if mass > sampling.top_p:
                break
            mass, last = mass + share, scaled[i]
        # On the very edge the order of the sum decides, and no order is righter than another.
        edges = [sum(p[: n + 1]) for n in range(len(p))]
        if any(abs(edge - sampling.top_p) < 1e-5 for edge in edges):
            return None
        kept = [i for i in kept if scaled[i] >= last]
    return set(kept)


@given(
    st.lists(Logits, min_size=1, max_size=3).filter(lambda rows: len({*map(len, rows)}) == 1),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0, 1, 2, 5, 100]),
    st.sampled_from([1e-6, 0.1, 0.5, 0.9, 0.999, 1.0]),
)
def test_temperature_then_top_k_then_top_p_as_by_hand(rows, temperature, top_k, top_p):
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    found = allowed(torch.tensor(rows), sampling)
    for row, logits in zip(found, rows, strict=True):
        wanted = by_hand(logits, sampling)
        assert wanted is None or {*row.isfinite().nonzero().flatten().tolist()} == wanted
        stays = row.isfinite()
        torch.testing.assert_close(row[stays], torch.tensor(logits)[stays] / temperature)


def test_a_token_is_drawn_as_often_as_its_probability_says():
    logits = torch.tensor([[0.0, 1.0, 2.0, -30.0]])
    chance, count = row_draws([3]).exponential(20_000, 4)[0], 20_000
    found = drawn(logits.expand(count, 4), chance, Sampling(temperature=0.5)).bincount(minlength=4) / count
    torch.testing.assert_close(found, (logits[0] / 0.5).softmax(0), atol=0.015, rtol=0)


def test_one_row_draws_as_torch_does():
    logits = 3 * torch.randn(40, 50, generator=torch.Generator().manual_seed(0))
    theirs, ours = torch.Generator().manual_seed(7), row_draws([7])
    multinomial = partial(torch.multinomial, num_samples=1, generator=theirs)
    for row in logits.split(1):
        assert drawn(row, ours.exponential(50), Sampling())[0] == multinomial(row.softmax(1))[0, 0]


@pytest.mark.parametrize("sampling", [Sampling(top_k=1), Sampling(top_p=1e-9), Sampling(temperature=1e-4)])
def test_at_their_ends_all_three_draw_the_likeliest(sampling):
    logits = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    found = drawn(logits, row_draws([*range(20)]).exponential(30), sampling)
    assert found.equal(logits.argmax(1))
