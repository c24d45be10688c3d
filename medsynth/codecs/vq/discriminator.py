"""Images to a verdict on each of their patches, and what the two sides make of it (Isola et al. 2017; Esser et al.
2021).
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.shapes import Images, Loss

WIDTH, STRIDED = 64, 3  # channels of the first layer; layers that halve the picture
GROUPS = 32
GanLoss = Literal["hinge", "vanilla", "non-saturating"]


class Discriminator(nn.Module):
    """PatchGAN: images -> logits (batch, 1, row, column), each of a patch of 70 pixels; above 0 it looks real.

    Pictures of less than 32 pixels get fewer layers. norm "batch" is as published: then logits depend on the other
    images of a process's batch.
    """

    def __init__(self, channels: int, size: int, norm: Literal["group", "batch"]) -> None:
        super().__init__()
        strided = max(1, min(STRIDED, size.bit_length() - 3))
        layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = WIDTH
        for layer in range(1, strided + 1):
            stride = 2 if layer < strided else 1
            layers.append(nn.Conv2d(width, 2 * width, 4, stride=stride, padding=1, bias=False))
            width *= 2
            layers.append(nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(GROUPS, width))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_begin)

    def forward(self, images: Images) -> Tensor:
        return self.layers(images)


def _begin(layer: nn.Module) -> None:
    """As pix2pix begins."""
    if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(layer.weight, 0.0 if isinstance(layer, nn.Conv2d) else 1.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def critic_loss(kind: GanLoss, real: Tensor, made: Tensor) -> Loss:
    """What the discriminator minimises, from its logits of real and of made images."""
    if kind == "hinge":  # Lim and Ye 2017
        return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())
    return 0.5 * (F.softplus(-real).mean() + F.softplus(made).mean())  # Goodfellow et al. 2014, eq. 1


def painter_loss(kind: GanLoss, made: Tensor) -> Loss:
    """What the maker of images minimises, from the discriminator's logits of them."""
    # Goodfellow et al. 2014, section 3: the non-saturating form learns from images that the discriminator sees through.
    return F.softplus(-made).mean() if kind == "non-saturating" else -made.mean()
