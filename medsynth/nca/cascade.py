"""Coarse grids first: what a cell far away knows is a few steps away there, and many on the fine grid.

Every level has an automaton, which may be the same one, and a number of steps. What a level has found is stretched to
the grid of the next (each cell becomes a square of cells), except for the channels that the next level starts anew.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.draws import Draws
from medsynth.nca.automaton import Automaton


class Cascade(nn.Module):
    """Automata of one layout, the coarsest level's first."""

    carried: Tensor

    def __init__(
        self, automata: Sequence[Automaton], steps: Sequence[int], carried: Sequence[int] | None = None
    ) -> None:
        """carried: channels that go from level to level; left out: all but the condition."""
        super().__init__()
        layout = automata[0].layout
        if len(automata) != len(steps) or any(each.layout != layout for each in automata):
            raise ValueError("a cascade has automata of one layout, and a number of steps for each")
        self.automata, self.steps = nn.ModuleList(automata), tuple(steps)
        chosen = torch.zeros(layout.channels, dtype=torch.bool)
        chosen[range(layout.condition, layout.channels) if carried is None else list(carried)] = True
        self.register_buffer("carried", chosen, persistent=False)

    def grow(self, starts: Sequence[Tensor], draws: Draws, *, fast: bool = True) -> Tensor:
        """starts: the state in which each level begins, in its grid, the coarsest first -> the last level's state."""
        state = starts[0]
        for level, (automaton, steps) in enumerate(zip(self.automata, self.steps, strict=True)):
            assert isinstance(automaton, Automaton)
            begun = state if level == 0 else refined(state, starts[level], self.carried)
            state = automaton.grow(begun, steps, draws, fast=fast)
        return state


def refined(coarse: Tensor, start: Tensor, carried: Tensor) -> Tensor:
    """The start of a finer level, its `carried` channels (channel,) those of the coarser one."""
    grids = F.interpolate(coarse.permute(0, 3, 1, 2), size=start.shape[1:3], mode="nearest")
    return torch.where(carried, grids.permute(0, 2, 3, 1), start)
