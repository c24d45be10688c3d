"""A network that is told labels: its loss, and sampling with guidance. For all generators that keep no state between
the steps of diffusion."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from medsynth.draws import Draws, RowDraws
from medsynth.nn.diffusion import Diffusion, guided
from medsynth.nn.embeddings import LabelEmbedding
from medsynth.sampling import Sampling
from medsynth.shapes import Labels, Latents, Loss


class Network(Protocol):
    """What predicts. `weaker` asks for a prediction that is worse in a like manner, to be led away from."""

    def __call__(self, x_t: Latents, t: Tensor, condition: Tensor, *, weaker: bool = False) -> Tensor: ...


@dataclass(frozen=True)
class Labelled:
    """A network, what tells it the labels, and its diffusion."""

    network: Network
    labels: LabelEmbedding
    diffusion: Diffusion
    shape: tuple[int, ...]  # of one latent

    def loss(
        self, latents: Latents, labels: Labels, draws: Draws, hidden: float, augmentation: Tensor | None = None
    ) -> Loss:
        """The diffusion's loss, the labels hidden at the rate `hidden`."""
        condition = self.labels.with_dropout(labels, hidden, draws, augmentation)
        return self.diffusion.loss(lambda x_t, t: self.network(x_t, t, condition), latents, draws)

    @torch.no_grad()
    def sample(self, labels: Labels, draws: RowDraws, sampling: Sampling) -> Latents:
        """Latents for labels. With and without labels go in one batch; where guidance rests, only the first goes."""
        device = next(self.labels.parameters()).device
        condition = self.labels(labels.to(device))
        both = torch.cat([condition, self.labels.unconditional(len(condition))])
        channels = self.shape[0]

        def network(x_t: Latents, t: Tensor) -> Tensor:
            scale = sampling.scale_at(float(t[0]))
            if scale == 1:
                return self.network(x_t, t, condition)
            if sampling.guide == "weaker":
                strong = self.network(x_t, t, condition)
                return guided(strong, self.network(x_t, t, condition, weaker=True), scale, channels)
            prediction, guide = self.network(x_t.repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
            return guided(prediction, guide, scale, channels)

        start = draws.normal(*self.shape).to(device)
        return self.diffusion.sample(network, start, sampling.sampler, sampling.steps, draws)

    def evaluations(self, sampling: Sampling) -> float:
        """Passes of the network for one image; that of a weaker self counts in full, though it may be a part of one."""
        return self.diffusion.evaluations(sampling)
