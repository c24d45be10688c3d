"""How well a codec gives back the mask of a picture: what its mask channel minimises.

Lesions cover about a hundredth of a picture. The median of such a channel is no lesion, which is what an absolute error
ends in; so the channel is taken for logits, and cross-entropy is joined by overlap (Milletari et al. 2016).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.shapes import Loss

SHARPNESS = 4.0  # of the logit at the ends of the range: a lesion that is given back as 1 has a probability of 98 %
SMOOTH = 1.0  # pixels in common beforehand: an empty mask that is given back empty lacks nothing


def mask_loss(made: Tensor, true: Tensor) -> Loss:
    """Cross-entropy and what soft Dice lacks to one, the mean over images: no image's depends on its batch.

    Both (batch, 1, row, column), -1 outside and 1 inside of lesions; `made` may go beyond.
    """
    logits = SHARPNESS * made.to(torch.promote_types(made.dtype, torch.float32))
    inside, probabilities = (true > 0).to(logits), logits.sigmoid()
    common, both = (each.flatten(1).sum(1) for each in (probabilities * inside, probabilities + inside))
    overlap = (2 * common + SMOOTH) / (both + SMOOTH)
    return F.binary_cross_entropy_with_logits(logits, inside) + (1 - overlap).mean()
