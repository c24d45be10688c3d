"""Images as an extractor wants to see them: three channels, its size, its range of values.

Resized as in Parmar et al. 2022: bicubic and smoothed before it shrinks, in floating point, cut to the range of pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.shapes import Images


def resized(images: Images, side: int) -> Images:
    """Images of `side` pixels in three channels, in [-1, 1]; grey ones have three equal channels."""
    images = images.float()
    if images.shape[2:] != (side, side):
        images = F.interpolate(images, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return images.clamp(-1, 1).expand(-1, 3, -1, -1)


def standardised(images: Images, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """Images in [-1, 1] by the mean and deviation of pixels in [0, 1]."""
    shift, scale = (images.new_tensor(values).view(1, -1, 1, 1) for values in (mean, deviation))
    return ((images + 1) / 2 - shift) / scale


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """float32 all the way, and no gradients: on a GPU convolutions would be rounded to ten bits otherwise."""
    with (
        torch.no_grad(),
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield
