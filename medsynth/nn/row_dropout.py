"""Dropout whose masks belong to rows: the same in any batch, in any number of processes and after any interruption."""

from dataclasses import dataclass

import torch
from torch import Tensor

from medsynth.draws import RowDraws

LEVELS = 2**16  # how finely the rate is known: four decisions are cut from one random word, which is what takes time


@dataclass(frozen=True)
class RowDropout:
    """Hide values at random and enlarge the others, so that the mean stays (Srivastava et al. 2014)."""

    rate: float
    draws: RowDraws  # on the device of what is to be hidden

    def __call__(self, x: Tensor) -> Tensor:
        """x (row, ...)"""
        hidden = min(LEVELS - 1, round(LEVELS * self.rate))
        values = x[0].numel()
        decisions = self.draws.words(-(-values // 4)).view(torch.int16)[:, :values].view(x.shape)
        return x.masked_fill(decisions < hidden - LEVELS // 2, 0) * (LEVELS / (LEVELS - hidden))
