"""Perception by attention to the cells of a window around each cell.

Neither keys nor values are gathered: the grid is shifted under itself, once for each place of the window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.border import Border, padded
from medsynth.nca.linear import Linear

SLOPE = 0.2


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, *, size: int, border: Border, bias: Tensor | None = None
) -> Tensor:
    """softmax over the window of query . key / sqrt(width / heads) + bias, times value; (batch, row, column, width).

    All three are (batch, row, column, width), their heads side by side; bias (heads, size * size), the window's places
    row by row. Beyond a border of zeros keys and values are zero, and take part with the weight exp(bias).
    """
    query = query.unflatten(3, (heads, -1))
    rows, columns, part = query.shape[1], query.shape[2], query.shape[4]
    keys, values = (padded(each, size // 2, border).unflatten(3, (heads, -1)) for each in (key, value))
    places = [(down, right) for down in range(size) for right in range(size)]

    def shifted(cells: Tensor, place: tuple[int, int]) -> Tensor:
        return cells[:, place[0] : place[0] + rows, place[1] : place[1] + columns]

    scores = torch.stack([(query * shifted(keys, place)).sum(4) for place in places], dim=4) * part**-0.5
    scores = scores if bias is None else scores + bias
    weights = scores.softmax(4, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype)
    heard = sum(weights[..., i, None] * shifted(values, place) for i, place in enumerate(places))
    assert isinstance(heard, Tensor)
    return heard.flatten(3)


class LocalAttention(nn.Module):
    """Attention to a window, a linear layer, a leaky ReLU: "attention" of the NCA review's Table 6."""

    def __init__(
        self, inputs: int, outputs: int = 80, *, width: int | None = None, heads: int = 4, size: int = 3,
        border: Border = "circular", place_bias: bool = True,
    ) -> None:  # fmt: skip
        """`width` of queries, keys and values; left out: that of the outputs."""
        super().__init__()
        self.outputs, self.heads, self.size, self.border = outputs, heads, size, border
        width = outputs if width is None else width
        self.qkv, self.out = Linear(inputs, 3 * width, bias=False), Linear(width, outputs)
        self.bias = nn.Parameter(torch.zeros(heads, size**2)) if place_bias else None
        nn.init.xavier_uniform_(self.qkv.weight, gain=0.1)
        nn.init.xavier_uniform_(self.out.weight, gain=0.01)

    def heard(self, cells: Tensor) -> Tensor:
        """What attention and the linear layer make of the cells, (batch, row, column, output)."""
        query, key, value = self.qkv(cells).chunk(3, dim=3)
        return self.out(attend(query, key, value, self.heads, size=self.size, border=self.border, bias=self.bias))

    def forward(self, cells: Tensor) -> list[Tensor]:
        return [F.leaky_relu(self.heard(cells), SLOPE)]


class AttentionBlock(nn.Module):
    """A whole transformer block on a window: "attention" of the NCA review's Table 1.

    Attention of `width`, a linear layer to the outputs and the cell itself beside it; layer norm; an MLP four times as
    wide with GELU, and what it is given beside it; layer norm; leaky ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int = 80, *, width: int = 128, heads: int = 4, size: int = 3,
        border: Border = "circular", place_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.outputs = outputs
        self.attention = LocalAttention(
            inputs, outputs, width=width, heads=heads, size=size, border=border, place_bias=place_bias
        )
        self.skip = Linear(inputs, outputs)
        self.mlp = nn.ModuleList([Linear(outputs, 4 * outputs), Linear(4 * outputs, outputs)])
        self.norms = nn.ModuleList([nn.LayerNorm(outputs), nn.LayerNorm(outputs)])

    def forward(self, cells: Tensor) -> list[Tensor]:
        seen = self.norms[0](self.attention.heard(cells) + self.skip(cells))
        seen = self.norms[1](seen + self.mlp[1](F.gelu(self.mlp[0](seen))))
        return [F.leaky_relu(seen, SLOPE)]
