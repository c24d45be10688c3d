"""LlamaGen is what the papers say: the network, its positions, its loss, and what is hidden in training."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from medsynth import presets
from medsynth.codecs import Code
from medsynth.draws import row_draws, step_draws
from medsynth.errors import BadUsage
from medsynth.generators.llamagen import objective
from medsynth.generators.llamagen.config import Config
from medsynth.generators.llamagen.model import Model
from medsynth.generators.llamagen.transformer import Shape, Transformer
from medsynth.nn.rotary import rotated, rotations_2d
from medsynth.nn.row_dropout import RowDropout
from medsynth.sampling import Sampling

GOLDEN = Path(__file__).parent / "data" / "llamagen.safetensors"
PAPER = Code((32, 32), vocabulary=16_384)
SMALL = Code((3, 5), vocabulary=11)
LABELS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])


def shaken(code=SMALL, **settings):
    """A model all of whose weights say something."""
    torch.manual_seed(0)
    model = Model(Config(**settings), code=code, labels=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def tokens_of(rows, code=SMALL, seed=0):
    return torch.randint(code.vocabulary, (rows, *code.shape), generator=torch.Generator().manual_seed(seed))


def golden_model(golden):
    code = Code((4, 4), vocabulary=32)
    with torch.device("meta"):
        model = Model(Config(), code=code, labels=3)
    model.transformer = Transformer(Shape(64, 2, 4), (4, 4), 32)
    names = {
        "tokens": "token_embedding", "norm": "final_norm", "down": "mlp.down", "gate_up": "mlp.gate",
    }  # fmt: skip
    state = {}
    for name in model.transformer.state_dict():
        *block, layer, weight = name.replace("blocks.", "block.").split(".")
        if block:
            theirs = ".".join([*block, names.get(layer, layer), weight])
        else:
            theirs = f"{names.get(layer, layer)}.{weight}"
        parts = [theirs, theirs.replace("gate", "up")] if layer == "gate_up" else [theirs]
        state[name] = torch.cat([golden[part] for part in parts])
    model.transformer.load_state_dict(state)
    model.labels.table = nn.Parameter(golden["class_embedding.weight"])
    model.labels.none = nn.Parameter(torch.zeros(64))
    return model.eval()


def test_the_golden_vectors_are_met():
    golden = load_file(GOLDEN)
    model, classes, tokens = golden_model(golden), golden["in.class"], golden["in.tokens"]
    labels = nn.functional.one_hot(classes, 4)[:, :3].float()
    condition = torch.where((classes == 3)[:, None], model.labels.null, model.labels(labels))
    hidden = model.transformer(condition, tokens[:, :-1])
    torch.testing.assert_close(model.transformer.head(hidden), golden["out.logits"], atol=1e-5, rtol=0)
    loss = objective.cross_entropy(hidden.flatten(0, 1), model.transformer.head, tokens.flatten(), 32)
    torch.testing.assert_close(loss, golden["out.loss"][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "classes", "parameters"),
    [("b", 1000, 110_888_448), ("l", 1000, 342_910_976), ("xl", 1000, 774_699_520), ("xl", 2, 773_422_080)],
)
def test_the_parameters_are_as_many_as_published(size, classes, parameters):
    with torch.device("meta"):
        model = Model(Config(size=size), code=PAPER, labels=classes)
    without_any_label = model.labels.none.numel()  # the publication has one class an image
    assert sum(p.numel() for p in model.parameters()) == parameters + without_any_label


def test_the_parity_preset_is_the_paper_s():
    config = presets.filled(Config, "parity", {})
    assert (config.size, config.dropout, config.label_dropout_rate, config.epochs) == ("xl", 0.1, 0.1, 300)
    assert (config.learning_rate, config.betas, config.weight_decay) == (1e-4, (0.9, 0.95), 0.05)
    assert (config.batch_size, config.clip_norm, config.warmup_steps, config.schedule) == (32, 1.0, 0, "constant")


def test_at_first_every_token_is_as_likely_as_any_other():
    model = Model(Config(), code=Code((4, 4), vocabulary=1000), labels=2)
    loss = model.loss(tokens_of(4, Code((4, 4), vocabulary=1000)), LABELS, step_draws(0, 4))
    assert loss.item() == pytest.approx(math.log(1000), abs=1e-5)


def test_no_token_is_known_before_it_is_drawn():
    model, tokens = shaken().eval(), tokens_of(1).flatten(1)
    condition = model.labels(LABELS[:1])
    whole = model.transformer(condition, tokens[:, :-1])
    for place in range(14):
        other = tokens.clone()
        other[:, place] = (other[:, place] + 1) % SMALL.vocabulary
        changed = model.transformer(condition, other[:, :-1])
        assert changed[:, : place + 1].equal(whole[:, : place + 1])
        assert not changed[:, place + 1].allclose(whole[:, place + 1], atol=1e-4)


def test_rotations_turn_half_of_a_head_by_the_row_and_half_by_the_column():
    turns = rotations_2d(3, 4, 16)
    assert turns.shape == (1 + 12, 8)
    assert not turns[0].any()  # the label
    torch.testing.assert_close(turns[1], torch.ones(8, dtype=torch.complex64))  # row 0, column 0
    rates = 10_000 ** (-torch.arange(4) / 4)
    right, down = turns[2].angle(), turns[5].angle()
    torch.testing.assert_close(right, torch.cat([torch.zeros(4), rates]))
    torch.testing.assert_close(down, torch.cat([rates, torch.zeros(4)]))


def test_what_query_and_key_have_in_common_depends_on_how_far_apart_they_are_alone():
    query, key = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    turns = rotations_2d(5, 5, 16)[1:].view(5, 5, 8)

    def common(one, other):
        return rotated(query, turns[one]) @ rotated(key, turns[other])

    torch.testing.assert_close(common((0, 1), (2, 4)), common((2, 0), (4, 3)), atol=1e-4, rtol=1e-4)
    assert not common((0, 1), (2, 4)).isclose(common((0, 1), (4, 2)), atol=1e-3)


def test_one_class_an_image_is_a_row_of_the_table_and_several_labels_are_the_sum_of_theirs():
    table = shaken().labels
    found = table(LABELS)
    assert found[:2].equal(table.table[:2])
    torch.testing.assert_close(found[3], table.table[0] + table.table[1])
    assert found[2].equal(table.none)
    assert not table.none.allclose(table.null)


def test_labels_are_hidden_as_often_as_asked():
    model, rows = shaken(label_dropout_rate=0.1), 2000
    seen = []
    model.transformer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    model.eval().loss(tokens_of(rows), LABELS[:1].expand(rows, 2), step_draws(0, rows))
    hidden = (seen[0] == model.labels.null).all(dim=1).float().mean().item()
    assert hidden == pytest.approx(0.1, abs=0.03)  # four deviations
    assert (seen[0] == model.labels.table[0]).all(dim=1).float().mean().item() == pytest.approx(1 - hidden)


def test_dropout_hides_the_share_it_is_told_and_keeps_the_mean():
    x = torch.ones(3, 1001, 7)
    dropped = RowDropout(0.1, row_draws([1, 2, 3]))(x)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([1 / 0.9]), atol=1e-4, rtol=0)
    assert not (dropped[0] == 0).equal(dropped[1] == 0)
    assert not RowDropout(0.999999, row_draws([1]))(x[:1]).count_nonzero() > 10


def test_what_is_hidden_in_training_does_not_depend_on_how_many_processes_share_the_batch():
    model, tokens = shaken(label_dropout_rate=0.5).train(), tokens_of(4)
    whole = model.loss(tokens, LABELS, step_draws(3, 4))
    parts = [
        model.loss(tokens[first : first + rows], LABELS[first : first + rows], step_draws(3, 4, first=first, rows=rows))
        * rows
        for first, rows in ((0, 1), (1, 3))
    ]
    torch.testing.assert_close(sum(parts) / 4, whole, atol=1e-5, rtol=1e-5)
    assert not model.loss(tokens, LABELS, step_draws(4, 4)).isclose(whole, atol=1e-3)
    assert not model.eval().loss(tokens, LABELS, step_draws(3, 4)).isclose(whole, atol=1e-3)  # nothing is hidden


def test_the_loss_of_parts_is_that_of_all_logits_at_once_and_so_is_what_is_learnt(monkeypatch):
    model, tokens = shaken(), tokens_of(4)

    def learnt():
        model.zero_grad()
        loss = model.loss(tokens, LABELS, step_draws(0, 4))
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in model.parameters()]

    whole = learnt()
    monkeypatch.setattr(objective, "LOGITS", 7 * SMALL.vocabulary)  # 60 tokens, seven at once
    torch.testing.assert_close(learnt(), whole, atol=1e-6, rtol=1e-5)


def test_a_codec_without_tokens_is_refused_with_one_that_has_them():
    with pytest.raises(BadUsage, match="continuous") as refused:
        Model(Config(), code=Code((4, 8, 8)), labels=2)
    assert refused.value.hint == "--set generator.llamagen.codec=vq"


def test_the_steps_of_an_image_are_its_tokens_and_twice_while_guided():
    model = shaken()
    assert model.evaluations(Sampling(guidance=1.0)) == 15
    assert model.evaluations(Sampling(guidance=2.0)) == 30
    assert model.evaluations(Sampling(guidance=2.0, interval=(0.4, 1.0))) == 15 + 10  # at 1, 14/15, ... 6/15
    assert model.evaluations(Sampling(guidance=2.0, interval=(0.4, 0.5))) == 15 + 10  # their past is needed, too


def test_the_cost_is_that_of_the_products_of_one_token():
    with torch.device("meta"):
        model = Model(Config(size="b"), code=PAPER, labels=2)
    # 97.5 million weights; keys and values of 512.5 tokens on average, 12 blocks of 768
    assert model.macs() == 84_934_656 + 16_384 * 768 + 2 * 12 * 768 * 512.5


@pytest.mark.parametrize(
    ("size", "images", "better"),
    [("xl", 5489, "b"), ("l", 5489, "b"), ("b", 5489, None), ("b", 1000, "s"), ("s", 20, "tiny"), ("tiny", 3, None)],
)
def test_a_network_far_too_large_for_its_images_is_named_with_the_size_to_take(size, images, better):
    with torch.device("meta"):
        notes = Model(Config(size=size), code=PAPER, labels=2).notes(images)
    assert len(notes) == (better is not None)
    assert all(f"--set generator.llamagen.size={better}" in note and f"{images:,} images" in note for note in notes)
