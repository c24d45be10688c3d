"""DiT is what the paper says, and costs what it says it costs."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from medsynth.codecs import Code
from medsynth.draws import row_draws
from medsynth.errors import BadUsage
from medsynth.generators.dit.config import Config
from medsynth.generators.dit.model import SHAPES, Model, Shape, Transformer
from medsynth.nn.embeddings import LabelEmbedding, sinusoidal_positions_2d
from medsynth.sampling import Sampling

GOLDEN = Path(__file__).parent / "data" / "dit.safetensors"
PAPER = Code((4, 32, 32))


def built(code=PAPER, labels=11, **settings):
    with torch.device("meta"):
        return Model(Config(**settings), code=code, labels=labels)


def counted(model):
    return sum(p.numel() for p in model.parameters())


def test_the_parameters_are_as_many_as_in_the_paper():
    assert counted(built(size="s", label_dropout="per-label")) == 32_731_424
    learned = [p.numel() for p in built(size="s", label_dropout="per-label").parameters() if p.requires_grad]
    assert sum(learned) == 32_731_424 - 16 * 16 * SHAPES["s"].width  # without the table of positions
    assert counted(built(size="s")) == 32_731_424 + SHAPES["s"].width  # the learned null
    assert counted(built(size="b", label_dropout="per-label")) == pytest.approx(130e6, rel=0.01)  # table 1: 130 million


def golden_model(weights):
    transformer = Transformer(Shape(48, 2, 4), (4, 8, 8), 8, 2)
    label = LabelEmbedding(3, 48, "per-label")
    names = {
        "time.first": "timestep_mlp.0", "time.second": "timestep_mlp.1",
        "first": "label_mlp.0", "second": "label_mlp.1",
        "final.modulation": "final_modulation", "final.linear": "final",
    }  # fmt: skip
    for module in (transformer, label):
        state = {}
        for name, value in module.state_dict().items():
            layer, _, which = name.rpartition(".")
            if name == "positions":
                state[name] = weights["position"][0]
                continue
            state[name] = weights[f"{names.get(layer, layer.replace('blocks.', 'block.'))}.{which}"].view(value.shape)
        module.load_state_dict(state)
    return transformer, label


def test_the_golden_vectors_are_met():
    golden = load_file(GOLDEN)
    transformer, label = golden_model(golden)
    found = transformer(golden["in.z"], golden["in.t"], label(golden["in.labels"]))
    torch.testing.assert_close(found, golden["out.eps_and_variance"], atol=1e-5, rtol=0)


def test_positions_are_those_of_the_golden_table():
    golden = load_file(GOLDEN)["position"][0]
    torch.testing.assert_close(sinusoidal_positions_2d(4, 4, 48), golden, atol=1e-6, rtol=0)


def test_a_place_in_an_oblong_grid_is_its_row_and_its_column():
    table = sinusoidal_positions_2d(2, 3, 8).view(2, 3, 8)
    assert table[0, :, 4:].equal(table[0, :1, 4:].expand(3, -1))  # one row, one code
    assert table[:, 2, :4].equal(table[:1, 2, :4].expand(2, -1))
    assert len({tuple(place.tolist()) for place in table.flatten(0, 1)}) == 6


@pytest.mark.parametrize(("code", "settings"), [(PAPER, {"size": "s"}), (Code((8, 4, 6)), {"prediction": "flow"})])
def test_the_cost_is_that_of_the_products_that_are_made(code, settings):
    model = built(code, **settings)
    x, t, condition = torch.zeros(1, *code.shape), torch.zeros(1), torch.zeros(1, model.transformer.shape.width)
    # The plain form of attention: its products are counted like any other.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model.transformer(x.to("meta"), t.to("meta"), condition.to("meta"))
    assert model.macs() == counter.get_total_flops() / 2


def test_dit_s_2_costs_six_giga_macs():
    assert built(size="s").macs() == pytest.approx(6.06e9, rel=0.001)  # Gflops of table 1 are multiply-accumulates


def alive(**settings):
    """A model whose blocks all say something."""
    torch.manual_seed(0)
    model = Model(Config(**settings), code=Code((3, 4, 4)), labels=2).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def test_it_begins_as_a_network_that_says_nothing():
    model = Model(Config(), code=Code((3, 4, 4)), labels=2)
    assert not model.transformer(torch.randn(2, 3, 4, 4), torch.tensor([5, 900]), torch.randn(2, 128)).any()


def test_the_weaker_self_is_another_and_depends_on_no_middle_block():
    model, inputs = alive(), (torch.randn(2, 3, 4, 4), torch.tensor([5, 900]), torch.randn(2, 128))
    strong, weak = (model.transformer(*inputs, weaker=weaker) for weaker in (False, True))
    assert not strong.allclose(weak, atol=1e-2)
    with torch.no_grad():
        for block in model.transformer.blocks[1:2]:
            block.modulation.bias.add_(1)
    assert model.transformer(*inputs, weaker=True).equal(weak)
    assert not model.transformer(*inputs).allclose(strong, atol=1e-2)


def test_it_can_be_led_away_from_its_weaker_self():
    model, labels = alive(), torch.tensor([[1.0, 0.0]])
    made = [
        model.sample(labels, row_draws([1]), Sampling(2.0, "ddim", 3, guide=guide))
        for guide in ("weaker", "unlabelled")
    ]
    plain = model.sample(labels, row_draws([1]), Sampling(1.0, "ddim", 3))
    assert all(not a.allclose(b, atol=1e-3) for a, b in [(made[0], plain), (made[1], plain), (made[0], made[1])])


def test_latents_that_the_patch_does_not_divide_are_refused_with_one_that_does():
    with pytest.raises(BadUsage, match=r"6 x 6 cells cannot be divided into patches of 4") as refused:
        built(Code((4, 6, 6)), patch=4)
    assert refused.value.hint == "--set generator.dit.patch=3"


@pytest.mark.parametrize(("side", "patch"), [(4, 1), (8, 1), (16, 2), (17, 1), (32, 2)])
def test_the_patch_follows_the_grid_where_none_is_given(side, patch):
    assert built(Code((4, side, side))).transformer.patch == patch
