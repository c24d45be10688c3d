"""Drawing token by token gives what the whole network would, for each row alone."""

import pytest
import torch

from medsynth.codecs import Code
from medsynth.draws import row_draws
from medsynth.errors import BadUsage
from medsynth.generators.llamagen.choice import drawn
from medsynth.generators.llamagen.config import Config
from medsynth.generators.llamagen.decoding import Decoder
from medsynth.generators.llamagen.model import Model
from medsynth.generators.llamagen.products import product
from medsynth.sampling import TIMESTEPS, Sampling

CODE = Code((4, 5), vocabulary=40)
LABELS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]).repeat(2, 1)
SEEDS = [*range(8)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = Model(Config(), code=CODE, labels=2).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@torch.no_grad()
def without_cache(model, sampling, rows=8):
    """The plain way: the whole network for every token, with and without labels, logits mixed after the head."""
    transformer, draws = model.transformer, row_draws(SEEDS[:rows]).apart("cpu")
    condition = model.labels(LABELS[:rows])
    without = model.labels.null.expand_as(condition)
    tokens = torch.empty(rows, 0, dtype=torch.int64)
    for index in range(20):
        logits, other = (transformer.head(transformer(c, tokens)[:, -1]) for c in (condition, without))
        mixed = other + sampling.scale_at(TIMESTEPS * (1 - index / 20)) * (logits - other)
        tokens = torch.cat([tokens, drawn(mixed, draws.exponential(40), sampling)[:, None]], dim=1)
    return tokens.view(rows, 4, 5)


@torch.no_grad()
def test_with_a_cache_the_logits_are_those_of_the_whole_network_at_every_position(model):
    transformer = model.transformer
    condition, tokens = model.labels(LABELS), torch.randint(40, (8, 19), generator=torch.Generator().manual_seed(0))
    whole = transformer.head(transformer(condition, tokens))
    decoder = Decoder(transformer)
    cache, e = decoder.cache(8), condition
    for position in range(20):
        found = decoder.head(decoder.step(e, position, cache))
        torch.testing.assert_close(found, whole[:, position], atol=1e-5, rtol=1e-5)
        e = transformer.tokens(tokens[:, min(position, 18)])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(guidance=1.0),
        Sampling(guidance=2.5),
        Sampling(guidance=0.0),
        Sampling(guidance=2.5, interval=(0.5, 1.0)),  # without labels only half way
        Sampling(guidance=2.5, interval=(0.3, 0.6)),
        Sampling(guidance=2.0, temperature=0.7, top_k=7, top_p=0.8),
    ],
)
def test_tokens_are_those_of_the_plain_way(model, sampling):
    assert model.sample(LABELS, row_draws(SEEDS), sampling).equal(without_cache(model, sampling))


@pytest.mark.parametrize("arithmetic", ["exact", "int8"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_row_s_tokens_are_the_same_in_any_batch(model, arithmetic, size):
    sampling = Sampling(guidance=2.0, top_p=0.9, arithmetic=arithmetic)
    together = model.sample(LABELS, row_draws(SEEDS), sampling)
    parts = [
        model.sample(LABELS[first : first + size], row_draws(SEEDS[first : first + size]), sampling)
        for first in range(0, 8, size)
    ]
    assert torch.cat(parts).equal(together)


@pytest.mark.parametrize("arithmetic", ["exact", "int8"])
@pytest.mark.parametrize(("inner", "outer"), [(96, 288), (256, 96), (2048, 768), (96, 1000)])
def test_no_row_of_a_product_depends_on_the_others_to_the_bit(arithmetic, inner, outer):
    torch.manual_seed(0)
    times, x = product(torch.randn(outer, inner), arithmetic), torch.randn(130, inner)
    whole = times(x)
    for rows in (1, 2, 3, 4, 5, 16, 33, 128):
        assert times(x[:rows]).equal(whole[:rows]), rows


def test_int8_is_near():
    torch.manual_seed(0)
    weight, x = torch.randn(96, 256), torch.randn(5, 256)
    x[1], weight[3] = 0, 0  # nothing to scale by
    exact = x @ weight.T
    assert ((product(weight, "int8")(x) - exact).norm() / exact.norm()).item() < 0.02


def test_int8_is_refused_where_there_is_none():
    with pytest.raises(BadUsage, match="meta") as refused:
        product(torch.empty(8, 8, device="meta"), "int8")
    assert refused.value.hint == "--arithmetic exact"


def test_many_images_are_drawn_in_as_little_memory_as_asked(model, monkeypatch):
    sampling = Sampling(guidance=2.0)
    together = model.sample(LABELS, row_draws(SEEDS), sampling)
    seen = []
    whole = Decoder.cache
    monkeypatch.setattr(Decoder, "cache", lambda self, rows: seen.append(rows) or whole(self, rows))
    monkeypatch.setattr("medsynth.generators.llamagen.decoding.CACHE_BYTES", 6 * 2 * 3 * 96 * 20 * 4)  # of six rows
    assert model.sample(LABELS, row_draws(SEEDS), sampling).equal(together)
    assert seen == [6, 6, 4]
