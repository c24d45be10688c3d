"""Which channels of a cell's state mean what.

A state is (batch, row, column, channel): a cell's channels lie side by side in memory, which is what everything else
here is fast by. In order: what a cell is told (`condition`), what others look at (`visible`), what it keeps for itself
(`hidden`), and one channel a class for automata that classify (`classes`). The condition is frozen: no step changes a
bit of it, while perceptions see it like the rest. What a reference holds in its state and lets drift is visible here.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SEED_DEVIATION = 0.05  # of the hidden channels of a seed with noise


@dataclass(frozen=True)
class Layout:
    """How many channels of each kind; `alive` is the channel that says where life is, counted from the first."""

    visible: int
    hidden: int
    condition: int = 0
    classes: int = 0
    alive: int | None = None

    def __post_init__(self) -> None:
        counts = (self.visible, self.hidden, self.condition, self.classes)
        if min(counts) < 0 or self.moving < 1:
            raise ValueError(f"a cell needs channels that change, and none is fewer than nothing: {counts}")
        if self.alive is not None and not 0 <= self.alive < self.channels:
            raise ValueError(f"channel {self.alive} says where life is, and there are {self.channels}, from 0 on")

    @property
    def channels(self) -> int:
        return self.condition + self.moving

    @property
    def moving(self) -> int:
        """Channels that a step may change: all but the condition. They are the last ones."""
        return self.visible + self.hidden + self.classes

    def told(self, state: Tensor) -> Tensor:
        """(batch, row, column, condition)"""
        return state[..., : self.condition]

    def shown(self, state: Tensor) -> Tensor:
        """(batch, row, column, visible)"""
        return state[..., self.condition : self.condition + self.visible]

    def kept(self, state: Tensor) -> Tensor:
        """(batch, row, column, hidden)"""
        return state[..., self.condition + self.visible : self.channels - self.classes]

    def votes(self, state: Tensor) -> Tensor:
        """(batch, row, column, classes)"""
        return state[..., self.channels - self.classes :]

    def state(self, visible: Tensor, condition: Tensor | None = None, hidden: Tensor | None = None) -> Tensor:
        """A state that shows `visible`; all others are zero.

        visible (batch, row, column, visible); hidden the same with as many channels as are hidden; condition as maps
        (batch, row, column, condition), which are stretched to the grid where theirs is another, or as one vector for
        all cells (batch, condition).
        """
        batch, rows, columns, _ = visible.shape
        if (condition is None) != (self.condition == 0):
            raise ValueError(
                f"a cell is told {self.condition} numbers, and {'some' if self.condition else 'none'} came"
            )
        told = [] if condition is None else [spread(condition, (rows, columns)).to(visible)]
        others = self.moving - self.visible if hidden is None else self.classes
        kept = [] if hidden is None else [hidden]
        state = torch.cat([*told, visible, *kept, visible.new_zeros(batch, rows, columns, others)], dim=3)
        if state.shape[3] != self.channels:
            raise ValueError(f"a state has {self.channels} channels, not {state.shape[3]}")
        return state

    def seed(self, batch: int, grid: tuple[int, int], condition: Tensor | None = None) -> Tensor:
        """The seed of a growing pattern: the centre cell's visible channels are one, all others zero."""
        visible = torch.zeros(batch, *grid, self.visible)
        visible[:, grid[0] // 2, grid[1] // 2] = 1
        if condition is not None:
            visible = visible.to(condition.device, condition.dtype if condition.is_floating_point() else None)
        return self.state(visible, condition)

    def with_told(self, state: Tensor, condition: Tensor) -> Tensor:
        """The same state under another condition, which is given as for `state`."""
        told = spread(condition, (state.shape[1], state.shape[2])).to(state)
        return torch.cat([told, state[..., self.condition :]], dim=3)


def spread(condition: Tensor, grid: tuple[int, int]) -> Tensor:
    """A condition as maps, (batch, row, column, channel): a vector is the same everywhere, maps are made to fit."""
    if condition.ndim == 2:
        return condition[:, None, None].expand(-1, *grid, -1)
    if condition.ndim != 4:
        raise ValueError(f"a condition is (batch, channel) or (batch, row, column, channel), not {condition.shape}")
    if condition.shape[1:3] == grid:
        return condition
    maps = condition.permute(0, 3, 1, 2)
    return F.interpolate(maps, size=grid, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def ramps(batch: int, grid: tuple[int, int]) -> Tensor:
    """Where a cell is, as a condition for grids of any size: row and column from -1 to 1, (batch, row, column, 2)."""
    down, across = (torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in grid)
    return torch.stack(torch.meshgrid(down, across, indexing="ij"), dim=2).expand(batch, -1, -1, -1)


def overflow(state: Tensor, layout: Layout, low: float = 0.0) -> Tensor:
    """How far channels are out of bounds, as a loss: visible ones beyond low and 1, all others beyond -1 and 1."""
    shown = layout.shown(state)
    others = torch.cat([layout.kept(state), layout.votes(state)], dim=3)
    beyond = (shown - shown.clamp(low, 1)).abs().mean()
    return beyond + (others - others.clamp(-1, 1)).abs().mean() if others.shape[3] else beyond
