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

CACHE = 2**21  # bytes of the widest layer's values in one piece, for each thread
LARGE = 2**16  # rows in one piece on a GPU


@dataclass(frozen=True)
class Step:
    """What takes part in a step beside the state."""

    perception: nn.Module
    update: nn.Module
    frozen: int  # first so many channels stay as they are
    size: float  # changes count so many times
    fires: Tensor  # (firing cell,): which cells of the batch, numbered through it
    hidden: Tensor | None  # (firing cell, width): what dropout hides of each

    def advance(self, state: Tensor) -> Tensor:
        """state (batch, row, column, channel) -> a new one."""
        weights = [*self.perception.parameters(), *self.update.parameters()]
        if torch.is_grad_enabled() and any(each.requires_grad for each in (state, *weights)):
            return _Advance.apply(self, _precision(state), state, *weights)
        return self._forward(state.clone(memory_format=torch.contiguous_format), _precision(state))

    def advance_in_place(self, state: Tensor) -> Tensor:
        """The same, without gradients, in the memory of a state that nobody needs any more and that is contiguous."""
        return self._forward(state, _precision(state))

    def _forward(self, state: Tensor, precision: torch.dtype) -> Tensor:
        with torch.no_grad(), torch.autocast(state.device.type, enabled=False):
            perceive, update = (_Rounded(module, precision) for module in (self.perception, self.update))
            parts = [part.flatten(0, 2) for part in perceive(state.to(precision))]
            moving = state.view(-1, state.shape[3])[:, self.frozen :]
            for places, hidden in self._pieces(update):
                change = update(_rows(parts, places), hidden).to(state.dtype)
                moving.index_add_(0, places, change, alpha=self.size)
        return state

    def _pieces(self, update: "_Rounded") -> list[tuple[Tensor, Tensor | None]]:
        if self.fires.device.type == "cpu":
            rows = max(64, CACHE * torch.get_num_threads() // (update.widest * update.precision.itemsize))
        else:
            rows = LARGE
        pieces = self.fires.split(rows)
        return list(zip(pieces, [None] * len(pieces) if self.hidden is None else self.hidden.split(rows), strict=True))


class _Rounded:
    """A module in some precision; its leaves, which take the place of the parameters, in their order."""

    def __init__(self, module: nn.Module, precision: torch.dtype, *, grad: bool = False) -> None:
        self.module, self.precision = module, precision
        self.named = {name: each.detach().to(precision) for name, each in module.named_parameters()}
        self.leaves = [leaf.requires_grad_(grad) for leaf in self.named.values()]
        self.widest = max([1, *(max(leaf.shape) for leaf in self.leaves)])

    def __call__(self, cells: Tensor, *more: Tensor | None) -> Any:
        return functional_call(self.module, self.named, (cells, *(each for each in more if each is not None)))


class _Advance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, step: Step, precision: torch.dtype, state: Tensor, *weights: Tensor) -> Tensor:
        ctx.step, ctx.precision = step, precision
        ctx.save_for_backward(state)
        return step._forward(state.clone(memory_format=torch.contiguous_format), precision)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        step, precision, (state,) = ctx.step, ctx.precision, ctx.saved_tensors
        out = gradients[0].contiguous()
        with torch.enable_grad(), torch.autocast(state.device.type, enabled=False):
            perceive, update = (_Rounded(part, precision, grad=True) for part in (step.perception, step.update))
            cells = state.to(precision).requires_grad_()
            parts = perceive(cells)
            flat = [part.detach().flatten(0, 2) for part in parts]
            of_parts = [torch.zeros_like(part) for part in flat]
            of_update: list[Tensor] = []
            moving = out.view(-1, state.shape[3])[:, step.frozen :]
            for places, hidden in step._pieces(update):
                rows = _rows(flat, places).requires_grad_()
                of_change = moving.index_select(0, places).to(precision) * step.size
                found = torch.autograd.grad(update(rows, hidden), [rows, *update.leaves], of_change)
                _scatter(of_parts, places, found[0])
                of_update = _sum(of_update, [each.to(state.dtype) for each in found[1:]])
            seen = [(part, of.view(part.shape)) for part, of in zip(parts, of_parts, strict=True) if part.requires_grad]
            outputs, of_outputs = zip(*seen, strict=True)
            of_cells, *of_perception = torch.autograd.grad(outputs, [cells, *perceive.leaves], of_outputs)
        return None, None, out + of_cells, *(each.to(state.dtype) for each in of_perception), *of_update


def _rows(parts: Sequence[Tensor], places: Tensor) -> Tensor:
    """What the cells at some places see, side by side."""
    return torch.cat([part.index_select(0, places) for part in parts], dim=1)


def _scatter(parts: Sequence[Tensor], places: Tensor, rows: Tensor) -> None:
    """Back from rows to the parts; no place is there twice."""
    for part, piece in zip(parts, rows.split([part.shape[1] for part in parts], dim=1), strict=True):
        part.index_copy_(0, places, piece)


def _sum(sums: list[Tensor], more: list[Tensor]) -> list[Tensor]:
    if not sums:
        return more
    torch._foreach_add_(sums, more)
    return sums


def _precision(state: Tensor) -> torch.dtype:
    """That of the products: autocast's where it is on."""
    device = state.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else state.dtype
