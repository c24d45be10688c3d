"""Perception by a convolution whose nine places each cell chooses itself (Zhu et al. 2019, deformable v2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.border import Border, padded
from medsynth.nca.linear import linear

SLOPE = 0.2


class Deformable(nn.Module):
    """Places move by an offset, at most a quarter of the grid's longer side, and count up to twice; leaky ReLU.

    What lies between cells is read bilinearly; beyond the grid is nothing. Offsets and weights of places come from 3 x
    3 convolutions that are zero at first, so that it begins as a convolution. `weighs=False` has no weights of places.
    """

    base: Tensor

    def __init__(
        self, inputs: int, outputs: int = 80, *, size: int = 3, weighs: bool = True, border: Border = "circular"
    ) -> None:
        super().__init__()
        self.outputs, self.border, self.reach, places = outputs, border, size // 2, size**2
        self.offsets = nn.Conv2d(inputs, 2 * places, size)
        self.weights = nn.Conv2d(inputs, places, size) if weighs else None
        self.mix = nn.Linear(places * inputs, outputs, bias=False)
        for layer in (self.offsets, self.weights):
            for values in () if layer is None else layer.parameters():
                nn.init.zeros_(values)
        away = torch.arange(size) - size // 2
        self.register_buffer("base", torch.cartesian_prod(away, away).float(), persistent=False)  # down, right

    def forward(self, cells: Tensor) -> list[Tensor]:
        batch, rows, columns, channels = cells.shape
        around, limit = padded(cells, self.reach, self.border).permute(0, 3, 1, 2), max(rows, columns) / 4
        offsets = self.offsets(around).clamp(-limit, limit).permute(0, 2, 3, 1).unflatten(3, (-1, 2))
        down, across = (torch.arange(side, device=cells.device).to(cells) for side in (rows, columns))
        own = torch.stack(torch.meshgrid(down, across, indexing="ij"), dim=2)[:, :, None]  # (row, column, 1, 2)
        at = (own + self.base.to(cells) + offsets).flatten(2, 3)  # (batch, row, column * place, 2)
        scale = torch.tensor([rows, columns], device=cells.device).to(cells)
        places = ((2 * at + 1) / scale - 1).flip(3)  # as grid_sample counts: across first, -1 to 1 from edge to edge
        read = F.grid_sample(cells.permute(0, 3, 1, 2), places, align_corners=False)
        read = read.permute(0, 2, 3, 1).view(batch, rows, columns, -1, channels)
        if self.weights is not None:
            read = read * (2 * self.weights(around).sigmoid()).permute(0, 2, 3, 1)[..., None]
        return [F.leaky_relu(linear(read.flatten(3), self.mix.weight, None), SLOPE)]
