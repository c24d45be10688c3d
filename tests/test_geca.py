"""GeCA is what the paper says, and the fast form is the plain form."""

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from medsynth.codecs import Code
from medsynth.draws import row_draws, step_draws
from medsynth.errors import BadUsage
from medsynth.generators.geca import firing
from medsynth.generators.geca.config import Config
from medsynth.generators.geca.dense import Dense
from medsynth.generators.geca.firing import Firing
from medsynth.generators.geca.model import Model
from medsynth.generators.geca.rule import SHAPES, Rule, Shape
from medsynth.nn import neighbourhood
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.sampling import Sampling

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from textbook import textbook

FORMS = (Dense, Firing)
GOLDEN = Path(__file__).parent / "data" / "geca.safetensors"


def counted(size: str, dropout: str) -> int:
    model = Model(Config(size=size, label_dropout=dropout), code=Code((4, 32, 32)), labels=11)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("size", "parameters"), [("s", 13_312_584), ("xs", 2_255_720)])
def test_the_parameters_are_as_many_as_in_the_paper(size, parameters):
    assert counted(size, "per-label") == parameters
    assert counted(size, "whole") == parameters + SHAPES[size].width  # the learned null


def golden_rule(weights):
    rule = Rule(Shape(width=48, heads=4, mlp=64, hidden=8), 4, (6, 6), LabelEmbedding(3, 48, "per-label"))
    names = {
        "time.first": "timestep_mlp.0", "time.second": "timestep_mlp.1",
        "label.first": "label_mlp.0", "label.second": "label_mlp.1",
        "block.modulation": "block_modulation", "final.modulation": "final_modulation", "final.linear": "final",
    }  # fmt: skip
    state = {}
    for name in rule.state_dict():
        module, _, which = name.rpartition(".")
        state[name] = weights[f"{names.get(module, module.removeprefix('block.'))}.{which}"]
    rule.load_state_dict(state)
    return rule


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_vectors_are_met(form):
    golden = load_file(GOLDEN)
    rule = golden_rule(golden)
    step = form.of(rule, golden["in.z"], golden["in.t"], rule.label(golden["in.labels"]))
    state = golden["in.state"].flatten(2).transpose(1, 2)
    for fires in golden["in.fires"]:
        state = step.update(state, fires.view(2, 36).bool())
    found = state.transpose(1, 2).unflatten(2, (6, 6))
    torch.testing.assert_close(found, golden["out.state"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, :8], golden["out.c_out"], atol=1e-5, rtol=0)


def awake(config: Config, grid=(5, 7), labels=3, seed=0) -> Model:
    """A model whose zero-initialised layers are random, so that everything in it matters."""
    torch.manual_seed(seed)
    model = Model(config, code=Code((4, *grid)), labels=labels)
    for layer in (model.rule.block.modulation, model.rule.final.modulation, model.rule.final.linear):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return model


