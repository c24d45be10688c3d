"""MedSegDiffNCA is what was published where that is asked for, and its noise is taken away again."""

from itertools import pairwise

import pytest
import torch

from medsynth.draws import row_draws, step_draws
from medsynth.segmenters.direct.config import Config as DirectConfig
from medsynth.segmenters.direct.model import Model as Direct
from medsynth.segmenters.medsegdiffnca.config import Config
from medsynth.segmenters.medsegdiffnca.model import Model
from medsynth.segmenters.medsegdiffnca.noise import Noise
from medsynth.segmenters.medsegdiffnca.states import Drifting, Frozen


def published(variant: str) -> Model:
    return Model(Config(**Config.PARITY | {"variant": variant}), channels=3)


@pytest.mark.parametrize(
    ("variant", "parameters"), [("basic", 139_648), ("cbam", 206_118), ("multi", 410_880), ("multicbam", 412_236)]
)
def test_the_parameters_are_as_many_as_published(variant: str, parameters: int) -> None:
    assert sum(p.numel() for p in published(variant).parameters()) == parameters


def test_med_nca_has_as_many_parameters_as_published_but_for_the_colours_that_do_not_change() -> None:
    model = Direct(DirectConfig(**DirectConfig.PARITY), channels=3)
    assert sum(p.numel() for p in model.parameters()) == 70_016 - 2 * 3 * 128


def test_what_is_as_published_learns_as_published() -> None:
    """Neither code clips gradients; Med-NCA's rate falls by a ten-thousandth a step, the other's stays."""
    direct, diffusion = DirectConfig(**DirectConfig.PARITY), Config(**Config.PARITY)
    assert (direct.clip_norm, diffusion.clip_norm) == (0, 0)
    assert (direct.schedule, direct.rate_decay, diffusion.schedule) == ("exponential", 0.9999, "constant")


def test_the_published_noise_is_there() -> None:
    a_bar = Noise(100, "linear").a_bar
    expected = torch.tensor([0.999, 0.501, 0.074, 0.0026, 2e-5], dtype=torch.float64)
    torch.testing.assert_close(a_bar[[0, 25, 49, 74, 99]], expected, rtol=0.05, atol=0)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("shift", [1.0, 0.3])
