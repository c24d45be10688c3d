"""Noise and its removal: the one diffusion that every continuous generator is trained and sampled with.

Letters as in Ho et al. 2020 and Nichol & Dhariwal 2021: x_0 clean, x_t noised, a_bar the product of 1 - beta.
    x_t = sqrt(a_bar_t) x_0 + sqrt(1 - a_bar_t) epsilon
    v   = sqrt(a_bar_t) epsilon - sqrt(1 - a_bar_t) x_0                        (Salimans & Ho 2022, appendix D)
A network may answer with twice the channels: the second half then says where between its two bounds the logarithm of
the variance lies (Nichol & Dhariwal, eq. 15).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from medsynth.draws import Draws, RowDraws
from medsynth.shapes import Latents, Loss

TIMESTEPS = 1000
Prediction = Literal["epsilon", "v", "x0"]
Sampler = Literal["ddpm", "ddim", "dpm++"]

Denoiser = Callable[[Latents, Tensor], Tensor]  # x_t, t (batch,) -> prediction, then variance channels if there are any


@dataclass(frozen=True)
class Diffusion:
    """A noise schedule and what the network predicts in it."""

    prediction: Prediction = "epsilon"
    noise_schedule: Literal["linear", "cosine"] = "linear"
    learns_variance: bool = True
    min_snr: float = 0.0  # gamma of Hang et al. 2023; 0 weighs all noise levels alike

    def betas(self) -> Tensor:
        """beta_1 .. beta_T, float64, (TIMESTEPS,). Linear: Ho et al. 2020; cosine: Nichol & Dhariwal 2021, eq. 17."""
        if self.noise_schedule == "linear":
            return torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)
        t = torch.arange(TIMESTEPS + 1, dtype=torch.float64) / TIMESTEPS
        a_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        return (1 - a_bar[1:] / a_bar[:-1]).clamp(max=0.999)

    def loss(self, network: Denoiser, x_0: Latents, draws: Draws) -> Loss:
        """Mean squared error of the prediction; with learned variance, plus the bound with the mean held fixed.

        One noise level a row. The bound is scaled by T/1000, which is 1 here (Nichol & Dhariwal, section 3.1).
        """
        t = (draws.uniform() * TIMESTEPS).long()
        epsilon = draws.normal(*x_0.shape[1:]).to(x_0)
        a_bar = self.betas().neg().add(1).cumprod(0)[t].float().to(x_0.device)[:, None, None, None]
        x_t = a_bar.sqrt() * x_0 + (1 - a_bar).sqrt() * epsilon
        answer = network(x_t, t.to(x_0.device)).float()
        predicted, variance = answer.chunk(2, dim=1) if self.learns_variance else (answer, None)
        velocity = a_bar.sqrt() * epsilon - (1 - a_bar).sqrt() * x_0
        target = {"epsilon": epsilon, "x0": x_0, "v": velocity}[self.prediction]
        weight = self._weight(a_bar.flatten())
        value = (weight * (predicted - target).square().flatten(1).mean(1)).mean()
        if variance is not None:
            clean = self.clean(predicted.detach(), x_t, a_bar)
            value = value + self._bound(x_0, x_t, t, clean, variance)
        return value

    def clean(self, predicted: Tensor, x_t: Latents, a_bar: Tensor) -> Latents:
        """x_0 as the prediction implies it."""
        if self.prediction == "x0":
            return predicted
        if self.prediction == "epsilon":
            return (x_t - (1 - a_bar).sqrt() * predicted) / a_bar.sqrt()
        return a_bar.sqrt() * x_t - (1 - a_bar).sqrt() * predicted

    def scheduler(self, sampler: Sampler, steps: int) -> Any:
        """diffusers' scheduler of this diffusion, its timesteps set: from T - 1 down, evenly spaced."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

        shared: dict[str, Any] = {
            "num_train_timesteps": TIMESTEPS,
            "trained_betas": self.betas().float().numpy(),
            "prediction_type": {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}[self.prediction],
        }
        if sampler == "ddpm":
            variance = "learned_range" if self.learns_variance else "fixed_small"
            scheduler = DDPMScheduler(variance_type=variance, clip_sample=False, **shared)
            scheduler.set_timesteps(timesteps=respaced(steps))  # the exact respacing of Nichol & Dhariwal, section 4
            return scheduler
        # DDIM is the solver of first order (Lu et al. 2022, section 4.1). diffusers' own goes from t to t - T // steps
        # whatever the next timestep is, so that most numbers of steps end off the mean.
        order = 1 if sampler == "ddim" else 2
        scheduler = DPMSolverMultistepScheduler(solver_order=order, final_sigmas_type="zero", **shared)
        scheduler.set_timesteps(timesteps=[round(TIMESTEPS * (steps - i) / steps) - 1 for i in range(steps)])
        return scheduler

    def sample(self, network: Denoiser, start: Latents, sampler: Sampler, steps: int, draws: RowDraws) -> Latents:
        """From noise to latents. Each row's noise comes from its own generator, so no row depends on its batch."""
        scheduler = self.scheduler(sampler, steps)
        x = start * scheduler.init_noise_sigma
        for t in scheduler.timesteps.tolist():
            answer = network(scheduler.scale_model_input(x, t), torch.full((len(x),), t, device=x.device)).float()
            if self.learns_variance and sampler != "ddpm":
                answer = answer.chunk(2, dim=1)[0]
            # Only the ancestral sampler adds noise; the other two would refuse a generator or not use it.
            noisy = {"generator": draws.generators} if sampler == "ddpm" else {}
            x = scheduler.step(answer, t, x, **noisy).prev_sample
        return x

    def _weight(self, a_bar: Tensor) -> Tensor:
        """min-SNR-gamma for each kind of prediction (Hang et al. 2023, section 3.4); (batch,)."""
        if not self.min_snr:
            return torch.ones_like(a_bar)
        snr = a_bar / (1 - a_bar)
        return snr.clamp(max=self.min_snr) / {"epsilon": snr, "x0": torch.ones_like(snr), "v": snr + 1}[self.prediction]

    def _bound(self, x_0: Latents, x_t: Latents, t: Tensor, clean: Latents, variance: Tensor) -> Loss:
        """L_vlb of the learned variance, bits a dimension (Nichol & Dhariwal, eq. 4 to 6 and 15), (1,)."""
        betas = self.betas()
        a_bar = (1 - betas).cumprod(0)
        a_bar_before = torch.cat([torch.ones(1, dtype=torch.float64), a_bar[:-1]])
        posterior = betas * (1 - a_bar_before) / (1 - a_bar)
        posterior[0] = posterior[1]  # the first is zero: its logarithm would not be a number

        def at(values: Tensor) -> Tensor:
            return values[t].float().to(x_0.device)[:, None, None, None]

        of_clean = at(betas * a_bar_before.sqrt() / (1 - a_bar))
        of_noised = at((1 - a_bar_before) * (1 - betas).sqrt() / (1 - a_bar))
        low, high = at(posterior.log()), at(betas.log())
        share = (variance + 1) / 2
        log_variance = share * high + (1 - share) * low
        true_mean, mean = (of_clean * x + of_noised * x_t for x in (x_0, clean))
        divergence = 0.5 * (
            log_variance - low - 1 + (low - log_variance).exp() + (true_mean - mean) ** 2 * (-log_variance).exp()
        )
        # The last step decodes continuous latents: their density under the predicted normal, not a sum over pixel bins.
        likelihood = 0.5 * (math.log(2 * math.pi) + log_variance + (x_0 - mean) ** 2 * (-log_variance).exp())
        each = torch.where(t.to(x_0.device)[:, None, None, None] == 0, likelihood, divergence)
        return each.flatten(1).mean(1).mean() / math.log(2)


def respaced(steps: int) -> list[int]:
    """`steps` timesteps from T - 1 down to 0, as even as whole numbers allow."""
    if steps == 1:
        return [TIMESTEPS - 1]
    return sorted({round(i * (TIMESTEPS - 1) / (steps - 1)) for i in range(steps)}, reverse=True)


def guided(conditional: Tensor, unconditional: Tensor, scale: float, channels: int) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6) of the first `channels`; the rest stays conditional."""
    steered = unconditional[:, :channels] + scale * (conditional[:, :channels] - unconditional[:, :channels])
    return torch.cat([steered, conditional[:, channels:]], dim=1)
