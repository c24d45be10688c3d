"""How well a map of logits fits a mask: what segmenters minimise."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.shapes import Masks

SMOOTH = 1.0  # pixels that a soft Dice has in common beforehand: an empty mask that is found empty scores one


def soft_dice(probabilities: Tensor, masks: Masks) -> Tensor:
    """2 |P M| / (|P| + |M|) of each row, (batch,); both (batch, channel, row, column)."""
    common = (probabilities * masks).flatten(1).sum(1)
    return (2 * common + SMOOTH) / (probabilities.flatten(1).sum(1) + masks.flatten(1).sum(1) + SMOOTH)


def overlap_loss(logits: Tensor, masks: Masks) -> Tensor:
    """Binary cross-entropy and what soft Dice lacks to one, of each row, (batch,); both of one shape."""
    if logits.shape != masks.shape:
        raise ValueError(f"logits are {tuple(logits.shape)}, masks {tuple(masks.shape)}")
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").flatten(1).mean(1)
    return entropy + 1 - soft_dice(logits.sigmoid(), masks)
