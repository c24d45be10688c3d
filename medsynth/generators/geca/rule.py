"""The rule of GeCA: what one cell does with what it sees (Elbatel et al. 2024, section 2.2).

A cell holds its noised latent C_in, a position code C_pe, its output C_out and a hidden state C_h. Only C_out and C_h
change. One update is a transformer block whose attention reaches the 3x3 cells around a cell; all updates share it.

What is done once instead of at every update: the modulation by time and label, the affine part of the normalisations,
and the contribution of C_in and C_pe to a cell's embedding. What is done for firing cells only: the query, the output
projection, the MLP and the final layer. Both leave the result as it is; a test compares with the textbook form.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
    attention: tuple[Tensor, Tensor, Tensor]  # factor, shift, gate, each (batch, width)
    mlp: tuple[Tensor, Tensor, Tensor]
    final: tuple[Tensor, Tensor]


class Rule(nn.Module):
    """The update Theta. Cells are numbered through the batch: image * rows * columns + position."""

    positions: Tensor

    def __init__(self, shape: Shape, channels: int, grid: tuple[int, int], label_embedding: LabelEmbedding) -> None:
        super().__init__()
        width, state = shape.width, 2 * channels + shape.hidden
        self.grid, self.heads, self.channels, self.width = grid, shape.heads, channels, width
        self.time, self.label = TimeEmbedding(width), label_embedding
        self.cell_embedding = nn.Linear(channels + state, width)
        self.block_modulation, self.final_modulation = nn.Linear(width, 6 * width), nn.Linear(width, 2 * width)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attention_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.mlp = nn.ModuleList([nn.Linear(width, shape.mlp), nn.Linear(shape.mlp, width)])
        self.final = nn.Linear(width, state)
        # Zero at first: an untrained automaton leaves its state alone (adaLN-zero, Peebles & Xie 2023).
        for layer in (self.block_modulation, self.final_modulation, self.final):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("positions", sinusoidal_positions(grid[0] * grid[1], width), persistent=False)

    def constants(self, z: Tensor, t: Tensor, condition: Tensor) -> Constants:
        """z (batch, channel, row, column) is C_in; t (batch,); condition (batch, width), the embedded labels."""
        c = F.silu(self.time(t) + condition)
        shift1, scale1, gate1, shift2, scale2, gate2 = self.block_modulation(c).chunk(6, dim=1)
        final_shift, final_scale = self.final_modulation(c).chunk(2, dim=1)
        cells = z.flatten(2).transpose(1, 2)  # (batch, cell, channel)
        embedding = F.linear(cells, self.cell_embedding.weight[:, : self.channels], self.cell_embedding.bias)
        return Constants(
            embedding=(embedding + self.positions).flatten(0, 1),
            attention=(*_affine(self.attention_norm, shift1, scale1), gate1),
            mlp=(*_affine(self.mlp_norm, shift2, scale2), gate2),
            final=(1 + final_scale, final_shift),
        )

    def forward(self, state: Tensor, firing: Tensor, constants: Constants) -> Tensor:
        """One update. state (cells, C_out and C_h); firing (number,) the cells that take part; -> state."""
        image = firing // (self.grid[0] * self.grid[1])

        def of_image(modulation: Tensor) -> Tensor:
            return modulation.index_select(0, image)

        e = constants.embedding + F.linear(state, self.cell_embedding.weight[:, self.channels :])
        factor, shift, gate = constants.attention
        seen = torch.addcmul(shift[:, None], self._normed(e, 1e-5).view(len(factor), -1, self.width), factor[:, None])
        seen = seen.flatten(0, 1)  # (cell, width)
        w_query, w_keys_values = self.qkv.weight.split([self.width, 2 * self.width])
        keys_values = F.pad(F.linear(seen, w_keys_values), (0, 0, 0, 1))  # a row of zeros for beyond the border
        near = of_cells(firing, self.grid, beyond=len(state))
        heard = attend(F.linear(seen.index_select(0, firing), w_query), keys_values, near, self.heads)
        e = torch.addcmul(e.index_select(0, firing), of_image(gate), self.attention_out(heard))  # (firing, width)
        factor, shift, gate = constants.mlp
        inner = F.gelu(self.mlp[0](torch.addcmul(of_image(shift), self._normed(e, 1e-5), of_image(factor))))
        e = torch.addcmul(e, of_image(gate), self.mlp[1](inner))
        factor, shift = constants.final
        change = self.final(torch.addcmul(of_image(shift), self._normed(e, 1e-6), of_image(factor)))
        return state.index_add(0, firing, change.to(state.dtype))

    def _normed(self, e: Tensor, eps: float) -> Tensor:
        return F.layer_norm(e, (self.width,), eps=eps)


def _affine(norm: nn.LayerNorm, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The norm's own factor and shift and the modulation's, as one factor and one shift."""
    return norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
