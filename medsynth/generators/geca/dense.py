"""The update of GeCA for every cell of a small grid: state -> state.

What depends on time, labels and C_in alone is done once for the M updates; the attention is masked attention of all
cells to all cells, which for a few dozen cells costs less than finding the nine around each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.generators.geca.rule import Rule
from medsynth.nn.block import Modulation
from medsynth.nn.neighbourhood import bias


@dataclass(frozen=True)
class Dense:
    """One diffusion step's update."""

    rule: Rule
    embedding: Tensor  # (batch, cell, width), without the state
    of_state: Tensor  # (width, state)
    attention: Modulation
    mlp: Modulation
    final: tuple[Tensor, Tensor]
    bias: Tensor  # of the attention

    @classmethod
    def of(cls, rule: Rule, z: Tensor, t: Tensor, condition: Tensor) -> "Dense":
        """z (batch, channel, row, column) is C_in; t (batch,); condition (batch, width), the embedded labels."""
        c, embedding = rule.conditioned(t, condition), rule.unchanging(z)
        attention, mlp = (part.over_tokens() for part in rule.block.modulations(c))
        factor, shift = rule.final.modulations(c)
        final = factor[:, None], shift[:, None]
        return cls(rule, embedding, rule.of_state, attention, mlp, final, bias(*rule.grid).to(embedding))

    def update(self, state: Tensor, fires: Tensor, *, lean: bool = False) -> Tensor:
        """state (batch, cell, channel) -> the same; fires (batch, cell), bool. Nothing is gained by `lean` here."""
        block = self.rule.block
        e = self.embedding + F.linear(state, self.of_state)
        qkv = F.pad(block.qkv(block.seen(e, self.attention)), (0, 0, 0, 1))  # one zero key and value more
        query, key, value = qkv.unflatten(2, (3, self.rule.heads, -1)).permute(2, 0, 3, 1, 4)
        heard = F.scaled_dot_product_attention(query[:, :, :-1], key, value, self.bias.to(query.dtype))
        e = block.with_attention(e, heard.transpose(1, 2).flatten(2), self.attention)
        e = block.with_mlp(e, self.mlp)
        return torch.addcmul(state, fires[..., None], self.rule.final(e, *self.final).to(state.dtype))
