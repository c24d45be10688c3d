"""The scale of latents: zero mean and unit deviation in every channel, measured on training images."""

import torch
from torch import Tensor, nn

from medsynth.shapes import Latents


class Scale(nn.Module):
    """Per-channel mean and deviation, kept with the codec's weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("deviation", torch.ones(channels, 1, 1))

    def measure(self, raw: Tensor) -> None:
        """Set the scale from raw latents, (image, channel, row, column); in float64, whatever they come in."""
        self.mean.copy_(raw.double().mean(dim=(0, 2, 3))[:, None, None])
        # A channel that never changes is left at its size: dividing by nothing would blow up its rounding errors.
        deviation = raw.double().std(dim=(0, 2, 3))[:, None, None]
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def forward(self, raw: Tensor) -> Latents:
        return (raw - self.mean) / self.deviation

    def undo(self, latents: Latents) -> Tensor:
        return latents * self.deviation + self.mean
