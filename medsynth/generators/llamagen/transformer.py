"""The network of LlamaGen: a label's vector and an image's first tokens -> what is known of each token that follows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nn.rotary import rotated, rotations_2d

EPS = 1e-5
DEVIATION = 0.02  # of all weights at first

Dropout = Callable[[Tensor], Tensor]


def nothing(x: Tensor) -> Tensor:
    """No dropout."""
    return x


@dataclass(frozen=True)
class Shape:
    """Sizes of the transformer."""

    width: int  # of a token
    depth: int  # blocks
    heads: int
    multiple: int = 256  # what the hidden layer of an MLP is a multiple of

    @property
    def hidden(self) -> int:
        """The hidden layer: 8/3 of the width, so that its three matrices are as large as the usual two, rounded up."""
        return -(-(8 * self.width // 3) // self.multiple) * self.multiple


# b, l and xl: table 1 of Sun et al. 2024.
SHAPES = {
    "xl": Shape(width=1280, depth=36, heads=20),
    "l": Shape(width=1024, depth=24, heads=16),
    "b": Shape(width=768, depth=12, heads=12),
    "s": Shape(width=384, depth=8, heads=6),
    "tiny": Shape(width=96, depth=3, heads=3, multiple=64),
}


class Block(nn.Module):
    """Attention, then an MLP with a gate (SwiGLU, Shazeer 2020), each after a root-mean-square norm; without biases."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, EPS), nn.RMSNorm(width, EPS)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, width, bias=False)

    def forward(self, e: Tensor, turns: Tensor, drop: Dropout) -> Tensor:
        """e (batch, token, width); turns (token, pair)"""
        e = e + drop(self.attention_out(self._heard(self.qkv(self.attention_norm(e)), turns)))
        gate, up = self.gate_up(self.mlp_norm(e)).chunk(2, dim=-1)
        return e + drop(self.down(F.silu(gate) * up))

    def _heard(self, qkv: Tensor, turns: Tensor) -> Tensor:
        """Every token hears itself and those before it. qkv (batch, token, 3 * width) -> (batch, token, width)."""
        query, key, value = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key = rotated(query, turns), rotated(key, turns)
        return F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)


class Transformer(nn.Module):
    """A decoder over [label, tokens in raster order] (Sun et al. 2024, section 2.2)."""

    turns: Tensor

    def __init__(self, shape: Shape, grid: tuple[int, int], vocabulary: int) -> None:
        """grid: (rows, columns) of an image's tokens."""
        super().__init__()
        self.shape, self.grid = shape, grid
        self.tokens = nn.Embedding(vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.RMSNorm(shape.width, EPS)
        self.head = nn.Linear(shape.width, vocabulary, bias=False)
        turns = rotations_2d(*grid, shape.width // shape.heads)[:-1]  # nothing follows the last token
        self.register_buffer("turns", turns, persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=DEVIATION)
        nn.init.zeros_(self.head.weight)

    def forward(self, condition: Tensor, tokens: Tensor, drop: Dropout = nothing) -> Tensor:
        """What the head needs to tell each next token from, (batch, 1 + token, width).

        condition (batch, width); tokens (batch, token), the first ones of the image, the last left out.
        """
        e = drop(torch.cat([condition[:, None], self.tokens(tokens)], dim=1))
        for block in self.blocks:
            e = block(e, self.turns[: e.shape[1]], drop)
        return self.norm(e)

    def shards(self) -> nn.ModuleList:
        """What a sharded training may fetch one after the other."""
        return self.blocks

    @property
    def positions(self) -> int:
        """Tokens of an image."""
        return self.grid[0] * self.grid[1]

    def macs(self) -> int:
        """Multiply-accumulates of one token of one image, those before it in the cache: the mean over all tokens."""
        linear = [self.head, *(layer for layer in self.blocks.modules() if isinstance(layer, nn.Linear))]
        attention = self.shape.depth * self.shape.width * (self.positions + 1)  # twice the mean length, (N + 1) / 2
        return sum(layer.weight.numel() for layer in linear) + attention
