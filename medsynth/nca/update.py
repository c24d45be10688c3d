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

Last = Literal["small", "zero"]


@dataclass(frozen=True)
class Form:
    """How an update is built beside its sizes. The defaults are those of the NCA review's image tasks."""

    slope: float = 0.2  # of the leaky ReLU below zero; 0 is a ReLU
    norm: Literal["none", "layer", "rms"] = "none"  # over each hidden layer of one cell, after its ReLU
    dropout: float = 0.0  # share of the last hidden layer that is hidden, which needs masks
    last_bias: bool = True
    last: Last = "small"  # how the last layer begins: normal with deviation 0.001, or zero
    bounded: bool = False  # changes lie between -1 and 1, by a tanh


class MLP(nn.Module):
    """Linear layers with a leaky ReLU after each but the last; 1 x 1 convolutions by another name."""

    def __init__(self, inputs: int, outputs: int, hidden: tuple[int, ...] = (80,), form: Form | None = None) -> None:
        super().__init__()
        self.form = form or Form()
        widths = (inputs, *hidden)
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(_norm(self.form.norm, width) for width in hidden)
        self.last = _last(widths[-1], outputs, self.form)

    def inner(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What the last layer is given. hidden (row, width), bool: what dropout hides of it."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            rows = norm(F.leaky_relu(layer(rows), self.form.slope))
        return _without(rows, hidden, self.form.dropout)

    def forward(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(row, inputs) -> (row, outputs)"""
        change = self.last(self.inner(rows, hidden))
        return change.tanh() if self.form.bounded else change


class ResNet(nn.Module):
    """A linear layer, blocks that add to what they are given, and a last linear layer (the NCA review's alternative).

    A block is act(B act(A x) + x).
    """

    def __init__(self, inputs: int, outputs: int, width: int = 80, blocks: int = 2, form: Form | None = None) -> None:
        super().__init__()
        self.form = form or Form()
        self.first = Linear(inputs, width)
        self.heads = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.tails = nn.ModuleList(Linear(width, width) for _ in range(blocks))
        self.norms = nn.ModuleList(_norm(self.form.norm, width) for _ in range(blocks))
        self.last = _last(width, outputs, self.form)

    def inner(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What the last layer is given. hidden (row, width), bool: what dropout hides of it."""
        slope, rows = self.form.slope, self.first(rows)
        for head, tail, norm in zip(self.heads, self.tails, self.norms, strict=True):
            rows = norm(F.leaky_relu(tail(F.leaky_relu(head(rows), slope)) + rows, slope))
        return _without(rows, hidden, self.form.dropout)

    def forward(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(row, inputs) -> (row, outputs)"""
        change = self.last(self.inner(rows, hidden))
        return change.tanh() if self.form.bounded else change


def dropout(update: nn.Module) -> tuple[float, int]:
    """The share of an update's last hidden layer that dropout hides, and how wide that layer is."""
    return (update.form.dropout, update.last.in_features) if isinstance(update, MLP | ResNet) else (0.0, 0)


def _norm(norm: str, width: int) -> nn.Module:
    return {"layer": nn.LayerNorm, "rms": nn.RMSNorm}[norm](width) if norm != "none" else nn.Identity()


def _last(width: int, outputs: int, form: Form) -> Linear:
    last = Linear(width, outputs, bias=form.last_bias)
    for values in last.parameters():
        torch.nn.init.zeros_(values) if form.last == "zero" else torch.nn.init.normal_(values, std=1e-3)
    return last


def _without(rows: Tensor, hidden: Tensor | None, rate: float) -> Tensor:
    """Dropout by a mask that is given: what is left is enlarged, so that the mean stays."""
    return rows if hidden is None else rows.masked_fill(hidden, 0) / (1 - rate)
