"""A linear layer's weight -> the fastest product with a few rows, in which no row depends on the others.

On a CPU both kinds of arithmetic are oneDNN's, its weights put in order once instead of at every product. With torch's
plain product a row's rounding errors depend on how many rows there are.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from medsynth.errors import BadUsage
from medsynth.sampling import Arithmetic

LEAST_ROWS = 4  # with fewer, oneDNN takes other kernels: slower ones, which add up in another order
INT8 = 127  # the largest whole number that a value is rounded to

Product = Callable[[Tensor], Tensor]  # (row, in) -> (row, out)


def product(weight: Tensor, arithmetic: Arithmetic) -> Product:
    """weight (out, in), float32. Raises BadUsage where there is no int8."""
    on_cpu = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
    if arithmetic == "int8":
        if not on_cpu:
            raise BadUsage(
                f"int8 is oneDNN's, which this {weight.device.type} does not have", hint="--arithmetic exact"
            )
        return _rounded(weight)
    return _exact(weight) if on_cpu else lambda x: F.linear(x, weight)


def _exact(weight: Tensor) -> Product:
    """float32, up to the order of the sum."""
    onednn: Any = torch.ops.mkldnn
    packed = onednn._reorder_linear_weight(weight.detach())

    def exact(x: Tensor) -> Tensor:
        rows = len(x)
        x = F.pad(x, (0, 0, 0, LEAST_ROWS - rows)) if rows < LEAST_ROWS else x
        return onednn._linear_pointwise(x, packed, None, "none", [], "")[:rows]

    return exact


def _rounded(weight: Tensor) -> Product:
    """Weights and activations as 8-bit whole numbers, each output and each row with a scale of its own.

    One scale for all rows, as is usual, would let a row depend on its batch. The sum itself is exact. Activations are
    raised by 128, for the machine multiplies positive ones with signed weights.
    """
    onednn: Any = torch.ops.onednn
    scale = weight.abs().amax(dim=1).clamp(min=torch.finfo(weight.dtype).tiny) / INT8
    packed = onednn.qlinear_prepack((weight / scale[:, None]).round().to(torch.int8), None)
    zeros, half = torch.zeros(len(weight), dtype=torch.int32), torch.tensor(128.5)  # cut off, which rounds about 128

    def rounded(x: Tensor) -> Tensor:
        largest = x.abs().amax(dim=1, keepdim=True).clamp_(min=torch.finfo(x.dtype).tiny)
        whole = torch.addcdiv(half, x, largest, value=INT8).to(torch.uint8)
        out = onednn.qlinear_pointwise(
            whole, 1 / INT8, 128, packed, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return out.mul_(largest)

    return rounded
