"""GeCA's updates as its paper tells them, for comparison: state -> state after all updates."""

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.generators.geca.rule import Rule


def textbook(rule: Rule, z: Tensor, t: Tensor, condition: Tensor, state: Tensor, fires: Tensor) -> Tensor:
    """All of it at every update, for every cell, neighbours by nine one-hot convolutions.

    z (batch, channel, row, column); t (batch,); condition (batch, width); state (batch, cell, channel); fires (update,
    batch, cell).
    """
    batch, rows, columns, width, block = len(z), *rule.grid, rule.width, rule.block
    shifts = torch.eye(9).view(9, 1, 3, 3).repeat(width, 1, 1, 1).to(z)
    for mask in fires:
        c = F.silu(rule.time(t) + condition)
        shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(c)[:, None].chunk(6, dim=2)
        final_shift, final_scale = rule.final.modulation(c)[:, None].chunk(2, dim=2)
        cells = torch.cat([z.flatten(2).transpose(1, 2), state], dim=2)
        e = rule.cell_embedding(cells) + rule.positions
        q, k, v = block.qkv(block.attention_norm(e) * (1 + scale1) + shift1).chunk(3, dim=2)
        near = [
            F.conv2d(x.transpose(1, 2).unflatten(2, (rows, columns)), shifts, padding=1, groups=width)
            .view(batch, rule.heads, width // rule.heads, 9, rows * columns)
            for x in (k, v)
        ]  # fmt: skip
        q = q.transpose(1, 2).reshape(batch, rule.heads, width // rule.heads, 1, rows * columns)
        weights = ((q * near[0]).sum(2, keepdim=True) * (width // rule.heads) ** -0.5).softmax(dim=3)
        heard = (weights * near[1]).sum(3).reshape(batch, width, rows * columns).transpose(1, 2)
        e = e + gate1 * block.attention_out(heard)
        e = e + gate2 * block.mlp[1](F.gelu(block.mlp[0](block.mlp_norm(e) * (1 + scale2) + shift2)))
        u = rule.final.linear(F.layer_norm(e, (width,), eps=1e-6) * (1 + final_scale) + final_shift)
        state = state + mask[..., None] * u
    return state
