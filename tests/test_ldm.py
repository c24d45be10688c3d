"""LDM is a U-Net of the size the GeCA paper gives, on any grid that can be halved."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from medsynth import presets
from medsynth.codecs import Code
from medsynth.draws import row_draws
from medsynth.errors import BadUsage
from medsynth.generators.ldm.config import Config
from medsynth.generators.ldm.model import Model
from medsynth.nn.unet import Shape, UNet, levels_of
from medsynth.sampling import Sampling

SMALL = Shape(channels=(8, 16, 16), blocks=1, attention=4, heads=2, groups=4)


def shaken(code: tuple[int, ...] = (3, 8, 8)) -> UNet:
    """A U-Net that begins with an answer."""
    torch.manual_seed(0)
    network = UNet(SMALL, code, out=3)
    for values in network.parameters():
        values.data.add_(0.1 * torch.randn_like(values))
    return network.eval()


def asked(network: UNet, rows: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    x_t = torch.randn(rows, *network.code, generator=random)
    return x_t, torch.tensor([10, 900])[:rows], torch.randn(rows, network.width, generator=random)


def test_b_has_as_many_parameters_as_the_paper_s() -> None:
    parity = presets.filled(Config, "parity", {})
    with torch.device("meta"):
        model = Model(parity, code=Code((4, 32, 32)), labels=11)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == 17_219_276
    assert abs(parameters / 17_300_000 - 1) < 0.03
    assert model.unet.out == 4  # no variance is learnt


@pytest.mark.parametrize(
    ("grid", "most", "levels"),
    [
        ((4, 4), 4, 2),
        ((8, 8), 4, 3),
        ((8, 8), 2, 2),
        ((32, 32), 4, 4),
        ((64, 64), 4, 4),
        ((28, 28), 4, 3),
        ((6, 4), 4, 2),
    ],
)
def test_a_grid_has_as_many_levels_as_it_can_be_halved(grid: tuple[int, int], most: int, levels: int) -> None:
    assert levels_of(grid, most) == levels


@pytest.mark.parametrize("code", [(3, 4, 4), (3, 8, 8), (3, 6, 4), (3, 28, 28)])
def test_the_answer_is_on_the_grid_that_was_asked_about(code: tuple[int, ...]) -> None:
    network = shaken(code)
    assert network(*asked(network)).shape == (2, *code)


@pytest.mark.parametrize("grid", [(7, 5), (7, 7), (1, 1), (2, 2), (8, 7)])
def test_a_grid_that_cannot_be_halved_is_refused_with_the_way_out(grid: tuple[int, int]) -> None:
    with pytest.raises(BadUsage, match=f"{grid[0]} x {grid[1]} cells") as failure:
        Model(Config(), code=Code((4, *grid)), labels=2)
    assert "ingest.image_size" in failure.value.hint


def test_an_untrained_unet_says_nothing() -> None:
    network = UNet(SMALL, (3, 8, 8), out=3)
    assert not network(*asked(network)).any()


def test_the_weaker_self_hears_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    network = shaken()
    strong, weaker = network(*asked(network)), network(*asked(network), weaker=True)
    assert not strong.allclose(weaker, atol=1e-3)
    assert network(*asked(network)).equal(strong)  # being weak passes
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda query, key, value, **_: value)
    torch.testing.assert_close(network(*asked(network)), weaker)


def test_guidance_by_the_weaker_self_steers() -> None:
    torch.manual_seed(0)
    model = Model(Config(), code=Code((3, 4, 4)), labels=2).eval()
    for values in model.parameters():
        values.data.add_(0.1 * torch.randn_like(values))
    labels = torch.tensor([[1.0, 0.0]])
    made = [
        model.sample(labels, row_draws([1]), Sampling(scale, steps=3, guide=guide))
        for scale, guide in ((1.0, "weaker"), (2.0, "weaker"), (2.0, "unlabelled"))
    ]
    assert not made[1].allclose(made[0], atol=1e-3)
    assert not made[1].allclose(made[2], atol=1e-3)


def test_heads_are_as_many_as_asked_and_see_the_whole_grid() -> None:
    network = shaken()
    heads = [module.heads for module in network.unet.modules() if hasattr(module, "to_v")]
    assert heads == [2] * len(heads)
    assert len(heads) == 2 * (1 + 2) + 1  # two levels of three attend, and the bottom
    x_t, t, condition = asked(network)
    nudged = x_t.clone()
    nudged[:, :, 0, 0] += 1
    moved = (network(nudged, t, condition) - network(x_t, t, condition)).abs()
    assert (moved.amax(dim=(0, 1)) > 0).all()


# Attention as a CPU computes it, which not every release of torch counts by itself.
ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
}


def test_multiplications_are_counted_those_of_attention_too() -> None:
    network = shaken()
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=ATTENTION) as counter:
        network(*asked(network, rows=1))
    assert network.macs() == counter.get_total_flops() // 2
    counts = counter.get_flop_counts()["Global"]
    attention = sum(flops for operation, flops in counts.items() if "attention" in str(operation)) // 2
    # Scores and sums of values: two products of cells x cells x 16 channels, at 4 x 4 cells in three
    # layers, at 2 x 2 in four.
    assert attention == 2 * 16 * (3 * 16**2 + 4 * 4**2)
