"""A step of the cells that fire: state -> state, in a fraction of the memory and the time of the plain form.

What it saves, with the same result: cells that do not fire (half of them, as a rule) are never put through the update;
rows go through it in pieces that stay in the processor's cache; and between the steps of a rollout nothing is kept but
the states, from which the way back makes the rest again. In half precision the state stays in float32, and perception
and update are computed from weights that are rounded once a rollout.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from medsynth.nca.linear import linear, outer
from medsynth.nca.update import Update, without

CACHE = 2**21  # bytes of the widest layer's values in one piece, for each thread
LARGE = 2**16  # rows in one piece on a GPU
GATHERED = 0.75  # of the cells fire at most where only these are looked at by a perception that can leave cells out

Piece = tuple[Tensor, Tensor | None]  # which cells, and what dropout hides of each


class Firing:
    """What stays the same for the steps of a rollout: perception and update as they are now, in one precision."""

    def __init__(self, perception: nn.Module, update: Update, frozen: int, size: float, precision: torch.dtype) -> None:
        """frozen: the first so many channels stay as they are. size: changes count so many times."""
        self.update, self.frozen, self.size, self.precision = update, frozen, size, precision
        self.perceive, self.inner, self.last = (
            _Rounded(module, precision) for module in (perception, update.inner, update.last)
        )
        self.weights = [*self.perceive.weights, *self.inner.weights, *self.last.weights]
        self.widest = max([1, *(max(each.shape) for each in update.parameters())])

    def step(self, state: Tensor, fires: Tensor, hidden: Tensor | None = None) -> Tensor:
        """state (batch, row, column, channel) -> a new one.

        fires (firing cell,): which cells of the batch, numbered through it; hidden (firing cell, width), bool: what
        dropout hides of each one's last hidden layer.
        """
        if torch.is_grad_enabled() and (state.requires_grad or self.weights):
            stepped: Tensor = _Step.apply(self, fires, hidden, state, *self.weights)
            return stepped
        return self.forward(state, fires, hidden)

    @torch.no_grad()
    def forward(self, state: Tensor, fires: Tensor, hidden: Tensor | None) -> Tensor:
        """The same, without a way back."""
        stepped = state.clone(memory_format=torch.contiguous_format)
        flat = stepped.flatten(0, 2)
        with torch.autocast(state.device.type, enabled=False):
            pieces = self._pieces(fires, hidden)
            for (places, hides), rows in zip(pieces, self._perceived(state, pieces), strict=True):
                seen = self.inner(rows)
                change = self.last(without(seen, hides, self.update.dropout))
                change = (change.tanh() if self.update.bounded else change).to(state.dtype)
                cells = flat.index_select(0, places)
                cells[:, self.frozen :].add_(change, alpha=self.size)
                flat.index_copy_(0, places, cells)
        return stepped

    def _perceived(self, state: Tensor, pieces: list[Piece]) -> Iterator[Tensor]:
        """What the cells of each piece see, (cell, number)."""
        places = [place for place, _ in pieces]
        firing, cells = sum(map(len, places)), state[..., 0].numel()
        # On a GPU a convolution of all cells costs less than putting together what some of them see.
        if getattr(self.perceive.module, "gathers", False) and state.device.type == "cpu" and firing < GATHERED * cells:
            yield from self.perceive(state.to(self.precision), places)
            return
        parts = [part.flatten(0, 2) for part in self.perceive(state.to(self.precision))]
        yield from (_rows(parts, place) for place in places)

    def backward(self, state: Tensor, fires: Tensor, hidden: Tensor | None, out: Tensor) -> list[Tensor]:
        """Gradients by the state and the weights, from that by the new state; all else is made again."""
        sums = _Sums()
        with torch.enable_grad(), torch.autocast(state.device.type, enabled=False):
            cells = state.detach().to(self.precision).requires_grad_()
            parts = self.perceive(cells)
            flat = [part.detach().flatten(0, 2) for part in parts]
            of_parts = [torch.zeros_like(part) for part in flat]
            moving = out.flatten(0, 2)[:, self.frozen :]
            for places, hides in self._pieces(fires, hidden):
                rows = _rows(flat, places).requires_grad_()
                seen = self.inner(rows)
                of_change = moving.index_select(0, places).to(self.precision) * self.size
                of_seen, of_last = self._of_last(seen.detach(), hides, of_change)
                of_rows, *of_inner = _gradients([seen], [rows, *self.inner.leaves], [of_seen])
                _scatter(of_parts, places, of_rows)
                sums.add([*of_inner, *of_last])
            learnt = [(part, of.view_as(part)) for part, of in zip(parts, of_parts, strict=True) if part.requires_grad]
            outputs, of_outputs = zip(*learnt, strict=True)
            of_cells, *of_perception = _gradients(outputs, [cells, *self.perceive.leaves], of_outputs)
        return [out + of_cells, *(each.to(out.dtype) for each in of_perception), *sums.found]

    @torch.no_grad()
    def _of_last(self, seen: Tensor, hides: Tensor | None, out: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Gradients by what the last layer is given, before dropout, and by those of its weights that learn.

        Done here, because the way back has no need of the last layer's own product, a quarter of all.
        """
        seen = without(seen, hides, self.update.dropout)
        if self.update.bounded:
            out = out * (1 - self.last(seen).tanh().square())
        of_seen = without(linear(out, self.last.named["weight"].t(), None), hides, self.update.dropout)
        found = {"weight": outer(out, seen), "bias": out.sum(0)}
        return of_seen, [found[name] for name in self.last.learns]

    def _pieces(self, fires: Tensor, hidden: Tensor | None) -> list[Piece]:
        rows = LARGE
        if fires.device.type == "cpu":
            rows = max(64, CACHE * torch.get_num_threads() // (self.widest * self.precision.itemsize))
        places = fires.split(rows)
        hides = [None] * len(places) if hidden is None else hidden.split(rows)
        return list(zip(places, hides, strict=True))


class _Rounded:
    """A module in some precision. `leaves` stand for its `weights`, those that learn, in the way back."""

    def __init__(self, module: nn.Module, precision: torch.dtype) -> None:
        own: dict[str, Tensor] = dict(module.named_parameters())
        self.module = module
        self.learns = [name for name, each in own.items() if each.requires_grad]
        self.weights = [own[name] for name in self.learns]
        self.as_it_is = all(each.dtype == precision for each in own.values())
        self.named = own if self.as_it_is else {name: each.detach().to(precision) for name, each in own.items()}
        self.leaves = [self.named[name].requires_grad_() for name in self.learns]

    def __call__(self, *given: Any) -> Any:
        return self.module(*given) if self.as_it_is else functional_call(self.module, self.named, given)


class _Sums:
    """Gradients of weights, added up over pieces in float32 or better."""

    def __init__(self) -> None:
        self.found: list[Tensor] = []

    def add(self, more: list[Tensor]) -> None:
        more = [each.to(torch.promote_types(each.dtype, torch.float32)) for each in more]
        if not self.found:
            self.found = more
        elif more:
            torch._foreach_add_(self.found, more)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, firing: Firing, fires: Tensor, hidden: Tensor | None, state: Tensor, *weights: Tensor
    ) -> Tensor:
        ctx.firing, ctx.fires, ctx.hidden = firing, fires, hidden
        ctx.save_for_backward(state, *weights)  # of the weights nothing is copied: torch sees whether they were changed
        return firing.forward(state, fires, hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        state = ctx.saved_tensors[0]
        return None, None, None, *ctx.firing.backward(state, ctx.fires, ctx.hidden, gradients[0].contiguous())


def _rows(parts: Sequence[Tensor], places: Tensor) -> Tensor:
    """What the cells at some places see, side by side."""
    return torch.cat([part.index_select(0, places) for part in parts], dim=1)


def _scatter(parts: Sequence[Tensor], places: Tensor, rows: Tensor) -> None:
    """Back from rows to the parts; no place is there twice."""
    for part, piece in zip(parts, rows.split([part.shape[1] for part in parts], dim=1), strict=True):
        part.index_copy_(0, places, piece)


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], of_outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(outputs, inputs, of_outputs, materialize_grads=True)
