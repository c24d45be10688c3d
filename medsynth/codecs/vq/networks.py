"""Images to a grid of features, and back: the convolutional encoder and decoder of Esser et al. 2021 (VQGAN, appendix).

Sizes and names of parameters are those of the tokenizers that were published with Sun et al. 2024, so that their
weights fit.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.shapes import Images

NORM_GROUPS, GROUP_CHANNELS = 32, 4  # as many groups, but of no fewer channels
MULTIPLES = {2: (1, 2), 4: (1, 2, 4), 8: (1, 2, 2, 4), 16: (1, 1, 2, 2, 4)}  # of the width, a level each


@dataclass(frozen=True)
class Sizes:
    """All that an autoencoder with a codebook is built from. It is kept beside the weights."""

    channels: int  # of the images
    factor: int  # pixels per token, a side
    width: int
    blocks: int
    codebook: int
    dimension: int
    shortcut: bool

    @property
    def widths(self) -> list[int]:
        """Channels of the levels, from pixels to tokens."""
        return [self.width * multiple for multiple in MULTIPLES[self.factor]]

    @property
    def features(self) -> int:
        """Channels between the networks and the codebook."""
        return 2 * self.width


class Encoder(nn.Module):
    """Images (batch, channel, row, column) -> features (batch, `features`, row / factor, column / factor)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = sizes.widths
        self.conv_in = nn.Conv2d(sizes.channels, widths[0], 3, padding=1)
        before = [widths[0], *widths[:-1]]
        last = len(widths) - 1
        self.conv_blocks = nn.ModuleList(
            Level(before[i], widths[i], sizes.blocks, attends=i == last, down=i < last) for i in range(len(widths))
        )
        self.mid = _middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], sizes.features, 3, padding=1)

    def forward(self, images: Images) -> Tensor:
        h = self.conv_in(images)
        for level in self.conv_blocks:
            h = level(h)
        for block in self.mid:
            h = block(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    """Features (batch, `features`, row, column) -> images (batch, channel, row * factor, column * factor)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = sizes.widths
        self.conv_in = nn.Conv2d(sizes.features, widths[-1], 3, padding=1)
        self.mid = _middle(widths[-1])
        descending = [*reversed(widths)]
        before = [widths[-1], *descending[:-1]]
        last = len(widths) - 1
        self.conv_blocks = nn.ModuleList(
            Level(before[i], descending[i], sizes.blocks + 1, attends=i == 0, up=i < last) for i in range(len(widths))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], sizes.channels, 3, padding=1)

    def forward(self, features: Tensor) -> Images:
        h = self.conv_in(features)
        for block in self.mid:
            h = block(h)
        for level in self.conv_blocks:
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Level(nn.Module):
    """The residual blocks of one resolution, attention after each where asked for, and the way to the next one."""

    def __init__(
        self, before: int, width: int, blocks: int, *, attends: bool, down: bool = False, up: bool = False
    ) -> None:
        super().__init__()
        self.res = nn.ModuleList(Residual(before if i == 0 else width, width) for i in range(blocks))
        self.attn = nn.ModuleList(Attention(width) for _ in range(blocks if attends else 0))
        if down:
            self.downsample = Halve(width)
        if up:
            self.upsample = Double(width)

    def forward(self, h: Tensor) -> Tensor:
        for i, block in enumerate(self.res):
            h = block(h)
            if self.attn:
                h = self.attn[i](h)
        if hasattr(self, "downsample"):
            h = self.downsample(h)
        return self.upsample(h) if hasattr(self, "upsample") else h


class Residual(nn.Module):
    """Two convolutions beside a shortcut, as in VQGAN."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(before), nn.Conv2d(before, width, 3, padding=1)
        self.norm2, self.conv2 = _norm(width), nn.Conv2d(width, width, 3, padding=1)
        if before != width:
            self.nin_shortcut = nn.Conv2d(before, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Every cell looks at every other with one head, which knows no positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (part(h).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0]  # (batch, cell, channel)
        return x + self.proj_out(seen.transpose(1, 2).reshape(x.shape))


class Halve(nn.Module):
    """Half the rows and columns; the border is filled on the right and below alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Double(nn.Module):
    """Twice the rows and columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _middle(width: int) -> nn.ModuleList:
    return nn.ModuleList([Residual(width, width), Attention(width), Residual(width, width)])


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(NORM_GROUPS, width // GROUP_CHANNELS), width, eps=1e-6)
