"""Times, positions and label vectors as network inputs."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.draws import Draws
from medsynth.shapes import Labels

FREQUENCIES = 256
AUGMENTATIONS = 5  # mirrored, turned, shifted right and down, scaled


def sinusoidal_time(t: Tensor) -> Tensor:
    """cos and sin of t at 128 frequencies from 1 to 1/10000, (batch,) -> (batch, 256) (Vaswani et al. 2017)."""
    half = FREQUENCIES // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def sinusoidal_positions(count: int, width: int) -> Tensor:
    """A 1-D table of sines (even columns) and cosines (odd columns), (count, width).

    Column i has the rate 10000^(-i / width), each its own: in Vaswani et al. 2017 a cosine shares the rate of the sine
    before it. GeCA's published results come from this form, so it is kept.
    """
    column = torch.arange(width, dtype=torch.float64)
    angles = torch.arange(count, dtype=torch.float64)[:, None] / 10_000 ** (column / width)
    return torch.where(column % 2 == 0, angles.sin(), angles.cos()).float()


def sinusoidal_positions_2d(rows: int, columns: int, width: int) -> Tensor:
    """A table for a grid, row after row, (rows * columns, width); width is a multiple of 4.

    A quarter each: sines of the column, its cosines, sines of the row, its cosines, at the rates 10000^(-i / quarter)
    (Vaswani et al. 2017 in two dimensions; the order is that of DiT's published weights).
    """
    quarter = width // 4
    rates = 10_000 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    down, across = (torch.arange(count, dtype=torch.float64)[:, None] * rates for count in (rows, columns))
    of_row, of_column = (torch.cat([angles.sin(), angles.cos()], dim=1) for angles in (down, across))
    return torch.cat([of_column.repeat(rows, 1), of_row.repeat_interleave(columns, dim=0)], dim=1).float()


class TimeEmbedding(nn.Module):
    """t (batch,) -> (batch, width): two linear layers on 256 sines and cosines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(FREQUENCIES, width), nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        return self.second(F.silu(self.first(sinusoidal_time(t).to(self.first.weight))))


class LabelEmbedding(nn.Module):
    """Multi-hot labels (batch, label) -> (batch, width), with a way to say "no labels given".

    `whole`: a learned null stands for the whole vector. `per-label`: hidden labels become 0 one by one, and the zero
    vector is the null, which an image without any label also has (as in GeCA's implementation; kept for comparison).
    With `augment` there is a second part: how a training image was moved. It is never hidden and says nothing for an
    image that was not moved, which is what is asked for when sampling (Karras et al. 2022, appendix F.2).
    """

    def __init__(
        self, labels: int, width: int, dropout: Literal["whole", "per-label"], *, augment: bool = False
    ) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(labels, width), nn.Linear(width, width)
        self.null = nn.Parameter(torch.zeros(width)) if dropout == "whole" else None
        self.moved = nn.Linear(AUGMENTATIONS, width, bias=False) if augment else None

    def forward(self, labels: Labels) -> Tensor:
        return self.second(self.first(labels))

    def unconditional(self, rows: int) -> Tensor:
        """(rows, width)"""
        if self.null is not None:
            return self.null.expand(rows, -1)
        return self(self.first.weight.new_zeros(rows, self.first.in_features))

    def with_dropout(self, labels: Labels, rate: float, draws: Draws, augmentation: Tensor | None = None) -> Tensor:
        """As in training: labels hidden at random. One number is drawn a label, whatever the kind of dropout.

        augmentation (batch, AUGMENTATIONS): how each image was moved, 0 for not at all.
        """
        hidden = (draws.uniform(labels.shape[1]) < rate).to(labels.device)
        if self.null is None:
            embedded = self(labels.masked_fill(hidden, 0))
        else:
            embedded = torch.where(hidden[:, :1], self.null, self(labels))
        if self.moved is None or augmentation is None:
            return embedded
        return embedded + self.moved(augmentation)
