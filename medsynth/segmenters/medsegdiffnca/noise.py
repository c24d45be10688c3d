"""Noise on masks and its removal, in any number of levels.

Letters as in Ho et al. 2020: x_0 the mask, x_t = sqrt(a_bar_t) x_0 + sqrt(1 - a_bar_t) epsilon. Unlike the diffusion of
the generators this one has few levels if asked for, no variance to learn, and what it thinks of the mask at every step.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from medsynth.draws import RowDraws

Predicted = Literal["epsilon", "v", "x0"]
Cleaner = Callable[[Tensor, Tensor], Tensor]  # x_t, t (batch,) -> x_0 as it is thought to be


@dataclass(frozen=True)
class Noise:
    """A schedule of noise."""

    levels: int
    schedule: Literal["linear", "cosine"]
    shift: float = 1.0  # mask and noise in so many times a smaller ratio (Hoogeboom et al. 2023, section 3.1)

    @cached_property
    def a_bar(self) -> Tensor:
        """(levels,), float64. linear: beta from 0.1 / levels to 20 / levels, which for 1000 are the usual ones."""
        if self.schedule == "linear":
            beta = torch.linspace(0.1 / self.levels, min(20 / self.levels, 0.999), self.levels, dtype=torch.float64)
            a_bar = (1 - beta).cumprod(0)
        else:
            t = (torch.arange(self.levels, dtype=torch.float64) + 1) / self.levels
            a_bar = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
        a_bar = a_bar.clamp(1e-8, 1 - 1e-8)
        return torch.sigmoid(torch.logit(a_bar) + 2 * math.log(self.shift))

    def shares(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """How much mask and how much noise there is in x_t, each (batch, 1, 1, 1), float32; t (batch,), on the CPU."""
        a_bar = self.a_bar[t][:, None, None, None]
        return a_bar.sqrt().float(), (1 - a_bar).sqrt().float()

    def snr(self, t: Tensor) -> Tensor:
        """(batch,), float32"""
        return (self.a_bar[t] / (1 - self.a_bar[t])).float()

    def target(self, predicted: Predicted, x_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        """What the network is to say. v as in Salimans & Ho 2022."""
        signal, noise = (share.to(x_0.device) for share in self.shares(t))
        return {"epsilon": epsilon, "x0": x_0, "v": signal * epsilon - noise * x_0}[predicted]

    def clean(self, predicted: Predicted, answer: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x_0 as the network's answer implies it."""
        signal, noise = (share.to(x_t.device) for share in self.shares(t))
        if predicted == "x0":
            return answer
        return (x_t - noise * answer) / signal if predicted == "epsilon" else signal * x_t - noise * answer

    def weight(self, predicted: Predicted, t: Tensor, gamma: float) -> Tensor:
        """min-SNR-gamma (Hang et al. 2023, section 3.4), (batch,); ones where gamma is 0."""
        if not gamma:
            return torch.ones(len(t))
        snr = self.snr(t)
        return snr.clamp(max=gamma) / {"epsilon": snr, "x0": torch.ones_like(snr), "v": snr + 1}[predicted]

    def timesteps(self, steps: int, start: float) -> list[int]:
        """`steps` levels from a share of the noisiest on down, evenly spaced, the last of them the first step's."""
        first = max(0, round(self.levels * start) - 1)
        return [round(first * (1 - i / steps)) for i in range(steps)] if steps <= first else [*range(first, -1, -1)]

    def sample(
        self, cleaner: Cleaner, x: Tensor, timesteps: list[int], draws: RowDraws, sampler: Literal["ddpm", "ddim"]
    ) -> Tensor:
        """x_0 as it is thought to be at the last step.

        ddim: Song et al. 2021 without noise. ddpm: ancestral, with the variance beta of the step, as published.
        """
        signal: list[float] = self.a_bar.tolist()
        for t, s in zip(timesteps, [*timesteps[1:], None], strict=True):
            x_0 = cleaner(x, torch.full((len(x),), t))
            if s is None:
                break
            at, to = signal[t], signal[s]
            if sampler == "ddim":
                epsilon = (x - math.sqrt(at) * x_0) / math.sqrt(1 - at)
                x = math.sqrt(to) * x_0 + math.sqrt(1 - to) * epsilon
            else:
                beta = 1 - at / to
                of_clean, of_noised = (math.sqrt(to) * beta / (1 - at), (1 - to) * math.sqrt(1 - beta) / (1 - at))
                x = of_clean * x_0 + of_noised * x + math.sqrt(beta) * draws.normal(*x.shape[1:]).to(x)
        return x_0
