"""What a cell makes of what it sees: rows of perceived numbers -> changes. Every cell does the same, for itself alone.

So an update works on rows, any number of them in any order, and a step can leave out the cells that do not fire.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medsynth.nca.linear import Linear


@dataclass(frozen=True)
class Form:
    """How an update is built beside its sizes. The defaults are those of the NCA review's image tasks."""

    slope: float = 0.2  # of the leaky ReLU below zero; 0 is a ReLU
    norm: Literal["none", "layer", "rms"] = "none"  # over each hidden layer of one cell, after its ReLU
    dropout: float = 0.0  # share of the last hidden layer that is hidden in training
    last: Literal["small", "zero"] = "small"  # how the last layer begins: normal with deviation 0.001, or zero
    last_bias: bool = True
    bounded: bool = False  # changes lie between -1 and 1, by a tanh


class Update(nn.Module):
    """(row, inputs) -> (row, outputs): hidden layers of any kind, dropout if there is any, and a linear layer."""

    def __init__(self, inner: nn.Module, last: nn.Linear, *, dropout: float = 0.0, bounded: bool = False) -> None:
        super().__init__()
        self.inner, self.last, self.dropout, self.bounded = inner, last, dropout, bounded

    def forward(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """hidden (row, width), bool: what dropout hides of the last hidden layer."""
        change: Tensor = self.last(without(self.inner(rows), hidden, self.dropout))
        return change.tanh() if self.bounded else change


def without(rows: Tensor, hidden: Tensor | None, rate: float) -> Tensor:
    """Dropout by a mask that is given: what is left is enlarged, so that the mean stays."""
    return rows if hidden is None else rows.masked_fill(hidden, 0) / (1 - rate)


def mlp(inputs: int, outputs: int, hidden: tuple[int, ...] = (80,), form: Form | None = None) -> Update:
    """Linear layers with a leaky ReLU after each but the last; 1 x 1 convolutions by another name."""
    form = form or Form()
    return _update(Layers((inputs, *hidden), form), hidden[-1], outputs, form)


def resnet(inputs: int, outputs: int, width: int = 80, blocks: int = 2, form: Form | None = None) -> Update:
    """A linear layer, blocks that add to what they are given, and a last linear layer: the review's alternative."""
    form = form or Form()
    return _update(Blocks(inputs, width, blocks, form), width, outputs, form)


class Layers(nn.Module):
    """norm(act(A x)), layer after layer."""

    def __init__(self, widths: tuple[int, ...], form: Form) -> None:
        super().__init__()
        self.slope = form.slope
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(_norm(form.norm, width) for width in widths[1:])

    def forward(self, rows: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            rows = norm(F.leaky_relu(layer(rows), self.slope))
        return rows


class Blocks(nn.Module):
    """A linear layer, then norm(act(B act(A x) + x)), block after block."""

    def __init__(self, inputs: int, width: int, blocks: int, form: Form) -> None:
        super().__init__()
        self.slope, self.first = form.slope, Linear(inputs, width)
        self.heads = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.tails = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.norms = nn.ModuleList(_norm(form.norm, width) for _ in range(blocks))

    def forward(self, rows: Tensor) -> Tensor:
        rows = self.first(rows)
        for head, tail, norm in zip(self.heads, self.tails, self.norms, strict=True):
            rows = norm(F.leaky_relu(tail(F.leaky_relu(head(rows), self.slope)) + rows, self.slope))
        return rows


def _update(inner: nn.Module, width: int, outputs: int, form: Form) -> Update:
    last = Linear(width, outputs, bias=form.last_bias)
    for values in last.parameters():
        torch.nn.init.zeros_(values) if form.last == "zero" else torch.nn.init.normal_(values, std=1e-3)
    return Update(inner, last, dropout=form.dropout, bounded=form.bounded)


def _norm(norm: str, width: int) -> nn.Module:
    return {"layer": nn.LayerNorm, "rms": nn.RMSNorm}[norm](width) if norm != "none" else nn.Identity()