@settings(deadline=None, max_examples=25)
@given(
    form=st.sampled_from(FORMS),
    gather=st.booleans(),
    recompute=st.booleans(),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    batch=st.integers(1, 3),
    fire_rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_the_shortcuts_change_neither_outputs_nor_gradients(form, gather, recompute, grid, batch, fire_rate, seed):
    """The gather is for GPUs; here it is asked for where nothing else is, on a CPU."""
    model = awake(Config(updates=3, recompute=recompute), grid=grid, seed=seed).double()
    draws = step_draws(seed, batch)
    z, state = draws.normal(4, *grid).double(), model.seed_state(draws).double()
    fires = (draws.uniform(3, grid[0] * grid[1]) < fire_rate).transpose(0, 1)
    t, condition = torch.arange(batch) * 333, model.rule.label(torch.eye(3)[:batch].double())
    with pytest.MonkeyPatch.context() as patch:
        if gather:
            patch.setattr(firing, "attend", neighbourhood.gathered)
        fast = model.grow(state, fires, form.of(model.rule, z, t, condition))
        fast.square().mean().backward(retain_graph=True)
    ours = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    plain = textbook(model.rule, z, t, condition, state, fires)
    plain.square().mean().backward()
    theirs = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    torch.testing.assert_close(fast, plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_the_same_to_its_precision(form):
    model, draws = awake(Config(updates=3), grid=(8, 8)), step_draws(0, 2)
    z, state, fires = draws.normal(4, 8, 8), model.seed_state(draws), model.fires(draws, 3)
    grown = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            step = form.of(model.rule, z, torch.tensor([5, 900]), model.rule.label(torch.eye(3)[:2]))
            grown.append(model.grow(state, fires, step))
    assert grown[1].dtype == torch.float32
    assert 0 < (grown[1] - grown[0]).norm() < 0.02 * (grown[0] - state).norm()
    grown[1].square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_gradients_are_the_same_to_the_bit_each_time():
    """What a resumed training relies on. So many cells that sums are shared by threads, and might go in any order."""
    model, draws, found = awake(Config(updates=2, fire_rate=0.5), grid=(32, 32)), step_draws(0, 12), []
    z, state, fires = draws.normal(4, 32, 32), model.seed_state(draws), model.fires(draws, 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    for _ in range(2):
        model.zero_grad()
        step = Firing.of(model.rule, z, torch.arange(12) * 80, model.rule.label(torch.ones(12, 3)))
        model.grow(state, fires, step).square().mean().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    torch.set_num_threads(threads)
    assert all(found[0][name].equal(found[1][name]) for name in found[0])


def test_large_grids_update_the_cells_that_fire_and_small_ones_all():
    def form(size, grid, updates, fire_rate):
        return Model(Config(size=size, updates=updates, fire_rate=fire_rate), code=Code((4, *grid)), labels=3).form

    assert form("s", (32, 32), 12, 0.5) is form("xs", (16, 16), 12, 0.5) is Firing
    assert form("tiny", (4, 4), 3, 0.9) is form("tiny", (8, 8), 3, 0.9) is Dense


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_reaches_no_further_than_its_updates(form):
    model = awake(Config(updates=2, fire_rate=1.0), grid=(9, 9)).double()
    draws = step_draws(0, 1)
    z, state, fires = draws.normal(4, 9, 9).double(), model.seed_state(draws).double(), model.fires(draws, 2)
    changed = z.clone()
    changed[..., 1, 1] += 1

    def grown(x):
        step = form.of(model.rule, x, torch.tensor([500]), model.rule.label(torch.zeros(1, 3).double()))
        return model.output(model.grow(state, fires, step))

    differs = (grown(z) != grown(changed)).any(dim=1)[0]
    assert differs[:4, :4].all()  # two cells away in each direction
    assert not differs[4:].any()
    assert not differs[:, 4:].any()


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_does_not_fire_keeps_its_state(form):
    model = awake(Config(updates=1))
    draws = step_draws(1, 2)
    state, fires = model.seed_state(draws), model.fires(draws, 1)
    step = form.of(model.rule, draws.normal(4, 5, 7), torch.tensor([5, 6]), model.rule.label(torch.zeros(2, 3)))
    grown = model.grow(state, fires, step)
    changed = (grown != state).any(dim=2)
    assert torch.equal(changed, fires[0])


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("form", FORMS)
def test_a_sample_depends_on_its_labels_and_seed_and_not_on_its_batch(sampler, guidance, form):
    model = awake(Config(updates=3, prediction="v" if sampler == "ddpm" else "flow")).eval()
    model.form = form
    labels = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1.0]])
    sampling = Sampling(guidance=guidance, sampler=sampler, steps=4)
    together = model.sample(labels, row_draws([1, 2, 3, 4]), sampling)
    alone = model.sample(labels[2:3], row_draws([3]), sampling)
    torch.testing.assert_close(together[2:3], alone, atol=1e-4, rtol=1e-4)
    other = model.sample(labels[1:2], row_draws([3]), sampling)
    assert not torch.allclose(alone, other, atol=1e-3)


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_every_kind_of_heredity_gives_another_image_with_guidance_and_without(guidance):
    model = awake(Config(updates=3, prediction="v")).eval()
    found = [
        model.sample(torch.ones(1, 3), row_draws([5]), Sampling(guidance, "ddpm", 4, inherit=mode))
        for mode in ("nothing", "output", "hidden", "both")
    ]
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert not torch.allclose(one, other, atol=1e-5)


def test_the_halves_of_guidance_inherit_their_own_hidden_state():
    """With guidance 1 + tiny the conditional half must go on exactly as without guidance."""
    model = awake(Config(updates=3)).eval()
    one, other = (model.sample(torch.ones(2, 3), row_draws([5, 6]), Sampling(g, "ddim", 5)) for g in (1.0, 1.0 + 1e-7))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_the_number_of_updates_may_change_after_training():
    model = awake(Config(updates=3)).eval()
    few, many = (model.sample(torch.ones(1, 3), row_draws([5]), Sampling(steps=3, updates=m)) for m in (1, 6))
    assert few.shape == many.shape == (1, 4, 5, 7)
    assert not torch.allclose(few, many)


