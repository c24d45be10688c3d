"""The diffusion, against what can be worked out by hand: a normal distribution, whose exact denoiser is known."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from medsynth.draws import row_draws, step_draws
from medsynth.errors import BadUsage
from medsynth.nn.diffusion import Denoiser, Diffusion, guided, respaced
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.nn.labelled import Labelled
from medsynth.nn.noise import betas as betas_of
from medsynth.sampling import TIMESTEPS, NoiseSchedule, Prediction, Sampler, Sampling

MEAN, DEVIATION = 0.7, 0.5  # of the clean distribution that is to be reached
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "v", "x0")
SAMPLERS: tuple[Sampler, ...] = ("ddpm", "ddim", "dpm++", "unipc")


@dataclass(frozen=True)
class Chosen:
    """Random numbers that a test has chosen: one noise level for all rows, and their noise."""

    t: int
    noise: Tensor

    @property
    def rows(self) -> int:
        return len(self.noise)

    def normal(self, *shape: int) -> Tensor:
        assert self.noise.shape[1:] == shape
        return self.noise

    def uniform(self, *shape: int) -> Tensor:
        return torch.full((self.rows, *shape), (self.t + 0.5) / TIMESTEPS)


def a_bar_of(diffusion: Diffusion) -> Tensor:
    return (1 - betas_of(diffusion.noise_schedule)).cumprod(0)


def as_predicted(kind: str, x_0: Tensor, x_t: Tensor, a_bar: Tensor) -> Tensor:
    """What a network should answer that knows x_0."""
    epsilon = (x_t - a_bar.sqrt() * x_0) / (1 - a_bar).sqrt()
    return {"epsilon": epsilon, "x0": x_0, "v": a_bar.sqrt() * epsilon - (1 - a_bar).sqrt() * x_0}[kind]


def expected(x_t: Tensor, a_bar: Tensor) -> Tensor:
    """E[x_0 | x_t] where x_0 is normal."""
    shrunk = DEVIATION**2 * a_bar.sqrt() / (DEVIATION**2 * a_bar + 1 - a_bar)
    return MEAN + shrunk * (x_t - a_bar.sqrt() * MEAN)


def exact(diffusion: Diffusion, timesteps: list[int]) -> Denoiser:
    """The best denoiser there is, with the exact variance of each of these steps."""
    a_bars = a_bar_of(diffusion)
    following = dict(itertools.zip_longest(timesteps, timesteps[1:]))

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        step = int(t[0])
        a_bar = a_bars[step]
        x_0 = expected(x_t, a_bar.float())
        answer = as_predicted(diffusion.prediction, x_0, x_t, a_bar.float())
        if not diffusion.learns_variance:
            return answer
        after = following[step]
        a_bar_after = a_bars[after] if after is not None else torch.ones((), dtype=torch.float64)
        beta = 1 - a_bar / a_bar_after
        smallest = (1 - a_bar_after) / (1 - a_bar) * beta
        of_clean = a_bar_after.sqrt() * beta / (1 - a_bar)
        variance = smallest + of_clean**2 * DEVIATION**2 * (1 - a_bar) / (DEVIATION**2 * a_bar + 1 - a_bar)
        low, high = smallest.clamp(min=1e-20).log(), beta.log()
        share = float(((variance.log() - low) / (high - low)).clamp(0, 1))
        return torch.cat([answer, torch.full_like(answer, 2 * share - 1)], dim=1)

    return network


def sampled(diffusion: Diffusion, sampler: Sampler, steps: int, rows: int = 256) -> Tensor:
    draws = row_draws(list(range(rows)))
    network = exact(diffusion, diffusion.scheduler(sampler, steps).timesteps.tolist())
    return diffusion.sample(network, draws.normal(1, 8, 8), sampler, steps, draws)


# Sampling


@pytest.mark.parametrize("noise_schedule", ["linear", "cosine"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    ("sampler", "steps", "close"),
    [
        ("ddpm", 25, 0.03),
        ("ddpm", 50, 0.03),
        ("ddim", 50, 0.06),
        ("dpm++", 25, 0.03),
        ("dpm++", 50, 0.03),
        ("unipc", 25, 0.03),
    ],
)
def test_with_the_exact_denoiser_the_samples_have_the_right_mean_and_deviation(
    sampler: Sampler, steps: int, close: float, prediction: Prediction, noise_schedule: str
) -> None:
    diffusion = Diffusion(prediction, noise_schedule, learns_variance=sampler == "ddpm")  # type: ignore[arg-type]
    made = sampled(diffusion, sampler, steps)
    assert made.mean().item() == pytest.approx(MEAN, rel=0.02)
    assert made.std().item() == pytest.approx(DEVIATION, rel=close)


@pytest.mark.parametrize(("sampler", "steps", "close"), [("ddim", 200, 0.03), ("dpm++", 25, 0.03), ("unipc", 25, 0.03)])
def test_a_rectified_flow_ends_at_the_right_mean_and_deviation(sampler: Sampler, steps: int, close: float) -> None:
    """The exact flow of a normal distribution is E[epsilon - x_0 | x_t], a linear function of x_t."""
    diffusion = Diffusion("flow")

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        s = t[0].double() / TIMESTEPS
        together = (1 - s) ** 2 * DEVIATION**2 + s**2
        off = x_t.double() - (1 - s) * MEAN
        clean = MEAN + (1 - s) * DEVIATION**2 / together * off
        return (s / together * off - clean).float()

    draws = row_draws([*range(256)])
    made = diffusion.sample(network, draws.normal(1, 8, 8), sampler, steps, draws)
    assert made.mean().item() == pytest.approx(MEAN, rel=0.02)
    assert made.std().item() == pytest.approx(DEVIATION, rel=close)


def test_a_rectified_flow_has_no_ancestral_sampler() -> None:
    with pytest.raises(BadUsage, match="ddpm"):
        Diffusion("flow").scheduler("ddpm", 10)


@pytest.mark.parametrize("steps", [1, 7, 12, 25, 30])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_is_its_formula_between_the_timesteps_it_names(prediction: Prediction, steps: int) -> None:
    """Song et al. 2021, eq. 12 with sigma 0."""
    diffusion = Diffusion(prediction, learns_variance=False)
    timesteps = diffusion.scheduler("ddim", steps).timesteps.tolist()
    a_bars = a_bar_of(diffusion).float()
    start = x = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    for t, after in itertools.zip_longest(timesteps, timesteps[1:]):
        x_0 = expected(x, a_bars[t])
        epsilon = (x - a_bars[t].sqrt() * x_0) / (1 - a_bars[t]).sqrt()
        a_bar_after = a_bars[after] if after is not None else torch.ones(())
        x = a_bar_after.sqrt() * x_0 + (1 - a_bar_after).sqrt() * epsilon
    made = diffusion.sample(exact(diffusion, timesteps), start, "ddim", steps, row_draws([0, 1, 2, 3]))
    torch.testing.assert_close(made, x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_ddpm_is_random_and_the_others_are_not(sampler: Sampler) -> None:
    diffusion = Diffusion("v", learns_variance=False)
    start, network = torch.ones(3, 1, 4, 4), exact(diffusion, [])
    made = [diffusion.sample(network, start, sampler, 10, row_draws(seeds)) for seeds in ([1, 2, 3], [4, 2, 5])]
    assert made[0][1].equal(made[1][1])
    assert made[0][0].equal(made[1][0]) == (sampler != "ddpm")
    assert made[0][0].equal(made[0][1]) == (sampler != "ddpm")


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 25, 30, 61, 250, 998, 999, 1000])
def test_timesteps_run_from_the_noisiest_down(sampler: Sampler, steps: int) -> None:
    timesteps = Diffusion().scheduler(sampler, steps).timesteps.tolist()
    assert len(timesteps) == steps
    assert timesteps[0] == TIMESTEPS - 1
    assert all(later < earlier for earlier, later in itertools.pairwise(timesteps))
    assert timesteps[-1] < TIMESTEPS / steps


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "unipc"])
@pytest.mark.parametrize("steps", [1, 2, 25, 61, 998, 999, 1000])
def test_a_flow_goes_down_step_by_step_for_any_number_of_steps(sampler: Sampler, steps: int) -> None:
    """Where nothing but the mean is left of the noise, x_t is a straight line, which every solver follows."""
    told: list[float] = []

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        told.append(float(t[0]))
        return (x_t - MEAN) * TIMESTEPS / t[0]

    start = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    made = Diffusion("flow").sample(network, start, sampler, steps, row_draws([0, 1]))
    assert len(told) == steps
    assert told[0] == pytest.approx(TIMESTEPS, rel=2e-3)
    assert all(later < earlier for earlier, later in itertools.pairwise(told))
    torch.testing.assert_close(made, torch.full_like(made, MEAN), atol=0.01, rtol=0)


@given(st.integers(2, TIMESTEPS))
def test_respaced_timesteps_are_even_and_reach_both_ends(steps: int) -> None:
    timesteps = respaced(steps)
    gaps = [earlier - later for earlier, later in itertools.pairwise(timesteps)]
    assert (len(timesteps), timesteps[0], timesteps[-1]) == (steps, TIMESTEPS - 1, 0)
    assert 1 <= min(gaps) <= max(gaps) <= min(gaps) + 1


# Guidance


def test_guidance_is_its_formula_and_leaves_the_variance_alone() -> None:
    """Ho & Salimans 2022, eq. 6, written with the scale s = 1 + w."""
    conditional, unconditional = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    steered = guided(conditional, unconditional, 2.5, 3)
    torch.testing.assert_close(steered[:, :3], 2.5 * conditional[:, :3] - 1.5 * unconditional[:, :3])
    assert steered[:, 3:].equal(conditional[:, 3:])
    torch.testing.assert_close(guided(conditional, unconditional, 1.0, 3), conditional)
    torch.testing.assert_close(guided(conditional, unconditional, 0.0, 3)[:, :3], unconditional[:, :3])


# The loss


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("min_snr", [0.0, 5.0])
def test_the_loss_is_zero_for_the_perfect_prediction_and_for_no_other(prediction: Prediction, min_snr: float) -> None:
    diffusion = Diffusion(prediction, learns_variance=False, min_snr=min_snr)
    a_bars, x_0 = a_bar_of(diffusion).float(), torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))

    def network(error: float) -> Denoiser:
        return lambda x_t, t: as_predicted(prediction, x_0, x_t, a_bars[t][:, None, None, None]) + error

    draws = [list(range(8))] * 2
    assert diffusion.loss(network(0.0), x_0, row_draws(draws[0])).item() == pytest.approx(0, abs=1e-5)
    assert diffusion.loss(network(0.5), x_0, row_draws(draws[1])).item() > 1e-3


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_weighs_the_error_of_the_clean_image_alike(prediction: Prediction) -> None:
    """Hang et al. 2023, section 3.4: in units of x_0 the weight is min(SNR, gamma), whatever is predicted."""
    diffusion = Diffusion(prediction, learns_variance=False, min_snr=5.0)
    x_0, noise = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.3)
    for t in (5, 300, 900):
        a_bar = a_bar_of(diffusion)[t].float()

        def network(x_t: Tensor, _t: Tensor, a_bar: Tensor = a_bar) -> Tensor:
            return as_predicted(prediction, x_0 + 0.1, x_t, a_bar)  # off by a tenth in x_0, whatever its own units are

        snr = (a_bar / (1 - a_bar)).item()
        assert diffusion.loss(network, x_0, Chosen(t, noise)).item() == pytest.approx(0.01 * min(snr, 5.0), rel=1e-3)


@given(t=st.integers(0, TIMESTEPS - 1), schedule=st.sampled_from(["linear", "cosine"]))
def test_the_velocity_is_the_preconditioned_network_of_karras(t: int, schedule: NoiseSchedule) -> None:
    """Karras et al. 2022, eq. 7 and table 1, for data of unit deviation: D = c_skip x + c_out F, with F = -v."""
    diffusion = Diffusion("v", schedule, learns_variance=False)
    x_t, answer = torch.randn(2, 1, 2, 3, 3, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    signal, noise = diffusion.shares(torch.tensor(t))
    sigma = noise / signal
    c_skip, c_out = 1 / (sigma**2 + 1), sigma / (sigma**2 + 1).sqrt()
    denoised = c_skip * (x_t / signal) + c_out * answer
    torch.testing.assert_close(diffusion.clean(-answer, x_t, signal, noise), denoised)


@pytest.mark.parametrize("t", [0, 1, 2, 40, 500, 999])
@pytest.mark.parametrize("noise_schedule", ["linear", "cosine"])
def test_the_bound_of_the_learned_variance_is_what_a_plain_computation_gives(t: int, noise_schedule: str) -> None:
    """Nichol & Dhariwal 2021, eq. 4 to 6 and 15, in bits a dimension."""
    diffusion = Diffusion("epsilon", noise_schedule)  # type: ignore[arg-type]
    x_0, noise, guess, variance = torch.randn(4, 3, 2, 4, 4, generator=torch.Generator().manual_seed(t)).unbind(0)
    variance = variance.sigmoid() * 2 - 1
    found = diffusion.loss(lambda _x, _t: torch.cat([guess, variance], dim=1), x_0, Chosen(t, noise)).item()

    betas = betas_of(diffusion.noise_schedule)
    a_bar = (1 - betas).cumprod(0)
    before = a_bar[t - 1] if t else torch.ones((), dtype=torch.float64)

    def posterior_mean(clean: Tensor, noised: Tensor) -> Tensor:
        weight = before.sqrt() * betas[t] / (1 - a_bar[t])
        return weight * clean + (1 - betas[t]).sqrt() * (1 - before) / (1 - a_bar[t]) * noised

    x, e, g, v = (part.double() for part in (x_0, noise, guess, variance))
    noised = a_bar[t].sqrt() * x + (1 - a_bar[t]).sqrt() * e
    clean = (noised - (1 - a_bar[t]).sqrt() * g) / a_bar[t].sqrt()
    of_one = 1 if t == 0 else t  # the first posterior variance is zero; the second stands for it
    smallest = betas[of_one] * (1 - a_bar[of_one - 1]) / (1 - a_bar[of_one])
    deviation = ((v + 1) / 2 * betas[t].log() + (1 - v) / 2 * smallest.log()).exp().sqrt()
    predicted = Normal(posterior_mean(clean, noised), deviation)
    if t == 0:
        bound = -predicted.log_prob(x).mean()
    else:
        bound = kl_divergence(Normal(posterior_mean(x, noised), smallest.sqrt()), predicted).mean()
    plain = (g - e).square().mean() + bound / math.log(2)
    assert found == pytest.approx(plain.item(), rel=2e-3)


def test_the_bound_moves_the_variance_and_never_the_prediction() -> None:
    x_0 = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))

    def gradient(diffusion: Diffusion, answer: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        guess, variance = torch.zeros_like(x_0, requires_grad=True), torch.zeros_like(x_0, requires_grad=True)
        diffusion.loss(lambda _x, _t: answer(guess, variance), x_0, row_draws(list(range(6)))).backward()
        assert guess.grad is not None
        return guess.grad, torch.zeros_like(x_0) if variance.grad is None else variance.grad

    with_variance = gradient(Diffusion(), lambda guess, variance: torch.cat([guess, variance], dim=1))
    without = gradient(Diffusion(learns_variance=False), lambda guess, _: guess)
    torch.testing.assert_close(with_variance[0], without[0])
    assert with_variance[1].abs().min() > 0


def test_a_rectified_flow_is_told_the_way_from_the_image_to_the_noise() -> None:
    """Esser et al. 2024, section 2, eq. 1: x_t on the line between them, the middle levels drawn more often."""
    seen: list[tuple[Tensor, Tensor]] = []

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, t))
        return torch.zeros_like(x_t)

    x_0, draws = torch.full((4000, 1, 2, 2), 3.0), step_draws(0, 4000)
    loss = Diffusion("flow").loss(network, x_0, draws)
    (x_t, t) = seen[0]
    share = t[:, None, None, None] / TIMESTEPS
    epsilon = (x_t - (1 - share) * x_0) / share
    torch.testing.assert_close(loss, (epsilon - x_0).square().mean(), atol=0, rtol=1e-3)
    assert 0.66 < ((share > 0.2689) & (share < 0.7311)).float().mean() < 0.71  # one deviation of the logit


@pytest.mark.parametrize("prediction", [*PREDICTIONS, "flow"])
@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "unipc"])
def test_what_is_known_to_be_bounded_stays_within_its_bounds(prediction: Prediction, sampler: Sampler) -> None:
    """A network that is far off at every level, and says nothing at all."""
    bounds = ((-0.5, 1.0), (-2.0, -1.0))
    diffusion = Diffusion(prediction, "cosine", learns_variance=False, bounds=bounds)
    made = diffusion.sample(lambda x, _: 3 * x, torch.randn(4, 2, 3, 3), sampler, 10, row_draws([1, 2, 3, 4]))
    for channel, (low, high) in enumerate(bounds):
        assert low - 1e-3 <= made[:, channel].min() <= made[:, channel].max() <= high + 1e-3


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_bounds_that_are_wide_enough_change_nothing(prediction: Prediction) -> None:
    draws, plain = row_draws([1, 2]), Diffusion(prediction, learns_variance=True)
    wide = Diffusion(prediction, learns_variance=True, bounds=((-1e4, 1e4),))
    start, network = draws.normal(1, 4, 4), exact(plain, plain.scheduler("ddpm", 10).timesteps.tolist())
    made = [which.sample(network, start, "ddpm", 10, row_draws([1, 2])) for which in (plain, wide)]
    torch.testing.assert_close(made[0], made[1], atol=1e-3, rtol=1e-3)


# Guidance by a part of the time, and by a weaker self


@dataclass
class Told:
    """A network that says what it was told, and keeps count."""

    rows: int = 0

    def __call__(self, x_t: Tensor, t: Tensor, condition: Tensor, *, weaker: bool = False) -> Tensor:
        self.rows += len(x_t)
        return condition[:, :1, None, None].expand_as(x_t) * (0.5 if weaker else 1.0)


def steered(sampling: Sampling) -> tuple[Tensor, int]:
    """What comes out at a single step of x0 prediction, and how many rows went through the network."""
    embedding = LabelEmbedding(1, 1, "whole")
    with torch.no_grad():
        for layer in (embedding.first, embedding.second):
            layer.weight.fill_(1)
            layer.bias.fill_(0)
    network, diffusion = Told(), Diffusion("x0", learns_variance=False)
    labelled = Labelled(network, embedding, diffusion, (1, 2, 2))
    return labelled.sample(torch.ones(3, 1), row_draws([1, 2, 3]), sampling), network.rows


@pytest.mark.parametrize(
    ("sampling", "value", "rows"),
    [
        (Sampling(1.0, "ddim", 1), 1.0, 3),
        (Sampling(3.0, "ddim", 1), 3.0, 6),  # 0 + 3 (1 - 0)
        (Sampling(3.0, "ddim", 1, guide="weaker"), 2.0, 6),  # 0.5 + 3 (1 - 0.5)
        (Sampling(3.0, "ddim", 1, interval=(0.0, 0.5)), 1.0, 3),  # the only step is at the noisy end
        (Sampling(3.0, "ddim", 4, interval=(0.0, 0.5)), 3.0, 2 * 3 + 2 * 6),
    ],
)
def test_guidance_leads_away_from_its_guide_where_it_is_asked_to(sampling: Sampling, value: float, rows: int) -> None:
    made, went_through = steered(sampling)
    torch.testing.assert_close(made, torch.full((3, 1, 2, 2), value))
    assert went_through == rows


@pytest.mark.parametrize("noise_schedule", ["linear", "scaled-linear", "cosine"])
def test_a_schedule_goes_from_nearly_clean_to_nearly_noise(noise_schedule: str) -> None:
    diffusion = Diffusion(noise_schedule=noise_schedule)  # type: ignore[arg-type]
    a_bar = a_bar_of(diffusion)
    assert len(a_bar) == TIMESTEPS
    assert (a_bar.diff() < 0).all()
    assert a_bar[0] > 0.998
    assert a_bar[-1] < 2e-4
