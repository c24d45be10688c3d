"""A U-Net that is told time and a condition: noised latents -> prediction. diffusers' UNet2DModel, shaped to the grid.

What differs from the library's defaults is what latent diffusion (Rombach et al. 2022) and improved DDPM (Nichol &
Dhariwal 2021) have and it has not: the last layer of every residual branch, and of the whole, begins at zero. It has no
dropout: the masks would come from torch's own generator, and all that is random here belongs to rows (see draws.py).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from medsynth.errors import BadUsage
from medsynth.shapes import Latents


@dataclass(frozen=True)
class Shape:
    """Sizes of a U-Net."""

    channels: tuple[int, ...]  # of each level, the finest first; a coarse grid leaves the last ones out
    blocks: int  # residual blocks a level, one more on the way up
    attention: int  # cells a side up to which a level attends; the bottom always does
    heads: int
    groups: int  # of each group norm
    scale_shift: bool = False  # time and condition scale and shift each norm (improved DDPM) instead of being added


class UNet(nn.Module):
    """x_t, t and a condition of `width` channels -> `out` channels on the same grid."""

    def __init__(self, shape: Shape, code: tuple[int, ...], out: int) -> None:
        """code: channels, rows and columns of what comes in. Raises BadUsage for a grid that cannot be halved."""
        super().__init__()
        self.shape, self.code, self.out, self.width = shape, code, out, 4 * shape.channels[0]
        self.attend = Attend()
        self.unet = _network(shape, code, out)
        for module in self.unet.modules():
            if hasattr(module, "to_v"):
                module.heads = shape.heads  # the library counts them by their width
                module.set_processor(self.attend)
                _silence(module.to_out[0])
            elif hasattr(module, "conv2"):
                _silence(module.conv2)
        _silence(self.unet.conv_out)

    def forward(self, x_t: Latents, t: Tensor, condition: Tensor, *, weaker: bool = False) -> Tensor:
        """t (batch,) on any device; condition (batch, width). weaker: every cell attends to itself alone."""
        self.attend.weaker = weaker
        return self.unet(x_t, t.to(x_t.device), condition, return_dict=False)[0]

    def macs(self) -> int:
        """Multiply-accumulates of one forward pass for one image: convolutions, linear layers and attention."""
        return _macs(self.shape, self.code, self.out)


class Attend:
    """diffusers' self-attention and a weaker form of it, in which nobody hears anybody else.

    There the map of attention is the identity, so that values pass straight through: the guide of perturbed-attention
    guidance (Ahn et al. 2024, section 4.1), here in all layers that attend.
    """

    weaker = False

    def __call__(self, layer: Any, grids: Tensor, temb: Any = None, **texts: Any) -> Tensor:
        """grids (batch, channel, row, column) -> the same. The library names the rest; it is not used."""
        from diffusers.models.attention_processor import AttnProcessor2_0

        if not self.weaker:
            return AttnProcessor2_0()(layer, grids)
        cells = layer.group_norm(grids.flatten(2)).transpose(1, 2)  # (batch, cell, channel)
        heard = layer.to_out[0](layer.to_v(cells))
        return grids + heard.transpose(1, 2).unflatten(2, grids.shape[2:])


def levels_of(grid: tuple[int, ...], most: int) -> int:
    """How many levels fit a grid: each halves the one before, none has fewer than two cells a side. Raises BadUsage."""
    levels, sides = 1, grid
    while levels < most and all(side % 2 == 0 and side > 2 for side in sides):
        levels, sides = levels + 1, tuple(side // 2 for side in sides)
    if levels == 1:
        raise BadUsage(
            f"a U-Net halves the latents' grid, which {' x '.join(map(str, grid))} cells do not allow",
            hint="--set ingest.image_size=64",
        )
    return levels


def _network(shape: Shape, code: tuple[int, ...], out: int) -> Any:
    from diffusers.models.unets.unet_2d import UNet2DModel

    channels, *grid = code
    levels = levels_of(tuple(grid), len(shape.channels))
    attends = [max(grid) >> level <= shape.attention for level in range(levels)]
    return UNet2DModel(
        sample_size=tuple(grid),
        in_channels=channels,
        out_channels=out,
        block_out_channels=shape.channels[:levels],
        layers_per_block=shape.blocks,
        down_block_types=tuple("AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        up_block_types=tuple("AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)),
        norm_num_groups=shape.groups,
        attn_norm_num_groups=shape.groups,
        resnet_time_scale_shift="scale_shift" if shape.scale_shift else "default",
        class_embed_type="identity",
    )


@lru_cache
def _macs(shape: Shape, code: tuple[int, ...], out: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):  # shapes without numbers
        network = UNet(shape, code, out)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.empty(1, *code), torch.zeros(1), torch.empty(1, network.width))
    return int(counter.get_total_flops() // 2)


def _silence(layer: nn.Module) -> None:
    for values in layer.parameters():
        nn.init.zeros_(values)
