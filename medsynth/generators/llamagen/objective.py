"""Cross-entropy over a large vocabulary, in a memory that does not grow with the batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from medsynth.shapes import Loss

LOGITS = 2**25  # so many at once: 128 MB in float32


def cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, vocabulary: int) -> Loss:
    """The mean over tokens, in nats. hidden (token, width); targets (token,).

    Where all logits at once are too many, each part's are made once more on the way back, instead of being kept.
    """
    at_once = max(1, LOGITS // vocabulary)
    if len(targets) <= at_once:
        return _summed(hidden, head, targets) / len(targets)
    parts = zip(hidden.split(at_once), targets.split(at_once), strict=True)
    sums = [
        checkpoint(_summed, some, head, wanted, use_reentrant=False, preserve_rng_state=False) for some, wanted in parts
    ]
    return torch.stack(sums).sum() / len(targets)


def _summed(hidden: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")
