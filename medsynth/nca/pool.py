"""States of earlier rollouts, from which others go on: so an automaton learns to stay what it has become.

A pool is a ring: what was put in first is the first to be overwritten. What it holds are plain tensors, to be kept in a
checkpoint. Which rows and entries are drawn depends on a seed that is given at every draw, and on nothing else.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medsynth.draws import step_draws
from medsynth.nca.damage import damaged, discs
from medsynth.nca.layout import Layout


@dataclass(frozen=True)
class Sample:
    """What is learnt from: states, and what each is to become."""

    state: Tensor  # (batch, row, column, channel)
    target: Tensor  # (batch, ...)


@dataclass(frozen=True)
class Rules:
    """What a draw does, as shares of the rows that it replaces; all are rounded down."""

    share: float = 0.5  # of a batch that goes on from the pool; the rest are the seeds that it came with
    damage: float = 0.0  # a disc is cut out of them: out of those that were best
    change: float = 0.0  # the body goes on, under the condition and towards the target that the batch has for the row
    reseed: int = 0  # so many of the worst are given up, and stay seeds (the rule of Mordvintsev et al. 2020)


class SamplePool:
    """A ring of `size` entries."""

    def __init__(self, size: int, layout: Layout) -> None:
        self.size, self.layout = size, layout
        self.entries: dict[str, Tensor] = {}
        self.held, self.next = 0, 0

    def draw(self, fresh: Sample, rules: Rules, seed: int) -> Sample:
        """A batch, some rows of which go on from the pool. As it came while the pool holds too few for that."""
        batch = len(fresh.state)
        count = _part(batch, rules.share)
        if count == 0 or self.held < count:
            return fresh
        self._move(fresh.state.device)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(batch, generator=generator)[:count]
        places = torch.randperm(self.held, generator=generator)[:count]
        loss = self.entries["loss"][places].cpu()
        kept = loss.argsort(stable=True)[: max(0, count - rules.reseed)].sort().values  # in the order of the draw
        rows, places, loss = rows[kept].to(fresh.state.device), places[kept].to(fresh.state.device), loss[kept]

        own = Sample(self.entries["state"][places], self.entries["target"][places])
        changed = torch.arange(len(kept), device=rows.device) >= _part(len(kept), 1 - rules.change)
        own = self._changed(own, Sample(fresh.state[rows], fresh.target[rows]), changed)
        own = replace(own, state=self._damaged(own.state, loss, rules.damage, generator))
        return Sample(fresh.state.index_copy(0, rows, own.state), fresh.target.index_copy(0, rows, own.target))

    def _changed(self, own: Sample, other: Sample, changed: Tensor) -> Sample:
        told = self.layout.told(torch.where(changed[:, None, None, None], other.state, own.state))
        target = torch.where(changed.view(-1, *[1] * (own.target.ndim - 1)), other.target, own.target)
        return Sample(torch.cat([told, own.state[..., self.layout.condition :]], dim=3), target)

    def _damaged(self, state: Tensor, loss: Tensor, share: float, generator: torch.Generator) -> Tensor:
        hit = torch.zeros(len(state), dtype=torch.bool)
        hit[loss.argsort(stable=True)[: _part(len(state), share)]] = True
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        where = discs(step_draws(seed, len(state)), (state.shape[1], state.shape[2])) & hit[:, None, None]
        return damaged(state, where, self.layout)

    @torch.no_grad()
    def add(self, grown: Sample, loss: Tensor | None = None) -> None:
        """Keep what has grown, and how bad each was (batch,). What is not finite, or nothing but zeros, is left out."""
        moving = grown.state[..., self.layout.condition :].flatten(1)
        good = moving.isfinite().all(1) & (moving != 0).any(1)
        worth = torch.zeros(len(moving), device=moving.device) if loss is None else loss.detach()
        self._move(moving.device)
        found = {"state": grown.state.detach()[good], "target": grown.target[good], "loss": worth[good]}
        count = min(int(good.sum()), self.size)
        at = (self.next + torch.arange(count, device=moving.device)) % self.size
        for name, values in found.items():
            if name not in self.entries:
                self.entries[name] = values.new_zeros(self.size, *values.shape[1:])
            self.entries[name].index_copy_(0, at, values[len(values) - count :])
        self.next, self.held = (self.next + count) % self.size, min(self.size, self.held + count)

    def tensors(self) -> dict[str, Tensor]:
        """All it holds, to be kept; `load` takes it back."""
        at = torch.tensor([self.next, self.held])
        return {"at": at} | {name: values[: self.held].clone() for name, values in self.entries.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """What `tensors` gave; of a pool of another size the newest that this one has room for."""
        first, held = map(int, tensors["at"])
        oldest = first if first < held else 0  # a ring that is full begins where it will be written to next
        kept = min(held, self.size)
        self.next, self.held = (first if held == self.size else kept) % self.size, kept
        for name in tensors.keys() - {"at"}:
            values = tensors[name] if held == self.size else tensors[name].roll(-oldest, 0)[held - kept :]
            self.entries[name] = values.new_zeros(self.size, *values.shape[1:])
            self.entries[name][:kept] = values

    def _move(self, device: torch.device) -> None:
        """To where it is drawn and added; what was loaded may lie elsewhere."""
        self.entries = {name: values.to(device) for name, values in self.entries.items()}


def share_at(step: int, steps: int, *, start: float = 0.5, end: float = 0.5, delay: int = 1000) -> float:
    """The share of a batch that comes from the pool: none before `delay`, then in a line from start to end."""
    return 0.0 if step < delay else start + (end - start) * step / steps


def _part(count: int, share: float) -> int:
    """Rounded down, but not for what a computer makes of a tenth."""
    return int(count * share + 1e-6)
