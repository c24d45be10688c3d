"""The best linear code of small patches: where an autoencoder begins when there is little to learn from.

A few hundred images and a few minutes are not enough for a convolutional autoencoder to find what principal components
give at once. So the patches' principal components carry the picture from the first step on, and the network beside them
learns only what they miss. Both ways stay trainable.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medsynth.shapes import Images, Latents

PATCHES = 200_000  # as many are enough for a covariance of some hundred dimensions


class Shortcut(nn.Module):
    """Pixels of a `factor` x `factor` patch to the channels of one latent cell, and back, both linear."""

    def __init__(self, picture_channels: int, latent_channels: int, factor: int) -> None:
        super().__init__()
        self.to_code = nn.Conv2d(picture_channels, latent_channels, factor, stride=factor)
        self.to_pixels = nn.ConvTranspose2d(latent_channels, picture_channels, factor, stride=factor)

    def encode(self, images: Images) -> Latents:
        return self.to_code(images)

    def decode(self, latents: Latents) -> Images:
        return self.to_pixels(latents)

    @torch.no_grad()
    def fit(self, images: Images, whitened: float = 0.5, weights: Sequence[float] | None = None) -> None:
        """Set both ways to the principal components of the images' patches, whitened by some part, then rotated.

        Half whitened, which is what a generator of latents wants: scaled to the square root of their deviation. With
        all components alike, a generator would care as much for the faintest as for the first, and neighbouring
        patches would not match in brightness; left as they are, it would not learn the faint ones. Rotated: every
        channel carries a part of each component, so that giving the channels unit deviation does not whiten them after
        all. Not whitened, distances between codes are those between patches: that is what a codebook wants.

        images (batch, channel, row, column). Channels beyond the patch's dimensions stay at zero. `weights` says how
        much each channel of the picture counts, beside its deviation, for what the components are; left out: all alike.
        """
        weight = self.to_code.weight
        factor, (channels, dimensions) = weight.shape[-1], (weight.shape[0], weight[0].numel())
        patches = images.unfold(2, factor, factor).unfold(3, factor, factor)  # (image, channel, row, column, y, x)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, dimensions).double()
        patches = patches[:: len(patches) // PATCHES + 1]
        counts = patches.new_tensor(weights or [1.0] * images.shape[1]).repeat_interleave(factor * factor)
        patches = patches * counts
        mean = patches.mean(0)
        variances, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
        order = variances.argsort(descending=True)[:channels]
        deviations = variances[order].clamp(min=1e-8).sqrt()
        # eigh fixes vectors up to their sign; the largest entry is made positive so that every machine agrees.
        basis = vectors[:, order]
        basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
        turn, scale = _rotation(len(order)), deviations**whitened
        code, pixels = turn @ (basis / scale).T * counts, turn @ (basis * scale).T / counts
        mean = mean / counts
        for part in (*self.to_code.parameters(), *self.to_pixels.parameters()):
            nn.init.zeros_(part)
        code_bias, pixels_bias = self.to_code.bias, self.to_pixels.bias
        assert code_bias is not None
        assert pixels_bias is not None
        weight[: len(order)] = code.view(-1, *weight.shape[1:]).to(weight)
        code_bias[: len(order)] = (-code @ mean).to(weight)
        self.to_pixels.weight[: len(order)] = pixels.view(-1, *self.to_pixels.weight.shape[1:]).to(weight)
        # One bias for all pixels of a channel cannot hold a patch's mean; the mean of each channel is what it can hold.
        pixels_bias.copy_(mean.view(weight.shape[1], -1).mean(1))


def _rotation(dimensions: int) -> Tensor:
    """An orthogonal matrix, always the same one for a size, float64."""
    square = torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, r = torch.linalg.qr(square)
    return q * r.diagonal().sign()  # qr is unique but for these signs
