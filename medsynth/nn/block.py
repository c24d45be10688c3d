"""The transformer block whose norms are modulated by time and labels (adaLN-zero, Peebles & Xie 2023, section 3.2).

It is given in parts, because who attends to whom differs: in DiT every token to every token, in GeCA's automaton a cell
that fires to the cells around it. The block knows neither; it is told what was heard.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Modulation:
    """What time and labels make of one norm and of one branch; all (batch, width)."""

    factor: Tensor
    shift: Tensor
    gate: Tensor

    def over_tokens(self) -> "Modulation":
        """The same for every token of a row, (batch, 1, width)."""
        return Modulation(self.factor[:, None], self.shift[:, None], self.gate[:, None])

    def to(self, dtype: torch.dtype) -> "Modulation":
        return Modulation(self.factor.to(dtype), self.shift.to(dtype), self.gate.to(dtype))


class Block(nn.Module):
    """Attention, then an MLP, each after a modulated norm and through a gate that is shut at first."""

    def __init__(
        self, width: int, mlp: int, *, affine: bool, qkv_bias: bool, eps: float, gelu: Literal["none", "tanh"]
    ) -> None:
        super().__init__()
        self.width, self.eps, self.gelu = width, eps, gelu
        self.modulation = nn.Linear(width, 6 * width)
        self.attention_norm = nn.LayerNorm(width, eps, elementwise_affine=affine)
        self.mlp_norm = nn.LayerNorm(width, eps, elementwise_affine=affine)
        self.qkv, self.attention_out = nn.Linear(width, 3 * width, bias=qkv_bias), nn.Linear(width, width)
        self.mlp = nn.ModuleList([nn.Linear(width, mlp), nn.Linear(mlp, width)])
        for values in self.modulation.parameters():
            nn.init.zeros_(values)

    def modulations(self, c: Tensor) -> tuple[Modulation, Modulation]:
        """Of the attention's branch and of the MLP's. c (batch, width): SiLU of time and labels together."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c).chunk(6, dim=1)
        return (
            Modulation(*_affine(self.attention_norm, scale1, shift1), gate1),
            Modulation(*_affine(self.mlp_norm, scale2, shift2), gate2),
        )

    def seen(self, e: Tensor, modulation: Modulation) -> Tensor:
        """What a branch gets to see: the norm's and the modulation's affine part in one."""
        return torch.addcmul(modulation.shift, F.layer_norm(e, (self.width,), eps=self.eps), modulation.factor)

    def with_attention(self, e: Tensor, heard: Tensor, modulation: Modulation) -> Tensor:
        """heard: what attention gathered for each token, its heads side by side, (..., width)."""
        return torch.addcmul(e, modulation.gate, self.attention_out(heard))

    def with_mlp(self, e: Tensor, modulation: Modulation) -> Tensor:
        inner = F.gelu(self.mlp[0](self.seen(e, modulation)), approximate=self.gelu)
        return torch.addcmul(e, modulation.gate, self.mlp[1](inner))


class Final(nn.Module):
    """The last layer: a modulated norm without parameters, then a linear layer that says nothing at first."""

    EPS = 1e-6

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.width = width
        self.modulation, self.linear = nn.Linear(width, 2 * width), nn.Linear(width, out)
        for values in self.parameters():
            nn.init.zeros_(values)

    def modulations(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and shift, each (batch, width)."""
        shift, scale = self.modulation(c).chunk(2, dim=1)
        return 1 + scale, shift

    def forward(self, e: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
        """e (..., width); factor and shift fit it; -> (..., out)."""
        return self.linear(torch.addcmul(shift, F.layer_norm(e, (self.width,), eps=self.EPS), factor))


def _affine(norm: nn.LayerNorm, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """The norm's own factor and shift, if it has them, and the modulation's, as one factor and one shift."""
    if not norm.elementwise_affine:
        return 1 + scale, shift
    return norm.weight * (1 + scale), norm.bias * (1 + scale) + shift
