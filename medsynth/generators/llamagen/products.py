"""A linear layer's weight -> the fastest product with a few rows, in which no row depends on the others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_ROWS = 4  # with fewer, oneDNN takes other kernels: slower ones, which add up in another order

Product = Callable[[Tensor], Tensor]  # (row, in) -> (row, out)


def product(weight: Tensor) -> Product:
    """weight (out, in), float32. On a CPU it is put in oneDNN's own order once, not at every product."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return lambda x: F.linear(x, weight)
    onednn: Any = torch.ops.mkldnn
    packed = onednn._reorder_linear_weight(weight.detach())

    def exact(x: Tensor) -> Tensor:
        rows = len(x)
        x = F.pad(x, (0, 0, 0, LEAST_ROWS - rows)) if rows < LEAST_ROWS else x
        return onednn._linear_pointwise(x, packed, None, "none", [], "")[:rows]

    return exact
