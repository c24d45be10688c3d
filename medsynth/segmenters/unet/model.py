"""A U-Net that draws a mask at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.draws import Draws, RowDraws
from medsynth.nn.masks import overlap_loss
from medsynth.nn.unet import Shape, UNet
from medsynth.segmenters.unet.config import Config
from medsynth.shapes import Images, Loss, Masks

# The bottom attends; no other level does, so that images may be of any size.
SHAPES = {
    "tiny": Shape(channels=(8, 16, 16), blocks=1, attention=0, heads=4, groups=4),
    "small": Shape(channels=(16, 32, 64), blocks=1, attention=0, heads=4, groups=8),
    "paper": Shape(channels=(32, 64, 128, 256), blocks=1, attention=0, heads=4, groups=8),
}


class Model(nn.Module):
    """diffusers' network, which is told no time and no condition here: both are zero."""

    def __init__(self, config: Config, *, channels: int) -> None:
        super().__init__()
        self.shape, self.colours = SHAPES[config.size], channels
        self.halvings = len(self.shape.channels) - 1
        nominal = 2 ** (self.halvings + 2)  # a side that has room for all levels; any other will do as well
        self.unet = UNet(self.shape, (channels, nominal, nominal), 1)

    def loss(self, images: Images, masks: Masks, draws: Draws) -> Loss:
        """Cross-entropy and Dice."""
        return overlap_loss(self.logits(images), masks).mean()

    def logits(self, images: Images) -> Tensor:
        """(batch, 1, row, column). The border is repeated to a size that can be halved often enough."""
        rows, columns = images.shape[2:]
        down, right = ((-side) % 2**self.halvings for side in (rows, columns))
        wide = F.pad(images, (0, right, 0, down), mode="replicate")
        nothing = images.new_zeros(len(images), self.unet.width)
        return self.unet(wide, images.new_zeros(len(images)), nothing)[:, :, :rows, :columns]

    @torch.no_grad()
    def predict(self, images: Images, draws: RowDraws, runs: int | None = None) -> Tensor:
        """Probabilities, (batch, 1, row, column): nothing is random, and more runs would be the same."""
        return self.sample(images, draws)

    def sample(self, images: Images, draws: RowDraws, *, fast: bool = True) -> Tensor:
        """One run: probabilities, (batch, 1, row, column)."""
        return self.logits(images).sigmoid()

    def round(self, images: Images, draws: RowDraws) -> Tensor:
        """A run has no parts that repeat."""
        return self.sample(images, draws)

    def macs(self, grid: tuple[int, int]) -> int:
        """Multiply-accumulates for one image."""
        rows, columns = (side + (-side) % 2**self.halvings for side in grid)
        with torch.device("meta"):
            return UNet(self.shape, (self.colours, rows, columns), 1).macs()
