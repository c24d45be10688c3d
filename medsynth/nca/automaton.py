"""A neural cellular automaton: one rule that every cell follows, step after step (Mordvintsev et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.draws import Draws, row_draws
from medsynth.nca.firing import Firing
from medsynth.nca.layout import Layout
from medsynth.nca.observers import Observer
from medsynth.nca.update import Update

PAYS = 2**19  # values of a hidden layer, all cells together, from which on leaving cells out saves more than it costs
ALIVE = 0.1  # a cell lives while there is more than this of life in it or beside it


@dataclass(frozen=True)
class Dynamics:
    """What happens in a step beside perception and update."""

    fire_rate: float = 0.5  # with which probability a cell takes part; 1 is synchronous
    size: float = 1.0  # changes are scaled by it
    noise: float = 0.0  # deviation of what is added to all moving channels before each step
    bounds: tuple[float, float] | None = None  # moving channels are clamped to it


class Automaton(nn.Module):
    """state -> state, by
        S <- S + sigma N(0, 1),   S' = S + m size U(P(S)),   m ~ Bernoulli(fire rate), one for each cell
        S' <- (life around the cell in S and in S') S',   S' <- clamp(S')
    where P is the perception and U the update. The condition's channels stay as they are, to the bit.
    """

    def __init__(self, layout: Layout, perception: nn.Module, update: Update, dynamics: Dynamics | None = None) -> None:
        super().__init__()
        self.layout, self.dynamics = layout, dynamics or Dynamics()
        self.perception, self.update = perception, update

    def grow(
        self,
        state: Tensor,
        steps: int | Tensor,
        draws: Draws,
        observers: Sequence[Observer] = (),
        *,
        fast: bool | None = None,
    ) -> Tensor:
        """The state after so many steps; where `steps` is (batch,), each row after its own number of them.

        A row depends on its own random numbers alone, and so do its next ones: with `steps` of its own it takes no more
        of `draws` than a seed, however long the others go on. Observers see every step. `fast`: by the form that leaves
        out cells that do not fire, or by the plain one, which can be exported; left out: by the one that takes less
        time.
        """
        lengths = None if isinstance(steps, int) else steps.cpu()
        draws = draws if lengths is None else draws.apart(torch.device("cpu"))
        firing = self._firing(state, fast)
        for index in range(steps if isinstance(steps, int) else max(steps.tolist(), default=0)):
            lives = None if lengths is None else lengths > index
            before, state = state, self._one(state, lives, draws, firing)
            for observe in observers:
                observe(index, before, state)
        return state

    def step(
        self, state: Tensor, fires: Tensor, seeds: Sequence[int] | None = None, *, fast: bool | None = None
    ) -> Tensor:
        """One step without noise. fires (batch, row, column), bool. seeds: one a row, for what dropout hides."""
        return self._stepped(state, fires, seeds, self._firing(state, fast))

    def _firing(self, state: Tensor, fast: bool | None) -> Firing | None:
        """The fast form of the steps of a rollout, unless it is the plain form that is wanted."""
        values = state[..., 0].numel() * self.update.last.in_features  # of the last hidden layer
        if not (values >= (PAYS if torch.is_grad_enabled() else PAYS // 2) if fast is None else fast):
            return None
        device = state.device.type
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else state.dtype
        return Firing(self.perception, self.update, self.layout.condition, self.dynamics.size, low)

    def _one(self, state: Tensor, lives: Tensor | None, draws: Draws, firing: Firing | None) -> Tensor:
        """One step of the rows that are not done: lives (batch,), on the CPU; None: of all."""
        if self.dynamics.noise:
            noise = draws.normal(*state.shape[1:3], self.layout.moving)
            noise = noise if lives is None else noise * lives[:, None, None, None]
            state = self._moved(state, self.dynamics.noise * noise.to(state))
        fires = draws.uniform(*state.shape[1:3]) < self.dynamics.fire_rate
        fires = fires if lives is None else fires & lives[:, None, None]
        hides = self.training and self.update.dropout > 0
        seeds = [own.initial_seed() for own in draws.apart(torch.device("cpu")).generators] if hides else None
        stepped = self._stepped(state, fires.to(state.device), seeds, firing)
        if lives is None or lives.all():
            return stepped
        return torch.where(lives.to(state.device)[:, None, None, None], stepped, state)

    def _stepped(self, state: Tensor, fires: Tensor, seeds: Sequence[int] | None, firing: Firing | None) -> Tensor:
        hidden = None if seeds is None else self._hidden(fires, seeds)
        if firing is None:
            stepped = self._plain(state, fires, hidden)
        else:
            stepped = firing.step(state, fires.flatten().nonzero()[:, 0], hidden)
        return self._confined(state, stepped)

    def _plain(self, state: Tensor, fires: Tensor, hidden: Tensor | None) -> Tensor:
        """S' of every cell, by torch's own gradients."""
        rows = torch.cat(self.perception(state), dim=3).flatten(0, 2)
        if hidden is not None:
            everywhere = hidden.new_zeros(fires.numel(), hidden.shape[1])
            everywhere[fires.flatten()] = hidden
            hidden = everywhere
        change = self.update(rows, hidden).view(*fires.shape, -1)
        return self._moved(state, self.dynamics.size * change * fires[..., None])

    def _moved(self, state: Tensor, change: Tensor) -> Tensor:
        """With `change` added to the moving channels. Of the others not even the sign of a zero may change."""
        return torch.cat([self.layout.told(state), state[..., self.layout.condition :] + change], dim=3)

    def _confined(self, before: Tensor, after: Tensor) -> Tensor:
        """Nothing but the condition where there is no life, before or after; the rest clamped."""
        told, moving = after.split([self.layout.condition, self.layout.moving], dim=3)
        if self.layout.alive is not None:
            alive = life(before, self.layout.alive) & life(after, self.layout.alive)
            moving = moving.masked_fill(~alive, 0)
        if self.dynamics.bounds is not None:
            moving = moving.clamp(*self.dynamics.bounds)
        confined = self.layout.alive is not None or self.dynamics.bounds is not None
        return torch.cat([told, moving], dim=3) if confined else after

    def _hidden(self, fires: Tensor, seeds: Sequence[int]) -> Tensor:
        """What dropout hides of each firing cell's last hidden layer, (firing cell, width), bool.

        Drawn where the cells are: there are hundreds of numbers for every cell and step, and bringing them to a GPU
        takes far longer than all that it does with them.
        """
        rate, width, device = self.update.dropout, self.update.last.in_features, fires.device
        rows = zip(fires.flatten(1).sum(1).tolist(), seeds, strict=True)
        return torch.cat([row_draws([seed], device).uniform(count, width)[0] < rate for count, seed in rows])


def life(state: Tensor, channel: int) -> Tensor:
    """Where there is life in a cell or beside it, (batch, row, column, 1), bool."""
    with torch.no_grad():
        around = F.max_pool2d(state[..., channel][:, None], 3, stride=1, padding=1)
    return (around > ALIVE).permute(0, 2, 3, 1)


def lengths(draws: Draws, low: int, high: int) -> Tensor:
    """A number of steps for each row, any from low to high alike, both included; (batch,)."""
    return low + (draws.uniform() * (high - low + 1)).long().clamp(max=high - low)
