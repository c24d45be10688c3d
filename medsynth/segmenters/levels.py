"""The automata of a segmenter: one a level of resolution, each with weights of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth import nca
from medsynth.shapes import Images

REDUCTION = 16  # of CBAM's channels


@dataclass(frozen=True)
class Cells:
    """How the cells of a level are built."""

    hidden: int  # width of the update's hidden layer
    filters: Literal["depthwise", "dense"] = "depthwise"
    attentive: bool = False  # CBAM in front of the filters
    norm: Literal["none", "layer", "rms"] = "none"
    slope: float = 0.0
    dropout: float = 0.0
    fire_rate: float = 0.5

    def automaton(self, layout: nca.Layout) -> nca.Automaton:
        """Med-NCA's cell (Kalkhof et al. 2023), which says nothing at first."""
        filters = nca.Filters(layout.channels, depthwise=self.filters == "depthwise")
        reduction = min(REDUCTION, layout.channels)
        perception = nca.Attentive(nca.CBAM(layout.channels, reduction), filters) if self.attentive else filters
        form = nca.Form(slope=self.slope, norm=self.norm, dropout=self.dropout, last="zero", last_bias=False)
        update = nca.mlp(filters.outputs, layout.moving, (self.hidden,), form)
        return nca.Automaton(layout, perception, update, nca.Dynamics(fire_rate=self.fire_rate))

    def macs(self, layout: nca.Layout) -> int:
        """Multiply-accumulates of a cell in one step, counted as if all fired."""
        channels, mixed = layout.channels, 1 if self.filters == "depthwise" else layout.channels
        attention = (2 * 49 + 2 * channels) if self.attentive else 0  # of its MLP, once a grid, nothing is left
        return 2 * 9 * channels * mixed + (3 * channels + layout.moving) * self.hidden + attention


def grids(grid: tuple[int, int], shrinks: Sequence[int]) -> list[tuple[int, int]]:
    """The grid of each level; none is smaller than the three cells that a filter looks at."""
    return [(max(3, ceil(grid[0] / shrink)), max(3, ceil(grid[1] / shrink))) for shrink in shrinks]


def shrunk(images: Images, grid: tuple[int, int], way: Literal["mean", "sampled"] = "mean") -> Images:
    """Images on a coarser grid: each cell the mean of what it covers, or a sample from its middle."""
    if images.shape[2:] == grid:
        return images
    if way == "mean":
        return F.adaptive_avg_pool2d(images, grid)
    return F.interpolate(images, size=grid, mode="bilinear", align_corners=False)


def cells(maps: Images) -> Tensor:
    """(batch, channel, row, column) -> (batch, row, column, channel)."""
    return maps.permute(0, 2, 3, 1)


def maps(cells: Tensor) -> Images:
    """(batch, row, column, channel) -> (batch, channel, row, column)."""
    return cells.permute(0, 3, 1, 2)


def coloured(images: Images, channels: int) -> Images:
    """Images with so many channels: grey ones are repeated, of colours the mean is taken."""
    if images.shape[1] == channels:
        return images
    return images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else torch.mean(images, 1, keepdim=True)
