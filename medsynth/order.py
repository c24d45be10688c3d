"""A seed and a position -> the items that a training looks at there, whatever the batch size or the process."""

from functools import lru_cache

import torch
from torch import Tensor

from medsynth import seeds


def batch_rows(seed: int, items: int, first: int, count: int) -> Tensor:
    """Items `first` to `first + count` of an endless row of shuffled epochs. Depends on (seed, position) only."""
    parts, position = [], first
    while position < first + count:
        epoch, offset = divmod(position, items)
        taken = _epoch(seed, items, epoch)[offset : offset + first + count - position]
        parts.append(taken)
        position += len(taken)
    return torch.cat(parts)


@lru_cache(maxsize=4)
def _epoch(seed: int, items: int, epoch: int) -> Tensor:
    return torch.randperm(items, generator=torch.Generator().manual_seed(seeds.derive(seed, "epoch", epoch)))
