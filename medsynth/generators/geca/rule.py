"""The rule of GeCA: what one cell does with what it sees (Elbatel et al. 2024, section 2.2).

A cell holds its noised latent C_in, a position code C_pe, its output C_out and a hidden state C_h. Only C_out and C_h
change. One update is a transformer block whose attention reaches the 3x3 cells around a cell; all M updates of a
diffusion step share it. Here are its weights. The update itself is written twice, with the same result: `dense.py` does
everything for every cell and is what small grids are fastest with; `firing.py` does what is needed and no more.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nn.block import Block, Final
from medsynth.nn.embeddings import LabelEmbedding, TimeEmbedding, sinusoidal_positions


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


class Rule(nn.Module):
    """The weights of the update Theta, and what of it is the same in all updates of a diffusion step."""

    positions: Tensor

    def __init__(self, shape: Shape, channels: int, grid: tuple[int, int], label_embedding: LabelEmbedding) -> None:
        super().__init__()
        width, state = shape.width, 2 * channels + shape.hidden
        self.grid, self.heads, self.channels, self.width, self.state = grid, shape.heads, channels, width, state
        self.mlp = shape.mlp
        self.time, self.label = TimeEmbedding(width), label_embedding
        self.cell_embedding = nn.Linear(channels + state, width)
        self.block = Block(width, shape.mlp, affine=True, qkv_bias=False, eps=1e-5, gelu="none")
        self.final = Final(width, state)  # zero at first: an untrained automaton leaves its state alone
        self.register_buffer("positions", sinusoidal_positions(grid[0] * grid[1], width), persistent=False)

    def conditioned(self, t: Tensor, condition: Tensor) -> Tensor:
        """What modulates the norms, (batch, width). t (batch,); condition (batch, width), the embedded labels."""
        return F.silu(self.time(t) + condition)

    def unchanging(self, z: Tensor) -> Tensor:
        """What C_in, z (batch, channel, row, column), and C_pe add to each cell's embedding, (batch, cell, width)."""
        weight, bias = self.cell_embedding.weight[:, : self.channels], self.cell_embedding.bias
        return F.linear(z.flatten(2).transpose(1, 2), weight, bias) + self.positions

    @property
    def of_state(self) -> Tensor:
        """The weights of what C_out and C_h add to it, (width, state)."""
        return self.cell_embedding.weight[:, self.channels :]

    def prefers_firing(self, updates: int, fire_rate: float) -> bool:
        """Whether `firing.py` saves so many multiplications (45 %: measured) that its bookkeeping pays."""
        cells, width, per_cell = self.grid[0] * self.grid[1], self.width, self.width * (self.width + 2 * self.mlp)
        dense = updates * cells * (per_cell + width * (3 * width + 2 * cells))
        once = (cells + self.state) * 3 * width**2
        return once + updates * cells * (2 * width * self.state + fire_rate * per_cell) < 0.55 * dense
