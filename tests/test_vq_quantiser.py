"""The codebook: nearest entries, gradients, what is counted, and entries that nobody uses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from medsynth.codecs.vq import quantiser as module
from medsynth.codecs.vq.quantiser import Quantiser, Terms, centres, nearest, spread


def quantiser(entries: int = 12, dimension: int = 4, seed: int = 0, **changes: object) -> Quantiser:
    settings = {"terms": Terms(), "block": 3, "revive": False} | changes
    torch.manual_seed(seed)
    made = Quantiser(entries, dimension, **settings)  # type: ignore[arg-type]
    torch.nn.init.normal_(made.embedding.weight)
    return made


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


sizes = st.integers(1, 40)


@given(sizes, st.integers(1, 30), st.integers(2, 9), st.integers(0, 99), st.integers(1, 200))
def test_the_nearest_entry_is_that_of_brute_force_in_double_precision(
    rows: int, entries: int, dimension: int, seed: int, chunk: int
) -> None:
    unit, book = (F.normalize(features(n, dimension, seed=seed + i), dim=1) for i, n in enumerate((rows, entries)))
    whole, module.CHUNK = module.CHUNK, chunk
    try:
        found = nearest(unit, book)
    finally:
        module.CHUNK = whole
    distances = torch.cdist(unit.double(), book.double())
    best = distances.min(dim=1).values
    # Of two that are as near as rounding can tell, either will do.
    assert_close(distances.gather(1, found[:, None])[:, 0], best, atol=1e-3, rtol=0)
    clear = (distances < best[:, None] + 1e-3).sum(dim=1) == 1
    assert found[clear].equal(distances.argmin(dim=1)[clear])


def test_the_search_is_in_full_precision_under_autocast_and_for_half_features() -> None:
    made, given_ = quantiser(500, 8), features(2, 8, 16, 16)
    expected = made(given_).tokens
    with torch.autocast("cpu", torch.bfloat16):
        found = made(given_)
        assert found.tokens.equal(expected)
        assert made.find(given_).equal(expected)
        assert found.codes.dtype == found.loss.dtype == torch.float32
        rounded = given_.bfloat16()
        assert made(rounded).tokens.equal(made(rounded.float()).tokens)


def test_codes_are_the_entries_of_unit_length_in_their_places() -> None:
    made, given_ = quantiser(), features(3, 4, 2, 5)
    found = made(given_)
    assert found.tokens.shape == (3, 2, 5)
    assert_close(found.codes, made.look_up(found.tokens))
    assert_close(found.codes.norm(dim=1), torch.ones(3, 2, 5))
    by_hand = F.normalize(made.embedding.weight, dim=1)[found.tokens[1, 0, 3]]
    assert_close(found.codes[1, :, 0, 3], by_hand)
    assert made.find(given_).equal(found.tokens)


def test_gradients_pass_straight_through_to_the_features_direction() -> None:
    made, given_ = quantiser(terms=Terms(commitment=0.0)), features(2, 4, 3, 3)
    direction, pull = F.normalize(given_, dim=1).requires_grad_(), features(2, 4, 3, 3, seed=1)
    # Of unit length already: normalising once more takes away the part along the direction and nothing else.
    (made(direction).codes * pull).sum().backward()
    along = (pull * direction.detach()).sum(dim=1, keepdim=True) * direction.detach()
    assert_close(direction.grad, pull - along)


def test_the_codebooks_term_moves_used_entries_alone_and_the_commitment_features_alone() -> None:
    made, given_ = quantiser(entries=50, terms=Terms(commitment=0.0)), features(1, 4, 2, 2).requires_grad_()
    found = made(given_)
    found.loss.backward()
    assert made.embedding.weight.grad is not None
    assert given_.grad is not None
    moved = made.embedding.weight.grad.abs().sum(dim=1) > 0
    assert set(moved.nonzero()[:, 0].tolist()) == set(found.tokens.flatten().tolist())
    assert given_.grad.abs().max() == 0
    unit, chosen = F.normalize(given_, dim=1), made.look_up(found.tokens)
    assert_close(found.loss, (unit - chosen).square().mean())


@given(st.floats(0.01, 4))
def test_the_commitment_is_scaled_by_its_weight(weight: float) -> None:
    given_ = features(2, 4, 3, 3)
    gradients: list[Tensor] = []
    for beta in (weight, 1.0):
        asked = given_.clone().requires_grad_()
        made = quantiser(terms=Terms(commitment=beta))
        made(asked).loss.backward()
        assert asked.grad is not None
        gradients.append(asked.grad)
    assert_close(gradients[0], weight * gradients[1], atol=1e-6, rtol=1e-4)


def test_the_entropy_term_is_that_of_the_formula_and_costs_nothing_at_weight_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, given_ = quantiser(), features(2, 4, 3, 3)
    unit = F.normalize(given_.movedim(1, -1).flatten(0, 2), dim=1).double()
    book = F.normalize(made.embedding.weight, dim=1).double()
    p = (-torch.cdist(unit, book).square() / 0.01).softmax(dim=1)
    each = -(p * (p + 1e-300).log()).sum(dim=1).mean()
    together = -(p.mean(0) * (p.mean(0) + 1e-5).log()).sum()
    plain = made(given_).loss
    made.terms = Terms(entropy=0.3)
    assert_close(made(given_).loss, (plain + 0.3 * (each - together)).float(), atol=1e-4, rtol=1e-4)
    made.terms = Terms()
    monkeypatch.setattr(module, "spread", lambda *_: pytest.fail("asked at weight zero"))
    made(given_)


def test_the_entropy_term_wants_sure_features_and_all_entries() -> None:
    book = F.normalize(features(8, 4), dim=1)
    assert spread(book, book) < spread(book[:1].expand(8, -1), book)  # all entries against one
    between = F.normalize(book + book.roll(1, 0), dim=1)
    assert spread(book, book) < spread(between, book)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 99))
def test_use_is_counted_over_this_block_of_steps_and_the_one_before_whatever_the_batches(
    batches: list[int], block: int, seed: int
) -> None:
    made = quantiser(entries=16, block=block).train()
    seen = [made(features(rows, 4, 1, 1, seed=seed + i)).tokens.flatten() for i, rows in enumerate(batches)]
    first = max(0, (len(batches) - 1) // block - 1) * block
    counts = torch.bincount(torch.cat(seen[first:]), minlength=16)
    assert made.usage == pytest.approx((counts > 0).double().mean().item())
    share = counts[counts > 0] / counts.sum()
    assert made.perplexity == pytest.approx(math.exp(-(share * share.log()).sum().item()), rel=1e-5)
    assert made.counted == counts.sum()
    made.eval()
    made(features(5, 4, 1, 1))
    assert made.counted == counts.sum()  # looking is no use


def test_use_is_nothing_before_anything_was_counted_and_can_be_set() -> None:
    made = quantiser(entries=8)
    assert (made.usage, made.perplexity, made.counted) == (0.0, 0.0, 0)
    made.set_use(torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]]))
    assert (made.usage, made.counted) == (0.5, 8)
    assert made.perplexity == pytest.approx(4)


@pytest.mark.parametrize("revive", [False, True])
def test_entries_that_nobody_used_are_put_beside_those_most_used_or_left(revive: bool) -> None:
    made = quantiser(entries=6, dimension=4, block=2, revive=revive).train()
    with torch.no_grad():
        made.embedding.weight.copy_(torch.cat([torch.eye(4), -torch.eye(4)[:2]]))
    given_ = torch.cat([torch.eye(4)[:1].expand(5, -1), torch.eye(4)[1:2].expand(3, -1), torch.eye(4)[2:3]])
    before = made.embedding.weight.detach().clone()
    for _ in range(2):
        made(given_[:, :, None, None])
        assert made.embedding.weight.equal(before)  # not between a loss and its gradients
    made(given_[:, :, None, None])
    after = made.embedding.weight.detach()
    assert after[:3].equal(before[:3])
    if not revive:
        assert after.equal(before)
        return
    closest = nearest(F.normalize(after[3:], dim=1), before)
    assert sorted(closest.tolist()) == [0, 1, 2]
    assert 0 < (after[3:] - before[closest]).norm(dim=1).max() < 0.2


@given(st.integers(1, 6), st.integers(0, 99))
def test_centres_of_groups_of_directions_are_the_groups(groups: int, seed: int) -> None:
    middles = torch.eye(6)[:groups]
    rows = F.normalize(middles.repeat(20, 1) + 0.05 * features(20 * groups, 6, seed=seed), dim=1)
    # Taken evenly from all rows the first centres may be of one group; as many centres as rows cannot miss.
    found = centres(rows, len(rows))
    assert nearest(found, middles).unique().tolist() == [*range(groups)]
    assert_close(found.norm(dim=1), torch.ones(len(rows)))
    few = centres(rows, groups)
    assert (rows @ few.T).amax(dim=1).mean() >= (rows @ rows[torch.linspace(0, len(rows) - 1, groups).long()].T).amax(
        dim=1
    ).mean() - 1e-6


def test_a_published_codebook_begins_evenly_about_the_origin() -> None:
    torch.manual_seed(0)
    made = Quantiser(4096, 8, Terms(), block=1, revive=False)
    assert_close(made.embedding.weight.norm(dim=1), torch.ones(4096))
    assert made.embedding.weight.mean(0).abs().max() < 0.05
