"""iDDPM is the paper's U-Net, learns its variance, and takes pixels whatever the run's codec is."""

import pytest
import torch
from shell import done

from medsynth import presets, recipe
from medsynth.artifacts import cohort
from medsynth.codecs import Code
from medsynth.data import png
from medsynth.draws import row_draws, step_draws
from medsynth.generators.iddpm.config import Config
from medsynth.generators.iddpm.model import Model
from medsynth.rundir import RunDirectory
from medsynth.sampling import Sampling


def counted(config: Config, code: tuple[int, ...], labels: int) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Model(config, code=Code(code), labels=labels).parameters())


def test_the_paper_s_size_is_the_paper_s() -> None:
    parity = presets.filled(Config, "parity", {})
    with torch.device("meta"):
        model = Model(parity, code=Code((3, 64, 64)), labels=11)
    assert sum(p.numel() for p in model.unet.parameters()) == 121_063_942
    assert (parity.noise_schedule, parity.prediction, parity.min_snr, parity.codec) == (
        "cosine",
        "epsilon",
        0,
        "identity",
    )
    attending = [m for block in model.unet.unet.down_blocks for m in getattr(block, "attentions", [])]
    assert [m.heads for m in attending] == [4] * 6  # three blocks each at 16 x 16 and at 8 x 8
    assert all(resnet.time_embedding_norm == "scale_shift" for resnet in model.unet.unet.mid_block.resnets)


@pytest.mark.parametrize(("side", "millions"), [(64, 0.75), (32, 0.77), (28, 0.3)])
def test_tiny_is_tiny(side: int, millions: float) -> None:
    assert counted(Config(), (3, side, side), 2) / 1e6 == pytest.approx(millions, abs=0.1)


def test_a_variance_is_learnt_unless_the_prediction_is_a_flow() -> None:
    labels = torch.ones(2, 1)
    for prediction, channels in (("epsilon", 2), ("v", 2), ("flow", 1)):
        torch.manual_seed(0)
        model = Model(Config(prediction=prediction), code=Code((1, 8, 8)), labels=1)
        assert model.unet.out == channels
        assert model.loss(torch.randn(2, 1, 8, 8), labels, step_draws(0, 2)).isfinite()
        assert model.eval().sample(labels, row_draws([1, 2]), Sampling(steps=2)).shape == (2, 1, 8, 8)


def test_the_variance_is_taught_by_the_bound() -> None:
    """The squared error leaves the variance channels alone; L_vlb alone moves them."""
    torch.manual_seed(0)
    model = Model(Config(), code=Code((1, 8, 8)), labels=1)
    model.loss(torch.randn(8, 1, 8, 8), torch.ones(8, 1), step_draws(0, 8)).backward()
    noise, variance = model.unet.unet.conv_out.weight.grad.flatten(1).norm(dim=1).tolist()
    assert noise > 0
    assert variance > 0


def test_it_takes_pixels_while_the_run_s_codec_stays_what_it_was(ingested: RunDirectory) -> None:
    small = ("--set", "generator.iddpm.steps=2", "--set", "generator.iddpm.batch_size=4", "--set", "expand.factor=1")
    first = done("train-generator", "--model", "iddpm", "--fold", 0, *small, "--json", "--run", ingested.root)
    assert first.states() == {
        f"fold-0/{name}": "done" for name in ("codec/identity", "encode/identity", "generator/iddpm")
    }
    second = done("expand", "--model", "iddpm", "--fold", 0, "--json", "--run", ingested.root)
    assert {name for name, state in second.states().items() if state == "done"} == {"fold-0/expand/iddpm"}
    made = cohort.load(ingested.artifact("expand", 0, "iddpm").folder).samples
    assert png.read(made[0].image).shape == (32, 32, 3)
    assert recipe.parse(ingested.recipe_text()).codec.kind == "kl"
