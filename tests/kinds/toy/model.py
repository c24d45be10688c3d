"""Labels -> the mean of the latents that had them, with noise about it."""

import torch
from torch import Tensor, nn

from medsynth.codecs import Code
from medsynth.draws import Draws, RowDraws
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss


class Model(nn.Module):
    """One linear layer."""

    def __init__(self, config: object, *, code: Code, labels: int) -> None:
        super().__init__()
        self.code = code
        self.mean = nn.Linear(labels, code.shape[0])

    def loss(self, latents: Latents, labels: Labels, draws: Draws, augmentation: Tensor | None = None) -> Loss:
        return (latents - self.mean(labels)[:, :, None, None]).square().mean()

    def macs(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def evaluations(self, sampling: Sampling) -> float:
        return 1

    @torch.no_grad()
    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        return self.mean(labels)[:, :, None, None] + 0.5 * draws.normal(*self.code.shape)