def test_hidden_labels_are_the_learned_null_or_single_zeros():
    labels = torch.ones(4000, 3)
    whole = LabelEmbedding(3, 8, "whole")
    torch.nn.init.normal_(whole.null)
    dropped = whole.with_dropout(labels, 0.1, step_draws(0, 4000))
    is_null = (dropped == whole.null).all(dim=1)
    assert 0.07 < is_null.float().mean() < 0.13
    assert torch.equal(dropped[~is_null], whole(labels)[~is_null])
    single = LabelEmbedding(3, 8, "per-label").with_dropout(labels, 0.1, step_draws(0, 4000))
    assert len(single.unique(dim=0)) == 8  # every subset of three labels


def test_the_cost_is_that_of_the_paper():
    """7.08 million multiply-accumulates a cell and update in the block's linear layers, 87 thousand million in all."""
    model = Model(Config(size="s", updates=12), code=Code((4, 32, 32)), labels=11)
    rest = 76 * 768 + 768 * 72 + 18 * 768  # the cell embedding, the final layer, the attention itself
    assert model.macs() == 1024 * 12 * (4 * 768**2 + 2 * 768 * 3072 + rest)
    assert 87e9 < model.macs() < 89e9


def test_a_weaker_self_is_the_same_growth_with_fewer_updates() -> None:
    """A scale of 0 leaves the guide alone: the prediction of an automaton that had fewer updates from the start."""
    model, labels = awake(Config(updates=4)).eval(), torch.eye(3)
    guide = model.sample(labels, row_draws([1, 2, 3]), Sampling(0.0, "ddim", 1, guide="weaker", guide_updates=2))
    draws = row_draws([1, 2, 3])
    start = draws.normal(4, 5, 7)
    state, fires = model.seed_state(draws), model.fires(draws, 4)[:2]
    with torch.no_grad():
        step = model.form.of(model.rule, start, torch.full((3,), 999), model.rule.label(labels))
        young = model.output(model.grow(state, fires, step))[:, :4]
    signal, noise = (share.float()[:, None, None, None] for share in model.diffusion.shares(torch.full((3,), 999)))
    torch.testing.assert_close(guide, model.diffusion.clean(young, start, signal, noise), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("updates", "hint"), [(4, "guide_updates=3"), (1, "--guide unlabelled")])
def test_a_guide_that_is_not_weaker_is_refused(updates: int, hint: str) -> None:
    model, sampling = awake(Config(updates=updates)), Sampling(2.0, "ddim", 1, guide="weaker", guide_updates=4)
    with pytest.raises(BadUsage) as refused:
        model.sample(torch.eye(3), row_draws([1, 2, 3]), sampling)
    assert hint in (refused.value.hint or "")


def test_without_guidance_for_a_while_the_halves_of_heredity_live_on() -> None:
    model, labels = awake(Config(updates=3)).eval(), torch.eye(3)
    sampling = Sampling(2.0, "ddim", 4, inherit="hidden", interval=(0.0, 0.6))
    together = model.sample(labels, row_draws([1, 2, 3]), sampling)
    torch.testing.assert_close(model.sample(labels[1:2], row_draws([2]), sampling), together[1:2], atol=1e-4, rtol=1e-4)
    assert not together.allclose(model.sample(labels, row_draws([1, 2, 3]), Sampling(1.0, "ddim", 4, inherit="hidden")))


@pytest.mark.parametrize("augment", [False, True])
def test_how_an_image_was_moved_is_told_and_unmoved_is_nothing(augment: bool) -> None:
    torch.manual_seed(0)
    embedding = LabelEmbedding(3, 8, "whole", augment=augment)
    labels, moved = torch.eye(3), torch.randn(3, 5)
    plain, told, still = (
        embedding.with_dropout(labels, 0.0, step_draws(0, 3), parameters) for parameters in (None, moved, 0 * moved)
    )
    assert still.equal(plain)
    assert told.equal(plain) != augment
    hidden = embedding.with_dropout(labels, 1.0, step_draws(0, 3), moved) - embedding.unconditional(3)
    assert hidden.abs().max().item() > 0 if augment else hidden.abs().max().item() == 0  # never hidden with the labels
