"""Attention to channels, then to places (CBAM: Woo et al. 2018), in front of a perception."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.perception import outputs


class CBAM(nn.Module):
    """cells (batch, row, column, channel) -> the same, weighed.

    A channel counts sigmoid(MLP(its maximum over the grid) + MLP(its mean)), then a place sigmoid(7 x 7 convolution of
    the maximum and mean over channels there). 2 C^2 / r + C / r + C + 98 parameters, r the reduction, which leaves at
    least one number between the layers of the MLP.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.squeeze, self.stretch = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.place = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, cells: Tensor) -> Tensor:
        of_grid = torch.stack([cells.amax((1, 2)), cells.mean((1, 2))])  # (2, batch, channel)
        counts = self.stretch(F.relu(self.squeeze(of_grid))).sum(0).sigmoid()
        cells = cells * counts[:, None, None]
        of_channels = torch.stack([cells.amax(3), cells.mean(3)], dim=1)  # (batch, 2, row, column)
        return cells * self.place(of_channels).sigmoid().permute(0, 2, 3, 1)


class Attentive(nn.Module):
    """A perception that sees cells + CBAM(cells): the only one here by which a cell learns of the whole grid."""

    def __init__(self, cbam: CBAM, perception: nn.Module) -> None:
        super().__init__()
        self.cbam, self.perception = cbam, perception
        self.outputs = outputs(perception)

    def forward(self, cells: Tensor) -> list[Tensor]:
        seen: list[Tensor] = self.perception(cells + self.cbam(cells))
        return seen
