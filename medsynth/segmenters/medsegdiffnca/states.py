"""What the cells of MedSegDiffNCA hold, in two ways: as published, and with inputs that stay what they are."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medsynth import nca
from medsynth.segmenters.levels import cells, coloured, maps, shrunk
from medsynth.shapes import Images, Masks

RGB = 3
WAVES = 4  # sines and as many cosines of the share of the diffusion's time, each twice as fast as the one before


@dataclass(frozen=True)
class Answer:
    """What an automaton says."""

    prediction: Tensor  # (batch, 1, row, column): of the noise, or whatever else is predicted
    guidance: Tensor  # (batch, colour, row, column): of the mask


class Drifting:
    """As published: all channels change. In order: the noise as it is estimated, the colours from 0 to 1, the noised
    mask, hidden ones, the position (one ramp across both directions), and the level of noise as a whole number.

    Masks are 0 and 1. On a finer level, colours, noised mask, position and level begin anew, the rest goes on.
    """

    def __init__(self, width: int) -> None:
        self.layout = nca.Layout(visible=1 + RGB, hidden=width - 1 - RGB)
        self.carried = torch.ones(width, dtype=torch.bool)
        self.carried[[*range(1, 2 + RGB), width - 2, width - 1]] = False

    def coded(self, masks: Masks) -> Tensor:
        return masks.float()

    def decoded(self, x_0: Tensor) -> Tensor:
        return x_0

    def begun(
        self, images: Images, x_t: Tensor, share: Tensor, levels: int, grid: tuple[int, int], before: Tensor | None
    ) -> Tensor:
        """The state in which a level begins; `before`: what the coarser one has left."""
        colours = (coloured(images, RGB) + 1) / 2
        seen = cells(shrunk(torch.cat([colours, x_t], dim=1), grid, "sampled"))
        batch, width = len(images), self.layout.channels
        down, across = (torch.arange(side, device=seen.device) / side for side in grid)
        position = ((down[:, None] + across) / 2).to(seen).expand(batch, -1, -1)[..., None]
        time = (share * levels)[:, None, None, None].expand(-1, *grid, -1)
        hidden = seen.new_zeros(batch, *grid, width - 2 - RGB - 2)
        start = torch.cat([torch.zeros_like(time), seen, hidden, position, time], dim=3)
        return start if before is None else nca.refined(before, start, self.carried.to(start.device))

    def answer(self, state: Tensor) -> Answer:
        shown = maps(self.layout.shown(state))
        return Answer(shown[:, :1], shown[:, 1:])


class Frozen:
    """A cell is told colours, noised mask, time and position, and these stay as they are.

    It shows the prediction and, for each colour, guidance, which begins as a copy of the colour. Masks are -1 and 1.
    Coarse grids see means of what they cover: of a noised mask, too, from which most of the noise is gone then.
    """

    def __init__(self, width: int, colours: int) -> None:
        self.colours = colours
        told = colours + 1 + 2 * WAVES + 2
        self.layout = nca.Layout(visible=1 + colours, hidden=width - told - 1 - colours, condition=told)
        self.carried = torch.arange(width) >= told

    def coded(self, masks: Masks) -> Tensor:
        return 2 * masks.float() - 1

    def decoded(self, x_0: Tensor) -> Tensor:
        return (x_0 + 1) / 2

    def begun(
        self, images: Images, x_t: Tensor, share: Tensor, levels: int, grid: tuple[int, int], before: Tensor | None
    ) -> Tensor:
        """As above."""
        colours = cells(shrunk(coloured(images, self.colours), grid))
        angles = math.pi * share[:, None] * 2.0 ** torch.arange(WAVES, device=share.device)
        time = nca.spread(torch.cat([angles.sin(), angles.cos()], dim=1), grid)
        position = nca.ramps(len(images), grid).to(colours)
        told = torch.cat([colours, cells(shrunk(x_t, grid)), time, position], dim=3)
        start = self.layout.state(torch.cat([torch.zeros_like(told[..., :1]), colours], dim=3), told)
        return start if before is None else nca.refined(before, start, self.carried.to(start.device))

    def answer(self, state: Tensor) -> Answer:
        shown = maps(self.layout.shown(state))
        return Answer(shown[:, :1], shown[:, 1:])
