"""Who watches a rollout: called with every step, the state before it and the state after it."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


class Observer(Protocol):
    """An observer keeps what it wants to keep, and changes nothing."""

    def __call__(self, step: int, before: Tensor, after: Tensor) -> None: ...


@dataclass
class Statistics:
    """Least, largest, mean and deviation of each channel after every step; and how large the steps are."""

    least: list[Tensor] = field(default_factory=list)  # each (channel,)
    largest: list[Tensor] = field(default_factory=list)
    mean: list[Tensor] = field(default_factory=list)
    deviation: list[Tensor] = field(default_factory=list)
    change: list[float] = field(default_factory=list)  # mean absolute change, by which one sees whether it settles

    def __call__(self, step: int, before: Tensor, after: Tensor) -> None:
        cells = after.detach().flatten(0, 2)
        self.least.append(cells.amin(0))
        self.largest.append(cells.amax(0))
        self.mean.append(cells.mean(0))
        self.deviation.append(cells.std(0, correction=0))
        self.change.append(float((after - before).detach().abs().mean()))


@dataclass
class Histogram:
    """How often values lie in each of equal bins, over all steps; (channel, bin). Values beyond count at the edge."""

    low: float = -1.0
    high: float = 1.0
    bins: int = 32
    counts: Tensor | None = None

    def __call__(self, step: int, before: Tensor, after: Tensor) -> None:
        cells = after.detach().flatten(0, 2).T
        bins = ((cells - self.low) / (self.high - self.low) * self.bins).long().clamp(0, self.bins - 1)
        found = torch.zeros(len(cells), self.bins, device=cells.device)
        found.scatter_add_(1, bins, torch.ones_like(cells, dtype=found.dtype))
        self.counts = found if self.counts is None else self.counts + found


@dataclass
class Snapshots:
    """Copies of the state after every so many steps, the first step included."""

    every: int = 1
    states: list[Tensor] = field(default_factory=list)

    def __call__(self, step: int, before: Tensor, after: Tensor) -> None:
        if step % self.every == 0:
            self.states.append(after.detach().clone())
