"""A linear layer of many rows, at the speed of the machine.

torch multiplies float32 matrices by MKL, which on processors that are not Intel's leaves half of what they can do
unused; torch's other library, oneDNN, has them all. A matrix that is to be read the other way round is given as the
weight, which oneDNN reads in any order; the other one is copied, and is the smaller one for that.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """torch's, as fast as the machine is. Same weights, same result up to the order of its sums."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (..., in), weight (out, in), bias (out,) -> (..., out)."""
    if not _by_onednn(x):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        return _Linear.apply(rows, weight, bias).view(*x.shape[:-1], -1)
    return _product(rows, weight, bias).view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight = ctx.saved_tensors
        (out,) = gradients
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            linear(out, weight.t(), None) if of_rows else None,  # which has a gradient, too, where one is asked for
            outer(out, rows) if of_weight else None,
            out.sum(0) if of_bias else None,
        )


def outer(out: Tensor, rows: Tensor) -> Tensor:
    """The sum of the outer products of rows, (row, out) and (row, in) -> (out, in): a weight's gradient."""
    if not _by_onednn(rows):
        return out.t() @ rows
    if out.shape[1] <= rows.shape[1]:
        return linear(out.t(), rows.t(), None)
    return linear(rows.t(), out.t(), None).t()


def _by_onednn(x: Tensor) -> bool:
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_exporting()
    )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows (row, in) @ weight (out, in) transposed + bias."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
