"""Images to directions, and back, both linear: where the autoencoder begins when there is little to learn from.

From nothing, a few hundred images teach an autoencoder of this size to use a handful of its entries. So the principal
components of patches carry the picture from the first step on, and the networks beside them learn what they miss.
"""

import torch
from torch import Tensor, nn

from medsynth.codecs.shortcut import Shortcut
from medsynth.shapes import Images

SPREAD = 0.5  # deviation of the components against the 1 beside them
LEAST = 0.1  # of that 1 when a direction is read


class Beginning(nn.Module):
    """The components of a patch, and a 1 beside them: a direction that keeps how large they are."""

    def __init__(self, picture_channels: int, dimension: int, factor: int) -> None:
        super().__init__()
        self.shortcut = Shortcut(picture_channels, dimension - 1, factor)

    def encode(self, images: Images) -> Tensor:
        """(batch, dimension, row, column), not yet of unit length."""
        components = self.shortcut.encode(images)
        return torch.cat([torch.ones_like(components[:, :1]), components], dim=1)

    def decode(self, codes: Tensor) -> Images:
        """From directions of any length."""
        return self.shortcut.decode(codes[:, 1:] / codes[:, :1].clamp(min=LEAST))

    @torch.no_grad()
    def fit(self, images: Images) -> None:
        self.shortcut.fit(images, whitened=0.0)  # an entry stands for patches that look alike
        gain = SPREAD / self.shortcut.encode(images).std().clamp(min=1e-6)
        for part in self.shortcut.to_code.parameters():
            part.mul_(gain)
        self.shortcut.to_pixels.weight /= gain
