"""One step of the cells that fire: state -> state, in a fraction of the memory and the time of the plain form.

What it saves, with the same result: cells that do not fire (half of them, as a rule) are never put through the update;
rows go through it in pieces that stay in the processor's cache; and between the steps of a rollout nothing is kept but
the states, from which the way back makes the rest again. In half precision the state stays in float32, and perception
and update are computed from weights that are rounded once a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from medsynth.nca.linear import linear, outer
from medsynth.nca.update import Update, without

CACHE = 2**21  # bytes of the widest layer's values in one piece, for each thread
LARGE = 2**16  # rows in one piece on a GPU

Piece = tuple[Tensor, Tensor | None]  # which cells, and what dropout hides of each


@dataclass(frozen=True)
class Step:
    """What takes part in a step beside the state."""

    perception: nn.Module
    update: Update
    frozen: int  # first so many channels stay as they are
    size: float  # changes count so many times
    fires: Tensor  # (firing cell,): which cells of the batch, numbered through it
    hidden: Tensor | None = None  # (firing cell, width): what dropout hides of each

    def advance(self, state: Tensor) -> Tensor:
        """state (batch, row, column, channel) -> a new one."""
        weights = [*self.perception.parameters(), *self.update.parameters()]
        if torch.is_grad_enabled() and any(each.requires_grad for each in (state, *weights)):
            stepped: Tensor = _Advance.apply(self, state, *weights)
            return stepped
        return self.forward(state)

    def forward(self, state: Tensor) -> Tensor:
        """The same, without a way back."""
        stepped = state.detach().clone(memory_format=torch.contiguous_format)
        flat, precision = stepped.flatten(0, 2), _precision(state)
        with torch.no_grad(), torch.autocast(state.device.type, enabled=False):
            perceive, inner, last = self._rounded(precision)
            parts = [part.flatten(0, 2) for part in perceive(state.to(precision))]
            for places, hidden in self._pieces(inner.widest, precision):
                change = last(without(inner(_rows(parts, places)), hidden, self.update.dropout))
                change = (change.tanh() if self.update.bounded else change).to(state.dtype)
                cells = flat.index_select(0, places)
                cells[:, self.frozen :].add_(change, alpha=self.size)
                flat.index_copy_(0, places, cells)
        return stepped

    def backward(self, state: Tensor, out: Tensor, precision: torch.dtype) -> list[Tensor]:
        """Gradients by the state and the weights, from that by the new state; all else is made again."""
        with torch.enable_grad(), torch.autocast(state.device.type, enabled=False):
            perceive, inner, last = self._rounded(precision, grad=True)
            cells = state.detach().to(precision).requires_grad_()
            parts = perceive(cells)
            flat = [part.detach().flatten(0, 2) for part in parts]
            of_parts, of_update = [torch.zeros_like(part) for part in flat], _Sums()
            moving = out.flatten(0, 2)[:, self.frozen :]
            for places, hidden in self._pieces(inner.widest, precision):
                rows = _rows(flat, places).requires_grad_()
                seen = inner(rows)
                of_change = moving.index_select(0, places).to(precision) * self.size
                of_seen, *of_last = self._of_last(last, seen.detach(), hidden, of_change)
                of_rows, *of_inner = _gradients([seen], [rows, *inner.leaves], [of_seen])
                _scatter(of_parts, places, of_rows)
                of_update.add([each.to(state.dtype) for each in (*of_inner, *of_last)])
            seen_by = [
                (part, of.view(part.shape)) for part, of in zip(parts, of_parts, strict=True) if part.requires_grad
            ]
            outputs, of_outputs = zip(*seen_by, strict=True)
            of_cells, *of_perception = _gradients(outputs, [cells, *perceive.leaves], of_outputs)
        return [out + of_cells, *(each.to(state.dtype) for each in of_perception), *of_update.sums]

    @torch.no_grad()
    def _of_last(self, last: "_Rounded", seen: Tensor, hidden: Tensor | None, out: Tensor) -> list[Tensor]:
        """Gradients by what the last layer is given, before dropout, and by its weight and bias."""
        seen, weight = without(seen, hidden, self.update.dropout), last.leaves[0].detach()
        if self.update.bounded:
            out = out * (1 - last(seen).tanh().square())
        of_seen = without(linear(out, weight.t(), None), hidden, self.update.dropout)
        return [of_seen, outer(out, seen), *([out.sum(0)] if len(last.leaves) > 1 else [])]

    def _rounded(self, precision: torch.dtype, *, grad: bool = False) -> list["_Rounded"]:
        modules = (self.perception, self.update.inner, self.update.last)
        return [_Rounded(module, precision, grad=grad) for module in modules]

    def _pieces(self, widest: int, precision: torch.dtype) -> list[Piece]:
        rows = LARGE
        if self.fires.device.type == "cpu":
            rows = max(64, CACHE * torch.get_num_threads() // (widest * precision.itemsize))
        places = self.fires.split(rows)
        hidden = [None] * len(places) if self.hidden is None else self.hidden.split(rows)
        return list(zip(places, hidden, strict=True))


class _Rounded:
    """A module in some precision; its leaves, which take the place of the parameters, in their order."""

    def __init__(self, module: nn.Module, precision: torch.dtype, *, grad: bool) -> None:
        self.module = module
        self.named = {name: each.detach().to(precision) for name, each in module.named_parameters()}
        self.leaves = [leaf.requires_grad_(grad) for leaf in self.named.values()]
        self.widest = max([1, *(max(leaf.shape) for leaf in self.leaves)])

    def __call__(self, cells: Tensor) -> Any:
        return functional_call(self.module, self.named, (cells,))


class _Sums:
    """Gradients of weights, added up over pieces."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []

    def add(self, more: list[Tensor]) -> None:
        if self.sums:
            torch._foreach_add_(self.sums, more)
        else:
            self.sums = more


class _Advance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, step: Step, state: Tensor, *weights: Tensor) -> Tensor:
        ctx.step, ctx.precision = step, _precision(state)
        ctx.save_for_backward(state)
        return step.forward(state)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (state,) = ctx.saved_tensors
        return None, *ctx.step.backward(state, gradients[0].contiguous(), ctx.precision)


def _rows(parts: Sequence[Tensor], places: Tensor) -> Tensor:
    """What the cells at some places see, side by side."""
    return torch.cat([part.index_select(0, places) for part in parts], dim=1)


def _scatter(parts: Sequence[Tensor], places: Tensor, rows: Tensor) -> None:
    """Back from rows to the parts; no place is there twice."""
    for part, piece in zip(parts, rows.split([part.shape[1] for part in parts], dim=1), strict=True):
        part.index_copy_(0, places, piece)


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], of_outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(outputs, inputs, of_outputs, materialize_grads=True)


def _precision(state: Tensor) -> torch.dtype:
    """That of the products: autocast's where it is on."""
    device = state.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else state.dtype
