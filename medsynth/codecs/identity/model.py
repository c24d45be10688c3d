"""Pixels, scaled to unit variance."""

from typing import Any

import torch
from torch import Tensor, nn

from medsynth.codecs import Code, Picture
from medsynth.codecs.identity.config import Config
from medsynth.codecs.scale import Scale
from medsynth.draws import Draws
from medsynth.shapes import Images, Latents, Loss, Posterior

LOG_VARIANCE_OF_NOTHING = -60.0  # exp of it is below any float32 pixel's resolution


class Model(nn.Module):
    """The codec that changes nothing."""

    trains = False

    def __init__(self, config: Config, picture: Picture) -> None:
        super().__init__()
        self.picture, self.shape = picture, (picture.planes, picture.size, picture.size)
        self.scale = Scale(picture.planes)
        self.code = self._code()
        self.register_load_state_dict_post_hook(_know_the_code)

    def _code(self) -> Code:
        """The pixels, which lie between black and white. To be worked out again whenever the scale has changed."""
        black, white = (self.scale(torch.full_like(self.scale.mean, end)).flatten().tolist() for end in (-1.0, 1.0))
        return Code(self.shape, tuple(zip(black, white, strict=True)))

    @classmethod
    def from_facts(cls, config: Config, picture: Picture, facts: dict[str, Any]) -> "Model":
        return cls(config, picture)

    def facts(self) -> dict[str, Any]:
        return {}

    def begin(self, images: Images) -> None:
        """There is nothing to begin with."""

    def loss(self, images: Images, draws: Draws) -> Loss:
        return images.new_zeros(())

    def encode(self, images: Images) -> Posterior:
        return torch.cat([images, torch.full_like(images, LOG_VARIANCE_OF_NOTHING)], dim=1)

    def latents(self, posterior: Posterior, noise: Tensor) -> Latents:
        return self.scale(posterior.chunk(2, dim=1)[0])

    def measure(self, posterior: Posterior) -> None:
        self.scale.measure(posterior.chunk(2, dim=1)[0])
        self.code = self._code()

    def decode(self, latents: Latents) -> Images:
        return self.scale.undo(latents).clamp(-1, 1)

    def embed(self, latents: Latents) -> Tensor:
        return latents.flatten(1)


def _know_the_code(model: Model, _missing: object) -> None:
    model.code = model._code()