def test_noise_grows_level_by_level_and_more_of_it_by_the_shift(schedule: str, shift: float) -> None:
    noise = Noise(50, schedule, shift)
    assert (noise.a_bar.diff() < 0).all()
    t = torch.arange(50)
    signal, rest = noise.shares(t)
    torch.testing.assert_close(signal**2 + rest**2, torch.ones(50, 1, 1, 1))
    torch.testing.assert_close(
        noise.snr(t) / Noise(50, schedule).snr(t), torch.full((50,), shift**2), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("predicted", ["epsilon", "v", "x0"])
def test_whatever_is_predicted_implies_the_mask(predicted: str) -> None:
    noise, t = Noise(100, "cosine", 0.5), torch.tensor([0, 40, 90])
    x_0, epsilon = torch.randn(2, 3, 1, 4, 4).double()
    signal, rest = noise.shares(t)
    x_t = signal * x_0 + rest * epsilon
    target = noise.target(predicted, x_0, epsilon, t)
    torch.testing.assert_close(noise.clean(predicted, target, x_t, t), x_0, atol=1e-4, rtol=1e-4)
    weight = noise.weight(predicted, t, 5.0)
    of_mask = {"epsilon": noise.snr(t), "x0": 1.0, "v": noise.snr(t) + 1}[predicted]
    torch.testing.assert_close(weight * of_mask, noise.snr(t).clamp(max=5.0), rtol=1e-4, atol=0)
    assert noise.weight(predicted, t, 0.0).equal(torch.ones(3))


@pytest.mark.parametrize(
    ("steps", "start"), [(1, 1.0), (4, 1.0), (4, 0.5), (100, 1.0), (7, 0.03), (99, 1.0), (500, 1.0)]
)
def test_sampling_goes_down_from_where_it_begins(steps: int, start: float) -> None:
    timesteps = Noise(100, "linear").timesteps(steps, start)
    assert timesteps[0] == round(100 * start) - 1
    assert len(timesteps) == min(steps, timesteps[0] + 1)
    assert all(a > b for a, b in pairwise(timesteps))
    assert timesteps[-1] >= 0


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_who_knows_the_mask_takes_all_noise_away_and_passes_through_the_right_levels(sampler: str) -> None:
    noise, x_0, seen = Noise(100, "linear"), (torch.rand(400, 1, 8, 8) < 0.3).float() * 2 - 1, []
    draws = row_draws([*range(400)])

    def knows(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, rest = noise.shares(t)
        seen.append(((x_t - signal * x_0) / rest).std().item())
        return x_0

    found = noise.sample(knows, draws.normal(1, 8, 8), noise.timesteps(10, 1.0), draws, sampler)
    assert found.equal(x_0)
    # The variance beta of a step is more than the step takes away (Ho et al. 2020, section 3.2), above all at the end.
    assert min(seen) > 0.98
    assert max(seen) < (1.02 if sampler == "ddim" else 2.0)


def test_guidance_compares_every_colour_with_the_mask_of_its_own_image() -> None:
    """The published code subtracts (batch, row, column) from (batch, 1, row, column): it compares with every mask."""
    model, masks = published("basic"), (torch.rand(3, 1, 6, 6) < 0.4).float()
    right = model._of_guidance(masks.expand(-1, 3, -1, -1), masks)
    assert right.equal(torch.zeros(3))
    off = masks.expand(-1, 3, -1, -1).clone()
    off[1, 2] += 0.5
    torch.testing.assert_close(model._of_guidance(off, masks), torch.tensor([0.0, 0.25, 0.0]))


def test_what_is_published_drifts_and_what_is_frozen_does_not() -> None:
    images, x_t, share = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 1, 8, 8), torch.tensor([0.07, 0.5])
    drifting = Drifting(64)
    state = drifting.begun(images, x_t, share, 100, (8, 8), None)
    assert (drifting.layout.channels, drifting.layout.moving) == (64, 64)
    torch.testing.assert_close(state[..., 1:4], (images.permute(0, 2, 3, 1) + 1) / 2)
    assert state[..., 4].equal(x_t[:, 0])
    assert not state[..., [0, *range(5, 62)]].any()
    torch.testing.assert_close(state[0, :, :, 62], (torch.arange(8)[:, None] + torch.arange(8)) / 16)
    torch.testing.assert_close(state[..., 63], torch.tensor([7.0, 50.0]).view(2, 1, 1).expand(2, 8, 8))
    frozen = Frozen(32, 3)
    state = frozen.begun(images, x_t, share, 100, (8, 8), None)
    told = frozen.layout.told(state)
    assert told[..., :3].equal(images.permute(0, 2, 3, 1))
    assert told[..., 3].equal(x_t[:, 0])
    assert frozen.layout.shown(state)[..., 1:].equal(told[..., :3])  # guidance begins as a copy of the colours
    assert not frozen.layout.kept(state).any()


@pytest.mark.parametrize("states", [Drifting(64), Frozen(32, 3)])
def test_a_finer_level_sees_the_image_itself_and_keeps_what_was_found(states: Drifting | Frozen) -> None:
    images, x_t, share = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 1, 8, 8), torch.tensor([0.07, 0.5])
    coarse = states.begun(images, x_t, share, 100, (2, 2), None) + 1
    fine = states.begun(images, x_t, share, 100, (8, 8), coarse)
    begun = states.begun(images, x_t, share, 100, (8, 8), None)
    assert fine[..., ~states.carried].equal(begun[..., ~states.carried])
    assert fine[..., states.carried].equal(coarse[..., states.carried].repeat_interleave(4, 1).repeat_interleave(4, 2))
    assert states.carried[0 if isinstance(states, Drifting) else states.layout.condition]  # the prediction goes on


def test_sampling_may_begin_with_what_guidance_says() -> None:
    torch.manual_seed(0)
    few = Model(Config(sampling_start=0.5, sampling_steps=3, rollout=2, levels=2), channels=3).eval()
    whole = Model(Config(sampling_steps=3, rollout=2, levels=2), channels=3).eval()
    assert (few.evaluations(), whole.evaluations()) == (4, 3)
    assert few.macs((32, 32)) / whole.macs((32, 32)) == pytest.approx(4 / 3)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    assert few.predict(images, row_draws([0, 1]), runs=1).shape == (2, 1, 16, 16)


def test_the_plain_form_of_the_step_says_the_same_as_the_fast_one() -> None:
    """What is exported."""
    torch.manual_seed(0)
    model = Model(Config(rollout=3, levels=2, variant="multicbam"), channels=3).eval()
    for automaton in model.automata:
        torch.nn.init.normal_(automaton.update.last.weight, std=0.1)
    images, x_t, t = torch.rand(2, 3, 12, 12), torch.randn(2, 1, 12, 12), torch.tensor([3, 700])
    fast, plain = (model.answer(images, x_t, t, step_draws(0, 2), fast=way) for way in (True, False))
    torch.testing.assert_close(fast.prediction, plain.prediction, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast.guidance, plain.guidance, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shrinks", "rollouts"), [((4, 2), (3, 3)), ((4, 1), (3,)), ((), ())])
def test_levels_that_make_no_sense_are_refused(shrinks: tuple[int, ...], rollouts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        DirectConfig(shrinks=shrinks, rollouts=rollouts)
