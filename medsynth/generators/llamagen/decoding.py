"""The transformer, one token after the other: keys and values of the tokens before are kept, not made again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.draws import RowDraws
from medsynth.generators.llamagen.choice import drawn
from medsynth.generators.llamagen.products import Product, product
from medsynth.generators.llamagen.transformer import EPS, Block, Transformer
from medsynth.nn.rotary import rotated
from medsynth.sampling import TIMESTEPS, Arithmetic, Sampling

CACHE_BYTES = 4 * 2**30  # on a CPU; on a GPU half of what is free


def scales(sampling: Sampling, positions: int) -> list[float]:
    """The scale of guidance at each token; 1 is none. Token i of N stands at the time 1 - i / N."""
    return [sampling.scale_at(TIMESTEPS * (1 - index / positions)) for index in range(positions)]


def guided_until(scale: Sequence[float]) -> int:
    """Up to which token, itself left out, the rows without labels are needed."""
    return max((index + 1 for index, one in enumerate(scale) if one != 1), default=0)


@dataclass(frozen=True)
class _Layer:
    """A block, made ready for few rows."""

    attention_norm: Tensor
    qkv: Product
    attention_out: Product
    mlp_norm: Tensor
    gate_up: Product
    down: Product

    @classmethod
    def of(cls, block: Block, arithmetic: Arithmetic) -> "_Layer":
        return cls(
            block.attention_norm.weight,
            product(block.qkv.weight, arithmetic),
            product(block.attention_out.weight, arithmetic),
            block.mlp_norm.weight,
            product(block.gate_up.weight, arithmetic),
            product(block.down.weight, arithmetic),
        )


class Decoder:
    """A transformer made ready to draw."""

    def __init__(self, transformer: Transformer, arithmetic: Arithmetic = "exact") -> None:
        self.transformer, self.shape = transformer, transformer.shape
        self.layers = [_Layer.of(block, arithmetic) for block in transformer.blocks]  # type: ignore[arg-type]
        self.head = product(transformer.head.weight, arithmetic)

    def draw(self, condition: Tensor, null: Tensor, draws: RowDraws, sampling: Sampling) -> Tensor:
        """Tokens in raster order, (row, token); no more rows at once than the cache has room for.

        condition (row, width): of each row's labels; null (width,): of labels that are not told.
        """
        streams = 2 if guided_until(scales(sampling, self.transformer.positions)) else 1
        at_once = max(1, self._room() // (streams * 4 * math.prod(self._size(1))))
        own = draws.generators
        parts = [RowDraws(own[first : first + at_once]) for first in range(0, len(own), at_once)]
        return torch.cat(
            [
                self._drawn(some, null, part, sampling)
                for some, part in zip(condition.split(at_once), parts, strict=True)
            ]
        )

    def _drawn(self, condition: Tensor, null: Tensor, draws: RowDraws, sampling: Sampling) -> Tensor:
        rows, positions = len(condition), self.transformer.positions
        scale = scales(sampling, positions)
        until = guided_until(scale)
        e = torch.cat([condition, null.expand_as(condition)]) if until else condition
        cache = self.cache(len(e))
        tokens = torch.empty(rows, positions, dtype=torch.int64, device=e.device)
        for index in range(positions):
            hidden = self.step(e, index, cache)
            if scale[index] != 1:
                # The head has no bias, so that it may come after the mixture: one product instead of two.
                with_labels, without_labels = hidden.chunk(2)
                hidden = without_labels.lerp(with_labels, scale[index])
            logits = self.head(hidden[:rows])
            tokens[:, index] = drawn(logits, draws.exponential(logits.shape[1]), sampling)
            e = self.transformer.tokens(tokens[:, index])
            e = e.repeat(2, 1) if index + 1 < until else e
        return tokens

    def cache(self, rows: int) -> Tensor:
        """Room for keys and values, (layer, key or value, row, head, token, value), float32."""
        return torch.empty(self._size(rows), device=self.transformer.turns.device)

    def _size(self, rows: int) -> tuple[int, ...]:
        heads, width = self.shape.heads, self.shape.width
        return self.shape.depth, 2, rows, heads, self.transformer.positions, width // heads

    def _room(self) -> int:
        """Bytes that the cache may take."""
        device = self.transformer.turns.device
        return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CACHE_BYTES

    def step(self, e: Tensor, position: int, cache: Tensor) -> Tensor:
        """One token of each row, normed for the head, (row, width). Row i's past is at row i of the cache."""
        rows, heads, shape = len(e), self.shape.heads, (self.shape.width,)
        turns = self.transformer.turns[position]
        for layer, (keys, values) in zip(self.layers, cache[:, :, :rows, :, : position + 1], strict=True):
            qkv = layer.qkv(F.rms_norm(e, shape, layer.attention_norm, EPS)).view(rows, 3 * heads, -1)
            query, key = rotated(qkv[:, : 2 * heads], turns).chunk(2, dim=1)
            keys[:, :, position], values[:, :, position] = key, qkv[:, 2 * heads :]
            heard = F.scaled_dot_product_attention(query[:, :, None], keys, values)
            e = e + layer.attention_out(heard.flatten(1))
            gate, up = layer.gate_up(F.rms_norm(e, shape, layer.mlp_norm, EPS)).chunk(2, dim=1)
            e = e + layer.down(F.silu(gate) * up)
        return F.rms_norm(e, shape, self.transformer.norm.weight, EPS)
