"""What is done to an organism to see whether it grows back, and how much of it does.

A disc is where cells lose everything but what they are told. Coordinates run from -1 to 1 across the grid.
"""

import torch
from torch import Tensor

from medsynth.draws import Draws
from medsynth.nca.layout import Layout, ramps


def discs(
    draws: Draws, grid: tuple[int, int], *, centre: float = 0.5, radius: tuple[float, float] = (0, 0.5)
) -> Tensor:
    """A disc for each row, (rows, row, column), bool: true inside.

    Its middle lies anywhere within `centre` of the grid's, its radius between the two given ones, both alike likely.
    """
    numbers = draws.uniform(3)
    down, across = ((2 * numbers[:, i] - 1) * centre for i in (0, 1))
    size = radius[0] + (radius[1] - radius[0]) * numbers[:, 2]
    away = ramps(draws.rows, grid) - torch.stack([down, across], dim=1)[:, None, None]
    return away.square().sum(3) < size.square()[:, None, None]


def half(rows: int, grid: tuple[int, int]) -> Tensor:
    """The right half of the grid, (rows, row, column), bool."""
    return ramps(rows, grid)[..., 1] > 0


def damaged(state: Tensor, where: Tensor, layout: Layout) -> Tensor:
    """The state without what the cells at some places are; where (batch, row, column), bool."""
    moving = state[..., layout.condition :].masked_fill(where.to(state.device)[..., None], 0)
    return torch.cat([layout.told(state), moving], dim=3)


def regeneration(before: float, hit: float, after: float) -> float:
    """How much of the damage has grown back, percent: 100 (hit - after) / (hit - before).

    The three are any one measure of how good the organism is, error or share of successes: before it was hit, right
    after, and in the end. 100: as good as before; 0: nothing has grown back; below: it has got worse. Not a number
    where the hit made no difference.
    """
    return 100 * (hit - after) / (hit - before) if hit != before else float("nan")
