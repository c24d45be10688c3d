"""The update of GeCA for the cells that fire: state -> state.

Why it is as it is. A cell that does not fire is still asked for its key and value, and these would be most of the work.
But a cell's embedding is e = e_0 + A s, where e_0 (of C_in and C_pe) stays the same for the M updates of a diffusion
step and the state s has 40 or 72 channels, not 384 or 768; and a norm, which centres and scales, is linear but for one
number, the deviation. So a query, a key or a value is
    W (factor * (e - mean e) / deviation + shift) = (B_0 + B s) / deviation + b,    deviation^2 = s'Gs + g's + g_0
with B_0 of a cell, B and b of an image, G of all, g and g_0 of a cell, made once per diffusion step: a tenth of the
multiplications at every update with the same result, and neither embedding nor norm of most cells is ever made. The
division and b move into the attention's weights. Query, output projection, MLP and final layer are for firing cells.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medsynth.generators.geca.rule import Rule
from medsynth.nn.block import Modulation
from medsynth.nn.neighbourhood import Asking, asking, attend


@dataclass(frozen=True)
class Affine:
    """A quantity of each cell as it follows from the state: start + state @ slope."""

    start: Tensor  # (batch, cell, quantity)
    slope: Tensor  # (batch, state, quantity)


@dataclass(frozen=True)
class Variance:
    """That of each cell's embedding: a polynomial of its state."""

    square: Tensor  # (state, state)
    linear: Tensor  # (batch, cell, state)
    constant: Tensor  # (batch, cell, 1)

    def at(self, state: Tensor) -> Tensor:
        """(batch, cell)"""
        with torch.autocast(state.device.type, enabled=False):  # small, and differences of like numbers
            found = ((state @ self.square + self.linear) * state).sum(2) + self.constant[..., 0]
        return found.clamp(min=0)


@dataclass(frozen=True)
class Firing:
    """One diffusion step's update."""

    rule: Rule
    variance: Variance
    keys_values: Affine  # before division by the deviation, and without the shift
    embedding_query: Affine  # side by side; the query like the keys
    shifts: tuple[Tensor, Tensor, Tensor]  # of query, key and value, each (batch, 1, width)
    attention: Modulation
    mlp: Modulation
    final: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, rule: Rule, z: Tensor, t: Tensor, condition: Tensor) -> "Firing":
        """z (batch, channel, row, column) is C_in; t (batch,); condition (batch, width), the embedded labels."""
        c, width, block = rule.conditioned(t, condition), rule.width, rule.block
        attention, mlp = block.modulations(c)
        anchors = torch.cat([rule.unchanging(z), rule.of_state.t().expand(len(z), -1, -1)], dim=1)  # e_0, then A
        centred = anchors - anchors.mean(2, keepdim=True)
        parts = block.qkv(centred * attention.factor[:, None])  # (batch, cell + state, 3 * width)
        low, cells = parts.dtype, z.shape[2] * z.shape[3]
        queries, keys_values = parts.split([width, 2 * width], dim=2)
        embedding_query = torch.cat([anchors.to(low), queries], dim=2)
        shifts = block.qkv(attention.shift)[:, None].chunk(3, dim=2)
        factor, shift = (part[:, None].to(low) for part in rule.final.modulations(c))
        return cls(
            rule, _variance(centred, cells), _affine(keys_values, cells), _affine(embedding_query, cells), shifts,
            attention.over_tokens().to(low), mlp.over_tokens().to(low), (factor, shift),
        )  # fmt: skip

    def update(self, state: Tensor, fires: Tensor, *, lean: bool = False) -> Tensor:
        """state (batch, cell, channel) -> the same; fires (batch, cell), bool.

        `lean` keeps for the way back only what is dear to make again: of attention and final layer nothing. That halves
        memory, and what is done twice is a tenth of the multiplications of a forward pass of `s`. Half precision does
        without: it halves memory by itself, and multiplies so fast that all else counts double.
        """
        lean = lean and self.keys_values.start.dtype == state.dtype
        who = asking(fires, self.rule.grid)
        e, heard = _made_again(self._heard, state, who) if lean else self._heard(state, who)
        e = self.rule.block.with_mlp(self.rule.block.with_attention(e, heard, self.attention), self.mlp)
        change = _made_again(self.rule.final, e, *self.final) if lean else self.rule.final(e, *self.final)
        change = (change.to(state.dtype) * who.fires).flatten(0, 1)
        return state.flatten(0, 1).index_add(0, who.cells.flatten(), change).view(state.shape)

    def _heard(self, state: Tensor, who: Asking) -> tuple[Tensor, Tensor]:
        """The embedding of those that ask, and what attention gathers for them, each (image, asker, width)."""
        heads, width, low = self.rule.heads, self.rule.width, self.keys_values.start.dtype
        images, askers = who.cells.shape
        at = who.cells.flatten()
        scale = (self.variance.at(state) + self.rule.block.eps).rsqrt().flatten()  # 1 / deviation, (cells,)
        small = state.to(low)
        keys_values = torch.baddbmm(self.keys_values.start, small, self.keys_values.slope).flatten(0, 1)
        own = self.embedding_query.start.flatten(0, 1).index_select(0, at).unflatten(0, (images, askers))
        small = small.flatten(0, 1).index_select(0, at).unflatten(0, (images, askers))
        e, query = torch.baddbmm(own, small, self.embedding_query.slope).split(width, dim=2)
        q_shift, k_shift, v_shift = self.shifts
        query = torch.addcmul(q_shift, query, scale.index_select(0, at).view(images, askers, 1).to(low))
        of_shift = (query * k_shift).unflatten(2, (heads, -1)).sum(3).flatten(0, 1).to(scale.dtype)
        of_near = scale.index_select(0, who.near.flatten()).view(who.near.shape)  # its gradient adds up in one order
        heard, inside = attend(query.flatten(0, 1), keys_values, of_near, of_shift, who)
        heard, inside = (part.view(images, askers, heads, -1) for part in (heard, inside.to(low)))
        return e, torch.addcmul(heard, inside, v_shift.unflatten(2, (heads, -1))).flatten(2)


_made_again = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


def _affine(rows: Tensor, cells: int) -> Affine:
    return Affine(rows[:, :cells].contiguous(), rows[:, cells:].contiguous())


def _variance(centred: Tensor, cells: int) -> Variance:
    """centred (batch, cell + state, width): what the state adds is the same in all images."""
    of_cells, of_state, width = centred[:, :cells], centred[0, cells:], centred.shape[2]
    with torch.autocast(centred.device.type, enabled=False):
        return Variance(
            of_state @ of_state.t() / width,
            of_cells @ of_state.t() * (2 / width),
            of_cells.square().mean(2, keepdim=True),
        )
