"""A codec, and the discriminator that tells its reconstructions from pictures, as players of one training."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

from medsynth.codecs.vq.discriminator import Discriminator, critic_loss, painter_loss
from medsynth.draws import Draws
from medsynth.player import Player
from medsynth.shapes import Images, Loss

if TYPE_CHECKING:
    from medsynth.codecs.vq.model import Model

MOST = 1e4  # of the adaptive weight


def players(codec: "Model") -> list[Player]:
    """Who plays; the codec alone where nothing is to be won by a discriminator."""
    config, picture = codec.config, codec.picture
    if not config.adversary_weight:
        return [Player("codec", codec, lambda images, draws, _step: codec.loss(images, draws))]
    duel = Duel(codec, Discriminator(picture.channels, picture.size, config.adversary_norm))
    return [
        Player("codec", codec, duel.paint),
        Player(
            "discriminator", duel.critic, duel.criticise, config.adversary_learning_rate, config.adversary_betas,
            start=config.adversary_start,
        ),
    ]  # fmt: skip


class Duel:
    """The losses of both sides. What the codec has painted in a step is what the discriminator is shown in it."""

    def __init__(self, codec: "Model", critic: Discriminator) -> None:
        self.codec, self.critic, self.config = codec, critic, codec.config
        self.painted: Images | None = None

    def paint(self, images: Images, _draws: Draws, step: int) -> Loss:
        """The codec's loss, and the discriminator's verdict from its first step on (Esser et al. 2021, eq. 6)."""
        decoded, found = self.codec.reconstruct(images)
        error = self.codec.error(decoded, images)
        if step < self.config.adversary_start:
            return error + found.loss
        self.painted = decoded.detach()
        verdict = painter_loss(self.config.adversary_loss, self.critic(decoded))
        weight = adaptive(error, verdict, self.codec.decoder.conv_out.weight) if self.config.adversary_adaptive else 1.0
        return error + self.config.adversary_weight * weight * verdict + found.loss

    def criticise(self, images: Images, _draws: Draws, _step: int) -> Loss:
        assert self.painted is not None, "the codec plays first"
        return critic_loss(self.config.adversary_loss, self.critic(images), self.critic(self.painted))


def adaptive(error: Loss, verdict: Loss, layer: Tensor) -> Tensor:
    """The weight by which a verdict moves a layer as far as the error does (Esser et al. 2021, eq. 7)."""
    lengths = []
    for loss in (error, verdict):
        (gradient,) = torch.autograd.grad(loss, layer, retain_graph=True)
        if distributed.is_initialized():
            distributed.all_reduce(gradient)  # every process weighs alike
            gradient /= distributed.get_world_size()
        lengths.append(gradient.norm())
    return (lengths[0] / (lengths[1] + 1e-4)).clamp(0, MOST)
