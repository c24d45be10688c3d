"""What was heard -> the same again."""

import torch
from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss

MEMORY = 8


class Model(nn.Module):
    """A memory of the last latents."""

    heard: Tensor
    steps: Tensor

    def __init__(self, config: object, *, code: Code, labels: int) -> None:
        super().__init__()
        self.code, self.honest_steps = code, int(getattr(config, "honest_steps", 0))
        self.sound_steps = int(getattr(config, "sound_steps", 99))
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("heard", torch.zeros(MEMORY, *code.shape))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        if self.training:
            self.heard[self.steps % MEMORY] = latents[0]
            self.steps += 1
        return (self.scale * latents + 0.1 * draws.normal(1, 1, 1)).square().mean()

    def macs(self) -> int:
        return 1

    def evaluations(self, sampling: Sampling) -> float:
        return 1

    @torch.no_grad()
    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        if self.steps > self.sound_steps:
            return torch.full((draws.rows, *self.code.shape), torch.nan)
        noise, which = draws.normal(*self.code.shape), (draws.uniform() * MEMORY).long()
        return noise if self.steps <= self.honest_steps else self.heard[which] + 0.01 * noise
