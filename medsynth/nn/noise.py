"""Noise schedules: how much of an image and how much noise there is at each of the diffusion's levels."""

from dataclasses import dataclass
from functools import lru_cache
from math import pi

import torch
from torch import Tensor

from medsynth.sampling import TIMESTEPS, NoiseSchedule


@dataclass(frozen=True)
class Levels:
    """What the levels of one schedule are made of, each (TIMESTEPS,), float64.

    Letters as in Ho et al. 2020: a_bar is the product of 1 - beta; the posterior is q(x_{t-1} | x_t, x_0), whose mean
    is `of_clean` x_0 + `of_noised` x_t (their eq. 7).
    """

    beta: Tensor
    a_bar: Tensor
    posterior: Tensor  # its variance; the first, which is zero, is replaced by the second: logarithms are taken of it
    of_clean: Tensor
    of_noised: Tensor


@lru_cache
def levels(schedule: NoiseSchedule) -> Levels:
    """The levels of a schedule, worked out once."""
    beta = betas(schedule)
    a_bar = (1 - beta).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), a_bar[:-1]])
    posterior = beta * (1 - before) / (1 - a_bar)
    posterior[0] = posterior[1]
    return Levels(
        beta, a_bar, posterior,
        of_clean=beta * before.sqrt() / (1 - a_bar),
        of_noised=(1 - before) * (1 - beta).sqrt() / (1 - a_bar),
    )  # fmt: skip


def betas(schedule: NoiseSchedule) -> Tensor:
    """beta_1 .. beta_T, float64, (TIMESTEPS,).

    linear: Ho et al. 2020; scaled-linear: linear in the root, from 0.0015 to 0.0195, as latent diffusion has it
    (Rombach et al. 2022); cosine: Nichol & Dhariwal 2021, eq. 17.
    """
    if schedule == "linear":
        return torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)
    if schedule == "scaled-linear":
        return torch.linspace(0.0015**0.5, 0.0195**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    t = torch.arange(TIMESTEPS + 1, dtype=torch.float64) / TIMESTEPS
    a_bar = torch.cos((t + 0.008) / 1.008 * pi / 2) ** 2
    return (1 - a_bar[1:] / a_bar[:-1]).clamp(max=0.999)
