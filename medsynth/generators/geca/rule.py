"""The rule of GeCA: what one cell does with what it sees (Elbatel et al. 2024, section 2.2).

A cell holds its noised latent C_in, a position code C_pe, its output C_out and a hidden state C_h. Only C_out and C_h
change. One update is a transformer block whose attention reaches the 3x3 cells around a cell; all updates share it.

What is done once instead of at every update: the modulation by time and label, the affine part of the normalisations,
and the contribution of C_in and C_pe to a cell's embedding. What is done for firing cells only: the query, the output
projection, the MLP and the final layer. Both leave the result as it is; a test compares with the textbook form.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nn.block import Block, Final, Modulation
from medsynth.nn.embeddings import LabelEmbedding, TimeEmbedding, sinusoidal_positions
from medsynth.nn.neighbourhood import attend, of_cells


@dataclass(frozen=True)
class Shape:
    """Sizes of the rule."""

    width: int  # of a cell's embedding
    heads: int
    mlp: int  # width of the hidden layer
    hidden: int  # channels of C_h


SHAPES = {
    "s": Shape(width=768, heads=12, mlp=3072, hidden=64),
    "xs": Shape(width=384, heads=6, mlp=64, hidden=32),
    "tiny": Shape(width=128, heads=4, mlp=256, hidden=32),
}


@dataclass(frozen=True)
class Constants:
    """What stays the same during the M updates of one diffusion step."""

    embedding: Tensor  # (cells, width): what C_in and C_pe add to the embedding of each cell
    attention: Modulation
    mlp: Modulation
    final: tuple[Tensor, Tensor]  # factor, shift, each (batch, width)


class Rule(nn.Module):
    """The update Theta. Cells are numbered through the batch: image * rows * columns + position."""

    positions: Tensor

    def __init__(self, shape: Shape, channels: int, grid: tuple[int, int], label_embedding: LabelEmbedding) -> None:
        super().__init__()
        width, state = shape.width, 2 * channels + shape.hidden
        self.grid, self.heads, self.channels, self.width = grid, shape.heads, channels, width
        self.time, self.label = TimeEmbedding(width), label_embedding
        self.cell_embedding = nn.Linear(channels + state, width)
        self.block = Block(width, shape.mlp, affine=True, qkv_bias=False, eps=1e-5, gelu="none")
        self.final = Final(width, state)  # zero at first: an untrained automaton leaves its state alone
        self.register_buffer("positions", sinusoidal_positions(grid[0] * grid[1], width), persistent=False)

    def constants(self, z: Tensor, t: Tensor, condition: Tensor) -> Constants:
        """z (batch, channel, row, column) is C_in; t (batch,); condition (batch, width), the embedded labels."""
        c = F.silu(self.time(t) + condition)
        attention, mlp = self.block.modulations(c)
        cells = z.flatten(2).transpose(1, 2)  # (batch, cell, channel)
        embedding = F.linear(cells, self.cell_embedding.weight[:, : self.channels], self.cell_embedding.bias)
        return Constants((embedding + self.positions).flatten(0, 1), attention, mlp, self.final.modulations(c))

    def forward(self, state: Tensor, firing: Tensor, constants: Constants) -> Tensor:
        """One update. state (cells, C_out and C_h); firing (number,) the cells that take part; -> state."""
        block, image = self.block, firing // (self.grid[0] * self.grid[1])
        e = constants.embedding + F.linear(state, self.cell_embedding.weight[:, self.channels :])
        grids = e.view(len(constants.attention.gate), -1, self.width)
        seen = block.seen(grids, constants.attention.over_tokens()).flatten(0, 1)  # (cell, width)
        w_query, w_keys_values = block.qkv.weight.split([self.width, 2 * self.width])
        keys_values = F.pad(F.linear(seen, w_keys_values), (0, 0, 0, 1))  # a row of zeros for beyond the border
        near = of_cells(firing, self.grid, beyond=len(state))
        heard = attend(F.linear(seen.index_select(0, firing), w_query), keys_values, near, self.heads)
        e = block.with_attention(e.index_select(0, firing), heard, constants.attention.at(image))  # (firing, width)
        e = block.with_mlp(e, constants.mlp.at(image))
        factor, shift = (part.index_select(0, image) for part in constants.final)
        return state.index_add(0, firing, self.final(e, factor, shift).to(state.dtype))
