"""Noise and its removal: the one diffusion that every continuous generator is trained and sampled with.

Letters as in Ho et al. 2020 and Nichol & Dhariwal 2021: x_0 clean, x_t noised, a_bar the product of 1 - beta.
    x_t = signal x_0 + noise epsilon,      signal = sqrt(a_bar_t), noise = sqrt(1 - a_bar_t)
    v   = signal epsilon - noise x_0                                           (Salimans & Ho 2022, appendix D)
Latents have unit deviation, and there v, sign aside, is what a network behind the preconditioning of Karras et al. 2022
(table 1, sigma = noise / signal, sigma_data = 1) is trained for: choosing v is choosing that.
Rectified flow (Liu et al. 2023) goes in a straight line instead, and is told the way:
    x_t = (1 - s) x_0 + s epsilon,         flow = epsilon - x_0,      s = t / TIMESTEPS
A network may answer with twice the channels: the second half then says where between its two bounds the logarithm of
the variance lies (Nichol & Dhariwal, eq. 15).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medsynth.draws import Draws, RowDraws
from medsynth.errors import BadUsage
from medsynth.nn.noise import levels
from medsynth.sampling import TIMESTEPS, NoiseSchedule, Prediction, Sampler, Sampling
from medsynth.shapes import Latents, Loss

Denoiser = Callable[[Latents, Tensor], Tensor]  # x_t, t (batch,) -> prediction, then variance channels if there are any


@dataclass(frozen=True)
class Diffusion:
    """A noise schedule and what the network predicts in it. Rectified flow has no schedule and no variance to learn."""

    prediction: Prediction = "epsilon"
    noise_schedule: NoiseSchedule = "linear"
    learns_variance: bool = True
    min_snr: float = 0.0  # gamma of Hang et al. 2023; 0 weighs all noise levels alike
    bounds: tuple[tuple[float, float], ...] | None = None  # x_0 is known to lie between, channel by channel

    @property
    def has_variance(self) -> bool:
        return self.learns_variance and self.prediction != "flow"

    def loss(self, network: Denoiser, x_0: Latents, draws: Draws) -> Loss:
        """Mean squared error of the prediction, one noise level a row; plus the bound where a variance is learnt.

        The sum is L_hybrid = L_simple + 0.001 L_vlb (Nichol & Dhariwal, eq. 16): L_vlb is the sum of the bound over the
        1000 levels, which a single random level times 1000 estimates. The bound's mean is held fixed (section 3.1).
        """
        t = self._level(draws)
        signal, noise = (part.float().to(x_0.device)[:, None, None, None] for part in self.shares(t))
        epsilon = draws.normal(*x_0.shape[1:]).to(x_0)
        x_t = signal * x_0 + noise * epsilon
        answer = network(x_t, t).float()
        predicted, variance = answer.chunk(2, dim=1) if self.has_variance else (answer, None)
        error = (predicted - self._target(x_0, epsilon, signal, noise)).square().flatten(1).mean(1)
        value = (self._weight(signal.flatten(), noise.flatten()) * error).mean()
        if variance is not None:
            value = value + self._bound(x_0, x_t, t, self.clean(predicted.detach(), x_t, signal, noise), variance)
        return value

    def shares(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """How much image and how much noise there is in x_t, each (batch,), float64."""
        if self.prediction == "flow":
            return 1 - t.double() / TIMESTEPS, t.double() / TIMESTEPS
        a_bar = levels(self.noise_schedule).a_bar[t]
        return a_bar.sqrt(), (1 - a_bar).sqrt()

    def clean(self, predicted: Tensor, x_t: Latents, signal: Tensor, noise: Tensor) -> Latents:
        """x_0 as the prediction implies it."""
        if self.prediction == "x0":
            return predicted
        if self.prediction == "epsilon":
            return (x_t - noise * predicted) / signal
        return (signal * x_t if self.prediction == "v" else x_t) - noise * predicted

    def scheduler(self, sampler: Sampler, steps: int) -> Any:
        """diffusers' scheduler of this diffusion, its timesteps set: from T - 1 down, evenly spaced."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
        from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
        from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

        kinds = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample", "flow": "flow_prediction"}
        shared: dict[str, Any] = {
            "num_train_timesteps": TIMESTEPS,
            "trained_betas": levels(self.noise_schedule).beta.float().numpy(),
            "prediction_type": kinds[self.prediction],
        }
        if sampler == "ddpm":
            if self.prediction == "flow":
                raise BadUsage(
                    "ddpm adds noise at every step, and rectified flow has none to add",
                    hint="--set expand.sampler=dpm++, or train again with --set generator.prediction=v",
                )
            variance = "learned_range" if self.learns_variance else "fixed_small"
            scheduler = DDPMScheduler(variance_type=variance, clip_sample=False, **shared)
            scheduler.set_timesteps(timesteps=respaced(steps))  # the exact respacing of Nichol & Dhariwal, section 4
            return scheduler
        # DDIM is the solver of first order (Lu et al. 2022, section 4.1); of a flow, Euler's. The library's own DDIM
        # goes from t to t - T // steps whatever the next timestep is, so that most numbers of steps end off the mean.
        shared |= {"solver_order": 1 if sampler == "ddim" else 2, "final_sigmas_type": "zero"}
        shared |= {"timestep_spacing": "trailing", "use_flow_sigmas": self.prediction == "flow"}
        scheduler = (UniPCMultistepScheduler if sampler == "unipc" else DPMSolverMultistepScheduler)(**shared)
        scheduler.set_timesteps(steps)
        # The library counts down in fractions: for some numbers of steps rounding lets one too many in, below the last
        # level. And it looks up where to begin by the timestep, which of a flow may be there twice.
        scheduler.timesteps = scheduler.timesteps[:steps]
        scheduler.sigmas = torch.cat([scheduler.sigmas[:steps], scheduler.sigmas[-1:]])
        scheduler.set_begin_index(0)
        return scheduler

    def sample(self, network: Denoiser, start: Latents, sampler: Sampler, steps: int, draws: RowDraws) -> Latents:
        """From noise to latents. Each row's noise comes from its own generator, so no row depends on its batch.

        The network is given t on the CPU, so that a choice by its value does not wait for a GPU.
        """
        scheduler = self.scheduler(sampler, steps)
        x = start * scheduler.init_noise_sigma
        for t, level in zip(scheduler.timesteps.tolist(), self._levels(scheduler), strict=True):
            answer = self._bounded(network(x, torch.full((len(x),), level)).float(), x, level)
            if self.has_variance and sampler != "ddpm":
                answer = answer.chunk(2, dim=1)[0]
            # Only the ancestral sampler adds noise; the others would refuse a generator or not use it.
            noisy = {"generator": draws.generators} if sampler == "ddpm" else {}
            x = scheduler.step(answer, t, x, **noisy).prev_sample
        return x

    def _bounded(self, answer: Tensor, x_t: Latents, t: float) -> Tensor:
        """The answer, its x_0 brought within the bounds: at the noisiest levels a small error implies a huge x_0.

        As Ho et al. 2020 sample pixels, though for them it is a detail of the code.
        """
        if self.bounds is None:
            return answer
        channels = x_t.shape[1]
        signal, noise = (part.to(x_t.device) for part in self.shares(torch.tensor(t)))
        low, high = torch.tensor(self.bounds, device=x_t.device).T[:, :, None, None]
        clean = self.clean(answer[:, :channels], x_t, signal, noise).clamp(low, high).float()
        epsilon = ((x_t - signal * clean) / noise).float()
        return torch.cat([self._target(clean, epsilon, signal, noise).float(), answer[:, channels:]], dim=1)

    def evaluations(self, sampling: Sampling) -> float:
        """Passes of the network for one image: one a step, and another where guidance is at work."""
        at = self._levels(self.scheduler(sampling.sampler, sampling.steps))
        return sum(1 if sampling.scale_at(level) == 1 else 2 for level in at)

    def _levels(self, scheduler: Any) -> list[float]:
        """What the network is told at each step. The library rounds the levels of a flow to whole timesteps, for its
        own book-keeping only."""
        told = TIMESTEPS * scheduler.sigmas[:-1] if self.prediction == "flow" else scheduler.timesteps
        return list(told.tolist())

    def _level(self, draws: Draws) -> Tensor:
        """A random t for each row: any of the levels alike; for rectified flow the middle ones more often.

        The latter is the logit-normal density of Esser et al. 2024, section 3.1, with mean 0 and deviation 1.
        """
        if self.prediction == "flow":
            return TIMESTEPS * draws.normal().sigmoid()
        return (draws.uniform() * TIMESTEPS).long()

    def _target(self, x_0: Latents, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        if self.prediction == "v":
            return signal * epsilon - noise * x_0
        return {"epsilon": epsilon, "x0": x_0, "flow": epsilon - x_0}[self.prediction]

    def _weight(self, signal: Tensor, noise: Tensor) -> Tensor:
        """min-SNR-gamma for each kind of prediction (Hang et al. 2023, section 3.4); (batch,)."""
        if not self.min_snr or self.prediction == "flow":
            return torch.ones_like(signal)
        snr = (signal / noise).square()
        return snr.clamp(max=self.min_snr) / {"epsilon": snr, "x0": torch.ones_like(snr), "v": snr + 1}[self.prediction]

    def _bound(self, x_0: Latents, x_t: Latents, t: Tensor, clean: Latents, variance: Tensor) -> Loss:
        """L_vlb at one level, bits a dimension (Nichol & Dhariwal, eq. 4 to 6 and 15), (1,)."""
        known = levels(self.noise_schedule)

        def at(values: Tensor) -> Tensor:
            return values[t].float().to(x_0.device)[:, None, None, None]

        low, high = at(known.posterior.log()), at(known.beta.log())
        share = (variance + 1) / 2
        log_variance = share * high + (1 - share) * low
        true_mean, mean = (at(known.of_clean) * x + at(known.of_noised) * x_t for x in (x_0, clean))
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


def guided(prediction: Tensor, guide: Tensor, scale: float, channels: int) -> Tensor:
    """A prediction led away from a guide's, in its first `channels`; the rest stays as it is.

    With a guide that knows no labels this is classifier-free guidance (Ho & Salimans 2022, eq. 6), with a weaker one
    autoguidance (Karras et al. 2024, eq. 3).
    """
    steered = guide[:, :channels] + scale * (prediction[:, :channels] - guide[:, :channels])
    return torch.cat([steered, prediction[:, channels:]], dim=1)
