"""A mask in one rollout: automata on a coarse grid and then on a fine one (Med-NCA: Kalkhof et al. 2023)."""

import torch
from torch import Tensor, nn

from medsynth import nca
from medsynth.draws import Draws, RowDraws
from medsynth.nn.masks import overlap_loss
from medsynth.segmenters.direct.config import Config
from medsynth.segmenters.levels import Cells, cells, coloured, grids, shrunk
from medsynth.segmenters.runs import run_by_run
from medsynth.shapes import Images, Loss, Masks


class Model(nn.Module):
    """A cell is told its colours, shows a logit and keeps the rest for itself."""

    carried: Tensor

    def __init__(self, config: Config, *, channels: int) -> None:
        super().__init__()
        self.config, self.colours = config, channels
        self.layout = nca.Layout(visible=1, hidden=config.channels - channels - 1, condition=channels)
        self.cells = Cells(config.hidden, config.filters, norm=config.norm, fire_rate=config.fire_rate)
        self.automata = nn.ModuleList(self.cells.automaton(self.layout) for _ in config.shrinks)
        self.register_buffer("carried", torch.arange(self.layout.channels) >= channels, persistent=False)

    def loss(self, images: Images, masks: Masks, draws: Draws) -> Loss:
        """Cross-entropy and Dice of the finest level, on a square of it where that is asked for.

        As published, a square without anything to be found in it teaches nothing. It counts as a row all the same: a
        process sees some rows of a step alone, and what a step teaches must not depend on how many processes there are.
        """
        if not 0 < self.config.patch < min(images.shape[2:]):
            return overlap_loss(self.logits(images, draws), masks).mean()
        corners = self._corners(images, draws)
        logits = self.logits(images, draws, corners)
        masks = _cut(masks.permute(0, 2, 3, 1), corners, self.config.patch).permute(0, 3, 1, 2)
        teaches = (masks.flatten(1) > 0).any(1).to(logits)
        return (overlap_loss(logits, masks) * teaches).mean()

    def logits(self, images: Images, draws: Draws, corners: Tensor | None = None, *, fast: bool = True) -> Tensor:
        """(batch, 1, row, column); of squares with these upper left corners (batch, 2) where there are any."""
        images, state = coloured(images, self.colours), None
        levels = grids((images.shape[2], images.shape[3]), self.config.shrinks)
        for level, (grid, steps) in enumerate(zip(levels, self.config.rollouts, strict=True)):
            automaton = self.automata[level]
            assert isinstance(automaton, nca.Automaton)
            told = cells(shrunk(images, grid))
            start = self.layout.state(told.new_zeros(len(images), *grid, 1), told)
            state = start if state is None else nca.refined(state, start, self.carried)
            if level == len(levels) - 1 and corners is not None:
                state = _cut(state, corners, self.config.patch)
            state = automaton.grow(state, steps, draws, fast=fast)
        assert state is not None
        return self.layout.shown(state).permute(0, 3, 1, 2)

    @torch.no_grad()
    def predict(self, images: Images, draws: RowDraws, runs: int | None = None) -> Tensor:
        """Probabilities, (batch, run, row, column); which cells fire differs from run to run."""
        return run_by_run(lambda own: self.sample(images, own), draws, runs or self.config.ensemble)

    def sample(self, images: Images, draws: RowDraws, *, fast: bool = True) -> Tensor:
        """One run: probabilities, (batch, 1, row, column); `fast` as in Automaton.grow."""
        return self.logits(images, draws, fast=fast).sigmoid()

    def round(self, images: Images, draws: RowDraws) -> Tensor:
        """A run has no parts that repeat."""
        return self.sample(images, draws)

    def macs(self, grid: tuple[int, int]) -> int:
        """Multiply-accumulates of one run for one image, counted as if all cells fired."""
        levels = grids(grid, self.config.shrinks)
        steps = sum(rows * columns * n for (rows, columns), n in zip(levels, self.config.rollouts, strict=True))
        return steps * self.cells.macs(self.layout)

    def _corners(self, images: Images, draws: Draws) -> Tensor:
        room = torch.tensor([side - self.config.patch + 1 for side in images.shape[2:]])
        return (draws.uniform(2) * room).long()


def _cut(state: Tensor, corners: Tensor, side: int) -> Tensor:
    """A square of each row, (batch, side, side, channel)."""
    return torch.stack(
        [row[down : down + side, right : right + side] for row, (down, right) in zip(state, corners, strict=True)]
    )
