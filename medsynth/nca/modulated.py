"""A transformer block as perception and its last layer as update, both told how to change by condition channels.

With these the automaton of GeCA (Elbatel et al. 2024, section 2.2) is a composition like any other. A cell is told its
noised latent C_in and, the same everywhere, a vector c of time and labels that modulates the norms. This form makes all
anew at every step; generators/geca has one that does not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.attention import attend
from medsynth.nca.border import Border
from medsynth.nca.linear import linear
from medsynth.nn.block import Block, Final


class ModulatedBlock(nn.Module):
    """A cell's embedding after a block that attends to a window, and beside it c, for the update.

    cells hold, in this order, c (as many channels as the block is wide) and what is embedded.
    """

    def __init__(self, embedding: nn.Linear, positions: Tensor, block: Block, heads: int, border: Border) -> None:
        """positions (row, column, width): what each cell's embedding has beside."""
        super().__init__()
        self.embedding, self.block, self.heads, self.border = embedding, block, heads, border
        self.positions, self.outputs = positions, 2 * block.width

    def forward(self, cells: Tensor) -> list[Tensor]:
        c, held = cells[..., : self.block.width], cells[..., self.block.width :]
        e = linear(held, self.embedding.weight, self.embedding.bias) + self.positions.to(cells)
        attention, mlp = self.block.modulations(c.flatten(0, 2))  # of every cell, (cell, width)
        rows = e.flatten(0, 2)
        query, key, value = self.block.qkv(self.block.seen(rows, attention)).view(*e.shape[:3], -1).chunk(3, dim=3)
        heard = attend(query, key, value, self.heads, size=3, border=self.border)
        rows = self.block.with_mlp(self.block.with_attention(rows, heard.flatten(0, 2), attention), mlp)
        return [rows.view_as(e), c]


class Modulated(nn.Module):
    """What GeCA's last layer is given: a norm without parameters that c modulates. rows hold the embedding, then c."""

    def __init__(self, final: Final) -> None:
        super().__init__()
        self.modulation, self.width = final.modulation, final.width

    def forward(self, rows: Tensor) -> Tensor:
        e, c = rows.split(self.width, dim=1)
        shift, scale = self.modulation(c).chunk(2, dim=1)
        return torch.addcmul(shift, F.layer_norm(e, (self.width,), eps=Final.EPS), 1 + scale)
